//! Which entries of a journal are of units that matter.

use std::collections::BTreeSet;

use crate::logs::program;

/// What an entry says of where it comes from.
#[derive(Debug, Default)]
pub(super) struct Seen {
    unit: Vec<u8>,
    /// The unit that systemd speaks of.
    about: Vec<u8>,
    identifier: Vec<u8>,
    command: Vec<u8>,
    is_kernel: bool,
    is_init: bool,
}

impl Seen {
    pub fn take(&mut self, name: &[u8], value: &[u8]) {
        match name {
            b"_SYSTEMD_UNIT" => self.unit = value.to_vec(),
            b"UNIT" | b"OBJECT_SYSTEMD_UNIT" | b"COREDUMP_UNIT" => self.about = value.to_vec(),
            b"SYSLOG_IDENTIFIER" => self.identifier = value.to_vec(),
            b"_COMM" => self.command = value.to_vec(),
            b"_TRANSPORT" => self.is_kernel = value == b"kernel",
            b"_PID" => self.is_init = value == b"1",
            _ => {}
        }
    }
}

/// Units by name, as `journalctl --unit` takes them.
pub(super) struct Filter {
    exact: BTreeSet<String>,
    /// Beginnings of names.
    begin: Vec<String>,
}

impl Filter {
    pub fn new(units: &[&str]) -> Filter {
        let mut filter = Filter { exact: BTreeSet::new(), begin: Vec::new() };
        for unit in units {
            match unit.strip_suffix('*') {
                Some(begin) => filter.begin.push(begin.to_owned()),
                None => drop(filter.exact.insert((*unit).to_owned())),
            }
        }
        filter
    }

    pub fn wants(&self, seen: &Seen) -> bool {
        if seen.is_kernel || self.has(&seen.unit) || seen.is_init && self.has(&seen.about) {
            return true;
        }
        // What was started by hand or by another supervisor is in a session's or that one's unit.
        let canonical = |name: &[u8]| {
            let name = std::str::from_utf8(name).ok()?;
            program::canonical(name).map(|name| name.into_owned())
        };
        [&seen.identifier, &seen.command]
            .into_iter()
            .filter(|name| !name.is_empty())
            .any(|name| self.has(name) || canonical(name).is_some_and(|name| self.has(name.as_bytes())))
    }

    /// A unit's name, with or without `.service`.
    fn has(&self, unit: &[u8]) -> bool {
        let Ok(unit) = std::str::from_utf8(unit) else { return false };
        let name = unit.strip_suffix(".service").unwrap_or(unit);
        !name.is_empty()
            && (self.exact.contains(name) || self.begin.iter().any(|begin| name.starts_with(begin.as_str())))
    }
}
