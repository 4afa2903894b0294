//! What is said when the program itself is wrong. A panic's message may hold pieces of evidence, and is not printed.

use std::io::Write;

pub fn install() {
    std::panic::set_hook(Box::new(|info| {
        let place = info.location().map_or_else(String::new, |at| format!(" at {}:{}", at.file(), at.line()));
        let _ = writeln!(
            std::io::stderr().lock(),
            "error: k8sdoctor {} has a bug{place}; nothing of what it read is in this message; please report it with \
             the command that you ran",
            env!("CARGO_PKG_VERSION")
        );
    }));
}
