//! What the last lines of a recipe, or of a runner that never came up, say to those who know them.

use wharf_model::outcome::Whose;

/// What to do about last words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hint {
    /// Whose doing it is.
    pub(crate) whose: Whose,
    pub(crate) advice: &'static str,
}

/// Words that are looked for, and what they mean.
type Pattern = (&'static str, Whose, &'static str);

/// How many of the last lines are looked at: an exception's text may have some more behind it.
const LAST: usize = 4;

const DISK: &str = "a disk is full: the container's (its layer, /tmp, /dev/shm), or this host's where the line names an output; make \
                    room there, or write less";
const PROCESSES: &str = "it may have no more processes or threads: raise `pids-limit` or `ulimit` (`--resource pids-limit=...`), or start \
                         fewer at once";
const PACKAGE: &str =
    "add the package to the base image (base-images/NAME.toml), or use a configuration whose base image has it";
const MEMORY: &str = "it asked for more memory than it may have: ask for more (`--resource memory=...`), or read the data in pieces \
                      (`iter_dataframes`)";
const READ_ONLY: &str = "it wrote where nothing may be written: use its working folder or /tmp, or set `read_only_root = false` under \
                         [security]";

const CUT: &str = "the line between the container and this host broke while data was under way: run it again, and if that happens often, see \
                   what cuts connections between the two";

const RECIPE: &[Pattern] = &[
    ("the upload did not reach the host whole", Whose::Network, CUT),
    ("broke off after about", Whose::Network, CUT),
    ("no space left on device", Whose::Capacity, DISK),
    ("disk quota exceeded", Whose::Capacity, DISK),
    ("read-only file system", Whose::Configuration, READ_ONLY),
    ("can't start new thread", Whose::Limit, PROCESSES),
    ("resource temporarily unavailable", Whose::Limit, PROCESSES),
    ("too many open files", Whose::Limit, "close files, or raise the limit: `--resource ulimit=nofile=65536`"),
    ("memoryerror", Whose::Recipe, MEMORY),
    ("unable to allocate", Whose::Recipe, MEMORY),
    ("cannot allocate", Whose::Recipe, MEMORY),
    ("no module named", Whose::Recipe, PACKAGE),
    ("there is no package called", Whose::Recipe, PACKAGE),
    (
        "permission denied",
        Whose::Recipe,
        "it runs as an ordinary user: use its working folder or /tmp, or see `user` and `host_mounts` under [security]",
    ),
    (
        "name resolution",
        Whose::Network,
        "the container can't find that server: see its `network` under [security], and whether it needs a proxy",
    ),
];

const UNSTARTABLE: &str = "the image is for another kind of machine, or isn't whole: remove it (`docker image rm`) and build it anew, \
                           `wharf base build NAME`";

const RUNNER: &[Pattern] = &[
    ("exec format error", Whose::Host, UNSTARTABLE),
    ("wharf-runner: no such file or directory", Whose::Host, UNSTARTABLE),
    (
        "certificate has another fingerprint",
        Whose::Network,
        "something else answers at that address: correct `advertise` under [exchange], and see that no other host has that port",
    ),
    (
        "does not accept this run's ticket",
        Whose::Host,
        "the host of another home answers at that address: see `listen` and `advertise` under [exchange]",
    ),
];

/// What the end of a recipe's error output means.
pub(crate) fn of_recipe(tail: &[String]) -> Option<Hint> {
    find(RECIPE, tail)
}

/// What the end of a container's own log means, when its runner never came up.
pub(crate) fn of_runner(tail: &[String]) -> Option<Hint> {
    find(RUNNER, tail)
}

fn find(patterns: &[Pattern], tail: &[String]) -> Option<Hint> {
    let lines: Vec<String> = lines(tail).take(LAST).map(str::to_lowercase).collect();
    // The last line that is known counts: it is nearest to the end.
    lines.iter().find_map(|line| {
        patterns.iter().find(|(words, ..)| line.contains(words)).map(|&(_, whose, advice)| Hint { whose, advice })
    })
}

