//! The content of an archive by name, whatever the archive says. Nothing is extracted: entries go to a spool, links are
//! kept as texts, and an entry that no honest archive of a host has is refused, told and passed over.

mod folder;
mod frames;
mod tar_file;
mod unpack;
mod zip_file;

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;

use super::spool::{self, Spool, SpoolReader};
use crate::source::{FileKind, SourceRef};
use frames::{Frames, PackedPiece, PackedReader};

pub use folder::open_folder;
pub use unpack::open_file;
pub(super) use unpack::read_some;

/// What an archive may be at most; beyond it the rest is left out and the archive counts as damaged.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub entries: usize,
    /// Bytes of all content, unpacked.
    pub total: u64,
    /// Bytes of one entry.
    pub entry: u64,
    /// How many times as large as the archive its content may be, once it is larger than [`Limits::free`].
    pub ratio: u64,
    /// Bytes that may be unpacked whatever the ratio.
    pub free: u64,
    /// Directories in a name.
    pub depth: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { entries: 400_000, total: 64 << 30, entry: 16 << 30, ratio: 1000, free: 256 << 20, depth: 40 }
    }
}

/// Longer names are refused; Linux has none.
const NAME_LIMIT: usize = 4096;
/// Refusals that are kept to be told.
const TOLD: usize = 100;

/// What stands under a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    File(FileNode),
    /// Without pieces; the mode is 0755 where the archive has no entry for it.
    Directory(FileNode),
    /// Where a symbolic link points, as written.
    Link(String),
    /// A socket or device that the host has; an archive holds nothing of it.
    Special(FileKind),
}

/// A piece of a file's content: in the spool, or in the archive still.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece {
    Spooled(spool::Piece),
    Packed(PackedPiece),
}

impl Piece {
    fn length(self) -> u64 {
        match self {
            Piece::Spooled(piece) => piece.length,
            Piece::Packed(piece) => piece.length,
        }
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileNode {
    pub pieces: Vec<Piece>,
    /// The path and size of a file that is read where it stands, in an archive that somebody unpacked.
    pub outside: Option<(String, u64)>,
    /// Permission bits.
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    /// Seconds since the epoch.
    pub modified: i64,
}

impl FileNode {
    pub fn size(&self) -> u64 {
        let outside = self.outside.as_ref().map_or(0, |(_, size)| *size);
        self.pieces.iter().map(|piece| piece.length()).sum::<u64>() + outside
    }
}

/// An entry that was not taken, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub name: String,
    pub why: String,
}

/// An archive's content. Names have no leading slash and no `.` or `..` in them.
#[derive(Default)]
pub struct Archive {
    pub nodes: BTreeMap<String, Node>,
    /// The first of them.
    pub refused: Vec<Refusal>,
    /// How many entries were refused.
    pub refused_count: usize,
    /// Why the archive's end was not reached.
    pub damage: Option<String>,
    spool: Arc<Spool>,
    /// What large entries are read from.
    frames: Option<Arc<Frames>>,
    /// Where it was unpacked to.
    folder: Option<SourceRef>,
}

impl std::fmt::Debug for Archive {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Archive").field("nodes", &self.nodes.len()).finish_non_exhaustive()
    }
}

