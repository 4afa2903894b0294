//! The kernel's release, configuration, arguments and modules; os-release.

use std::collections::BTreeMap;

use super::lines::{Line, lines};
use crate::origin::Span;

/// os-release: `NAME="value"` as a shell would take it, comments and unquoted text too.
pub fn os_release(text: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for line in lines(text) {
        let line = line.text.trim();
        if let Some((name, value)) = line.split_once('=')
            && !name.is_empty()
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        {
            found.insert(name.to_owned(), unquote(value.trim()));
        }
    }
    found
}

fn unquote(value: &str) -> String {
    for quote in ['"', '\''] {
        if let Some(inner) = value.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote)) {
            if quote == '\'' {
                return inner.to_owned();
            }
            let mut out = String::with_capacity(inner.len());
            let mut escaped = false;
            for character in inner.chars() {
                if !escaped && character == '\\' {
                    escaped = true;
                } else {
                    out.push(character);
                    escaped = false;
                }
            }
            return out;
        }
    }
    value.to_owned()
}

/// The release in /proc/version: `Linux version 6.1.0-18-amd64 (builder@host) ...`.
pub fn version_release(text: &str) -> Option<(String, Span)> {
    let line = lines(text).next()?;
    let release = line.text.strip_prefix("Linux version ")?.split_whitespace().next()?;
    Some((release.to_owned(), line.span_of(release)))
}

/// The options of a kernel's configuration, by name without `CONFIG_`, string values without quotes.
pub fn kernel_config(text: &str) -> BTreeMap<String, String> {
    lines(text)
        .filter_map(|line| line.text.trim().strip_prefix("CONFIG_")?.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.trim_matches('"').to_owned()))
        .collect()
}

/// The words of /proc/cmdline; double quotes hold a word with spaces together, as the kernel reads them.
pub fn kernel_arguments(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let (mut word, mut quoted) = (String::new(), false);
    for character in text.chars() {
        match character {
            '"' => quoted = !quoted,
            _ if character.is_whitespace() && !quoted => {
                if !word.is_empty() {
                    found.push(std::mem::take(&mut word));
                }
            }
            _ => word.push(character),
        }
    }
    if !word.is_empty() {
        found.push(word);
    }
    found
}

/// The first words of /proc/modules, sorted.
pub fn modules(text: &str) -> Vec<String> {
    let mut found: Vec<_> = lines(text).filter_map(first_word).map(str::to_owned).collect();
    found.sort();
    found.dedup();
    found
}

fn first_word<'a>(line: Line<'a>) -> Option<&'a str> {
    line.words().next()
}

/// The modules that modules.builtin lists by path (`kernel/fs/overlayfs/overlay.ko`), named as the kernel names them:
/// with underscores.
pub fn module_names(text: &str) -> Vec<String> {
    let mut found: Vec<_> = lines(text)
        .filter_map(|line| {
            let file = line.text.trim().rsplit('/').next()?;
            let name = file.split_once(".ko").map_or(file, |(name, _)| name);
            (!name.is_empty()).then(|| name.replace('-', "_"))
        })
        .collect();
    found.sort();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn os_release_values_as_a_shell_takes_them() {
        let text = "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nID=debian\n# x=y\nVERSION_ID='12'\n\
                    NAME=\"a \\\"b\\\" \\$c\"\nnot a line\n=empty\n";
        let found = os_release(text);
        let shown: Vec<_> = found.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(
            shown,
            ["ID=debian", "NAME=a \"b\" $c", "PRETTY_NAME=Debian GNU/Linux 12 (bookworm)", "VERSION_ID=12"]
        );
    }

    #[test]
    fn release_of_proc_version() {
        let (release, span) = version_release("Linux version 6.18.44-cloud-amd64 (b@h) (gcc) #1 SMP\n").unwrap();
        assert_eq!((release.as_str(), span.start, span.end), ("6.18.44-cloud-amd64", 14, 33));
        for text in ["", "Linux version ", "FreeBSD 13"] {
            assert_eq!(version_release(text), None, "{text}");
        }
    }

    #[test]
    fn options_that_are_set() {
        let text = "#\n# Automatically generated\nCONFIG_CGROUPS=y\n# CONFIG_AUFS_FS is not set\nCONFIG_OVERLAY_FS=m\n\
                    CONFIG_LOCALVERSION=\"-cloud\"\n";
        let found = kernel_config(text);
        assert_eq!(found.get("CGROUPS").map(String::as_str), Some("y"));
        assert_eq!(found.get("OVERLAY_FS").map(String::as_str), Some("m"));
        assert_eq!(found.get("LOCALVERSION").map(String::as_str), Some("-cloud"));
        assert_eq!(found.len(), 3);
    }

    #[test]
    fn arguments_and_modules() {
        assert_eq!(
            kernel_arguments("ro  dyndbg=\"file a +p\" cgroup_disable=memory\n"),
            ["ro", "dyndbg=file a +p", "cgroup_disable=memory"]
        );
        assert_eq!(modules("overlay 163840 4 - Live 0x0\nbr_netfilter 1 0 - Live 0x0\n"), ["br_netfilter", "overlay"]);
        assert_eq!(
            module_names("kernel/fs/overlayfs/overlay.ko\nkernel/net/nf-conntrack.ko.xz\n\n"),
            ["nf_conntrack", "overlay"]
        );
    }
}
