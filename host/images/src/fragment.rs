//! Pieces of Containerfiles that people write.
//!
//! They are taken apart into instructions before anything is built, so that what is wrong is said with its line, and so
//! that a failed step can be told by the line that it came from.

use wharf_model::image::{ContextFile, Fragment};

/// What may stand in a fragment.
const ALLOWED: [&str; 9] = ["RUN", "ENV", "ARG", "COPY", "ADD", "LABEL", "USER", "WORKDIR", "SHELL"];

/// What may not, and why.
const REFUSED: [(&str, &str); 9] = [
    ("FROM", "a base image has one parent, which `from` or [bootstrap] names"),
    ("ENTRYPOINT", "a container's command is the run's own"),
    ("CMD", "a container's command is the run's own"),
    ("HEALTHCHECK", "the runner says how a run is"),
    ("STOPSIGNAL", "the runner is stopped in its own way"),
    ("ONBUILD", "it would act in another build"),
    ("VOLUME", "what a run writes goes into its outputs"),
    ("EXPOSE", "nothing listens in a run"),
    ("MAINTAINER", "use a label"),
];

/// The longest line that Docker's builders read.
const LONGEST: usize = 60_000;

/// What is wrong with a fragment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FragmentProblem {
    /// The line of the file that the fragment is in.
    pub line: u32,
    /// What, and what would be right.
    pub message: String,
}

/// One instruction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Instruction<'a> {
    /// The line of the file on which it begins.
    pub(crate) line: u32,
    /// In upper case.
    pub(crate) word: String,
    /// As it was written, with its line breaks.
    pub(crate) text: &'a str,
}

/// Whether a fragment can be a part of a build with these files.
///
/// # Errors
/// What is wrong in it first.
pub fn check_fragment(fragment: &Fragment, files: &[ContextFile]) -> Result<(), FragmentProblem> {
    instructions(fragment, files).map(drop)
}

/// Takes a fragment apart.
pub(crate) fn instructions<'a>(
    fragment: &'a Fragment,
    files: &[ContextFile],
) -> Result<Vec<Instruction<'a>>, FragmentProblem> {
    let mut found = Vec::new();
    // Where the instruction under way begins: its line, and its place in the text.
    let mut open: Option<(u32, usize)> = None;
    let mut at = 0;
    for (number, line) in (fragment.line..).zip(fragment.text.split_inclusive('\n')) {
        let (begin, end) = (at, at + line.len());
        at = end;
        let bare = line.trim();
        let problem = |message: String| FragmentProblem { line: number, message };
        if line.len() > LONGEST {
            return Err(problem(format!("the line has {} bytes; at most {LONGEST} are possible", line.len())));
        }
        if line.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\t' | '\r')) {
            return Err(problem("the line has a control character in it".to_owned()));
        }
        let comment = bare.is_empty() || bare.starts_with('#');
        match open {
            None if comment => {}
            None | Some(_) => {
                let (first, from) = *open.get_or_insert((number, begin));
                // A comment between the lines of an instruction doesn't end it.
                if !comment && !bare.ends_with('\\') {
                    found.push(instruction(first, fragment.text[from..end].trim_end(), files)?);
                    open = None;
                }
            }
        }
    }
    match open {
        Some((line, _)) => Err(FragmentProblem {
            line,
            message: "the instruction that begins here ends with a backslash: its last line is missing".to_owned(),
        }),
        None => Ok(found),
    }
}