impl Archive {
    /// An archive of these files, for tests and for what is made of other archives.
    #[cfg(test)]
    pub fn of_files<'a>(files: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Archive {
        let mut builder = Builder::new(Limits::default());
        for (name, content) in files {
            builder.file(name, FileNode { mode: 0o644, ..FileNode::default() }, None, &mut &*content);
        }
        builder.finish(None)
    }

    pub fn file(&self, name: &str) -> Option<&FileNode> {
        match self.nodes.get(name)? {
            Node::File(file) => Some(file),
            _ => None,
        }
    }

    /// A file's content as a stream.
    pub fn open(&self, file: &FileNode) -> Box<dyn Read + Send> {
        match (&file.outside, &self.folder) {
            (Some((path, _)), Some(folder)) => match folder.open(path) {
                Ok(content) => content,
                Err(error) => Box::new(Failing(Some(error.to_string()))),
            },
            _ => Box::new(PieceReader {
                spool: Arc::clone(&self.spool),
                packed: self.frames.as_ref().map(PackedReader::new),
                pieces: file.pieces.clone().into_iter(),
                spooled: None,
            }),
        }
    }

    /// What is wrong with content that was not unpacked when the archive was opened; all of it has been when this returns.
    pub fn late_damage(&self) -> Option<String> {
        self.frames.as_ref().and_then(Frames::damage)
    }

    /// A file's first `limit` bytes; none when it cannot be read.
    pub fn head(&self, file: &FileNode, limit: u64) -> Option<Vec<u8>> {
        let mut content = Vec::new();
        self.open(file).take(limit).read_to_end(&mut content).ok()?;
        Some(content)
    }

    /// The names directly below a directory (empty for the archive's root), each with what stands there.
    pub fn children<'a>(&'a self, directory: &str) -> impl Iterator<Item = (&'a str, &'a Node)> {
        let prefix = if directory.is_empty() { String::new() } else { format!("{directory}/") };
        let length = prefix.len();
        self.nodes.range(prefix.clone()..).take_while(move |(name, _)| name.starts_with(&prefix)).filter_map(
            move |(name, node)| {
                let rest = name.get(length..)?;
                (!rest.is_empty() && !rest.contains('/')).then_some((rest, node))
            },
        )
    }
}

/// A file's content.
struct PieceReader {
    spool: Arc<Spool>,
    packed: Option<PackedReader>,
    pieces: std::vec::IntoIter<Piece>,
    spooled: Option<SpoolReader>,
}

impl Read for PieceReader {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        while !buffer.is_empty() {
            let count = match (&mut self.spooled, &mut self.packed) {
                (Some(spooled), _) => spooled.read(buffer)?,
                (None, Some(packed)) => packed.read(buffer)?,
                (None, None) => 0,
            };
            if count > 0 {
                return Ok(count);
            }
            self.spooled = None;
            match (self.pieces.next(), &mut self.packed) {
                (Some(Piece::Spooled(piece)), _) => self.spooled = Some(self.spool.open(piece)),
                (Some(Piece::Packed(piece)), Some(packed)) => packed.begin(piece)?,
                (Some(Piece::Packed(_)), None) => return Err(std::io::ErrorKind::UnexpectedEof.into()),
                (None, _) => break,
            }
        }
        Ok(0)
    }
}

/// A file that is gone since it was listed.
struct Failing(Option<String>);

impl Read for Failing {
    fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
        Err(std::io::Error::other(self.0.take().unwrap_or_else(|| "it cannot be read".to_owned())))
    }
}

/// Puts an archive together while it is read.
struct Builder {
    archive: Archive,
    spool: Spool,
    limits: Limits,
}

impl Builder {
    fn new(limits: Limits) -> Builder {
        Builder { archive: Archive::default(), spool: Spool::default(), limits }
    }

    fn refuse(&mut self, name: &str, why: impl Into<String>) {
        self.archive.refused_count += 1;
        if self.archive.refused.len() < TOLD {
            let name = name.chars().take(200).collect();
            self.archive.refused.push(Refusal { name, why: why.into() });
        }
    }

    /// The name as it is kept; none when it is refused. Empty for the root itself.
    fn name(&mut self, raw: &[u8]) -> Option<String> {
        let shown = String::from_utf8_lossy(raw).into_owned();
        let why = if raw.len() > NAME_LIMIT {
            "its name is too long"
        } else if raw.contains(&0) {
            "its name holds a NUL"
        } else if raw.starts_with(b"/") {
            "its path is absolute"
        } else if shown.split('/').any(|part| part == "..") {
            "its path leads out of the archive"
        } else {
            let parts: Vec<&str> = shown.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
            if parts.len() <= self.limits.depth {
                return Some(parts.join("/"));
            }
            "it is too many directories deep"
        };
        self.refuse(&shown, why);
        None
    }

