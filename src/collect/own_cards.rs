//! Reading of a user's own cards from a folder on this machine.
#![expect(clippy::disallowed_methods, reason = "the user's rules are no evidence and come from no source")]

use std::path::Path;

use crate::engine::CardError;

/// Cards larger than this are no cards.
const LIMIT: u64 = 1 << 20;

/// The `.md` files of a folder and those below it: path and text. A path that cannot be read is an error.
pub fn read(directory: &Path) -> Result<Vec<(String, String)>, CardError> {
    let mut texts = Vec::new();
    walk(directory, 0, &mut texts)?;
    texts.sort();
    if texts.is_empty() {
        return Err(failed(directory, "holds no cards (files named <id>.md)"));
    }
    Ok(texts)
}

fn walk(directory: &Path, depth: usize, texts: &mut Vec<(String, String)>) -> Result<(), CardError> {
    let entries = std::fs::read_dir(directory).map_err(|error| failed(directory, &error.to_string()))?;
    for entry in entries {
        let path = entry.map_err(|error| failed(directory, &error.to_string()))?.path();
        let metadata = std::fs::metadata(&path).map_err(|error| failed(&path, &error.to_string()))?;
        if metadata.is_dir() && depth < 4 {
            walk(&path, depth + 1, texts)?;
        } else if metadata.is_file()
            && path.extension().is_some_and(|extension| extension == "md")
            && path.file_name().is_some_and(|name| name != "README.md")
        {
            if metadata.len() > LIMIT {
                return Err(failed(&path, "is larger than 1 MiB, which is no card"));
            }
            let text = std::fs::read_to_string(&path).map_err(|error| failed(&path, &error.to_string()))?;
            texts.push((path.display().to_string(), text));
        }
    }
    Ok(())
}

fn failed(path: &Path, message: &str) -> CardError {
    CardError::new(&path.display().to_string(), 1, 1, message)
}
