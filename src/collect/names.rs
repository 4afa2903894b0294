//! Name resolution: /etc/hosts, resolv.conf, nsswitch.conf.

use super::{Files, Problems};
use crate::facts::network::{HostsEntry, Names, ResolvConf};
use crate::origin::{Fact, Origin, Sourced, Unknown};
use crate::parse::name_files;
use crate::source::ReadError;

/// What systemd-resolved writes for programs that are to ask its upstream servers themselves.
const RESOLVED: &str = "/run/systemd/resolve/resolv.conf";

/// Takes the files that names are resolved by. An absent nsswitch.conf is known to say nothing; an absent /etc/hosts only
/// on the live host, since every host has one and a tree without it was merely not given it.
pub fn collect(files: &Files, problems: &Problems) -> Names {
    Names {
        own: own(files),
        hosts: hosts(files, problems),
        resolv_conf: resolv_conf(files, problems, "/etc/resolv.conf"),
        systemd_resolved: match files.exists(RESOLVED) {
            Ok(true) => resolv_conf(files, problems, RESOLVED).map(Some),
            Ok(false) => Ok(None),
            Err(error) => Err(error.unknown()),
        },
        nsswitch_hosts: match files.text("/etc/nsswitch.conf") {
            Ok(file) => Ok(name_files::nsswitch(&file.text, "hosts").map(|(sources, _)| sources)),
            Err(error) if error.is_absent() => Ok(None),
            Err(error) => Err(error.unknown()),
        },
    }
}

fn own(files: &Files) -> Fact<String> {
    let named = |path| -> Result<Option<String>, ReadError> {
        let text = files.line(path)?;
        Ok(text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned))
    };
    match named("/etc/hostname").or_else(|error| named("/proc/sys/kernel/hostname").map_err(|_| error)) {
        Ok(Some(name)) => Ok(name),
        Ok(None) => Err(Unknown::new("/etc/hostname", "it is empty")),
        Err(error) => Err(error.unknown()),
    }
}

fn hosts(files: &Files, problems: &Problems) -> Fact<Vec<HostsEntry>> {
    let file = match files.text("/etc/hosts") {
        Ok(file) => file,
        Err(error) if error.is_absent() && files.is_of_live_host() => return Ok(Vec::new()),
        Err(error) => return Err(error.unknown()),
    };
    let (rows, found) = name_files::hosts(&file.text);
    problems.add_parsed(&file.path, found);
    let rows = rows.into_iter().map(|row| HostsEntry {
        address: row.address,
        names: row.names,
        origin: Origin::file(file.path.clone(), Some(row.span)),
    });
    Ok(rows.collect())
}

/// A file in resolv.conf's format, such as the one that a kubelet's `resolvConf` names.
pub fn resolv_conf(files: &Files, problems: &Problems, path: &str) -> Fact<ResolvConf> {
    let file = files.text(path).map_err(|error| error.unknown())?;
    let (rows, found) = name_files::resolv_conf(&file.text);
    problems.add_parsed(&file.path, found);
    let origin = |span| Origin::file(file.path.clone(), span);
    Ok(ResolvConf {
        nameservers: rows
            .nameservers
            .into_iter()
            .map(|(address, span)| Sourced::new(address, origin(Some(span))))
            .collect(),
        search: rows.search,
        options: rows.options,
        origin: origin(None),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::source::MemorySource;

    fn taken(source: MemorySource) -> (Names, usize) {
        let problems = Problems::new("m1");
        let names = collect(&Files::new(Arc::new(source)), &problems);
        (names, problems.into_sorted().len())
    }

    #[test]
    fn files_with_places() {
        let (names, problems) = taken(
            MemorySource::new("m1")
                .file("/etc/hosts", "127.0.0.1 localhost\n10.77.0 m1\n10.77.0.11 m1\n")
                .link("/etc/resolv.conf", "/run/systemd/resolve/stub-resolv.conf")
                .file("/run/systemd/resolve/stub-resolv.conf", "# stub\nnameserver 127.0.0.53\n")
                .file("/run/systemd/resolve/resolv.conf", "nameserver 192.0.2.53\nsearch lab\n")
                .file("/etc/nsswitch.conf", "hosts: files dns\n"),
        );
        let hosts = names.hosts.unwrap();
        assert_eq!(hosts[1].origin.to_string(), "/etc/hosts:3:1");
        assert_eq!(problems, 1);
        let nameserver = names.resolv_conf.unwrap().nameservers.remove(0);
        assert_eq!(nameserver.value.to_string(), "127.0.0.53");
        assert_eq!(nameserver.origin.to_string(), "/etc/resolv.conf:2:12");
        assert_eq!(names.systemd_resolved.unwrap().unwrap().search, ["lab"]);
        assert_eq!(names.nsswitch_hosts.unwrap().unwrap(), ["files", "dns"]);
    }

    #[test]
    fn absent_and_refused_differ() {
        let (names, _) = taken(MemorySource::new("m1").live());
        assert_eq!(names.hosts, Ok(vec![]));
        let (names, _) = taken(MemorySource::new("m1"));
        assert!(names.hosts.is_err());
        assert_eq!(names.nsswitch_hosts, Ok(None));
        assert_eq!(names.systemd_resolved, Ok(None));
        assert!(names.resolv_conf.is_err());
        let (names, _) = taken(MemorySource::new("m1").denied("/etc/hosts").denied("/etc/nsswitch.conf"));
        assert!(names.hosts.is_err());
        assert!(names.nsswitch_hosts.is_err());
    }
}
