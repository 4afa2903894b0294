//! The completions in the shells that they are for: what is typed there becomes what it should.

#![expect(clippy::disallowed_methods, reason = "scripts are written for shells, which tests start")]

use std::io::Write;
use std::path::Path;
use std::process::Command;

/// What is typed before the tabulator, and the word that comes of its last one.
const TYPED: [(&str, &str); 5] = [
    ("k8sdoctor che", "check"),
    ("k8sdoctor check --fail-on-u", "--fail-on-unknown"),
    ("k8sdoctor check --format sar", "sarif"),
    ("k8sdoctor config sh", "show"),
    ("k8sdoctor rules te", "test"),
];

/// A shell that is not here is said, and `tests/run` repeats it at its end.
fn is_here(shell: &str) -> bool {
    let here = Command::new(shell).args(["-c", "exit 0"]).output().is_ok();
    if !here {
        println!("skipped: {shell} is not installed");
        if let Some(path) = std::env::var_os("K8SDOCTOR_SKIPS") {
            let mut file = std::fs::OpenOptions::new().append(true).create(true).open(path).unwrap();
            writeln!(file, "completions: {shell} is not installed").unwrap();
        }
    }
    here
}

/// Writes the shell's completions to the file, and runs the script with the shell.
fn shell(shell: &str, file: &Path, arguments: &[&str], script: &str) -> String {
    let made = Command::new(env!("CARGO_BIN_EXE_k8sdoctor")).args(["completions", shell]).output().unwrap();
    assert!(made.status.success() && !made.stdout.is_empty());
    std::fs::write(file, made.stdout).unwrap();
    let mut command = Command::new("timeout");
    command.arg("60").arg(shell).args(arguments).args(["-c", script]).env("HOME", file.parent().unwrap());
    let output = command.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.is_empty(), "{shell}: {}: {errors}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn bash() {
    if !is_here("bash") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("k8sdoctor.bash");
    for (typed, word) in TYPED {
        let words: Vec<&str> = typed.split(' ').collect();
        let [.., before, last] = words.as_slice() else { panic!("{typed}") };
        let script = format!(
            "source '{}'\nCOMP_WORDS=({typed}) COMP_CWORD={}\ncomplete -p k8sdoctor >/dev/null\n\
             _k8sdoctor k8sdoctor {last} {before}\nprintf '%s\\n' \"${{COMPREPLY[@]}}\"",
            file.display(),
            words.len() - 1
        );
        assert_eq!(shell("bash", &file, &["--norc", "--noprofile"], &script).trim(), word, "{typed}");
    }
}

#[test]
fn fish() {
    if !is_here("fish") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("k8sdoctor.fish");
    for (typed, word) in TYPED {
        let script = format!("source '{}'; complete -C '{typed}'", file.display());
        let shown = shell("fish", &file, &["--no-config"], &script);
        let words: Vec<&str> = shown.lines().filter_map(|line| line.split('\t').next()).collect();
        assert_eq!(words, [word], "{typed}");
    }
}

/// zsh completes only where somebody types: what is typed ends in a function that writes down what it was called with.
#[test]
fn zsh() {
    if !is_here("zsh") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("_k8sdoctor");
    let said = folder.path().join("said");
    for (typed, word) in TYPED {
        let _ = std::fs::remove_file(&said);
        let script = format!(
            r#"
            zmodload zsh/zpty
            zpty typist zsh -f -i
            zpty -w typist 'PS1= fpath=({folder} $fpath); autoload -Uz compinit; compinit -u -D'
            zpty -w typist 'k8sdoctor() {{ print -r -- "$@" >{said}.new; mv {said}.new {said} }}'
            zpty -w -n typist $'{typed}\t\n'
            for _ in {{1..400}}; do
                [[ -e {said} ]] && break
                sleep 0.1
            done
            cat {said}
            zpty -d typist"#,
            folder = folder.path().display(),
            said = said.display()
        );
        let called = shell("zsh", &file, &["-f"], &script);
        assert_eq!(called.split_whitespace().next_back(), Some(word), "{typed}: {called}");
    }
}
