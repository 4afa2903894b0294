//! k8sdoctor: what is wrong with a Kubernetes host or HA cluster, with evidence and a fix.
//!
//! One path for every input: a [`source`] gives raw evidence, [`collect`] decides what to take from it, [`parse`] turns
//! bytes into typed values that know where they stood, [`facts`] is what a host is, [`rules`] judge facts through the
//! [`engine`], [`report`] merges and orders what they found, and [`render`] shows it.

pub mod bundle;
pub mod cli;
pub mod collect;
pub mod config;
pub mod engine;
pub mod facts;
pub mod fix;
pub mod logs;
pub mod origin;
pub mod parse;
pub mod render;
pub mod report;
pub mod rules;
pub mod source;
