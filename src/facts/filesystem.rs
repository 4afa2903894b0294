//! How full file systems are.

use serde::{Deserialize, Serialize};

use crate::origin::Origin;

/// A mounted file system, as df tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilesystemUse {
    /// Where it is mounted, or the directory that was asked of.
    pub target: String,
    /// `ext4`; empty when what df printed does not say.
    pub fs_type: String,
    /// Bytes.
    pub total: u64,
    /// Bytes that a program that is not root may still write.
    pub available: u64,
    /// Inodes in all and free; none for file systems that have no fixed number of them, and when not known.
    pub inodes: Option<(u64, u64)>,
    pub origin: Origin,
}

impl FilesystemUse {
    /// Free bytes in percent.
    pub fn available_percent(&self) -> f64 {
        if self.total == 0 { 100.0 } else { self.available as f64 * 100.0 / self.total as f64 }
    }

    /// Free inodes in percent, where they are counted.
    pub fn free_inodes_percent(&self) -> Option<f64> {
        self.inodes.filter(|(total, _)| *total > 0).map(|(total, free)| free as f64 * 100.0 / total as f64)
    }
}
