use std::fmt;

/// A path below a folder, which can't lead out of it and means the same on every system.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FolderPath(String);

/// A path that is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the path {path:?} is refused: {reason}")]
pub struct BadPath {
    path: String,
    reason: &'static str,
}

/// Longer elements don't fit into file systems.
const MAX_ELEMENT: usize = 255;
/// Longer paths don't fit into system calls, once the folder is in front.
const MAX_PATH: usize = 2048;
/// Names that begin so are the file store's own, for what isn't committed yet.
pub(crate) const RESERVED: &str = ".wharf-";

impl FolderPath {
    /// Checks a path.
    ///
    /// # Errors
    /// It is empty, absolute, too long, has an element that is empty, `.` or `..`, begins with `.wharf-`, or contains a
    /// backslash or a control character.
    pub fn new(path: &str) -> Result<Self, BadPath> {
        let refuse = |reason| Err(BadPath { path: path.chars().take(200).collect(), reason });
        if path.is_empty() {
            return refuse("it is empty");
        }
        if path.len() > MAX_PATH {
            return refuse("it is longer than 2048 bytes");
        }
        if path.starts_with('/') {
            return refuse("it must be relative to the folder");
        }
        if path.contains('\\') {
            return refuse("a backslash separates elements on some systems; use /");
        }
        // Besides the ASCII ones, these: line and paragraph separators, and what reverses how a name is shown.
        let hidden = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}');
        if path.chars().any(hidden) {
            return refuse("it contains a control character");
        }
        for element in path.split('/') {
            match element {
                "" => return refuse("an element of it is empty"),
                "." | ".." => return refuse("`.` and `..` are not allowed in it"),
                long if long.len() > MAX_ELEMENT => return refuse("an element of it is longer than 255 bytes"),
                own if own.starts_with(RESERVED) => return refuse("names that begin with `.wharf-` are reserved"),
                _ => {}
            }
        }
        Ok(Self(path.to_owned()))
    }

    /// The path, with `/` between its elements.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path's beginnings that name folders, shortest first: `a` and `a/b` of `a/b/c`.
    pub(crate) fn parents(&self) -> impl Iterator<Item = &str> {
        self.0.match_indices('/').map(|(at, _)| &self.0[..at])
    }
}

impl fmt::Display for FolderPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_stay_inside() {
        for good in ["a", "a/b/c.txt", "with space", "größe/ñ", ".hidden", "a..b", "c:d", &"x".repeat(255)] {
            assert_eq!(FolderPath::new(good).unwrap().as_str(), good);
        }
        assert_eq!(FolderPath::new("a/b/c").unwrap().parents().collect::<Vec<_>>(), ["a", "a/b"]);
    }

    #[test]
    fn paths_that_are_refused() {
        let long = "x".repeat(256);
        let deep = "a/".repeat(1100) + "b";
        for bad in [
            "",
            "/",
            "/etc/passwd",
            "..",
            "../x",
            "a/../b",
            "a/..",
            "./a",
            "a/.",
            "a//b",
            "a/",
            "a\\b",
            "a\0b",
            "a\nb",
            "a\u{7f}",
            "a\u{85}b",
            "a\u{202e}b",
            ".wharf-x",
            "a/.wharf-1/b",
            &long,
            &deep,
        ] {
            assert!(FolderPath::new(bad).is_err(), "{bad:?}");
        }
    }
}
