//! Requirements in pip's format: which lines may stand there.

use std::path::Path;

use wharf_images::project_name;
use wharf_model::Fault;

use super::CODE;

/// Options of pip that may stand in requirements: they say which of an index's files are taken.
const OPTIONS: [&str; 5] = ["--require-hashes", "--prefer-binary", "--only-binary", "--no-binary", "--pre"];

/// Whether a list of requirements asks for a project, in whatever spelling.
pub(super) fn asks_for(text: &str, project: &str) -> bool {
    lines(text).iter().any(|(_, line)| project_name(line) == project)
}

/// Whether something is asked for, and all of it with its hashes.
pub(super) fn is_hashed(text: &str) -> bool {
    let lines = lines(text);
    let mut named = lines.iter().filter(|(_, line)| !line.starts_with('-')).peekable();
    named.peek().is_some() && named.all(|(_, line)| line.contains("--hash="))
}

/// Whether nothing but comments is there.
pub(super) fn is_empty(text: &str) -> bool {
    lines(text).is_empty()
}

/// Refuses what an image can't make sense of, with its line.
pub(super) fn check(text: &str, path: &Path) -> Result<(), Fault> {
    lines(text).iter().try_for_each(|(line, text)| check_line(text, *line, path))
}

/// The lines of requirements without comments, those that go on in the next line put together; each with its number.
fn lines(text: &str) -> Vec<(u32, String)> {
    let mut found: Vec<(u32, String)> = Vec::new();
    let mut open = false;
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        // A comment begins with the line, or after a space.
        let bare = match line.find(" #") {
            _ if line.starts_with('#') => "",
            Some(at) => line[..at].trim_end(),
            None => line,
        };
        let (bare, goes_on) = match bare.strip_suffix('\\') {
            Some(bare) => (bare.trim_end(), true),
            None => (bare, false),
        };
        match found.last_mut().filter(|_| open) {
            Some((_, before)) => before.extend([" ", bare]),
            None if bare.is_empty() => {}
            None => found.push((number, bare.to_owned())),
        }
        open = goes_on;
    }
    found
}

fn check_line(text: &str, line: u32, path: &Path) -> Result<(), Fault> {
    let fault = |message: String, hint: &str| Err(Fault::new(CODE, message).at(path, Some(line)).hint(hint));
    if let Some(control) = text.chars().find(|c| c.is_control() && *c != '\t') {
        return fault(format!("the line has the control character {control:?} in it"), "remove it");
    }
    let option = text.split([' ', '=']).next().unwrap_or(text);
    if option.starts_with('-') {
        if OPTIONS.contains(&option) {
            return Ok(());
        }
        return match option {
            "-r" | "--requirement" | "-c" | "--constraint" => {
                fault(format!("{option} can't be used: the host knows no other file"), "put its lines into this file")
            }
            "-i" | "--index-url" | "--extra-index-url" | "-f" | "--find-links" | "--no-index" | "--trusted-host" => {
                fault(
                    format!("{option} can't be used: where packages come from is the base image's"),
                    "write it into the base image: [mirrors] with pip = \"https://...\"",
                )
            }
            "-e" | "--editable" => fault(
                format!("{option} can't be used: there is no source in the image"),
                "name the package, or its URL",
            ),
            _ => fault(format!("{option} can't be used here"), "pip's options that choose files of an index can"),
        };
    }
    let target = text.split_once(" @ ").map_or(text, |(_, target)| target.trim());
    let local = ["./", "../", "/", "~/", "file:", "."].iter().any(|begin| target.starts_with(begin));
    let archive = [".whl", ".tar.gz", ".zip"].iter().any(|end| target.ends_with(end)) && !target.contains("://");
    if local || archive {
        return fault(
            format!("\"{target}\" is a path, which the image doesn't have"),
            "put the package into an index, and name it; or copy it into the base image with `files` and `post_install`",
        );
    }
    Ok(())
}