    /// Whether something new may stand under the name; makes the directories above it.
    fn admit(&mut self, name: &str) -> bool {
        if name.is_empty() || self.archive.nodes.contains_key(name) {
            self.refuse(name, "the archive has two entries of this name; the first is used");
            return false;
        }
        for (at, _) in name.match_indices('/') {
            let Some(parent) = name.get(..at) else { continue };
            match self.archive.nodes.get(parent) {
                Some(Node::Directory(_)) => {}
                Some(_) => {
                    self.refuse(name, "it stands in what the archive says is no directory");
                    return false;
                }
                None => {
                    let directory = FileNode { mode: 0o755, ..FileNode::default() };
                    self.archive.nodes.insert(parent.to_owned(), Node::Directory(directory));
                }
            }
        }
        true
    }

    /// A directory may be named again, and after what is in it.
    fn directory(&mut self, name: &str, directory: FileNode) {
        let is_known = matches!(self.archive.nodes.get(name), Some(Node::Directory(_)));
        if !name.is_empty() && (is_known || self.admit(name)) {
            self.archive.nodes.insert(name.to_owned(), Node::Directory(directory));
        }
    }

    fn node(&mut self, name: &str, node: Node) {
        if self.admit(name) {
            self.archive.nodes.insert(name.to_owned(), node);
        }
    }

    /// Takes a file's content to its end, which is `size` bytes when that is told; false when the archive cannot be read
    /// on.
    fn file(&mut self, name: &str, mut file: FileNode, size: Option<u64>, content: &mut dyn Read) -> bool {
        if !self.admit(name) {
            return true;
        }
        let offset = self.spool.len();
        let mut buffer = vec![0; 128 << 10];
        let mut length = 0_u64;
        let broken = loop {
            match content.read(&mut buffer) {
                Ok(0) if size.is_some_and(|size| length < size) => break Some("it is cut off".to_owned()),
                Ok(0) => break None,
                Ok(count) => {
                    length += count as u64;
                    if length > self.limits.entry {
                        break Some(format!("{name} is larger than {} bytes", self.limits.entry));
                    }
                    if self.spool.len() + count as u64 > self.limits.total {
                        break Some(format!("its content is larger than {} bytes", self.limits.total));
                    }
                    if let Err(error) = self.spool.append(buffer.get(..count).unwrap_or_default()) {
                        break Some(format!("its content could not be kept in the temporary directory: {error}"));
                    }
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => break Some(error.to_string()),
            }
        };
        file.pieces = vec![Piece::Spooled(spool::Piece { offset, length: self.spool.len() - offset })];
        // What there is of a log that was cut off is worth reading; of anything else it would be taken for the whole.
        if broken.is_none() || name.contains(".log") || name.contains("/log/") {
            self.archive.nodes.insert(name.to_owned(), Node::File(file));
        } else {
            self.refuse(name, "it is cut off");
        }
        let reads_on = broken.is_none();
        self.archive.damage = self.archive.damage.take().or(broken);
        reads_on
    }

    /// A second name of a file that the archive has already.
    fn hard_link(&mut self, name: &str, target: &str) {
        match self.archive.nodes.get(target) {
            Some(Node::File(file)) => {
                let file = file.clone();
                self.node(name, Node::File(file));
            }
            _ => self.refuse(name, "it is a hard link to what the archive does not hold"),
        }
    }

    fn is_full(&mut self) -> bool {
        let full = self.archive.nodes.len() >= self.limits.entries || self.archive.refused_count >= self.limits.entries;
        if full && self.archive.damage.is_none() {
            self.archive.damage = Some(format!("it has more than {} entries", self.limits.entries));
        }
        full
    }

    fn finish(mut self, damage: Option<String>) -> Archive {
        self.archive.damage = self.archive.damage.take().or(damage);
        self.archive.spool = Arc::new(self.spool);
        self.archive
    }
}
