//! Colour, or none.

use anstyle::{AnsiColor, Effects, Style};

use crate::report::Severity;

/// Paints words when colour is wanted, and leaves them alone when not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paint {
    pub colour: bool,
}

impl Paint {
    pub fn severity(self, severity: Severity, text: &str) -> String {
        let colour = match severity {
            Severity::Error => AnsiColor::BrightRed,
            Severity::Warning => AnsiColor::Yellow,
            Severity::Info => AnsiColor::BrightBlue,
        };
        self.with(colour.on_default().effects(Effects::BOLD), text)
    }

    /// The word that opens a section: `fix`, `verify`.
    pub fn heading(self, text: &str) -> String {
        self.with(AnsiColor::BrightCyan.on_default().effects(Effects::BOLD), text)
    }

    pub fn strong(self, text: &str) -> String {
        self.with(Style::new().effects(Effects::BOLD), text)
    }

    /// What may be overlooked: rule ids beside titles, places.
    pub fn faint(self, text: &str) -> String {
        self.with(Style::new().effects(Effects::DIMMED), text)
    }

    pub fn good(self, text: &str) -> String {
        self.with(AnsiColor::BrightGreen.on_default().effects(Effects::BOLD), text)
    }

    fn with(self, style: Style, text: &str) -> String {
        if self.colour { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }
}
