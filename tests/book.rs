//! The book: every command in it runs and ends as it says, its pages are all listed, and it has the same in both languages.

#![expect(clippy::disallowed_methods, reason = "the test reads the book and gives its commands a folder")]

use std::path::{Path, PathBuf};
use std::process::Command;

const LANGUAGES: [&str; 2] = ["en", "zh"];

fn pages(language: &str) -> Vec<PathBuf> {
    let folder = Path::new("docs/book").join(language).join("src");
    let mut pages: Vec<PathBuf> =
        std::fs::read_dir(&folder).expect("the book is there").map(|entry| entry.expect("an entry").path()).collect();
    pages.sort();
    assert!(pages.len() > 5, "{pages:?}");
    pages
}

/// The lines `$ COMMAND` of a page, each with the exit code that it says: `# exit 3` behind it, else 0 or 1.
fn commands(text: &str) -> Vec<(String, Option<i32>)> {
    let mut commands = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        if line.starts_with("```") {
            inside = line == "```console";
        } else if let Some(command) = line.strip_prefix("$ ").filter(|_| inside) {
            let (command, code) = command.split_once(" # exit ").unwrap_or((command, ""));
            let code = (!code.is_empty()).then(|| code.parse().expect("an exit code"));
            commands.push((command.to_owned(), code));
        }
    }
    commands
}

/// Runs the command in a folder that looks like a clone, without writing to the clone.
fn run(command: &str, folder: &Path) -> std::process::Output {
    let programs = Path::new(env!("CARGO_BIN_EXE_k8sdoctor")).parent().expect("it has a folder");
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap_or_default());
    let mut shell = Command::new("sh");
    shell.args(["-c", command]).current_dir(folder).env("PATH", path).env_remove("GITHUB_STEP_SUMMARY");
    shell.output().expect("the shell starts")
}

#[test]
fn every_command_runs() {
    let root = std::env::current_dir().expect("a folder");
    let mut ran = 0;
    for language in LANGUAGES {
        for page in pages(language) {
            let text = std::fs::read_to_string(&page).expect("a page");
            let folder = tempfile::tempdir().expect("a folder");
            std::os::unix::fs::symlink(root.join("testdata"), folder.path().join("testdata")).expect("a link");
            for (command, code) in commands(&text) {
                let output = run(&command, folder.path());
                let ended = output.status.code();
                let fits = code.map_or(matches!(ended, Some(0 | 1)), |code| ended == Some(code));
                let said = String::from_utf8_lossy(&output.stderr);
                assert!(fits, "{}: `{command}` ended with {ended:?}\n{said}", page.display());
                ran += 1;
            }
        }
    }
    assert!(ran > 30, "{ran}");
}

#[test]
fn both_languages_have_the_same_pages_and_commands() {
    let of = |language: &str| -> Vec<(String, Vec<String>)> {
        pages(language)
            .iter()
            .map(|page| {
                let text = std::fs::read_to_string(page).expect("a page");
                let commands = commands(&text).into_iter().map(|(command, _)| command.replace(" --lang zh", ""));
                (page.file_name().expect("a name").to_string_lossy().into_owned(), commands.collect())
            })
            .collect()
    };
    assert_eq!(of("en"), of("zh"));
}

#[test]
fn the_summary_lists_every_page_and_rule() {
    let out = tempfile::tempdir().expect("a folder");
    let mut make = Command::new("docs/book/make");
    let made = make.arg(out.path()).env("K8SDOCTOR", env!("CARGO_BIN_EXE_k8sdoctor")).output().expect("bash starts");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    for language in LANGUAGES {
        let folder = out.path().join(language).join("src");
        let summary = std::fs::read_to_string(folder.join("SUMMARY.md")).expect("a summary");
        let linked: Vec<&str> =
            summary.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(link, _)| link).collect();
        for link in &linked {
            let page = std::fs::read_to_string(folder.join(link)).unwrap_or_default();
            assert!(page.starts_with("# "), "{language}: {link} is no page");
        }
        for page in pages(language) {
            let name = page.file_name().expect("a name").to_string_lossy().into_owned();
            assert!(name == "SUMMARY.md" || linked.contains(&name.as_str()), "{language}: {name} is not listed");
        }
        assert!(linked.contains(&"rules/etcd-quorum-lost.md"), "{language}: {linked:?}");
    }
}
