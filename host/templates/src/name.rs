//! What a component is called.

use std::fmt;

/// What a crate can't be called: Rust's own words, and what the project depends on.
const TAKEN: [&str; 52] = [
    "abstract", "alloc", "as", "async", "await", "become", "box", "break", "const", "continue", "core", "crate", "do",
    "dyn", "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl", "in", "let", "loop", "macro",
    "match", "mod", "move", "mut", "override", "priv", "pub", "ref", "return", "schemars", "self", "serde", "static",
    "std", "struct", "super", "test", "trait", "true", "try", "type", "typeof", "unsafe", "use",
];
/// The longest name.
const LONGEST: usize = 64;

/// The name of a component: in kebab-case, so that every language can make its own of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name(String);

/// A text that is no such name: says why in one sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameError(String);

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NameError {}

impl Name {
    /// Reads a name.
    ///
    /// # Errors
    /// It isn't in kebab-case, is longer than 64 letters, or is a word that a language keeps for itself.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let words = || text.split('-');
        let starts = |word: &str| word.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
        let fits = |word: &str| word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        if text.len() > LONGEST || !words().all(|word| starts(word) && fits(word)) {
            let rule = "small letters and digits, in words that begin with a letter and have - between them";
            return Err(NameError(format!("\"{text}\" can't be a component's name, such as no-privileged: {rule}")));
        }
        if TAKEN.contains(&text) || text.starts_with("wharf-") || text == "wharf" {
            return Err(NameError(format!("\"{text}\" is taken; call the component by what it does")));
        }
        Ok(Self(text.to_owned()))
    }

    /// As it was given: `no-privileged`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `no_privileged`.
    #[must_use]
    pub fn snake(&self) -> String {
        self.0.replace('-', "_")
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_kebab_case() {
        for text in ["no-privileged", "a", "gpu4all", "v2-limits"] {
            assert_eq!(Name::parse(text).unwrap().as_str(), text);
        }
        let long = "a".repeat(65);
        for text in ["", "-", "a-", "-a", "a--b", "A", "a_b", "2fast", "a-2", "a b", "../a", "é", &long] {
            assert!(Name::parse(text).unwrap_err().to_string().contains("can't be"), "{text}");
        }
        for text in ["match", "serde", "test", "wharf", "wharf-plugin-sdk"] {
            assert!(Name::parse(text).unwrap_err().to_string().contains("is taken"), "{text}");
        }
    }

    #[test]
    fn a_crate_has_underscores() {
        assert_eq!(Name::parse("no-gpu4-please").unwrap().snake(), "no_gpu4_please");
    }
}
