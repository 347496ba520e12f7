//! Tests of the whole: plugins that were written for them, hostile ones, and public ones.

mod activities;
mod hostile;
mod plugins;
mod public;

use std::collections::BTreeMap;

use crate::files::Files;

/// A plugin's files in memory.
#[derive(Clone, Default)]
struct MemoryFiles(BTreeMap<String, Vec<u8>>);

impl MemoryFiles {
    fn new(files: &[(&str, &str)]) -> Self {
        Self(files.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect())
    }

    fn with(mut self, path: &str, contents: impl Into<Vec<u8>>) -> Self {
        self.0.insert(path.to_owned(), contents.into());
        self
    }
}

impl Files for MemoryFiles {
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, String> {
        Ok(self.0.get(path).cloned())
    }

    fn entries(&self, path: &str) -> Result<Option<Vec<String>>, String> {
        let folder = format!("{path}/");
        let below = self.0.keys().filter_map(|file| file.strip_prefix(&folder));
        let mut names: Vec<String> = below
            .map(|rest| rest.split_once('/').map_or_else(|| rest.to_owned(), |(folder, _)| format!("{folder}/")))
            .collect();
        names.dedup();
        Ok(if names.is_empty() { None } else { Some(names) })
    }
}
