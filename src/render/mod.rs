//! Output formats. A renderer gets a finished [`crate::report::Report`] and gives a string: no I/O, no clock, no environment.

pub mod ci;
pub mod comment;
pub mod html;
pub mod human;
pub mod json;
pub mod markdown;
pub mod paint;
pub mod text;
pub mod topology;

pub(crate) use human::words::Words;

#[cfg(test)]
pub(crate) mod sample;
