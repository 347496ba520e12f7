//! What a failed build of a code environment says, in a sentence that names the line of its requirements.

use crate::error::ImageError;
use crate::images::EnvironmentPlan;

/// Turns the failure of an environment's build into one that names the requirement, where the build's own words name it.
pub(crate) fn of_environment(error: ImageError, environment: &EnvironmentPlan) -> ImageError {
    let ImageError::BuildFailed { lines, .. } = &error else { return error };
    let Some(Complaint { about, what }) = complaint(lines) else { return error };
    let requirements = environment.spec.requirements.as_deref().unwrap_or_default();
    let line = match about {
        About::Line(number) => Some(number),
        About::Package(name) => line_of(requirements, name),
    };
    let reason = match line {
        Some(line) => format!("{}:{line}: {what}", environment.file),
        None => what,
    };
    ImageError::EnvironmentFailed { name: environment.spec.name.clone(), reason, lines: lines.clone() }
}

struct Complaint<'a> {
    about: About<'a>,
    what: String,
}

enum About<'a> {
    /// A package by its name.
    Package(&'a str),
    /// A line of the requirements.
    Line(usize),
}

/// What pip or uv complain about.
fn complaint(lines: &[String]) -> Option<Complaint<'_>> {
    let after = |text: &str| lines.iter().find_map(|line| line.split_once(text).map(|(_, rest)| rest.trim()));
    if let Some(at) = lines.iter().position(|line| line.contains("DO NOT MATCH THE HASHES")) {
        // The next lines are `    six==1.16.0 from https://...:`, then what was expected and what was got.
        let package = lines[at + 1..].iter().find_map(|line| line.trim().split_once(" from "))?.0;
        let value = |word: &str| {
            let found = lines[at + 1..].iter().find_map(|line| line.trim().strip_prefix(word))?;
            found.split_whitespace().last().map(str::to_owned)
        };
        let mut what = format!("what the index has of {package} isn't what its hash says");
        if let (Some(expected), Some(got)) = (value("Expected"), value("Got")) {
            what.push_str(&format!(": expected {expected}, got {got}"));
        }
        return Some(Complaint { about: About::Package(package), what });
    }
    if let Some(rest) = after("Hash mismatch for `") {
        let package = rest.split('`').next()?;
        let what = format!("what the index has of {package} isn't what its hash says");
        return Some(Complaint { about: About::Package(package), what });
    }
    if let Some(rest) = after("Invalid requirement: ") {
        let number = rest.split_once("(from line ").and_then(|(_, rest)| rest.split(' ').next()?.parse().ok());
        let written = rest.split(" (from line").next().unwrap_or(rest);
        let what = format!("{written} is no requirement, such as pandas==2.2 or requests>=2");
        return Some(Complaint { about: About::Line(number?), what });
    }
    if let Some(package) = after("No matching distribution found for ") {
        let package = package.split(" (").next().unwrap_or(package);
        let versions = after("(from versions: ").and_then(|rest| rest.split(')').next()).unwrap_or("none");
        let what = if versions == "none" {
            format!("the index has no package for {package}, or none that fits this Python")
        } else {
            let newest: Vec<&str> = versions.rsplit(", ").take(5).collect();
            format!("the index has no version for {package}; the newest that it has are {}", newest.join(", "))
        };
        return Some(Complaint { about: About::Package(package), what });
    }
    if let Some((package, _)) = lines.iter().find_map(|line| line.split_once(" was not found in the package registry"))
    {
        let package = package.rsplit(' ').next()?;
        let what = format!("the index has no package {package}");
        return Some(Complaint { about: About::Package(package), what });
    }
    if let Some(rest) = after("there is no version of ") {
        let package = rest.split(' ').next()?;
        let what = format!("the index has no version for {package}");
        return Some(Complaint { about: About::Package(package), what });
    }
    None
}

/// The line of a package in a requirements file, from 1.
fn line_of(requirements: &str, package: &str) -> Option<usize> {
    let wanted = normal(package);
    requirements.lines().position(|line| normal(line.trim_start()) == wanted && !wanted.is_empty()).map(|at| at + 1)
}

/// The name that a requirement begins with, as the index compares names.
fn normal(requirement: &str) -> String {
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
        let plan = EnvironmentPlan { spec, recipe, lock: None, refresh: false, file };
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
        let lines = [
            "  \u{d7} No solution found when resolving dependencies:",
            "  Because nopkg was not found in the package registry and you require nopkg, we can conclude",
        ];
        assert_eq!(told("six\nnopkg\n", &lines), "code-envs/ml/requirements.txt:2: the index has no package nopkg");
        let lines = ["  Because there is no version of six==99 and you require six==99, we can conclude"];
        assert_eq!(told("six==99\n", &lines), "code-envs/ml/requirements.txt:1: the index has no version for six==99");
        let lines = ["  Hash mismatch for `six==1.16.0`"];
        assert!(told("six==1.16.0\n", &lines).starts_with("code-envs/ml/requirements.txt:1: what the index has"));
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
