//! The log engine: every pattern of every rule in one pass over each log.
//!
//! Each pattern has texts that its matches contain (`literals`). `prefilter` finds those at near the speed of reading;
//! only around them lines are looked for, what has to follow the text is tried there (`gate`), then the one pattern's regex,
//! and the line's head is read for its time and program (`line`, `format`). `feed` cuts a stream of any size and line length into blocks that threads take in
//! turn, and `aggregate` folds the matches, in the order of the log, to one hit for each rule, program and captured
//! values, with what a card says is normal left out.

mod aggregate;
mod ahead;
mod background;
mod decompress;
mod feed;
pub mod format;
mod gate;
mod hits;
mod input;
mod job;
pub mod line;
mod literals;
mod matching;
pub(crate) mod pasted;
pub mod pattern;
mod prefilter;
mod prepared;
mod program;
mod ready;
mod redact;
mod scan;
mod time;
mod timeline;

pub(crate) use ahead::Ahead;
pub(crate) use background::occurrences;
pub use decompress::open as open_packed;
pub(crate) use format::syslog::host_of;
pub use input::{EventKind, LogEvent, LogInput, Part, ScanOptions, Tell};
pub use pattern::{LogPattern, PatternError};
pub use program::{Attribution, attribute_path, canonical};
pub use scan::{Cost, LineMatch, Scanner};
pub use time::{Clock, RawDate, RawTime, Stamp};
pub use timeline::{Moment, MomentKind, TimelineFold};