fn instruction<'a>(line: u32, text: &'a str, files: &[ContextFile]) -> Result<Instruction<'a>, FragmentProblem> {
    let problem = |message: String| FragmentProblem { line, message };
    let text = text.trim_start();
    let (written, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let word = written.to_ascii_uppercase();
    if let Some((_, why)) = REFUSED.iter().find(|(refused, _)| *refused == word) {
        return Err(problem(format!("{word} can't be used here: {why}")));
    }
    if !ALLOWED.contains(&word.as_str()) {
        return Err(problem(format!(
            "\"{}\" is no instruction of a Containerfile; expected one of {}",
            written.chars().take(40).collect::<String>(),
            ALLOWED.join(", ")
        )));
    }
    let rest = rest.trim();
    if rest.is_empty() || rest == "\\" {
        return Err(problem(format!("{word} says nothing")));
    }
    let words: Vec<&str> = rest.split_whitespace().filter(|word| *word != "\\").collect();
    let arguments: Vec<&str> = words.iter().copied().skip_while(|word| word.starts_with("--")).collect();
    if arguments.first().is_some_and(|first| first.starts_with("<<")) {
        return Err(problem(format!(
            "{word} with a here-document works with some builders only; join the commands with && instead"
        )));
    }
    match word.as_str() {
        "LABEL" if words.iter().any(|word| word.trim_start_matches(['"', '\'']).starts_with("wharf.")) => {
            return Err(problem("labels under wharf. are the host's own".to_owned()));
        }
        "COPY" | "ADD" => {
            if words.iter().any(|word| word.starts_with("--from")) {
                return Err(problem(format!("{word} --from can't be used here: there is no other image to copy from")));
            }
            let paths: Vec<String> = match serde_json::from_str(&arguments.join(" ")) {
                Ok(list) => list,
                Err(_) => arguments.iter().map(|&path| path.to_owned()).collect(),
            };
            let Some((_, sources)) = paths.split_last().filter(|(_, sources)| !sources.is_empty()) else {
                return Err(problem(format!("{word} needs what to copy, and where to")));
            };
            for source in sources {
                let url = word == "ADD" && source.contains("://");
                if !url && !files.iter().any(|file| file.name == *source) {
                    return Err(problem(format!(
                        "{word} names \"{source}\", which isn't one of the base image's `files`: add its path there, and \
                         name it here without a folder"
                    )));
                }
            }
        }
        _ => {}
    }
    Ok(Instruction { line, word, text })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fragment(text: &str) -> Fragment {
        Fragment { file: "base-images/a.toml".to_owned(), line: 10, text: text.to_owned() }
    }

    fn files() -> Vec<ContextFile> {
        vec![ContextFile { name: "krb5.conf".to_owned(), contents: Vec::new() }]
    }

    #[test]
    fn instructions_know_their_lines() {
        let fragment = fragment(
            "\n# a comment\nRUN apt-get update \\\n  # between\n\n && apt-get install -y x\nenv A=1\n\
             COPY --chown=0:0 krb5.conf /etc/\nCOPY [\"krb5.conf\", \"/etc/\"]\nADD https://example.org/x /x\n",
        );
        let found = instructions(&fragment, &files()).unwrap();
        let shown: Vec<(u32, &str)> = found.iter().map(|one| (one.line, one.word.as_str())).collect();
        assert_eq!(shown, [(12, "RUN"), (16, "ENV"), (17, "COPY"), (18, "COPY"), (19, "ADD")]);
        assert_eq!(found[0].text, "RUN apt-get update \\\n  # between\n\n && apt-get install -y x");
        assert_eq!(found[1].text, "env A=1");
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        for (text, line, expected) in [
            ("RUN true\nFROM debian\n", 11, "one parent"),
            ("RNU true\n", 10, "\"RNU\" is no instruction"),
            ("ENTRYPOINT [\"x\"]", 10, "the run's own"),
            ("RUN a \\\n", 10, "last line is missing"),
            ("RUN\n", 10, "says nothing"),
            ("RUN <<EOF\nx\nEOF\n", 10, "here-document"),
            ("\n\nCOPY other /x\n", 12, "isn't one of the base image's `files`"),
            ("COPY krb5.conf\n", 10, "where to"),
            ("COPY --from=x krb5.conf /x\n", 10, "no other image"),
            ("LABEL a=b \"wharf.image.key\"=1\n", 10, "host's own"),
            ("RUN a\u{1b}[31m\n", 10, "control character"),
        ] {
            let problem = check_fragment(&fragment(text), &files()).unwrap_err();
            assert_eq!(problem.line, line, "{text:?}: {problem:?}");
            assert!(problem.message.contains(expected), "{text:?}: {problem:?}");
        }
        assert_eq!(check_fragment(&fragment(""), &[]), Ok(()));
    }
}
