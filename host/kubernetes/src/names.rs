//! Names that Kubernetes accepts, made of ours.

use sha2::{Digest, Sha256};

/// The longest name of a namespace, and the longest value of a label.
const LONGEST: usize = 63;

/// The letters of a short hash.
const HASH: usize = 10;

/// The variables that a namespace may have.
pub const VARIABLES: [&str; 2] = ["user.login", "project.key"];

/// The name of an attempt's job, and of the secret that goes with it. One attempt has one name, so it can't have two jobs.
///
/// Short enough for the label that Kubernetes makes of a job's name.
#[must_use]
pub fn job_name(run: &str, attempt: u32) -> String {
    let name = format!("wharf-{run}-{attempt}");
    if is_dns_label(&name) { name } else { with_hash(&dns(&name), &[&name]) }
}

/// The first letters of the SHA-256 of some texts.
#[must_use]
pub fn short_hash(texts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for text in texts {
        // The length keeps ("a", "bc") from being ("ab", "c").
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text);
    }
    let mut hash = hex::encode(hash.finalize());
    hash.truncate(HASH);
    hash
}

/// Whether a text is what Kubernetes calls an RFC 1123 label: what a namespace is named.
#[must_use]
pub fn is_dns_label(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=LONGEST).contains(&text.len()) && text.bytes().all(inner) && !text.starts_with('-') && !text.ends_with('-')
}

/// Whether a text is an RFC 1123 subdomain: what most objects are named.
#[must_use]
pub fn is_dns_subdomain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_dns_label)
}

/// A piece of a namespace as it is written.
enum Piece<'a> {
    Text(&'a str),
    Variable(&'a str),
}

fn pieces(pattern: &str) -> Result<Vec<Piece<'_>>, String> {
    let mut pieces = Vec::new();
    let mut rest = pattern;
    while let Some((text, after)) = rest.split_once("${") {
        let Some((name, after)) = after.split_once('}') else {
            return Err(format!("the namespace \"{pattern}\" has a \"${{\" without its \"}}\""));
        };
        if !VARIABLES.contains(&name) {
            return Err(format!(
                "the namespace \"{pattern}\" has the variable ${{{name}}}; there are ${{{}}} and ${{{}}}",
                VARIABLES[0], VARIABLES[1]
            ));
        }
        pieces.extend([Piece::Text(text), Piece::Variable(name)]);
        rest = after;
    }
    pieces.push(Piece::Text(rest));
    Ok(pieces)
}

/// Checks a namespace as it is written, before there is a run.
///
/// # Errors
/// One sentence: what can't be in it.
pub fn check_namespace(pattern: &str) -> Result<(), String> {
    let sample: String = pieces(pattern)?
        .iter()
        .map(|piece| match piece {
            Piece::Text(text) => text,
            Piece::Variable(_) => "x",
        })
        .collect();
    if sample.is_empty() {
        return Err("the namespace is empty; name one, such as \"data\" or \"data-${user.login}\"".to_owned());
    }
    if !is_dns_label(&sample) {
        return Err(format!(
            "\"{pattern}\" can't be a namespace: it takes at most {LONGEST} lower-case letters, digits and \"-\", and begins \
             and ends with a letter or a digit"
        ));
    }
    not_reserved(&sample, pattern)
}

/// Whether a namespace's name depends on the run.
#[must_use]
pub fn has_variables(pattern: &str) -> bool {
    pattern.contains("${")
}

/// The namespace of a run.
///
/// Values are lower-cased, and what a name can't have becomes `-`. Two different runs that should be apart stay apart: where
/// that changed anything, or where two values could be told apart no more, a hash of the values as they were follows.
///
/// # Errors
/// One sentence: a bad pattern, a variable that the run has no value for, or a name that is the cluster's own.
pub fn namespace(pattern: &str, login: &str, project: Option<&str>) -> Result<String, String> {
    check_namespace(pattern)?;
    let pieces = pieces(pattern)?;
    let mut name = String::new();
    let mut values: Vec<&str> = Vec::new();
    let mut changed = false;
    // What stands between the last variable and here: only a "-" that no value has tells where one ends.
    let mut between: Option<bool> = None;
    for piece in &pieces {
        match piece {
            Piece::Text(text) => {
                name.push_str(text);
                between = between.map(|dash| dash || text.contains('-'));
            }
            Piece::Variable(variable) => {
                let value = if *variable == "user.login" { login } else { project.unwrap_or_default() };
                if value.is_empty() {
                    return Err(format!("the namespace \"{pattern}\" needs ${{{variable}}}, and the run has none"));
                }
                let safe = dns(value);
                changed |= safe != value || between == Some(false);
                between = Some(false);
                values.push(value);
                name.push_str(&safe);
            }
        }
    }
    changed |= values.len() > 1 && values.iter().any(|value| value.contains('-'));
    // What ends like a hash must not be taken for one.
    changed |= !values.is_empty() && ends_with_hash(&name);
    if changed || name.len() > LONGEST {
        name = with_hash(&name, &values);
    }
    if !values.is_empty() && name == "default" {
        return Err(reserved(&name, pattern));
    }
    not_reserved(&name, pattern)?;
    Ok(name)
}

