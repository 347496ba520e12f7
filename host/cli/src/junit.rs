//! Results of cases as JUnit XML, the form that CI systems read.

use std::fmt::Write as _;

use wharf::cases::{CaseOutcome, CaseResult};

/// One document: a suite for each component.
pub(crate) fn document(suites: &[(String, Vec<CaseResult>)]) -> String {
    let all = || suites.iter().flat_map(|(_, cases)| cases);
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    // Writing to a string can't fail.
    let _ = writeln!(text, "<testsuites{}>", counts(all()));
    for (name, cases) in suites {
        let _ = writeln!(text, "  <testsuite name=\"{}\"{}>", escape(name), counts(cases.iter()));
        for case in cases {
            write_case(&mut text, name, case);
        }
        text.push_str("  </testsuite>\n");
    }
    text.push_str("</testsuites>\n");
    text
}

fn write_case(text: &mut String, suite: &str, case: &CaseResult) {
    let _ = writeln!(
        text,
        "    <testcase classname=\"{}\" name=\"{}\" time=\"{}\">",
        escape(suite),
        escape(&case.name),
        seconds(micros(case))
    );
    let element = match case.outcome {
        CaseOutcome::Passed | CaseOutcome::Updated => None,
        CaseOutcome::Failed => Some(("failure", "the answer isn't the expected one")),
        CaseOutcome::Invalid => Some(("error", "the case can't be used")),
    };
    if let Some((element, message)) = element {
        let problem = escape(case.problem.as_deref().unwrap_or_default());
        let _ = writeln!(text, "      <{element} message=\"{message}\">{problem}</{element}>");
    }
    let mut said = String::new();
    for call in case.loading.iter().chain(&case.calls) {
        for line in &call.log {
            let _ = writeln!(said, "{}: {}", line.level, line.message);
        }
        said.push_str(&call.output);
    }
    if !said.is_empty() {
        let _ = writeln!(text, "      <system-out>{}</system-out>", escape(said.trim_end()));
    }
    text.push_str("    </testcase>\n");
}

fn counts<'a>(cases: impl Iterator<Item = &'a CaseResult>) -> String {
    let (mut tests, mut failures, mut errors, mut time) = (0, 0, 0, 0);
    for case in cases {
        tests += 1;
        failures += u32::from(case.outcome == CaseOutcome::Failed);
        errors += u32::from(case.outcome == CaseOutcome::Invalid);
        time += micros(case);
    }
    format!(" tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\" time=\"{}\"", seconds(time))
}

fn micros(case: &CaseResult) -> u64 {
    case.loading.iter().chain(&case.calls).map(|call| call.micros).sum()
}

fn seconds(micros: u64) -> String {
    format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

/// A text in XML. What XML can't have at all becomes a replacement character.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\t' => escaped.push(c),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_counts_and_escapes() {
        let case = |name: &str, outcome, problem: Option<&str>| CaseResult {
            name: name.to_owned(),
            folder: name.into(),
            outcome,
            problem: problem.map(str::to_owned),
            answer: None,
            granted: Vec::new(),
            loading: Vec::new(),
            calls: Vec::new(),
        };
        let cases = vec![
            case("good", CaseOutcome::Passed, None),
            case("<bad>", CaseOutcome::Failed, Some("-  \"a & b\"\u{1b}[2J")),
            case("odd", CaseOutcome::Invalid, Some("no plan.json")),
        ];
        let text = document(&[("site".to_owned(), cases)]);
        assert!(
            text.contains("<testsuite name=\"site\" tests=\"3\" failures=\"1\" errors=\"1\" time=\"0.000000\">"),
            "{text}"
        );
        assert!(text.contains("name=\"&lt;bad&gt;\""), "{text}");
        assert!(text.contains("-  &quot;a &amp; b&quot;\u{fffd}[2J</failure>"), "{text}");
        assert!(text.contains("<error message=\"the case can't be used\">no plan.json</error>"), "{text}");
    }
}
