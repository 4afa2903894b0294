//! cfssl.
