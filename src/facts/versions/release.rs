//! Kubernetes' minor releases.

use jiff::civil::Date;

use super::{line, rows};

const TABLE: &str = include_str!("kubernetes.tsv");

/// A minor release of Kubernetes 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Release {
    /// `34` of 1.34.
    pub minor: u32,
    pub released: Option<Date>,
    /// The day on which patches end; none when it is not announced.
    pub end_of_life: Option<Date>,
    /// The etcd that kubeadm of this release runs by default: `3.6.4`.
    pub etcd: Option<&'static str>,
    /// The oldest external etcd that kubeadm of this release takes.
    pub etcd_least: Option<&'static str>,
}

fn table() -> impl Iterator<Item = Release> {
    rows(TABLE).filter_map(|mut cells| {
        let (_, minor) = line(cells.next()?)?;
        let mut cell = || cells.next().filter(|cell| !cell.is_empty());
        let released = cell().and_then(|date| date.parse().ok());
        let end_of_life = cell().and_then(|date| date.parse().ok());
        Some(Release { minor, released, end_of_life, etcd: cell(), etcd_least: cell() })
    })
}

/// The release `1.minor`, when it is known.
pub fn kubernetes(minor: u32) -> Option<Release> {
    table().find(|release| release.minor == minor)
}

/// The newest minor release that is known.
pub fn newest_kubernetes() -> u32 {
    table().map(|release| release.minor).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_whole_and_in_order() {
        let releases: Vec<Release> = table().collect();
        assert_eq!(releases.len(), TABLE.lines().count() - 1);
        for pair in releases.windows(2) {
            assert_eq!(pair[0].minor + 1, pair[1].minor);
            assert!(pair[0].released < pair[1].released || pair[1].released.is_none(), "{pair:?}");
            assert!(pair[0].end_of_life < pair[1].end_of_life || pair[1].end_of_life.is_none(), "{pair:?}");
        }
        for release in &releases {
            assert!(release.end_of_life.is_none() || release.released < release.end_of_life, "{release:?}");
        }
    }

    #[test]
    fn known_releases() {
        let date = |text: &str| text.parse().ok();
        for (minor, end_of_life, etcd) in [
            (9, date("2018-09-29"), Some("3.1.10")),
            (24, date("2023-07-28"), Some("3.5.3")),
            (36, date("2027-06-28"), Some("3.6.8")),
        ] {
            let release = kubernetes(minor).expect("it is in the table");
            assert_eq!((release.end_of_life, release.etcd), (end_of_life, etcd), "1.{minor}");
        }
        assert_eq!(kubernetes(99), None);
        assert!(newest_kubernetes() >= 36);
    }
}