/// Nobody's login may lead into the cluster's own namespaces.
fn not_reserved(name: &str, pattern: &str) -> Result<(), String> {
    if name.starts_with("kube-") { Err(reserved(name, pattern)) } else { Ok(()) }
}

fn reserved(name: &str, pattern: &str) -> String {
    format!("the namespace \"{pattern}\" would be {name}, which is the cluster's own; begin it with another word")
}

/// Lower case, and `-` for what a name can't have; at least one letter.
fn dns(text: &str) -> String {
    let safe: String = text
        .chars()
        .map(|c| match c.to_ascii_lowercase() {
            c if c.is_ascii_lowercase() || c.is_ascii_digit() => c,
            _ => '-',
        })
        .collect();
    match safe.trim_matches('-') {
        "" => "x".to_owned(),
        trimmed => trimmed.to_owned(),
    }
}

fn ends_with_hash(name: &str) -> bool {
    name.rsplit_once('-').is_some_and(|(_, end)| {
        end.len() == HASH && end.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    })
}

/// A name and the hash of what it is for, within the longest. The name is ASCII.
fn with_hash(name: &str, of: &[&str]) -> String {
    let cut = name.get(..LONGEST - HASH - 1).unwrap_or(name).trim_end_matches('-');
    format!("{cut}-{}", short_hash(of))
}

/// Whether a text can be a label's value.
#[must_use]
pub fn is_label_value(text: &str) -> bool {
    text.is_empty() || is_qualified_name(text)
}

/// Whether a text can be a label's key or the name of a resource: a name, or a domain, `/` and a name.
#[must_use]
pub fn is_label_key(text: &str) -> bool {
    match text.split_once('/') {
        Some((domain, name)) => is_dns_subdomain(domain) && is_qualified_name(name),
        None => is_qualified_name(text),
    }
}

fn is_qualified_name(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=LONGEST).contains(&text.len())
        && text.bytes().all(inner)
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.ends_with(|c: char| c.is_ascii_alphanumeric())
}

/// A text as a label's value: what a value can't have becomes `-`, and what is too long is cut.
#[must_use]
pub fn label_value(text: &str) -> String {
    if is_label_value(text) {
        return text.to_owned();
    }
    let safe = plain(text);
    let outer = |c: char| !c.is_ascii_alphanumeric();
    safe.trim_start_matches(outer).chars().take(LONGEST).collect::<String>().trim_end_matches(outer).to_owned()
}

/// A text as a label's key. One that had to be changed ends with a hash of what it was, so that no two become one.
#[must_use]
pub fn label_key(text: &str) -> String {
    if is_label_key(text) {
        return text.to_owned();
    }
    let safe = plain(text);
    let name: String =
        safe.trim_start_matches(|c: char| !c.is_ascii_alphanumeric()).chars().take(LONGEST - HASH - 1).collect();
    let name = if name.is_empty() { "x" } else { &name };
    format!("{name}-{}", short_hash(&[text]))
}

fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' }).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn a_job_has_its_runs_name() {
        let run = "0123456789abcdef0123456789abcdef";
        assert_eq!(job_name(run, 1), format!("wharf-{run}-1"));
        assert_eq!(job_name(run, u32::MAX).len(), 49);
        let odd = [("R1", 1), ("r1", 1), ("r_1", 1), ("r-1", 1), ("r", 11), ("r-1", 11), ("", 1), ("é", 1)];
        let long = "r".repeat(80);
        let names: Vec<String> =
            odd.iter().map(|(run, attempt)| job_name(run, *attempt)).chain([job_name(&long, 1)]).collect();
        assert!(names.iter().all(|name| is_dns_label(name)), "{names:?}");
        let different: std::collections::BTreeSet<&String> = names.iter().collect();
        assert_eq!(different.len(), names.len(), "{names:?}");
    }

    #[test]
    fn a_namespace_that_needs_no_change_has_none() {
        let name = |pattern: &str| namespace(pattern, "ana", Some("SALES")).unwrap();
        assert_eq!(name("data"), "data");
        assert_eq!(name("data-${user.login}"), "data-ana");
        assert_eq!(namespace("${user.login}", "12345", None).unwrap(), "12345");
        assert_eq!(namespace("${user.login}-${project.key}", "ana", Some("sales")).unwrap(), "ana-sales");
        assert_eq!(name("p-${project.key}"), format!("p-sales-{}", short_hash(&["SALES"])));
    }

    #[test]
    fn no_two_runs_share_a_namespace_that_should_be_apart() {
        let logins = [
            "ana",
            "Ana",
            "ANA",
            "a.na",
            "a-na",
            "a_na",
            "-ana",
            "ana-",
            "ä",
            "ö",
            "…",
            "ana@example.com",
            "1",
            "01",
            "a",
            "a-b",
            "b",
            "a b",
            "x",
        ];
        let long = ["l".repeat(70), "l".repeat(71), format!("{}-", "l".repeat(62)), "l".repeat(63), "l".repeat(64)];
        let forged: Vec<String> =
            ["Ana", "a.na", "ä"].iter().map(|login| namespace("${user.login}", login, None).unwrap()).collect();
        let all: Vec<&str> = logins.iter().copied().chain(long.iter().chain(&forged).map(String::as_str)).collect();
        let patterns = [
            "${user.login}",
            "u-${user.login}",
            "${user.login}-p",
            "${user.login}${project.key}",
            "${user.login}-${project.key}",
            "${user.login}x${project.key}",
            "${project.key}-${user.login}-${user.login}",
        ];
        for pattern in patterns {
            let mut seen: BTreeMap<String, (&str, &str)> = BTreeMap::new();
            let projects: &[&str] = if pattern.contains("project") { &all } else { &["p"] };
            for login in &all {
                for project in projects {
                    let name = namespace(pattern, login, Some(project)).unwrap();
                    assert!(is_dns_label(&name), "{pattern} {login} {project}: {name}");
                    if let Some(other) = seen.insert(name.clone(), (login, project)) {
                        panic!("{pattern}: {login}, {project} and {other:?} are both {name}");
                    }
                }
            }
        }
    }

    #[test]
    fn nobodys_login_leads_into_the_clusters_own() {
        for login in ["kube-system", "kube-public", "Kube-System", "default"] {
            let error = namespace("${user.login}", login, None).unwrap_err();
            assert!(error.contains("the cluster's own"), "{login}: {error}");
            assert!(namespace("u-${user.login}", login, None).is_ok());
        }
        assert!(namespace("kube-${user.login}", "ana", None).is_err());
        assert_eq!(namespace("default", "ana", None).unwrap(), "default");
    }

    #[test]
    fn a_bad_pattern_is_told_before_there_is_a_run() {
        for (pattern, said) in [
            ("", "empty"),
            ("Data", "lower-case"),
            ("data_1", "lower-case"),
            ("-${user.login}", "begins"),
            ("${user.login}.", "lower-case"),
            ("${user.name}", "${user.login} and ${project.key}"),
            ("${user.login", "without its"),
            ("kube-system", "the cluster's own"),
            (&"d".repeat(64), "63"),
        ] {
            let error = check_namespace(pattern).unwrap_err();
            assert!(error.contains(said), "{pattern}: {error}");
            assert_eq!(namespace(pattern, "ana", None), Err(error));
        }
        assert!(check_namespace("data-${user.login}").is_ok());
        assert!(namespace("${project.key}", "ana", None).unwrap_err().contains("${project.key}"));
    }

    #[test]
    fn labels_are_valid_and_as_near_as_can_be() {
        assert_eq!(label_value("data"), "data");
        assert_eq!(label_value(""), "");
        assert_eq!(label_value("Ana Müller <ana@example.com>"), "Ana-M-ller--ana-example.com");
        assert_eq!(label_value("…"), "");
        assert_eq!(label_value(&format!("{}---tail", "v".repeat(62))), "v".repeat(62));
        assert_eq!(label_key("com.example/team"), "com.example/team");
        assert_eq!(label_key("team of"), format!("team-of-{}", short_hash(&["team of"])));
        let long = "k".repeat(300);
        for text in ["", "a/b/c", "/a", "a/", "..", "é", "A B", "UPPER/case", long.as_str(), "a=b"] {
            let key = label_key(text);
            assert!(is_label_key(&key), "{text:?}: {key}");
            assert!(is_label_value(&label_value(text)), "{text:?}");
        }
        assert_ne!(label_key("a b"), label_key("a/b/"));
    }
}
