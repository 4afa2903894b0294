//! The renderer's own words, in the languages of the cards.

use crate::engine::Language;

/// Picks the words of a language.
#[derive(Debug, Clone, Copy)]
pub struct Words {
    pub language: Language,
}

impl Words {
    pub fn pick<'a>(self, english: &'a str, chinese: &'a str) -> &'a str {
        match self.language {
            Language::English => english,
            Language::Chinese => chinese,
        }
    }

    pub fn chinese(self) -> bool {
        self.language == Language::Chinese
    }

    /// The line above commands that are for that host.
    pub fn on_host(self, host: &str) -> String {
        if self.chinese() { format!("在 {host} 上执行：") } else { format!("on {host}:") }
    }

    /// `1 host`, `3 hosts`; Chinese has no plural.
    pub fn count(self, count: usize, one: &str, many: &str, chinese: &str) -> String {
        match self.language {
            Language::English if count == 1 => format!("{count} {one}"),
            Language::English => format!("{count} {many}"),
            Language::Chinese => format!("{count} {chinese}"),
        }
    }

    /// Between the parts of a sentence.
    pub fn comma(self) -> &'static str {
        match self.language {
            Language::English => ", ",
            Language::Chinese => "，",
        }
    }
}
