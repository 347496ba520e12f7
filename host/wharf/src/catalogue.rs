//! The pages of the error codes: the sections of `docs/errors.md`.

/// All pages.
const PAGES: &str = include_str!("../../../docs/errors.md");

const HEADING: &str = "\n## ";

/// The page of a code, as Markdown without its heading.
#[must_use]
pub fn page(code: &str) -> Option<&'static str> {
    sections().find(|(name, _)| *name == code).map(|(_, text)| text)
}

/// All codes that have a page, in the order of the document.
pub fn codes() -> impl Iterator<Item = &'static str> {
    sections().map(|(code, _)| code)
}

fn sections() -> impl Iterator<Item = (&'static str, &'static str)> {
    PAGES.split(HEADING).skip(1).map(|section| {
        let (code, text) = section.split_once('\n').unwrap_or((section, ""));
        // A heading of the level above ends the section, too.
        let text = text.split_once("\n# ").map_or(text, |(text, _)| text);
        (code.trim(), text.trim())
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::{Path, PathBuf};

    use wharf_model::Cause;

    use super::*;

    #[test]
    fn pages_are_whole_and_apart() {
        let page = page("home-exists").expect("it has a page");
        assert!(page.starts_with("`wharf init` was asked"), "{page}");
        assert!(!page.contains("## "), "{page}");
        // The last section before a heading of the level above.
        let page = super::page("usage").expect("it has a page");
        assert!(page.ends_with("say what a command takes."), "{page}");
        assert_eq!(super::page("no-such-code"), None);
        assert_eq!(super::page(""), None);
    }

    #[test]
    fn no_code_has_two_pages_and_no_page_is_empty() {
        let mut seen = BTreeMap::new();
        for (code, text) in sections() {
            assert!(!text.is_empty(), "{code}");
            assert!(code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'), "{code}");
            assert!(seen.insert(code, text).is_none(), "{code}");
        }
    }

    #[test]
    fn every_cause_has_a_page() {
        let schema = schemars::schema_for!(Cause);
        let causes: Vec<&str> = schema
            .get("oneOf")
            .and_then(|variants| variants.as_array())
            .expect("an enumeration")
            .iter()
            .filter_map(|variant| variant.get("const").and_then(|name| name.as_str()))
            .collect();
        assert!(causes.contains(&"runner-never-came-up"), "{causes:?}");
        for cause in causes {
            assert!(page(cause).is_some(), "the cause `{cause}` has no page in docs/errors.md");
        }
    }

    #[test]
    fn every_code_in_the_sources_has_a_page() {
        let host = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut found = BTreeMap::new();
        let mut folders = vec![host];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).expect("a folder of the sources") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    // Tests make faults of their own.
                    if path.file_name().is_some_and(|name| name != "tests" && name != "target") {
                        folders.push(path);
                    }
                } else if path.extension().is_some_and(|extension| extension == "rs") {
                    codes_in(&path, &mut found);
                }
            }
        }
        assert!(found.contains_key("config-invalid") && found.contains_key("home-exists"), "{found:?}");
        let missing: Vec<_> = found.iter().filter(|(code, _)| page(code).is_none()).collect();
        assert!(missing.is_empty(), "codes without a page in docs/errors.md: {missing:#?}");
    }

    /// The codes that a source file makes faults with.
    fn codes_in(file: &Path, found: &mut BTreeMap<String, PathBuf>) {
        let text = std::fs::read_to_string(file).expect("a source file");
        // What follows is the file's own tests.
        let text = text.split_once("#[cfg(test)]\nmod tests").map_or(text.as_str(), |(code, _)| code);
        for maker in
            ["Fault::new(", "fault(", "Source::open(", "read_as(", "unknown_key(", "unknown_value(", "CODE: &str ="]
        {
            for (at, _) in text.match_indices(maker) {
                let rest = text[at + maker.len()..].trim_start();
                if let Some(code) = rest.strip_prefix('"').and_then(|rest| rest.split_once('"')) {
                    // A sentence is some other function's first argument.
                    if code.0.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-') {
                        found.insert(code.0.to_owned(), file.to_owned());
                    }
                }
            }
        }
    }
}
