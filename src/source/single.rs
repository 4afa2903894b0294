//! One file, or standard input, that presents itself as a host with nothing but that file, at the place where a host has
//! it. Whatever else is asked for is not covered: a file alone says nothing about the rest.

use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::handle;
use super::sniff::{self, FileIdentity, HEAD};
use super::tree::open_named;
use super::{Entry, FileKind, Metadata, READ_LIMIT, ReadError, ReadSeek, Source, SourceError, SourceKind};

/// A host of one file.
pub struct SingleSource {
    label: String,
    identity: FileIdentity,
    /// Where the file stands on a host.
    place: String,
    content: Content,
}

enum Content {
    /// Opened anew each time.
    File(PathBuf),
    Bytes(Arc<[u8]>),
    /// Standard input longer than what was looked at; whoever opens it first has it.
    Stream(Mutex<Option<Box<dyn Read + Send>>>),
}

impl SingleSource {
    /// A file, by the path that the user gave.
    pub fn file(path: &Path) -> Result<SingleSource, SourceError> {
        let label = path.display().to_string();
        let (file, _) = open_named(path, &label).map_err(SourceError::from_read)?;
        let mut head = Vec::with_capacity(8192);
        file.take(HEAD as u64).read_to_end(&mut head).map_err(|error| io_error(&label, &error))?;
        let (identity, place) = recognize(&label, &label, &head)?;
        if !matches!(identity, FileIdentity::Log | FileIdentity::Journal) {
            let (file, size) = open_named(path, &label).map_err(SourceError::from_read)?;
            // A file that grows, or whose size is not told, is refused when it is read.
            drop(file);
            if size > READ_LIMIT {
                return Err(SourceError::TooLarge { path: label, what: identity.name(), limit: READ_LIMIT });
            }
        }
        Ok(SingleSource { label, identity, place, content: Content::File(path.to_owned()) })
    }

    /// Standard input or another stream, called `label`. Only as much is read here as tells what it is.
    pub fn stream(label: &str, mut input: Box<dyn Read + Send>) -> Result<SingleSource, SourceError> {
        let mut head = Vec::with_capacity(8192);
        let shown = if label == "-" { "standard input" } else { label };
        input.by_ref().take(HEAD as u64).read_to_end(&mut head).map_err(|error| io_error(shown, &error))?;
        let (identity, place) = recognize(shown, "", &head)?;
        let content = if head.len() < HEAD {
            Content::Bytes(head.into())
        } else if identity == FileIdentity::Log {
            Content::Stream(Mutex::new(Some(Box::new(Cursor::new(head).chain(input)))))
        } else {
            let rest = READ_LIMIT + 1 - head.len() as u64;
            input.take(rest).read_to_end(&mut head).map_err(|error| io_error(shown, &error))?;
            if head.len() as u64 > READ_LIMIT {
                let path = shown.to_owned();
                return Err(SourceError::TooLarge { path, what: identity.name(), limit: READ_LIMIT });
            }
            Content::Bytes(head.into())
        };
        Ok(SingleSource { label: label.to_owned(), identity, place, content })
    }

    /// What the file was taken for.
    pub fn identity(&self) -> FileIdentity {
        self.identity
    }

    /// The file's path on the host that this presents.
    pub fn place(&self) -> &str {
        &self.place
    }

    fn is_parent(&self, path: &str) -> bool {
        let path = path.trim_end_matches('/');
        self.place.strip_prefix(path).is_some_and(|rest| rest.starts_with('/'))
    }

    fn not_this(&self, path: &str, wanted: &'static str) -> ReadError {
        let path = path.to_owned();
        if self.is_parent(&path) {
            ReadError::WrongKind { path, kind: "directory", wanted }
        } else {
            ReadError::NotCovered { path }
        }
    }
}

fn io_error(path: &str, error: &std::io::Error) -> SourceError {
    SourceError::from_read(handle::io_refusal(path, error))
}

