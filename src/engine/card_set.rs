//! Loading of cards: the embedded ones and a user's own. An error in a card names its file, line and column.

use std::collections::BTreeMap;

use super::card::{Card, FrontMatter, TranslatedFrontMatter};
use super::template;

mod embedded {
    include!(concat!(env!("OUT_DIR"), "/cards.rs"));
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Language {
    #[default]
    English,
    Chinese,
}

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

/// All rules of a run, by id.
#[derive(Debug, Clone, Default)]
pub struct CardSet {
    cards: BTreeMap<String, Card>,
}

impl CardSet {
    /// The cards of the program itself.
    pub fn builtin(language: Language) -> Result<CardSet, Vec<CardError>> {
        CardSet::of(embedded::EMBEDDED.iter().copied(), language)
    }

    /// One of the program's own cards, without loading the others.
    pub fn builtin_card(id: &str, language: Language) -> Option<Result<Card, CardError>> {
        let find = |suffix: &str| {
            let name = format!("/{id}{suffix}");
            embedded::EMBEDDED.iter().find(|(path, _)| path.ends_with(&name))
        };
        let (path, text) = find(".md")?;
        Some(Card::parse(path, text).and_then(|mut card| {
            if language == Language::Chinese
                && let Some((path, text)) = find(".zh.md")
            {
                card.translate(path, text)?;
            }
            Ok(card)
        }))
    }

    /// The ids of the program's own cards, sorted.
    pub fn builtin_ids() -> Vec<&'static str> {
        let mut ids: Vec<&str> = embedded::EMBEDDED
            .iter()
            .filter(|(path, _)| !path.ends_with(".zh.md"))
            .filter_map(|(path, _)| path.rsplit('/').next()?.strip_suffix(".md"))
            .collect();
        ids.sort_unstable();
        ids
    }

    /// Cards from texts: `<id>.md` files, and `<id>.zh.md` ones that translate them. Every error is returned.
    pub fn of<'a>(
        texts: impl Iterator<Item = (&'a str, &'a str)>,
        language: Language,
    ) -> Result<CardSet, Vec<CardError>> {
        let (translations, originals): (Vec<_>, Vec<_>) = texts.partition(|(path, _)| path.ends_with(".zh.md"));
        let mut set = CardSet::default();
        let mut errors = Vec::new();
        for (path, text) in originals {
            match Card::parse(path, text) {
                Ok(card) => {
                    if let Some(other) = set.cards.get(&card.id) {
                        errors.push(CardError::new(path, 1, 1, format!("{} is also in {}", card.id, other.path)));
                    } else {
                        set.cards.insert(card.id.clone(), card);
                    }
                }
                Err(error) => errors.push(error),
            }
        }
        if language == Language::Chinese {
            for (path, text) in translations {
                let id = path.rsplit('/').next().and_then(|name| name.strip_suffix(".zh.md")).unwrap_or(path);
                match set.cards.get_mut(id) {
                    Some(card) => errors.extend(card.translate(path, text).err()),
                    None => {
                        errors.push(CardError::new(path, 1, 1, format!("there is no card {id} that it translates")))
                    }
                }
            }
        }
        if errors.is_empty() { Ok(set) } else { Err(errors) }
    }

    /// Adds a user's own cards; one with the id of a built-in card replaces it.
    pub fn extend(&mut self, own: CardSet) {
        self.cards.extend(own.cards);
    }

    pub fn get(&self, id: &str) -> Option<&Card> {
        self.cards.get(id)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Card> {
        self.cards.values()
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Card> {
        self.cards.values_mut()
    }

    pub fn len(&self) -> usize {
        self.cards.len()
    }

    pub fn is_empty(&self) -> bool {
        self.cards.is_empty()
    }

    /// Keeps the cards that the caller wants.
    pub fn retain(&mut self, mut wanted: impl FnMut(&Card) -> bool) {
        self.cards.retain(|_, card| wanted(card));
    }
}

impl Card {
    /// Reads a card. What it says is checked as far as that needs no other card.
    pub fn parse(path: &str, text: &str) -> Result<Card, CardError> {
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
        let texts = front.messages.values().chain(
            front.fix.iter().flat_map(|fix| std::iter::once(&fix.summary).chain(&fix.commands).chain(&fix.restarts)),
        );
        for template in texts.chain(&front.verify).chain(front.logs.iter().filter_map(|rule| rule.title.as_ref())) {
            if let Err(message) = template::names(template) {
                return Err(wrong(template.lines().next().unwrap_or_default(), message));
            }
        }
        let lines = places(text);
        Ok(Card { front, prose: prose.trim().to_owned() + "\n", path: path.to_owned(), lines, severity_is_set: false })
    }

    /// Puts the translation's texts in the place of the card's own.
    fn translate(&mut self, path: &str, text: &str) -> Result<(), CardError> {
        let (front, first_line, prose) = split(path, text)?;
        let front: TranslatedFrontMatter =
            serde_saphyr::from_str(front).map_err(|error| yaml_error(path, first_line, &error))?;
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
        self.prose = prose.trim().to_owned() + "\n";
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
