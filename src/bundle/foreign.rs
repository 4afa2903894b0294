//! Archives of other tools, told by what is in them, and mapped to hosts.

mod cluster_dump;
mod ip;
mod kind;
pub(crate) mod merged;
mod must_gather;
mod plain;
mod pods;
mod sosreport;
mod troubleshoot;

use std::sync::Arc;

use super::archive::Archive;
use crate::source::SourceRef;

/// Recognizes one tool's archives: the hosts in it, or none when it is another's.
type Recognize = fn(&str, &Arc<Archive>) -> Vec<SourceRef>;

/// The more is known of an archive the earlier it is tried.
const TOOLS: &[Recognize] =
    &[sosreport::hosts, troubleshoot::hosts, must_gather::hosts, kind::hosts, plain::hosts, cluster_dump::hosts];

pub(super) use pods::NOWHERE;

/// The hosts of what a tool made, which is known by more than a host's directories.
pub fn hosts_of_tools(label: &str, archive: &Arc<Archive>) -> Vec<SourceRef> {
    let tools = [sosreport::hosts, troubleshoot::hosts, must_gather::hosts, kind::hosts, cluster_dump::hosts];
    tools.iter().map(|recognize| recognize(label, archive)).find(|hosts| !hosts.is_empty()).unwrap_or_default()
}

/// The hosts of an archive that is no bundle of ours; none when it holds nothing of a host.
pub fn hosts(label: &str, archive: &Arc<Archive>) -> Vec<SourceRef> {
    TOOLS.iter().map(|recognize| recognize(label, archive)).find(|hosts| !hosts.is_empty()).unwrap_or_default()
}