/// What the beginning is of, and where a host has it; `shown` is for messages, `name` is what the user called it.
fn recognize(shown: &str, name: &str, head: &[u8]) -> Result<(FileIdentity, String), SourceError> {
    let path = shown.to_owned();
    if head.is_empty() {
        return Err(SourceError::Empty { path });
    }
    let identity = sniff::identify(name, head);
    if let Some(place) = identity.place(name, head) {
        return Ok((identity, place));
    }
    let (looks, remedy) = match identity {
        FileIdentity::Archive => ("it is an archive", "extract it and give the directory"),
        _ if head.starts_with(b"BZh") => {
            ("it is compressed with bzip2", "give it uncompressed, or as gzip, zstd or xz")
        }
        _ if head.starts_with(&[0xff, 0xfe]) || head.starts_with(&[0xfe, 0xff]) => {
            ("it is UTF-16 text", "convert it with `iconv -f UTF-16 -t UTF-8`")
        }
        _ => (
            "it is not text",
            "a log, systemd unit, environment file, start script, manifest, kubeadm, kubelet or kube-proxy \
             configuration, kubeconfig, PEM file, or a configuration of etcd, nginx, haproxy, keepalived, containerd, \
             CRI-O, docker or CNI was expected",
        ),
    };
    Err(SourceError::Unrecognized { path, looks: looks.to_owned(), remedy: remedy.to_owned() })
}

impl Source for SingleSource {
    fn label(&self) -> &str {
        &self.label
    }

    fn kind(&self) -> SourceKind {
        SourceKind::File
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, ReadError> {
        if path != self.place {
            return Err(self.not_this(path, "file"));
        }
        match &self.content {
            Content::Bytes(bytes) => Ok(bytes.to_vec()),
            Content::File(file) => {
                let (file, size) = open_named(file, path)?;
                handle::content(path, file, size)
            }
            Content::Stream(_) => {
                let mut content = Vec::new();
                let stream = self.open(path)?;
                stream
                    .take(READ_LIMIT + 1)
                    .read_to_end(&mut content)
                    .map_err(|error| handle::io_refusal(path, &error))?;
                if content.len() as u64 > READ_LIMIT {
                    let size = content.len() as u64;
                    return Err(ReadError::TooLarge { path: path.to_owned(), size, limit: READ_LIMIT });
                }
                Ok(content)
            }
        }
    }

    fn open(&self, path: &str) -> Result<Box<dyn Read + Send>, ReadError> {
        if path != self.place {
            return Err(self.not_this(path, "file"));
        }
        match &self.content {
            Content::Bytes(bytes) => Ok(Box::new(Cursor::new(bytes.clone()))),
            Content::File(file) => Ok(Box::new(open_named(file, path)?.0)),
            Content::Stream(stream) => {
                stream.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take().ok_or_else(|| ReadError::Io {
                    path: path.to_owned(),
                    message: "standard input can be read only once".to_owned(),
                })
            }
        }
    }

    fn open_seek(&self, path: &str) -> Result<Box<dyn ReadSeek>, ReadError> {
        match &self.content {
            Content::File(file) if path == self.place => Ok(Box::new(open_named(file, path)?.0)),
            _ => Ok(Box::new(Cursor::new(self.read(path)?))),
        }
    }

    fn list(&self, path: &str) -> Result<Vec<Entry>, ReadError> {
        if path == self.place {
            return Err(ReadError::WrongKind { path: path.to_owned(), kind: "file", wanted: "directory" });
        }
        let rest = self.place.strip_prefix(path.trim_end_matches('/')).and_then(|rest| rest.strip_prefix('/'));
        let Some(rest) = rest else { return Err(ReadError::NotCovered { path: path.to_owned() }) };
        Ok(vec![match rest.split_once('/') {
            Some((directory, _)) => Entry { name: directory.to_owned(), kind: FileKind::Directory },
            None => Entry { name: rest.to_owned(), kind: FileKind::File },
        }])
    }

    fn metadata(&self, path: &str) -> Result<Metadata, ReadError> {
        if path == self.place {
            // The permissions and owner are those of the copy, which say nothing about the host's.
            let size = match &self.content {
                Content::Bytes(bytes) => bytes.len() as u64,
                Content::File(file) => open_named(file, path)?.1,
                Content::Stream(_) => 0,
            };
            return Ok(Metadata { kind: FileKind::File, size, mode: 0o600, uid: 0, gid: 0, modified: 0 });
        }
        if self.is_parent(path) {
            return Ok(Metadata { kind: FileKind::Directory, size: 0, mode: 0o755, uid: 0, gid: 0, modified: 0 });
        }
        Err(ReadError::NotCovered { path: path.to_owned() })
    }

    fn read_link(&self, path: &str) -> Result<String, ReadError> {
        let kind = self.metadata(path)?.kind.name();
        Err(ReadError::WrongKind { path: path.to_owned(), kind, wanted: "symbolic link" })
    }

    fn display_path(&self, path: &str) -> String {
        if path == self.place { self.label.clone() } else { path.to_owned() }
    }
}
