//! /var/lib/dpkg/status: which packages a Debian or Ubuntu host has.

use std::ops::Range;

/// Where the version of an installed package stands in the text; none when it is not installed (or only its configuration
/// files were left).
pub fn installed_version(text: &str, package: &str) -> Option<Range<usize>> {
    let mut at = 0;
    let (mut is_it, mut is_installed, mut version) = (false, false, None);
    // A last empty line ends the last paragraph.
    for line in text.split_inclusive('\n').chain(["\n"]) {
        let content = line.trim_end();
        if content.is_empty() {
            if is_it && is_installed {
                return version;
            }
            (is_it, is_installed, version) = (false, false, None);
        } else if let Some(name) = content.strip_prefix("Package:") {
            is_it = name.trim() == package;
        } else if let Some(status) = content.strip_prefix("Status:") {
            is_installed = status.split_ascii_whitespace().next_back() == Some("installed");
        } else if let Some(value) = content.strip_prefix("Version:") {
            let start = at + content.len() - value.trim_start().len();
            version = Some(start..at + content.len());
        }
        at += line.len();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_installed_packages() {
        let text = "Package: kubeadm\nStatus: hold ok installed\nVersion: 1.29.6-1.1\n\nPackage: kubelet\n\
                    Status: install ok installed\nDescription: node agent\n Version: no\nVersion: 1.28.2-1.1\n\n\
                    Package: etcd-server\nStatus: deinstall ok config-files\nVersion: 3.3.25\n";
        for (package, expected) in [
            ("kubelet", Some("1.28.2-1.1")),
            ("kubeadm", Some("1.29.6-1.1")),
            ("etcd-server", None),
            ("kube", None),
            ("", None),
        ] {
            assert_eq!(installed_version(text, package).map(|range| &text[range]), expected, "{package}");
        }
    }
}
