//! Archives of other tools, told by what is in them, and mapped to hosts.

mod plain;

use std::sync::Arc;

use super::archive::Archive;
use crate::source::SourceRef;

/// The hosts of an archive that is no bundle of ours; none when it holds nothing of a host.
pub fn hosts(label: &str, archive: &Arc<Archive>) -> Vec<SourceRef> {
    plain::hosts(label, archive)
}
