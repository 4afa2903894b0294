//! When the support of a release line ends: Kubernetes', etcd's, docker's, containerd's.

use jiff::civil::Date;

use super::{kubernetes, line, newest_kubernetes, numbers, rows};
use crate::facts::component::ComponentName;

const TABLE: &str = include_str!("support.tsv");

/// How a version stands at some day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Supported {
    /// Until then, or with no end announced.
    Yes(Option<Date>),
    /// Since that day; for lines older than all that are known, since then at the latest.
    Ended(Date),
    /// The table does not know the line: it is newer than the program.
    Unknown,
}

/// A release line of a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Support {
    /// `1.24`, `3.4`, `20.10`, `27`.
    pub line: String,
    pub supported: Supported,
}

struct Row {
    line: Vec<u32>,
    text: &'static str,
    end_of_life: Option<Date>,
}

fn table(program: &str) -> impl Iterator<Item = Row> {
    rows(TABLE).filter_map(move |mut cells| {
        let name = cells.next()?;
        let text = cells.next()?;
        let _released = cells.next()?;
        let end_of_life = cells.next().and_then(|date| date.parse().ok());
        (name == program).then(|| Row { line: numbers(text), text, end_of_life })
    })
}

/// How a component's version stands on a day; none for components whose support nobody announces, and for what is no
/// version.
pub fn support(component: ComponentName, version: &str, day: Date) -> Option<Support> {
    use ComponentName::{
        Containerd, Dockerd, Etcd, KubeApiserver, KubeControllerManager, KubeProxy, KubeScheduler, Kubelet,
    };
    match component {
        KubeApiserver | KubeControllerManager | KubeScheduler | KubeProxy | Kubelet => {
            let (1, minor) = line(version)? else { return None };
            let oldest = (0..).find_map(kubernetes)?;
            let supported = match kubernetes(minor) {
                Some(release) => at(release.end_of_life, day),
                None if minor > newest_kubernetes() => Supported::Unknown,
                None => at(oldest.end_of_life, day),
            };
            Some(Support { line: format!("1.{minor}"), supported })
        }
        Etcd | Containerd | Dockerd => {
            let version = numbers(version);
            let wanted = version.get(..2)?;
            let known: Vec<Row> = table(component.name()).collect();
            let supported = match known.iter().find(|row| wanted.starts_with(&row.line)) {
                Some(row) => {
                    return Some(Support { line: row.text.to_owned(), supported: at(row.end_of_life, day) });
                }
                None if known.first().is_some_and(|first| wanted < first.line.as_slice()) => {
                    at(known.first().and_then(|first| first.end_of_life), day)
                }
                None => Supported::Unknown,
            };
            let text: Vec<String> = wanted.iter().map(u32::to_string).collect();
            Some(Support { line: text.join("."), supported })
        }
        _ => None,
    }
}

/// On the day itself it is still supported.
fn at(end_of_life: Option<Date>, day: Date) -> Supported {
    match end_of_life {
        Some(end) if end < day => Supported::Ended(end),
        end => Supported::Yes(end),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    #[test]
    fn the_table_is_whole_and_in_order() {
        for program in ["etcd", "containerd", "dockerd"] {
            let known: Vec<Row> = table(program).collect();
            assert!(known.len() > 5, "{program}");
            assert!(known.windows(2).all(|pair| pair[0].line < pair[1].line), "{program}");
        }
        for cells in rows(TABLE) {
            let cells: Vec<&str> = cells.collect();
            assert_eq!(cells.len(), 4, "{cells:?}");
            assert!(cells[2].parse::<Date>().is_ok(), "{cells:?}");
            assert!(cells[3].is_empty() || cells[3].parse::<Date>().is_ok(), "{cells:?}");
        }
    }

    #[test]
    fn ends() {
        use ComponentName::{Containerd, Dockerd, Etcd, Flanneld, KubeApiserver, Kubelet};
        use Supported::{Ended, Unknown, Yes};
        for (component, version, day, expected) in [
            (Kubelet, "1.24.17", date(2023, 7, 28), Some(("1.24", Yes(Some(date(2023, 7, 28)))))),
            (Kubelet, "1.24.17", date(2023, 7, 29), Some(("1.24", Ended(date(2023, 7, 28))))),
            (KubeApiserver, "v1.9", date(2026, 1, 1), Some(("1.9", Ended(date(2018, 9, 29))))),
            (KubeApiserver, "1.2.4", date(2026, 1, 1), Some(("1.2", Ended(date(2016, 11, 1))))),
            (KubeApiserver, "1.99.0", date(2026, 1, 1), Some(("1.99", Unknown))),
            (KubeApiserver, "2.0.0", date(2026, 1, 1), None),
            (Etcd, "3.4.13", date(2026, 1, 1), Some(("3.4", Ended(date(2025, 5, 15))))),
            (Etcd, "3.5.9", date(2026, 1, 1), Some(("3.5", Yes(None)))),
            (Etcd, "2.2.1", date(2026, 1, 1), Some(("2.2", Ended(date(2017, 1, 20))))),
            (Etcd, "9.0.0", date(2026, 1, 1), Some(("9.0", Unknown))),
            (Dockerd, "18.09.7", date(2026, 1, 1), Some(("18.09", Ended(date(2019, 8, 22))))),
            (Dockerd, "1.11.2", date(2026, 1, 1), Some(("1.11", Ended(date(2017, 5, 5))))),
            (Dockerd, "27.5.1", date(2026, 1, 1), Some(("27", Ended(date(2025, 5, 3))))),
            (Containerd, "1.7.24", date(2026, 1, 1), Some(("1.7", Yes(None)))),
            (Flanneld, "0.11.0", date(2026, 1, 1), None),
            (Etcd, "latest", date(2026, 1, 1), None),
        ] {
            let found = support(component, version, day);
            let expected = expected.map(|(line, supported)| Support { line: line.to_owned(), supported });
            assert_eq!(found, expected, "{component:?} {version} on {day}");
        }
    }
}
