//! The heads of log lines, one file for each family of formats. Each reads a line from its beginning and says none when it
//! is not of that format.

pub(crate) mod capnslog;
pub(crate) mod cri;
pub mod export;
pub mod journal;
pub(crate) mod json;
pub(crate) mod klog;
pub(crate) mod logrus;
pub(crate) mod status;
pub(crate) mod syslog;
