//! Loading of cards: the embedded ones and a user's own. An error in a card names its file, line and column.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use super::card::Card;
pub use super::card_file::CardError;
use super::card_file::{self, CardFile, Translation};

/// One of the program's own cards.
enum Embedded {
    /// Read by the build script already: YAML takes some hundred times longer than this.
    Read(&'static [u8]),
    /// One that the build script could not read: it is read again to say why.
    #[allow(dead_code, reason = "there is none as long as all cards are right")]
    Text(&'static str),
}

impl Embedded {
    fn card(&self, path: &str) -> Result<CardFile, CardError> {
        match self {
            Embedded::Read(bytes) => card_file::restore(path, bytes),
            Embedded::Text(text) => CardFile::parse(path, text),
        }
    }

    fn translation(&self, path: &str) -> Result<Translation, CardError> {
        match self {
            Embedded::Read(bytes) => card_file::restore(path, bytes),
            Embedded::Text(text) => Translation::parse(path, text),
        }
    }
}

mod embedded {
    use super::Embedded;

    include!(concat!(env!("OUT_DIR"), "/cards.rs"));
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Language {
    #[default]
    English,
    Chinese,
}

/// All rules of a run, by id.
#[derive(Debug, Clone, Default)]
pub struct CardSet {
    cards: BTreeMap<String, Arc<Card>>,
}

impl CardSet {
    /// The cards of the program itself.
    pub fn builtin(language: Language) -> Result<CardSet, Vec<CardError>> {
        static SETS: [OnceLock<Result<CardSet, Vec<CardError>>>; 2] = [const { OnceLock::new() }; 2];
        let [english, chinese] = &SETS;
        let known = match language {
            Language::English => english,
            Language::Chinese => chinese,
        };
        known
            .get_or_init(|| {
                let cards = embedded::EMBEDDED.iter().filter(|(path, _)| !is_translation(path));
                let translations = embedded::EMBEDDED.iter().filter(|(path, _)| is_translation(path));
                CardSet::from_parts(
                    cards.map(|(path, card)| (*path, card.card(path))),
                    translations.map(|(path, card)| (*path, card)),
                    |path, card| card.translation(path),
                    language,
                )
            })
            .clone()
    }

    /// One of the program's own cards, without loading the others.
    pub fn builtin_card(id: &str, language: Language) -> Option<Result<Card, CardError>> {
        let find = |suffix: &str| {
            let name = format!("/{id}{suffix}");
            embedded::EMBEDDED.iter().find(|(path, _)| path.ends_with(&name))
        };
        let (path, card) = find(".md")?;
        Some(card.card(path).and_then(|card| {
            let mut card = Card::new(path, card);
            if language == Language::Chinese
                && let Some((path, translation)) = find(".zh.md")
            {
                card.translate(path, translation.translation(path)?)?;
            }
            Ok(card)
        }))
    }

    /// The ids of the program's own cards, sorted.
    pub fn builtin_ids() -> Vec<&'static str> {
        let mut ids: Vec<&str> = embedded::EMBEDDED
            .iter()
            .filter(|(path, _)| !is_translation(path))
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
        let (translations, originals): (Vec<_>, Vec<_>) = texts.partition(|(path, _)| is_translation(path));
        CardSet::from_parts(
            originals.into_iter().map(|(path, text)| (path, CardFile::parse(path, text))),
            translations.into_iter(),
            Translation::parse,
            language,
        )
    }

    /// Translations are read only where the language asks for them.
    fn from_parts<'a, T>(
        originals: impl Iterator<Item = (&'a str, Result<CardFile, CardError>)>,
        translations: impl Iterator<Item = (&'a str, T)>,
        translation: impl Fn(&str, T) -> Result<Translation, CardError>,
        language: Language,
    ) -> Result<CardSet, Vec<CardError>> {
        let mut cards: BTreeMap<String, Card> = BTreeMap::new();
        let mut errors = Vec::new();
        for (path, card) in originals {
            match card {
                Ok(card) => {
                    let card = Card::new(path, card);
                    if let Some(other) = cards.get(&card.id) {
                        errors.push(CardError::new(path, 1, 1, format!("{} is also in {}", card.id, other.path)));
                    } else {
                        cards.insert(card.id.clone(), card);
                    }
                }
                Err(error) => errors.push(error),
            }
        }
        if language == Language::Chinese {
            for (path, text) in translations {
                let id = path.rsplit('/').next().and_then(|name| name.strip_suffix(".zh.md")).unwrap_or(path);
                match cards.get_mut(id) {
                    Some(card) => {
                        let done = translation(path, text).and_then(|texts| card.translate(path, texts));
                        errors.extend(done.err());
                    }
                    None => {
                        errors.push(CardError::new(path, 1, 1, format!("there is no card {id} that it translates")))
                    }
                }
            }
        }
        let cards = cards.into_iter().map(|(id, card)| (id, Arc::new(card))).collect();
        if errors.is_empty() { Ok(CardSet { cards }) } else { Err(errors) }
    }

    /// Adds a user's own cards; one with the id of a built-in card replaces it.
    pub fn extend(&mut self, own: CardSet) {
        self.cards.extend(own.cards);
    }

    pub fn get(&self, id: &str) -> Option<&Card> {
        self.cards.get(id).map(Arc::as_ref)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Card> {
        self.cards.values().map(Arc::as_ref)
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Card> {
        self.cards.values_mut().map(Arc::make_mut)
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

fn is_translation(path: &str) -> bool {
    path.ends_with(".zh.md")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cards_read_while_building_are_the_cards_of_the_files() {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/");
        for (path, card) in embedded::EMBEDDED {
            #[expect(clippy::disallowed_methods, reason = "what was built in is compared with its file")]
            let text = std::fs::read_to_string(format!("{root}{path}")).unwrap();
            assert!(matches!(card, Embedded::Read(_)), "{path}: {:?}", CardFile::parse(path, &text).err());
            if is_translation(path) {
                assert_eq!(card.translation(path), Translation::parse(path, &text));
            } else {
                assert_eq!(card.card(path), CardFile::parse(path, &text));
            }
        }
    }

    #[test]
    fn a_card_that_is_none_is_named_by_file_and_line() {
        let broken = Embedded::Text("---\nid: x\ntitle: [\n---\n\ntext\n");
        let error = broken.card("rules/etcd/x.md").unwrap_err();
        assert_eq!((error.path.as_str(), error.line > 1), ("rules/etcd/x.md", true), "{error}");
        assert!(Embedded::Read(b"\xff").card("rules/etcd/x.md").is_err());
    }
}
