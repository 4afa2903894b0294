//! The log scanner.
