//! What standard output is.

use std::io::IsTerminal;

use super::Color;

/// Columns of text when it does not go to a terminal.
const PIPED_WIDTH: usize = 100;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terminal {
    /// Whether standard output is a terminal.
    pub is_terminal: bool,
    pub colour: bool,
    /// Columns.
    pub width: usize,
}

impl Terminal {
    pub fn detect(color: Color) -> Terminal {
        let is_terminal = std::io::stdout().is_terminal();
        let width =
            if is_terminal { terminal_size::terminal_size().map(|(width, _)| usize::from(width.0)) } else { None };
        Terminal {
            is_terminal,
            colour: colour(color, is_terminal, set("NO_COLOR"), is("TERM", "dumb")),
            width: width.unwrap_or(PIPED_WIDTH).max(40),
        }
    }
}

/// NO_COLOR counts when it is set and not empty (no-color.org).
fn colour(color: Color, is_terminal: bool, no_color: bool, dumb: bool) -> bool {
    match color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => is_terminal && !no_color && !dumb,
    }
}

#[expect(clippy::disallowed_methods, reason = "the environment comes in here")]
fn set(name: &str) -> bool {
    std::env::var_os(name).is_some_and(|value| !value.is_empty())
}

#[expect(clippy::disallowed_methods, reason = "the environment comes in here")]
fn is(name: &str, value: &str) -> bool {
    std::env::var_os(name).is_some_and(|found| found == value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_only_where_they_are_seen() {
        for (color, is_terminal, no_color, dumb, expected) in [
            (Color::Auto, true, false, false, true),
            (Color::Auto, true, true, false, false),
            (Color::Auto, true, false, true, false),
            (Color::Auto, false, false, false, false),
            (Color::Always, false, true, true, true),
            (Color::Never, true, false, false, false),
        ] {
            assert_eq!(
                colour(color, is_terminal, no_color, dumb),
                expected,
                "{color:?} {is_terminal} {no_color} {dumb}"
            );
        }
    }
}
