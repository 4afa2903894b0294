//! Bytes to typed values that know their file, line and column. Pure: no I/O, no clock. One file for each format; a
//! parser never panics and never gives up on a whole file for one bad line: it returns what it understood and a
//! [`Problem`] for what it did not.

pub mod command_line;
pub mod config_document;
pub mod df;
pub mod dpkg_status;
pub mod env_file;
pub mod firewall;
pub mod firewalld;
pub mod haproxy;
pub mod json;
pub mod keepalived;
pub mod kubeconfig;
pub mod name_files;
pub mod nginx;
pub mod pem;
pub mod proc_net;
pub mod proc_system;
pub mod shell_script;
pub mod static_pod;
pub mod systemd_unit;
pub mod toml;
pub mod words;
pub mod yaml;

use crate::origin::Span;

/// Something in a file that could not be understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub span: Option<Span>,
    /// What is wrong and what was expected, without the file's name.
    pub message: String,
}

impl Problem {
    pub fn new(span: Option<Span>, message: impl Into<String>) -> Problem {
        Problem { span, message: message.into() }
    }
}
