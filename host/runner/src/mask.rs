use std::borrow::Cow;
use std::ops::Range;

use wharf_model::SecretValue;

/// What a secret becomes in the log.
const HIDDEN: &[u8] = b"***";
/// Shorter values would hide too much that isn't a secret.
const SHORTEST: usize = 4;

/// Hides secrets in what is logged.
///
/// It knows values as they are: what a recipe encodes, cuts or turns round it can't see.
#[derive(Default)]
pub(crate) struct Mask {
    values: Vec<Vec<u8>>,
}

impl Mask {
    /// A mask for these values. A value of several lines is hidden line by line, since that is how it is logged.
    pub(crate) fn of<'a>(secrets: impl IntoIterator<Item = &'a SecretValue>) -> Self {
        let lines = secrets.into_iter().flat_map(|secret| secret.expose().lines());
        let mut values: Vec<Vec<u8>> = lines
            .map(str::trim)
            .filter(|line| line.chars().count() >= SHORTEST)
            .map(|line| line.as_bytes().to_vec())
            .collect();
        values.sort();
        values.dedup();
        Self { values }
    }

    /// The line without secrets.
    pub(crate) fn hide<'a>(&self, line: &'a [u8]) -> Cow<'a, [u8]> {
        let mut found: Vec<Range<usize>> = self.values.iter().flat_map(|value| occurrences(line, value)).collect();
        if found.is_empty() {
            return Cow::Borrowed(line);
        }
        found.sort_by_key(|range| range.start);
        let mut hidden = Vec::with_capacity(line.len());
        let mut at = 0;
        for range in found {
            // One that overlaps the one before goes with it: what is left of it would tell a part.
            if range.start >= at {
                hidden.extend_from_slice(&line[at..range.start]);
                hidden.extend_from_slice(HIDDEN);
            }
            at = at.max(range.end);
        }
        hidden.extend_from_slice(&line[at..]);
        Cow::Owned(hidden)
    }
}

/// Where a value is in a line, one after the other.
fn occurrences<'a>(line: &'a [u8], value: &'a [u8]) -> impl Iterator<Item = Range<usize>> + 'a {
    memchr::memmem::find_iter(line, value).map(|start| start..start + value.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hidden(secrets: &[&str], line: &str) -> String {
        let secrets: Vec<SecretValue> = secrets.iter().map(|secret| SecretValue::new(*secret)).collect();
        String::from_utf8(Mask::of(&secrets).hide(line.as_bytes()).into_owned()).unwrap()
    }

    #[test]
    fn values_are_hidden_wherever_they_are() {
        assert_eq!(hidden(&["hunter22"], "hunter22 and xhunter22x, hunter2"), "*** and x***x, hunter2");
        assert_eq!(hidden(&["p$a.s*s\\w[0]\"rd"], "is p$a.s*s\\w[0]\"rd!"), "is ***!");
        assert_eq!(hidden(&["señal"], "una señal"), "una ***");
        assert_eq!(hidden(&["first", "second"], "second first"), "*** ***");
        assert_eq!(hidden(&[], "hunter22"), "hunter22");
    }

    #[test]
    fn overlapping_values_leave_nothing() {
        assert_eq!(hidden(&["secret", "secret-and-more"], "a secret-and-more b"), "a *** b");
        assert_eq!(hidden(&["abcdef", "efghij"], "1abcdefghij2"), "1***2");
        assert_eq!(hidden(&["aaaa"], "aaaaaaaa"), "******");
    }

    #[test]
    fn lines_of_a_value_are_hidden_one_by_one() {
        let key = "-----BEGIN KEY-----\r\n  MIIEvQ==\r\nabc\r\n";
        assert_eq!(hidden(&[key], "  MIIEvQ=="), "  ***");
        assert_eq!(hidden(&[key], "-----BEGIN KEY-----"), "***");
        // Too short to be one.
        assert_eq!(hidden(&[key], "abc"), "abc");
    }

    #[test]
    fn what_is_no_text_is_searched_too() {
        let mask = Mask::of(&[SecretValue::new("hunter22")]);
        assert_eq!(*mask.hide(b"\xff\0hunter22\xfe"), *b"\xff\0***\xfe");
    }
}
