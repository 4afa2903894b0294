//! What is in deploy/: a release is laid out and installed from its folder, and one that was tampered with is refused.

#![expect(clippy::disallowed_methods, reason = "scripts are run, and files that they wrote are read")]

use std::path::Path;
use std::process::{Command, Output};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn install(release: &Path, into: &Path) -> Output {
    let mut command = Command::new("sh");
    command.arg(format!("{ROOT}/deploy/install.sh")).env("K8SDOCTOR_DIR", into);
    command.env("K8SDOCTOR_URL", format!("file://{}", release.display())).output().unwrap()
}

#[test]
fn a_release_installs_and_a_changed_one_does_not() {
    let has = |program: &str| Command::new(program).arg("--version").output().is_ok();
    if !["curl", "sha256sum", "tar", "gzip", "awk"].into_iter().all(has) {
        eprintln!("skipped: needs curl, sha256sum, tar, gzip and awk");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let release = folder.path().join("dist");
    // A program for the other machine is not there: it is no platform of the manifest then.
    let machine = if cfg!(target_arch = "aarch64") { "aarch64" } else { "x86_64" };
    // The archive is what is tried, not the program: a small one does.
    let program = folder.path().join("k8sdoctor");
    std::fs::write(&program, "#!/bin/sh\necho k8sdoctor 0.0.0\n").unwrap();
    assert!(Command::new("chmod").arg("755").arg(&program).status().unwrap().success());
    let mut command = Command::new(format!("{ROOT}/deploy/release"));
    command.args(["v0.0.0", "https://example.org/v0.0.0", "https://example.org"]).arg(&release);
    let output = command.arg(format!("{machine}={}", program.display())).output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    let sums = std::fs::read_to_string(release.join("SHA256SUMS")).unwrap();
    let manifest = std::fs::read_to_string(release.join("k8sdoctor.yaml")).unwrap();
    let sum = sums.split_whitespace().next().unwrap();
    assert!(manifest.contains(&format!("sha256: {sum}")) && !manifest.contains('@'), "{manifest}");
    assert_eq!(manifest.matches("- selector:").count(), 1, "{manifest}");

    let into = folder.path().join("bin");
    let output = install(&release, &into);
    assert!(output.status.success() && text(&output).contains("k8sdoctor 0.0.0"), "{}", text(&output));
    assert!(into.join("k8sdoctor").is_file());

    let archive = release.join(format!("k8sdoctor-linux-{machine}.tar.gz"));
    let mut bytes = std::fs::read(&archive).unwrap();
    bytes.push(0);
    std::fs::write(&archive, bytes).unwrap();
    let output = install(&release, &folder.path().join("other"));
    assert!(!output.status.success() && text(&output).contains("was not installed"), "{}", text(&output));
    assert!(!folder.path().join("other/k8sdoctor").exists());
}

#[test]
fn hooks_and_templates_call_options_that_there_are() {
    let program = env!("CARGO_BIN_EXE_k8sdoctor");
    let help = Command::new(program).args(["check", "--help"]).output().unwrap();
    let help = text(&help);
    for file in [".pre-commit-hooks.yaml", "deploy/github-action/action.yml", "deploy/gitlab/k8sdoctor.yml"] {
        let content = std::fs::read_to_string(Path::new(ROOT).join(file)).unwrap();
        let options = content.split(|c: char| c.is_whitespace() || "()\"".contains(c)).filter(|word| {
            word.len() > 2 && word.starts_with("--") && word[2..].chars().all(|c| c.is_ascii_lowercase() || c == '-')
        });
        let mut count = 0;
        for option in options {
            assert!(help.contains(option), "{file}: {option}");
            count += 1;
        }
        assert!(count > 0, "{file}");
    }
}
