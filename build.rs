//! Lists the cards of rules/ for embedding: every `<id>.md` and `<id>.zh.md` below it.
#![expect(clippy::disallowed_methods, reason = "a build script reads the source tree and its environment")]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-changed=rules");
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR"));
    let mut cards = Vec::new();
    list(&root.join("rules"), &mut cards);
    cards.sort();
    let mut code = String::from("pub(super) static EMBEDDED: &[(&str, &str)] = &[\n");
    for card in &cards {
        let name = card.strip_prefix(&root).expect("it was found below the root").display().to_string();
        writeln!(code, "    ({name:?}, include_str!({:?})),", card.display().to_string()).expect("writing to a string");
    }
    code.push_str("];\n");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    fs::write(out.join("cards.rs"), code).expect("OUT_DIR is writable");
}

fn list(directory: &Path, cards: &mut Vec<PathBuf>) {
    println!("cargo::rerun-if-changed={}", directory.display());
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            list(&path, cards);
        } else if path.extension().is_some_and(|extension| extension == "md")
            && path.file_name().is_some_and(|name| name != "README.md")
        {
            cards.push(path);
        }
    }
}
