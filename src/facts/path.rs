//! What stands at paths that configuration names.

use serde::Serialize;

/// The kind of what stands at a path, links followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PathKind {
    File,
    Directory,
    Socket,
    /// A device or FIFO.
    Other,
}
