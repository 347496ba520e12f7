//! A file of the home while it is read.

use std::path::Path;

use serde::de::DeserializeOwned;
use wharf_model::{Fault, document};

/// A file's text, with what its errors need.
pub(super) struct Source<'a> {
    /// The code of the errors of this kind of file.
    pub(super) code: &'static str,
    pub(super) file: &'a Path,
    pub(super) text: String,
}

impl<'a> Source<'a> {
    pub(super) fn open(code: &'static str, file: &'a Path) -> Result<Self, Fault> {
        let text = std::fs::read_to_string(file).map_err(|source| unreadable(file, &source))?;
        Ok(Self { code, file, text })
    }

    pub(super) fn parse<T: DeserializeOwned>(&self) -> Result<T, Fault> {
        document::read_as(self.code, self.file, &self.text)
    }

    /// An error about the key at this path.
    pub(super) fn fault(&self, path: &[&str], message: impl Into<String>) -> Fault {
        self.place(path, Fault::new(self.code, message))
    }

    /// Adds the place of the key at this path to an error. A key that isn't there is about its table, else the file.
    pub(super) fn place(&self, path: &[&str], fault: Fault) -> Fault {
        let line = (1..=path.len()).rev().find_map(|length| document::line_of(&self.text, &path[..length]));
        fault.at(self.file, Some(line.unwrap_or(1)))
    }
}

/// The error for a file that can't be read.
pub(super) fn unreadable(file: &Path, source: &std::io::Error) -> Fault {
    let hint = match source.kind() {
        std::io::ErrorKind::NotFound => "write it, or correct the path",
        std::io::ErrorKind::PermissionDenied => "let the user that runs wharf read it",
        std::io::ErrorKind::InvalidData => "save it as UTF-8",
        _ => "see whether it is a file, and whether its disk is well",
    };
    Fault::new("file-unreadable", format!("can't be read: {source}")).at(file, None).hint(hint)
}
