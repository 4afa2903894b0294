use super::Files;
use crate::facts::log::Logs;
use crate::logs::{LogInput, ScanOptions, Scanner};
pub fn collect(files: &Files, scanner: &Scanner, options: &ScanOptions) -> Logs {
    let mut inputs = Vec::new();
    if let Ok(entries) = files.list("/var/log") { for e in entries.iter() {
        let p = format!("/var/log/{}", e.name);
        if let Ok(reader) = files.open(&p) { inputs.push(LogInput::new(files.source().display_path(&p), reader)); }
    } }
    scanner.scan(inputs, options)
}
