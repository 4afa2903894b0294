//! A card's file: front matter in YAML between two lines `---`, and Markdown below. What it says is checked as far as that
//! needs no other card. The build script reads the program's own cards by this file too.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::card::{Card, CommandTemplate, FrontMatter, TranslatedFrontMatter};
use super::template;

/// A card that cannot be used, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}:{line}:{column}: {message}")]
pub struct CardError {
    pub path: String,
    pub line: u32,
    pub column: u32,
    pub message: String,
}

impl CardError {
    pub fn new(path: &str, line: u32, column: u32, message: impl Into<String>) -> CardError {
        CardError { path: path.to_owned(), line, column, message: message.into() }
    }
}

/// What a card's file says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CardFile {
    pub front: FrontMatter,
    pub prose: String,
    /// As in [`Card::lines`].
    pub lines: BTreeMap<String, u32>,
}

/// What the file of a card's translation says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Translation {
    pub front: TranslatedFrontMatter,
    pub prose: String,
}

/// A [`CardFile`] or a [`Translation`] from the bytes that the build script made of it.
#[allow(dead_code, reason = "the build script makes them and does not read them")]
pub fn restore<'b, T: Deserialize<'b>>(path: &str, bytes: &'b [u8]) -> Result<T, CardError> {
    postcard::from_bytes(bytes).map_err(|error| CardError::new(path, 1, 1, format!("was not built in whole: {error}")))
}

impl CardFile {
    /// Reads a card.
    pub fn parse(path: &str, text: &str) -> Result<CardFile, CardError> {
        let (front, first_line, prose) = split(path, text)?;
        let front: FrontMatter = serde_saphyr::from_str(front).map_err(|error| yaml_error(path, first_line, &error))?;
        let at = |key: &str| {
            let line = text.lines().position(|line| line.trim_start().starts_with(key)).unwrap_or(0);
            (line as u32 + 1, 1)
        };
        let wrong = |key: &str, message: String| {
            let (line, column) = at(key);
            CardError::new(path, line, column, message)
        };
        let file = path.rsplit('/').next().unwrap_or(path);
        if file != format!("{}.md", front.id) {
            return Err(wrong("id:", format!("the id {} is not the file's name", front.id)));
        }
        if front.sources.is_empty() {
            return Err(wrong("sources:", "a rule names at least one source".to_owned()));
        }
        if front.detect.is_empty() {
            return Err(wrong("detect:", "says no way of detection".to_owned()));
        }
        if front.fix.is_empty() {
            return Err(wrong("fix:", "a rule says how to mend it".to_owned()));
        }
        for rule in &front.logs {
            if rule.examples.is_empty() {
                return Err(wrong("logs:", format!("the pattern {} has no example", rule.pattern)));
            }
        }
        let texts = front.messages.values().chain(front.fix.iter().flat_map(|fix| {
            let commands = fix.commands.iter().flat_map(CommandTemplate::texts);
            std::iter::once(&fix.summary).chain(commands).chain(&fix.restarts)
        }));
        for template in texts.chain(&front.verify).chain(front.logs.iter().filter_map(|rule| rule.title.as_ref())) {
            if let Err(message) = template::names(template) {
                return Err(wrong(template.lines().next().unwrap_or_default(), message));
            }
        }
        Ok(CardFile { front, prose: prose.trim().to_owned() + "\n", lines: places(text) })
    }
}

impl Translation {
    /// Reads a card's translation.
    pub fn parse(path: &str, text: &str) -> Result<Translation, CardError> {
        let (front, first_line, prose) = split(path, text)?;
        let front: TranslatedFrontMatter =
            serde_saphyr::from_str(front).map_err(|error| yaml_error(path, first_line, &error))?;
        Ok(Translation { front, prose: prose.trim().to_owned() + "\n" })
    }
}

#[allow(dead_code, reason = "the build script reads cards one by one")]
impl Card {
    pub fn new(path: &str, file: CardFile) -> Card {
        Card { front: file.front, prose: file.prose, path: path.to_owned(), lines: file.lines, severity_is_set: false }
    }

    /// Puts the translation's texts in the place of the card's own.
    pub fn translate(&mut self, path: &str, translation: Translation) -> Result<(), CardError> {
        let Translation { front, prose } = translation;
        if front.fix.len() > self.front.fix.len() {
            let message = format!("has {} fixes, the card {}", front.fix.len(), self.front.fix.len());
            return Err(CardError::new(path, 1, 1, message));
        }
        self.front.title = front.title;
        // A translated title in the card's messages stands for the log's and conditions' own English ones.
        for rule in &mut self.front.logs {
            if front.messages.contains_key("log") {
                rule.title = None;
            }
        }
        self.front.messages.extend(front.messages);
        for (fix, summary) in self.front.fix.iter_mut().zip(front.fix) {
            fix.summary = summary;
        }
        self.prose = prose;
        Ok(())
    }
}

/// The lines of the front matter's keys (`logs`) and of the items beneath them (`logs.0`), from 1.
fn places(text: &str) -> BTreeMap<String, u32> {
    let mut places = BTreeMap::new();
    // The key under way, how far its items stand in, and how many there were.
    let mut within: Option<(&str, Option<usize>, usize)> = None;
    for (index, line) in text.lines().enumerate().skip(1).take_while(|(_, line)| *line != "---") {
        let number = index as u32 + 1;
        let item = line.trim_start();
        if let Some((key, _)) = line.split_once(':')
            && !key.is_empty()
            && key.bytes().all(|byte| byte.is_ascii_lowercase())
        {
            places.entry(key.to_owned()).or_insert(number);
            within = Some((key, None, 0));
        } else if item.starts_with("- ")
            && let Some((key, indent, count)) = &mut within
        {
            let stands_in = line.len() - item.len();
            if *indent.get_or_insert(stands_in) == stands_in {
                places.insert(format!("{key}.{count}"), number);
                *count += 1;
            }
        }
    }
    places
}

/// The front matter, the line that it begins in, and what follows it.
fn split<'a>(path: &str, text: &'a str) -> Result<(&'a str, u32, &'a str), CardError> {
    let rest = text
        .strip_prefix("---\n")
        .ok_or_else(|| CardError::new(path, 1, 1, "a card begins with a line `---` and its front matter"))?;
    let end = rest
        .find("\n---\n")
        .ok_or_else(|| CardError::new(path, 1, 1, "the front matter is not closed by a line `---`"))?;
    Ok((&rest[..end + 1], 2, &rest[end + 5..]))
}

fn yaml_error(path: &str, first_line: u32, error: &serde_saphyr::Error) -> CardError {
    let error = error.without_snippet();
    let (line, column) = error.location().map_or((0, 1), |at| (at.line() as u32, at.column() as u32));
    let message = error.to_string();
    let message = message.lines().next().unwrap_or("is no YAML");
    // The place within the front matter alone would contradict the one in the file.
    let message = message.rsplit_once(" at line ").map_or(message, |(message, _)| message).to_owned();
    CardError::new(path, line + first_line - 1, column, message)
}
