//! What a failed build of a code environment says, in a sentence that names the line of its requirements.

use crate::error::ImageError;
use crate::images::EnvironmentPlan;

/// How much of an installer's own words a sentence has.
const SHOWN: usize = 400;

/// Turns the failure of an environment's build into one that names the requirement, where the build's own words name it.
pub(crate) fn of_environment(error: ImageError, environment: &EnvironmentPlan) -> ImageError {
    let ImageError::BuildFailed { lines, .. } = &error else { return error };
    let name = environment.spec.name.clone();
    // First: what an index that isn't reached has, pip says like what an index doesn't have.
    if let Some(reason) = unreachable(lines) {
        return ImageError::IndexUnreachable { name, reason, lines: lines.clone() };
    }
    let Some(Complaint { about, what }) = complaint(lines) else { return error };
    let requirements = environment.spec.requirements.as_deref().unwrap_or_default();
    let line = match &about {
        About::Line(number) => Some(*number),
        About::Package(name) => line_of(requirements, name),
    };
    let reason = match line {
        Some(line) => format!("{}:{line}: {what}", environment.file),
        None => what,
    };
    ImageError::EnvironmentFailed { name, reason, lines: lines.clone() }
}

struct Complaint {
    about: About,
    what: String,
}

enum About {
    /// A package by its name, perhaps with its version.
    Package(String),
    /// A line of the requirements.
    Line(usize),
}

impl Complaint {
    fn package(package: &str, what: String) -> Option<Self> {
        Some(Self { about: About::Package(package.to_owned()), what })
    }
}

/// Why the index can't be reached, in the words of pip or uv.
fn unreachable(lines: &[String]) -> Option<String> {
    let failed = |line: &&String| {
        line.contains("No matching distribution found for ")
            || line.contains("Failed to fetch: ")
            || line.contains("Failed to fetch `")
    };
    let end = lines.iter().position(|line| failed(&line))?;
    // pip warns of each try; a warning before a success is no reason.
    let warning = lines[..end].iter().rev().find_map(|line| line.split_once("after connection broken by '"));
    if let Some((_, words)) = warning {
        let words = words.rsplit_once("': /").map_or(words, |(words, _)| words);
        // NewConnectionError('<... object at 0x7f07e516a790>: Failed to establish a new connection: ...')
        let words = words.rsplit_once(">: ").map_or(words, |(_, words)| words);
        return Some(shown(words.trim_end_matches(['\'', ')'])));
    }
    // The status of an answer isn't a way that is closed.
    let last = lines[end..]
        .iter()
        .map(|line| line.trim())
        .rev()
        .find_map(|line| line.strip_prefix("cause: ").or_else(|| line.strip_prefix("Caused by: ")));
    last.filter(|words| !words.contains("status")).map(shown)
}

/// What pip or uv complain about.
fn complaint(lines: &[String]) -> Option<Complaint> {
    hash(lines).or_else(|| written_wrong(lines)).or_else(|| conflict(lines)).or_else(|| absent(lines))
}

/// A hash that is wrong, or isn't there.
fn hash(lines: &[String]) -> Option<Complaint> {
    if let Some(at) = lines.iter().position(|line| line.contains("DO NOT MATCH THE HASHES")) {
        // The next lines are `    six==1.16.0 from https://...:`, then what was expected and what was got.
        let package = lines[at + 1..].iter().find_map(|line| line.trim().split_once(" from "))?.0;
        return Complaint::package(package, mismatch(package, &lines[at + 1..], "Got"));
    }
    if let Some(at) = lines.iter().position(|line| line.contains("Hash mismatch for `")) {
        let package = lines[at].split('`').nth(1)?;
        return Complaint::package(package, mismatch(package, &lines[at + 1..], "Computed:"));
    }
    let at = lines.iter().position(|line| line.contains("--require-hashes") && line.contains("mode"))?;
    let (header, after) = (&lines[at], &lines[at + 1..]);
    // uv names them in the same line, pip in the next ones.
    let same = header.rsplit_once("provided for: ").or_else(|| header.rsplit_once("but found: "));
    let named = match same {
        Some((_, named)) => named,
        None => after.iter().map(|line| line.trim()).find(|line| !line.is_empty())?,
    };
    let package = named.split([' ', ',']).next().unwrap_or(named);
    let what = if header.contains("pinned") {
        format!("{package} has a hash and no exact version; write ==")
    } else {
        format!(
            "{package} has no hash, and others have: give each requirement its hashes, or none, dependencies included"
        )
    };
    Complaint::package(package, what)
}

