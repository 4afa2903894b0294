//! Reads the cards of rules/ for embedding: every `<id>.md` and `<id>.zh.md` below it becomes bytes that are read in
//! microseconds. A card with an error is embedded as its text; reading it again says where the error is.
#![expect(clippy::disallowed_methods, reason = "a build script reads the source tree and its environment")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

#[path = "src/engine/card.rs"]
#[allow(dead_code, reason = "only what reads a card is used here")]
mod card;
#[path = "src/engine/card_file.rs"]
mod card_file;
#[path = "src/engine/template.rs"]
#[allow(dead_code, reason = "only what reads a card is used here")]
mod template;

/// What log patterns rest on is worked out here, once.
#[path = "src/logs/background.rs"]
#[allow(dead_code, reason = "only what reads a pattern is used here")]
mod background;
#[path = "src/logs/literals.rs"]
#[allow(dead_code, reason = "only what reads a pattern is used here")]
mod literals;

/// Of what reports have, the words that cards use too.
#[path = "src/report/level.rs"]
#[allow(dead_code, reason = "only what reads a card is used here")]
mod report;

fn main() {
    println!("cargo::rerun-if-changed=rules");
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR"));
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let mut cards = Vec::new();
    list(&root.join("rules"), &mut cards);
    cards.sort();
    let mut bytes = Vec::new();
    let mut patterns = BTreeMap::new();
    let mut code = String::from("pub(super) static EMBEDDED: &[(&str, Embedded)] = &[\n");
    for path in &cards {
        let name = path.strip_prefix(&root).expect("it was found below the root").display().to_string();
        let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{name}: {error}"));
        let value = match read(&name, &text, &mut patterns) {
            Ok(read) => {
                let from = bytes.len();
                bytes.extend(read);
                format!("Embedded::Read(BYTES.split_at({}).0.split_at({from}).1)", bytes.len())
            }
            Err(error) => {
                println!("cargo::warning={error}");
                format!("Embedded::Text({text:?})")
            }
        };
        writeln!(code, "    ({name:?}, {value}),").expect("writing to a string");
    }
    code.push_str("];\nconst BYTES: &[u8] = include_bytes!(concat!(env!(\"OUT_DIR\"), \"/cards.bin\"));\n");
    let patterns = postcard::to_allocvec(&patterns).expect("patterns can be written");
    fs::write(out.join("patterns.bin"), patterns).expect("OUT_DIR is writable");
    fs::write(out.join("cards.bin"), bytes).expect("OUT_DIR is writable");
    fs::write(out.join("cards.rs"), code).expect("OUT_DIR is writable");
}

fn read(
    name: &str,
    text: &str,
    patterns: &mut BTreeMap<String, literals::Parsed>,
) -> Result<Vec<u8>, card_file::CardError> {
    let bytes = if name.ends_with(".zh.md") {
        postcard::to_allocvec(&card_file::Translation::parse(name, text)?)
    } else {
        let card = card_file::CardFile::parse(name, text)?;
        for source in card.front.logs.iter().flat_map(|rule| std::iter::once(&rule.pattern).chain(&rule.ended_by)) {
            // One that is wrong says so when it is used.
            patterns.extend(literals::parse(source).ok().map(|parsed| (source.clone(), parsed)));
        }
        postcard::to_allocvec(&card)
    };
    bytes.map_err(|error| card_file::CardError::new(name, 1, 1, error.to_string()))
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
