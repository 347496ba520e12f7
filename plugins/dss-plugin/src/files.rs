//! Where a plugin's files come from.

/// The files of one plugin.
///
/// It is asked for a few files while a plugin is read, and never again. Paths are below the plugin's folder, with `/`
/// between their parts; none begins with `/` or has `..` in it.
pub trait Files {
    /// The contents of a file, or `None` when there is no such file.
    ///
    /// # Errors
    /// What kept the file from being read, as a sentence. The plugin gets it as a fault of that file.
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, String>;

    /// The names in a folder, in any order, those of folders with a `/` at their end; `None` when there is no such folder.
    ///
    /// # Errors
    /// What kept the folder from being listed, as a sentence.
    fn entries(&self, path: &str) -> Result<Option<Vec<String>>, String>;
}

/// Whether a name from a folder's listing can be a part of a path and be shown in a line.
pub(crate) fn is_plain_name(name: &str) -> bool {
    !matches!(name, "" | "." | "..")
        && name.len() <= 255
        && !name.contains(['/', '\\'])
        && !name.chars().any(char::is_control)
}
