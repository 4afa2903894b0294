//! A file that appears whole or not at all: written beside its place under another name, and renamed when it is complete.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Dropped without [`AtomicFile::commit`], it takes away what was written and leaves the old file.
#[derive(Debug)]
pub struct AtomicFile {
    file: Option<File>,
    partial: PathBuf,
    path: PathBuf,
}

impl AtomicFile {
    /// Begins a file of mode 0600.
    pub fn create(path: &Path) -> io::Result<AtomicFile> {
        let name = path.file_name().ok_or_else(|| io::Error::other("it is no name of a file"))?;
        if path.is_dir() {
            return Err(io::Error::other("it is a directory"));
        }
        let partial = path.with_file_name(format!(".{}.{}.partial", name.to_string_lossy(), std::process::id()));
        // A partial file of a process of the same number that was killed is in the way.
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        let file = match options.open(&partial) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                std::fs::remove_file(&partial)?;
                options.open(&partial)?
            }
            other => other?,
        };
        Ok(AtomicFile { file: Some(file), partial, path: path.to_owned() })
    }

    /// Puts the file in its place, once it is on the disk.
    pub fn commit(mut self) -> io::Result<()> {
        if let Some(file) = self.file.take() {
            file.sync_all()?;
            std::fs::rename(&self.partial, &self.path)?;
            self.partial = PathBuf::new();
        }
        Ok(())
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.as_mut().ok_or(io::ErrorKind::BrokenPipe)?.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.as_mut().map_or(Ok(()), File::flush)
    }
}

impl Drop for AtomicFile {
    fn drop(&mut self) {
        if self.partial != PathBuf::new() {
            // Nothing can be done about a file that cannot be taken away; its name says what it is.
            let _ = std::fs::remove_file(&self.partial);
        }
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "what was written is read again")]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn appears_whole_or_not_at_all() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.tar.zst");
        std::fs::write(&path, "old").unwrap();
        let mut file = AtomicFile::create(&path).unwrap();
        file.write_all(b"half").unwrap();
        drop(file);
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        let mut file = AtomicFile::create(&path).unwrap();
        file.write_all(b"new").unwrap();
        file.commit().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
        assert!(AtomicFile::create(directory.path()).is_err());
    }
}
