//! Support bundles: evidence of one host in one file, recorded where it is broken, judged anywhere.
//!
//! [`record`] writes what `check` would read into one .tar.zst, through the same seam that `check` reads by, so that nothing
//! is missed; [`redact`] takes the secrets out on the way. [`reader`] gives the hosts of an archive as sources: a bundle's
//! own, or those that other tools' archives hold ([`foreign`]).

pub mod archive;
pub mod foreign;
pub mod inspect;
pub mod manifest;
pub mod output;
pub mod reader;
pub mod record;
pub mod redact;
mod spool;
mod writer;

pub use record::{CollectOptions, Summary};
