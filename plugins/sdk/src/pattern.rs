//! Patterns in settings: `*` stands for any text, also for none.

/// Whether a text is one that a pattern stands for.
///
/// ```
/// use wharf_plugin_sdk::pattern::matches;
///
/// assert!(matches("AWS_*", "AWS_SECRET_ACCESS_KEY"));
/// assert!(!matches("AWS_*", "MY_AWS_KEY"));
/// ```
#[must_use]
pub fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut at, mut here) = (0, 0);
    // The last star, and how far the text was that it has taken: only that one ever has to take more.
    let mut star: Option<(usize, usize)> = None;
    while here < text.len() {
        if pattern.get(at) == Some(&b'*') {
            star = Some((at, here));
            at += 1;
        } else if pattern.get(at) == Some(&text[here]) {
            at += 1;
            here += 1;
        } else if let Some((star_at, taken)) = star {
            star = Some((star_at, taken + 1));
            at = star_at + 1;
            here = taken + 1;
        } else {
            return false;
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

/// Whether one of the patterns stands for a text.
///
/// ```
/// use wharf_plugin_sdk::pattern::any_matches;
///
/// assert!(any_matches(&["*_TOKEN", "AWS_*"], "GITHUB_TOKEN"));
/// assert!(!any_matches::<&str>(&[], "GITHUB_TOKEN"));
/// ```
#[must_use]
pub fn any_matches<S: AsRef<str>>(patterns: &[S], text: &str) -> bool {
    patterns.iter().any(|pattern| matches(pattern.as_ref(), text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_any_text() {
        for (pattern, text, fits) in [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("*", "anything", true),
            ("a*c", "abbbc", true),
            ("a*c", "ac", true),
            ("a*c", "abbbcd", false),
            ("*b*", "abc", true),
            ("a**c", "abc", true),
            ("*ab", "aab", true),
            ("*aab", "aaab", true),
            ("é*", "éa", true),
            ("a", "ab", false),
        ] {
            assert_eq!(matches(pattern, text), fits, "{pattern} {text}");
        }
    }

    #[test]
    fn many_stars_take_no_time() {
        let pattern = "a*".repeat(40) + "b";
        assert!(!matches(&pattern, &"a".repeat(10_000)));
    }
}
