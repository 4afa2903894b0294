//! What several detectors need.