fn mismatch(package: &str, after: &[String], got: &str) -> String {
    // pip: `Expected sha256 00` and `Got 8abb`; uv: `Expected:` and, in the next line, `sha256:00`.
    let value = |word: &str| {
        let at = after.iter().position(|line| line.trim().starts_with(word))?;
        let own = after[at].trim().strip_prefix(word)?.trim_start_matches(':').trim();
        let text = if own.is_empty() { after.get(at + 1)?.trim() } else { own };
        text.rsplit([' ', ':']).next().map(str::to_owned)
    };
    let what = format!("what the index has of {package} isn't what its hash says");
    match (value("Expected"), value(got)) {
        (Some(expected), Some(got)) => format!("{what}: expected {expected}, got {got}"),
        _ => what,
    }
}

/// A line that is no requirement.
fn written_wrong(lines: &[String]) -> Option<Complaint> {
    let what = |written: &str| format!("{written} is no requirement, such as pandas==2.2 or requests>=2");
    for line in lines {
        if let Some((_, rest)) = line.split_once("Invalid requirement: ") {
            let (written, number) = rest.split_once(" (from line ")?;
            let number = number.split([' ', ')']).next()?.parse().ok()?;
            return Some(Complaint { about: About::Line(number), what: what(written) });
        }
        // error: Unexpected '=', expected ...: /opt/code-env/requirements.txt:2:1
        if let Some((words, place)) = line.split_once("requirements.txt:")
            && let Some((_, words)) = words.split_once("error: ")
        {
            let number = place.split(':').next()?.parse().ok()?;
            let words = words.rsplit_once(": ").map_or(words, |(words, _)| words);
            return Some(Complaint { about: About::Line(number), what: words.to_owned() });
        }
    }
    // uv counts characters and shows the line below.
    let at = lines.iter().position(|line| line.contains("Couldn't parse requirement in "))?;
    let written = lines[at + 1..].iter().map(|line| line.trim()).find(|line| !line.starts_with("cause: "))?;
    Complaint::package(written, what(&format!("'{written}'")))
}

/// Requirements that can't be fulfilled together.
fn conflict(lines: &[String]) -> Option<Complaint> {
    if let Some(at) = lines.iter().position(|line| line.contains("The conflict is caused by:")) {
        let sides: Vec<&str> =
            lines[at + 1..].iter().map(|line| line.trim()).take_while(|line| !line.is_empty()).collect();
        let package = sides.iter().find_map(|side| side.strip_prefix("The user requested "))?;
        return Complaint::package(package, format!("it can't be had with the others: {}", shown(&sides.join("; "))));
    }
    let at = lines.iter().position(|line| line.contains("No solution found when resolving dependencies"))?;
    let words: Vec<&str> = lines[at + 1..].iter().map(|line| line.trim().trim_start_matches("cause: ")).collect();
    let words = words.join(" ");
    if words.contains(" was not found in the package registry") || words.contains("there is no version of ") {
        return None;
    }
    let package = words.split("you require ").nth(1)?.split([' ', ',']).next()?;
    Complaint::package(package, format!("it can't be had with the others: {}", shown(&words)))
}

/// A package, or a version of it, that the index doesn't have.
fn absent(lines: &[String]) -> Option<Complaint> {
    let after = |text: &str| lines.iter().find_map(|line| line.split_once(text).map(|(_, rest)| rest.trim()));
    if let Some(package) = after("No matching distribution found for ") {
        let package = package.split(" (").next().unwrap_or(package);
        let versions = after("(from versions: ").and_then(|rest| rest.split(')').next()).unwrap_or("none");
        let what = if versions == "none" {
            format!("the index has no package for {package}, or none that fits this Python")
        } else {
            let newest: Vec<&str> = versions.rsplit(", ").take(5).collect();
            format!("the index has no version for {package}; the newest that it has are {}", newest.join(", "))
        };
        return Complaint::package(package, what);
    }
    let not_found = lines.iter().find_map(|line| line.split_once(" was not found in the package registry"));
    if let Some((before, _)) = not_found {
        let package = before.rsplit(' ').next()?;
        return Complaint::package(package, format!("the index has no package {package}"));
    }
    let package = after("there is no version of ")?.split(' ').next()?;
    Complaint::package(package, format!("the index has no version for {package}"))
}

/// As much of a text as fits into a sentence.
fn shown(words: &str) -> String {
    words.chars().take(SHOWN).collect()
}

/// The line of a package in a requirements file, from 1.
fn line_of(requirements: &str, package: &str) -> Option<usize> {
    let wanted = project_name(package);
    let mut lines = requirements.lines();
    lines.position(|line| project_name(line.trim_start()) == wanted && !wanted.is_empty()).map(|at| at + 1)
}

