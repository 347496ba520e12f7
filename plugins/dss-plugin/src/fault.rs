//! What is found while a plugin is read, and where.

use std::fmt;

/// A place in a file of the plugin.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The file, below the plugin's folder.
    pub file: String,
    /// The line, counted from 1; 0 for the file as a whole.
    pub line: usize,
}

impl Position {
    /// A file as a whole.
    #[must_use]
    pub fn file(file: &str) -> Self {
        Self { file: file.to_owned(), line: 0 }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}", self.file),
            line => write!(f, "{}:{line}", self.file),
        }
    }
}

/// What a fault means for the component that the file declares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The component can't be used.
    Error,
    /// The component can be used; the sentence says what was made of the fault.
    Warning,
}

/// Something wrong in a file of the plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where it is.
    pub at: Position,
    /// What it means.
    pub severity: Severity,
    /// One sentence, without a full stop.
    pub text: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.at, self.text)
    }
}

/// A key that this crate doesn't know. It isn't wrong: it has no effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownKey {
    /// Where it is.
    pub at: Position,
    /// The key's JSON path, e.g. `$.params[3].colour`.
    pub path: String,
}

impl fmt::Display for UnknownKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.at, self.path)
    }
}

/// How many faults of each severity, and how many unknown keys, are kept of one file: it may have millions.
const KEPT: usize = 100;

/// What was found in one file, or in several.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// What is wrong, in the order of the files.
    pub faults: Vec<Fault>,
    /// The keys that aren't known.
    pub unknown: Vec<UnknownKey>,
    errors: usize,
    warnings: usize,
    keys: usize,
}

impl Findings {
    /// The component can't be used.
    pub(crate) fn error(&mut self, at: Position, text: impl Into<String>) {
        self.errors += 1;
        if self.errors <= KEPT {
            self.faults.push(Fault { at, severity: Severity::Error, text: text.into() });
        }
    }

    pub(crate) fn warning(&mut self, at: Position, text: impl Into<String>) {
        self.warnings += 1;
        if self.warnings <= KEPT {
            self.faults.push(Fault { at, severity: Severity::Warning, text: text.into() });
        }
    }

    /// A key that isn't known. There may be very many, so the place is only looked for when it is kept.
    pub(crate) fn unknown(&mut self, key: impl FnOnce() -> (Position, String)) {
        self.keys += 1;
        if self.keys <= KEPT {
            let (at, path) = key();
            self.unknown.push(UnknownKey { at, path });
        }
    }

    /// The component can be used. As of unknown keys, there may be very many.
    pub(crate) fn lazy_warning(&mut self, fault: impl FnOnce() -> (Position, String)) {
        self.warnings += 1;
        if self.warnings <= KEPT {
            let (at, text) = fault();
            self.faults.push(Fault { at, severity: Severity::Warning, text });
        }
    }

    /// A folder, or something in it, can't be used. It isn't counted, for a plugin has few folders.
    pub(crate) fn of_folder(&mut self, folder: &str, text: String) {
        self.faults.push(Fault { at: Position::file(folder), severity: Severity::Error, text });
    }

    /// How many faults of one file make its component unusable.
    pub(crate) fn errors(&self) -> usize {
        self.errors
    }

    /// Takes over what was found in one file, and says when there was more.
    pub(crate) fn absorb(&mut self, file: &str, mut other: Self) {
        other.faults.sort_by_key(|fault| fault.at.line);
        self.faults.extend(other.faults);
        self.unknown.extend(other.unknown);
        let counts = [
            (other.errors, "faults that make it unusable"),
            (other.warnings, "faults that leave it usable"),
            (other.keys, "keys that aren't known"),
        ];
        for (count, what) in counts.into_iter().filter(|(count, _)| *count > KEPT) {
            let text = format!("there are {count} {what}; the first {KEPT} are listed");
            self.faults.push(Fault { at: Position::file(file), severity: Severity::Warning, text });
        }
    }
}
