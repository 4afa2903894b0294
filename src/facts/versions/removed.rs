//! Flags, values of flags and feature gates that a release took out.

use super::rows;

const FLAGS: &str = include_str!("removed_flags.tsv");
const GATES: &str = include_str!("removed_gates.tsv");
const LOCKED: &str = include_str!("locked_gates.tsv");

/// A flag, or one value of it, that a release took out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RemovedFlag {
    /// `kube-apiserver`
    pub component: &'static str,
    /// Without dashes.
    pub flag: &'static str,
    /// Empty: whatever its value.
    pub value: &'static str,
    /// The component's first release without it: `1.24`; etcd's and docker's own releases for them.
    pub since: &'static str,
    /// The flag that took its place, with dashes; empty when there is none.
    pub instead: &'static str,
}

/// The flags of a component that some release took out.
pub fn removed_flags(component: &str) -> impl Iterator<Item = RemovedFlag> {
    table().filter(move |row| row.component == component)
}

fn table() -> impl Iterator<Item = RemovedFlag> {
    rows(FLAGS).filter_map(|mut cells| {
        Some(RemovedFlag {
            component: cells.next()?,
            flag: cells.next()?,
            value: cells.next()?,
            since: cells.next()?,
            instead: cells.next()?,
        })
    })
}

/// The first Kubernetes release in which this component does not know the feature gate any more; none when no release is
/// known that took it out.
pub fn removed_gate(component: &str, gate: &str) -> Option<&'static str> {
    let of_gate = rows(GATES).filter_map(|mut cells| {
        let name = cells.next()?;
        Some((name, cells.next()?, cells.next()?))
    });
    let mut fitting: Vec<(&str, &'static str)> = of_gate
        .filter(|(name, only, _)| *name == gate && (only.is_empty() || *only == component))
        .map(|(_, only, since)| (only, since))
        .collect();
    // What is said of the component alone goes before what is said of all.
    fitting.sort_by_key(|(only, _)| only.is_empty());
    fitting.first().map(|(_, since)| *since)
}

/// The first Kubernetes release in which the feature gate is always on, so that a component that is told otherwise does not
/// start; none when no release is known.
pub fn locked_gate(gate: &str) -> Option<&'static str> {
    let mut cells = rows(LOCKED).map(|mut cells| (cells.next(), cells.next()));
    cells.find(|(name, _)| *name == Some(gate)).and_then(|(_, since)| since)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::component::ComponentName;
    use crate::facts::versions::line;

    #[test]
    fn the_flags_are_whole() {
        let rows: Vec<RemovedFlag> = table().collect();
        let lines = FLAGS.lines().filter(|line| !line.starts_with('#')).count();
        assert_eq!(rows.len(), lines, "a line lacks a cell");
        assert!(rows.len() > 200);
        for row in &rows {
            assert!(ComponentName::ALL.iter().any(|name| name.name() == row.component), "{row:?}");
            assert!(line(row.since).is_some(), "{row:?}");
            assert!(!row.flag.is_empty() && !row.flag.starts_with('-'), "{row:?}");
            assert!(row.instead.is_empty() || row.instead.starts_with("--"), "{row:?}");
        }
        let mut keys: Vec<_> = rows.iter().map(|row| (row.component, row.flag, row.value)).collect();
        keys.dedup();
        assert_eq!(keys.len(), rows.len(), "a flag stands there twice");
    }

    #[test]
    fn gates() {
        for (component, gate, since) in [
            ("kubelet", "DynamicKubeletConfig", Some("1.24")),
            ("kube-apiserver", "DynamicKubeletConfig", Some("1.26")),
            ("kubelet", "IPv6DualStack", Some("1.25")),
            ("kubelet", "NoSuchGate", None),
        ] {
            assert_eq!(removed_gate(component, gate), since, "{component} {gate}");
        }
        assert_eq!((locked_gate("SidecarContainers"), locked_gate("NoSuchGate")), (Some("1.33"), None));
        for cells in rows(LOCKED) {
            let cells: Vec<&str> = cells.collect();
            assert!(cells.len() == 2 && line(cells[1]).is_some(), "{cells:?}");
        }
        for cells in rows(GATES) {
            let cells: Vec<&str> = cells.collect();
            assert!(cells.len() == 3 && line(cells[2]).is_some(), "{cells:?}");
        }
    }
}
