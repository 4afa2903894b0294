//! A host together with a kubeadm configuration that it does not hold itself, or not where anybody would look: what
//! `kubeadm init --config` or `kubeadm join --config` will be given.

use std::io::Read;

use super::{Entry, Metadata, ReadError, ReadSeek, Recording, SingleSource, Source, SourceKind, SourceRef};

/// A host's source that answers for one more file.
pub struct WithConfiguration {
    host: SourceRef,
    file: std::sync::Arc<SingleSource>,
    /// The file's absolute path on this machine; for standard input where a host has such a file.
    path: String,
}

impl WithConfiguration {
    /// `path` is what the user called the file.
    pub fn new(host: SourceRef, file: std::sync::Arc<SingleSource>, path: &str) -> WithConfiguration {
        let absolute = (path != "-").then(|| std::path::absolute(path).ok()).flatten();
        let path = absolute.map_or_else(|| file.place().to_owned(), |path| path.display().to_string());
        WithConfiguration { host, file, path }
    }
}

impl Source for WithConfiguration {
    fn label(&self) -> &str {
        self.host.label()
    }

    fn kind(&self) -> SourceKind {
        self.host.kind()
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, ReadError> {
        if path == self.path { self.file.read(self.file.place()) } else { self.host.read(path) }
    }

    fn open(&self, path: &str) -> Result<Box<dyn Read + Send>, ReadError> {
        if path == self.path { self.file.open(self.file.place()) } else { self.host.open(path) }
    }

    fn open_seek(&self, path: &str) -> Result<Box<dyn ReadSeek>, ReadError> {
        if path == self.path { self.file.open_seek(self.file.place()) } else { self.host.open_seek(path) }
    }

    fn list(&self, path: &str) -> Result<Vec<Entry>, ReadError> {
        self.host.list(path)
    }

    fn metadata(&self, path: &str) -> Result<Metadata, ReadError> {
        if path == self.path { self.file.metadata(self.file.place()) } else { self.host.metadata(path) }
    }

    fn read_link(&self, path: &str) -> Result<String, ReadError> {
        self.host.read_link(path)
    }

    fn recording(&self) -> Option<&Recording> {
        self.host.recording()
    }

    fn late_damage(&self) -> Option<String> {
        self.host.late_damage()
    }

    fn given_configuration(&self) -> Option<&str> {
        Some(&self.path)
    }

    fn display_path(&self, path: &str) -> String {
        if path == self.path { self.path.clone() } else { self.host.display_path(path) }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::source::MemorySource;

    #[test]
    fn the_host_and_one_file_more() {
        let host = MemorySource::new("m1").file("/etc/hostname", "m1\n").live();
        let text = b"apiVersion: kubeadm.k8s.io/v1beta4\nkind: InitConfiguration\n";
        let file = SingleSource::stream("-", Box::new(&text[..])).expect("a kubeadm configuration");
        let source = WithConfiguration::new(Arc::new(host), Arc::new(file), "-");
        let path = source.given_configuration().expect("a path").to_owned();
        assert_eq!(path, "/etc/kubernetes/kubeadm.yaml");
        assert_eq!(source.read(&path).expect("its text"), text);
        assert_eq!(source.metadata(&path).expect("its size").size, text.len() as u64);
        assert_eq!((source.label(), source.kind()), ("m1", SourceKind::Live));
        assert_eq!(source.read("/etc/hostname").expect("the host's"), b"m1\n");
        assert!(source.read("/etc/kubernetes/other.yaml").is_err());
    }
}