/// The name that a requirement begins with, as indexes compare names: `Foo_Bar[x]>=1` is of `foo-bar`.
#[must_use]
pub fn project_name(requirement: &str) -> String {
    let name = requirement.split(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '-' | '_' | '.')).next();
    let mut out = String::new();
    for c in name.unwrap_or_default().chars() {
        match c {
            '-' | '_' | '.' if out.ends_with('-') => {}
            '-' | '_' | '.' => out.push('-'),
            c => out.push(c.to_ascii_lowercase()),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use wharf_model::image::{CodeEnvironment, ImageRecipe};

    fn told(requirements: &str, lines: &[&str]) -> String {
        let spec = CodeEnvironment {
            name: "ml".to_owned(),
            language: "python".to_owned(),
            interpreters: Vec::new(),
            packages: Vec::new(),
            requirements: Some(requirements.to_owned()),
            generation: 0,
        };
        let recipe = ImageRecipe { steps: Vec::new(), files: Vec::new(), bootstrap_packages: Vec::new() };
        let file = "code-envs/ml/requirements.txt".to_owned();
        let plan =
            EnvironmentPlan { spec, recipe, locks: Vec::new(), refresh: false, file, lock_file: "lock.toml".into() };
        let lines = lines.iter().map(|&line| line.to_owned()).collect();
        let error = ImageError::BuildFailed { image: "x".to_owned(), step: "step 3 of 5".to_owned(), lines };
        match of_environment(error, &plan) {
            ImageError::EnvironmentFailed { reason, .. } => reason,
            other => other.to_string(),
        }
    }

    #[test]
    fn a_requirement_is_named_with_its_line() {
        let requirements = "# ours\nsix==1.16.0 --hash=sha256:00\nno-such.Package==1\npandas==99\n";
        let place = "code-envs/ml/requirements.txt";
        assert_eq!(
            told(
                requirements,
                &[
                    "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE. If you have updated",
                    "    six==1.16.0 from https://example.org/six.whl (from -r /opt/code-env/requirements.txt (line 2)):",
                    "        Expected sha256 00",
                    "             Got        8abb",
                ]
            ),
            format!("{place}:2: what the index has of six==1.16.0 isn't what its hash says: expected 00, got 8abb")
        );
        assert_eq!(
            told(
                requirements,
                &[
                    "ERROR: Could not find a version that satisfies the requirement no_such_package==1 (from versions: none)",
                    "ERROR: No matching distribution found for no_such_package==1"
                ]
            ),
            format!("{place}:3: the index has no package for no_such_package==1, or none that fits this Python")
        );
        assert_eq!(
            told(
                requirements,
                &[
                    "ERROR: Could not find a version that satisfies the requirement pandas==99 (from versions: 2.1, 2.2)",
                    "ERROR: No matching distribution found for pandas==99"
                ]
            ),
            format!("{place}:4: the index has no version for pandas==99; the newest that it has are 2.2, 2.1")
        );
        assert_eq!(
            told(requirements, &["ERROR: Invalid requirement: 'a b' (from line 3 of /opt/code-env/requirements.txt)"]),
            format!("{place}:3: 'a b' is no requirement, such as pandas==2.2 or requests>=2")
        );
    }

    #[test]
    fn what_uv_says_is_understood() {
        let place = "code-envs/ml/requirements.txt";
        let unsolved = "error: No solution found when resolving dependencies";
        let lines = [
            unsolved,
            "  cause: Because nopkg was not found in the package registry and you require nopkg, we can conclude that your \
             requirements are unsatisfiable.",
        ];
        assert_eq!(told("six\nnopkg\n", &lines), format!("{place}:2: the index has no package nopkg"));
        let lines =
            [unsolved, "  cause: Because there is no version of six==99 and you require six==99, we can conclude"];
        assert_eq!(told("six==99\n", &lines), format!("{place}:1: the index has no version for six==99"));
        let lines = [
            "error: Failed to download `six==1.16.0`",
            "  cause: Hash mismatch for `six==1.16.0`",
            "",
            "         Expected:",
            "           sha256:0000",
            "",
            "         Computed:",
            "           sha256:8abb",
        ];
        assert_eq!(
            told("six==1.16.0\n", &lines),
            format!("{place}:1: what the index has of six==1.16.0 isn't what its hash says: expected 0000, got 8abb")
        );
        let lines = [
            unsolved,
            "  cause: Because requests==2.31.0 depends on urllib3>=1.21.1,<3 and you require requests==2.31.0, we can \
             conclude that you require urllib3>=1.21.1,<3.",
            "         And because you require urllib3==1.20, we can conclude that your requirements are unsatisfiable.",
        ];
        let sentence = told("urllib3==1.20\nrequests==2.31.0\n", &lines);
        assert!(sentence.starts_with(&format!("{place}:2: it can't be had with the others: Because")), "{sentence}");
        let lines = ["error: Unexpected '=', expected '-c', '-e', '-r' or the start of a requirement: \
                      /opt/code-env/requirements.txt:2:1"];
        assert_eq!(
            told("six\n= x\n", &lines),
            format!("{place}:2: Unexpected '=', expected '-c', '-e', '-r' or the start of a requirement")
        );
        let lines = [
            "error: Couldn't parse requirement in `/opt/code-env/requirements.txt` at position 4",
            "  cause: Expected one of `@`, `(`, `<`, `=`, `>`, `~`, `!`, `;`, found `b`",
            "         foo bar",
            "             ^",
        ];
        assert!(told("six\nfoo bar\n", &lines).starts_with(&format!("{place}:2: 'foo bar' is no requirement")));
        let lines = [
            "error: In `--require-hashes` mode, all requirements must have a hash, but none were provided for: idna==3.7",
        ];
        assert!(told("idna==3.7\n", &lines).starts_with(&format!("{place}:1: idna==3.7 has no hash")));
    }

    #[test]
    fn what_pip_says_of_hashes_and_conflicts_is_understood() {
        let place = "code-envs/ml/requirements.txt";
        let lines = [
            "ERROR: Hashes are required in --require-hashes mode, but they are missing from some requirements. Here is a list",
            "    idna==3.7 --hash=sha256:82fe",
        ];
        assert!(told("six\nidna==3.7\n", &lines).starts_with(&format!("{place}:2: idna==3.7 has no hash")));
        let lines = [
            "ERROR: In --require-hashes mode, all requirements must have their versions pinned with ==. These do not:",
            "    six>=1 from https://example.org/six.whl (from -r /opt/code-env/requirements.txt (line 1))",
        ];
        assert!(told("six>=1 --hash=sha256:00\n", &lines).contains(":1: six>=1 has a hash and no exact version"));
        let lines = [
            "ERROR: Cannot install -r e (line 1) and urllib3==1.20 because these package versions have conflicting dependencies.",
            "",
            "The conflict is caused by:",
            "    The user requested urllib3==1.20",
            "    requests 2.31.0 depends on urllib3<3 and >=1.21.1",
            "",
            "To fix this you could try to:",
        ];
        assert_eq!(
            told("requests==2.31.0\nurllib3==1.20\n", &lines),
            format!(
                "{place}:2: it can't be had with the others: The user requested urllib3==1.20; requests 2.31.0 depends on \
                 urllib3<3 and >=1.21.1"
            )
        );
    }

    #[test]
    fn an_index_that_is_not_reached_is_not_one_without_the_package() {
        let begin = "WARNING: Retrying (Retry(total=0, connect=None, read=None, redirect=None, status=None)) after connection \
                     broken by ";
        let end = [
            "ERROR: Could not find a version that satisfies the requirement six (from versions: none)",
            "ERROR: No matching distribution found for six",
        ];
        let refused = format!(
            "{begin}'NewConnectionError('<pip._vendor.urllib3.connection.HTTPConnection object at 0x7f07e516a790>: Failed to \
             establish a new connection: [Errno 111] Connection refused')': /simple/six/"
        );
        let untrusted = format!(
            "{begin}'SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: \
             self-signed certificate (_ssl.c:1006)'))': /simple/six/"
        );
        for (warning, expected) in [
            (&refused, "Failed to establish a new connection: [Errno 111] Connection refused"),
            (&untrusted, "SSLError("),
        ] {
            let sentence = told("six\n", &[&[warning.as_str()], &end[..]].concat());
            assert!(
                sentence.starts_with(&format!(
                    "the packages of the code environment ml can't be had: their index can't be reached: {expected}"
                )),
                "{sentence}"
            );
        }
        let lines = [
            "error: Request failed after 3 retries in 9.6s",
            "  cause: Failed to fetch: http://nosuch.invalid/simple/six/",
            "  cause: client error (Connect)",
            "  cause: failed to lookup address information: Name or service not known",
        ];
        assert!(
            told("six\n", &lines).ends_with("reached: failed to lookup address information: Name or service not known")
        );
    }

    #[test]
    fn anything_else_stays_what_it_is() {
        assert!(told("six\n", &["no space left on device"]).contains("no space left on device"));
        // A dependency has no line.
        assert!(
            told("six\n", &["ERROR: No matching distribution found for other"]).starts_with("the index has no package")
        );
    }
}
