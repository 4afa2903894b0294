//! Writing to standard output and error.

use std::io::{ErrorKind, Write};

use crate::render::text::escape_lines;

/// Prints the text as it is. A reader that has gone away (`| head`) has seen what it wanted, which is no error.
pub fn print(text: &str) -> std::io::Result<()> {
    print_or_gone(text).map(|_| ())
}

/// Like [`print`]; false when the reader has gone away, for output without an end.
pub fn print_or_gone(text: &str) -> std::io::Result<bool> {
    write(&mut std::io::stdout().lock(), text)
}

fn write(out: &mut impl Write, text: &str) -> std::io::Result<bool> {
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        result => result.map(|()| true),
    }
}

/// A line on standard error that is no error.
pub fn note(message: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{}", escape_lines(message));
}

/// `error: ...` on standard error. Names in it may be anything, and are escaped.
pub fn error(message: &str) {
    let _ = writeln!(std::io::stderr().lock(), "error: {}", escape_lines(message));
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Refusing(ErrorKind);

    impl Write for Refusing {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_broken_pipe_is_no_error_and_a_full_disk_is() {
        assert!(!write(&mut Refusing(ErrorKind::BrokenPipe), "x").unwrap());
        assert!(write(&mut Refusing(ErrorKind::StorageFull), "x").is_err());
        let mut out = Vec::new();
        assert!(write(&mut out, "text").unwrap() && out == b"text");
    }
}