/// The line that says why: the last one, or the exception's own when the rest of its message is indented below it.
pub(crate) fn reason(tail: &[String]) -> Option<&str> {
    let is_indented = |line: &str| line.starts_with([' ', '\t']);
    let last = said(tail).next()?;
    let head = said(tail).find(|line| !is_indented(line)).filter(|head| is_indented(last) && is_exception(head));
    Some(head.unwrap_or(last).trim())
}

/// `ValueError: ...`, `some.package.Problem: ...`, with something to say. R has its message below.
fn is_exception(line: &str) -> bool {
    let Some((name, message)) = line.split_once(": ") else { return false };
    let is_name = |part: &str| {
        part.starts_with(|c: char| c.is_alphabetic() || c == '_')
            && part.chars().all(|c| c.is_alphanumeric() || c == '_')
    };
    !message.trim().is_empty() && name.split('.').all(is_name)
}

/// The lines that say something, the last first.
fn lines(tail: &[String]) -> impl Iterator<Item = &str> {
    said(tail).map(str::trim)
}

/// The same with what they begin with.
fn said(tail: &[String]) -> impl Iterator<Item = &str> {
    let says_something = |line: &&str| {
        let line = line.trim();
        // R's "that was it".
        !line.is_empty() && line != "Execution halted" && !line.starts_with("Calls: ")
    };
    tail.iter().rev().map(String::as_str).filter(says_something)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tail(text: &str) -> Vec<String> {
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn the_line_that_says_why() {
        assert_eq!(reason(&tail("Traceback\nValueError: no\n\n")), Some("ValueError: no"));
        let r = tail("Error in library(nope) : there is no package called ‘nope’\nCalls: f -> g\nExecution halted\n");
        assert_eq!(reason(&r), Some("Error in library(nope) : there is no package called ‘nope’"));
        assert_eq!(of_recipe(&r).map(|hint| hint.advice), Some(PACKAGE));
        let wrapped = tail("  File \"a.py\", line 1\npatsy.PatsyError: no scipy\n    bs(train, 3)\n    ^^^^^^^^^^^^\n");
        assert_eq!(reason(&wrapped), Some("patsy.PatsyError: no scipy"));
        let r = tail("Error in f(x) : \n  there is no column\nExecution halted\n");
        assert_eq!(reason(&r), Some("there is no column"));
        assert_eq!(reason(&[]), None);
    }

    #[test]
    fn known_words_have_advice() {
        for (line, whose, advice) in [
            ("OSError: [Errno 28] No space left on device", Whose::Capacity, DISK),
            ("OSError: [Errno 30] Read-only file system: '/x'", Whose::Configuration, READ_ONLY),
            ("BlockingIOError: [Errno 11] Resource temporarily unavailable", Whose::Limit, PROCESSES),
            ("RuntimeError: can't start new thread", Whose::Limit, PROCESSES),
            ("numpy._core._exceptions._ArrayMemoryError: Unable to allocate 745. GiB", Whose::Recipe, MEMORY),
            ("MemoryError", Whose::Recipe, MEMORY),
            ("Error: cannot allocate vector of size 7450.6 Gb", Whose::Recipe, MEMORY),
            ("ModuleNotFoundError: No module named 'nope'", Whose::Recipe, PACKAGE),
        ] {
            assert_eq!(of_recipe(&tail(line)), Some(Hint { whose, advice }), "{line}");
        }
        assert_eq!(of_recipe(&tail("ValueError: no")), None);
        // Long before the end it is something that the recipe got over.
        assert_eq!(of_recipe(&tail("No space left on device\n1\n2\n3\nValueError: no")), None);
        let log = tail("exec /opt/wharf/bin/wharf-runner: exec format error");
        assert_eq!(of_runner(&log).map(|hint| hint.advice), Some(UNSTARTABLE));
    }
}
