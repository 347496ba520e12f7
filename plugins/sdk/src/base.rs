//! Base images: what is the same for every distribution.

use crate::image::Step;
use crate::names;
use crate::types::{ImageSpec, KeyValue, Language};

/// What tools read that don't ask the distribution's own list: Python's requests and pip bring one.
const TRUST_VARIABLES: [&str; 3] = ["PIP_CERT", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"];

/// The languages of a spec, in an order that doesn't depend on the spec's.
///
/// ```
/// use wharf_plugin_sdk::{ImageSpec, base};
///
/// /// Whether an image has R.
/// fn has_r(spec: &ImageSpec) -> Result<bool, String> {
///     Ok(base::languages(spec)?.iter().any(|language| language.name == "r"))
/// }
/// ```
///
/// # Errors
/// One sentence: a language is there twice.
pub fn languages(spec: &ImageSpec) -> Result<Vec<&Language>, String> {
    let mut languages: Vec<&Language> = spec.languages.iter().collect();
    languages.sort_by_key(|language| &language.name);
    match languages.windows(2).find(|pair| pair[0].name == pair[1].name) {
        Some(pair) => Err(format!("the language {} is there twice; put its packages into one list", pair[0].name)),
        None => Ok(languages),
    }
}

/// The labels of a spec. They come last: what is before them is the same for other labels.
///
/// ```
/// use wharf_plugin_sdk::image::Step;
/// use wharf_plugin_sdk::{ImageSpec, base};
///
/// fn steps(spec: &ImageSpec) -> Result<Vec<Step>, String> {
///     let mut steps = vec![Step::run("update", "apk upgrade\n")];
///     steps.extend(base::labels(spec)?);
///     Ok(steps)
/// }
/// ```
///
/// # Errors
/// One sentence: a label of the host's.
pub fn labels(spec: &ImageSpec) -> Result<Vec<Step>, String> {
    let mut labels: Vec<&KeyValue> = spec.labels.iter().collect();
    labels.sort_by_key(|label| &label.key);
    match labels.iter().find(|label| label.key.starts_with("wharf.")) {
        Some(label) => Err(format!("the label \"{}\" can't be set: wharf.* are the host's own", label.key)),
        None => Ok(labels.into_iter().cloned().map(Step::Label).collect()),
    }
}

/// A script that fails with a sentence when the image has another version of a language than it should.
///
/// `ask` is a command that prints the version that is there. `version` is numbers and dots: [`names::version`].
///
/// ```
/// use wharf_plugin_sdk::base;
///
/// let script = base::version_check("Python", "3.11", "python3 -c 'import platform; print(platform.python_version())'");
/// assert!(script.contains("3.11.*) ;;"));
/// ```
#[must_use]
pub fn version_check(language: &str, version: &str, ask: &str) -> String {
    format!(
        "have=$({ask})\n\
         case \"$have.\" in\n  \
           {version}.*) ;;\n  \
           *) echo \"the image has {language} $have, and {version} was asked for\" >&2; exit 1 ;;\n\
         esac\n"
    )
}

/// Where a distribution keeps the certificates that it trusts.
///
/// ```
/// use wharf_plugin_sdk::base::TrustStore;
///
/// /// Alpine's.
/// const TRUST: TrustStore<'_> = TrustStore {
///     folder: "/usr/local/share/ca-certificates",
///     bundle: "/etc/ssl/certs/ca-certificates.crt",
///     refresh: "update-ca-certificates\n",
/// };
///
/// // A copy, the refresh, and three variables.
/// assert_eq!(TRUST.steps(&["corp.pem".to_owned()])?.len(), 5);
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct TrustStore<'a> {
    /// The folder for those of the site.
    pub folder: &'a str,
    /// The file that has all of them, the site's included, once `refresh` ran.
    pub bundle: &'a str,
    /// The script that takes over what is new in the folder.
    pub refresh: &'a str,
}

impl TrustStore<'_> {
    /// Copies the certificates of a spec's `extra_ca` and has everything trust them. No steps when there are none.
    ///
    /// ```
    /// use wharf_plugin_sdk::base::TrustStore;
    ///
    /// let store = TrustStore { folder: "/certs", bundle: "/certs/all.pem", refresh: "refresh\n" };
    /// assert!(store.steps(&[])?.is_empty());
    /// assert!(store.steps(&["../key".to_owned()]).is_err());
    /// # Ok::<(), String>(())
    /// ```
    ///
    /// # Errors
    /// One sentence: a name that is no file's.
    pub fn steps(self, extra_ca: &[String]) -> Result<Vec<Step>, String> {
        if extra_ca.is_empty() {
            return Ok(Vec::new());
        }
        let mut sorted: Vec<&String> = extra_ca.iter().collect();
        sorted.sort();
        let mut steps = Vec::new();
        for name in sorted {
            names::certificate(name)?;
            // Debian takes only files that end so.
            let target = if name.ends_with(".crt") { name.clone() } else { format!("{name}.crt") };
            steps.push(Step::copy(name, format!("{}/{target}", self.folder)));
        }
        steps.push(Step::run("trust the site's certificates", self.refresh));
        steps.extend(TRUST_VARIABLES.map(|variable| Step::variable(variable, self.bundle)));
        Ok(steps)
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::types::Mirrors;

    fn spec() -> ImageSpec {
        let language = |name: &str| Language { name: name.to_owned(), version: None, packages: Vec::new() };
        ImageSpec {
            base_image: "python-r".to_owned(),
            origin: "from:debian:bookworm-slim".to_owned(),
            languages: vec![language("r"), language("python")],
            cuda: None,
            system_packages: Vec::new(),
            mirrors: Mirrors { apt: None, pip: None, cran: None },
            extra_ca: Vec::new(),
            labels: vec![KeyValue::new("team", "data"), KeyValue::new("app", "x")],
        }
    }

    #[test]
    fn the_order_of_languages_and_labels_means_nothing() {
        let mut spec = spec();
        let names: Vec<&str> = languages(&spec).unwrap().iter().map(|language| language.name.as_str()).collect();
        assert_eq!(names, ["python", "r"]);
        let first = labels(&spec).unwrap();
        spec.labels.reverse();
        assert_eq!(labels(&spec).unwrap(), first);
    }

    #[test]
    fn what_cannot_be_is_a_sentence() {
        let mut spec = spec();
        spec.languages.push(spec.languages[0].clone());
        assert!(languages(&spec).unwrap_err().contains("twice"));
        spec.labels.push(KeyValue::new("wharf.image.key", "x"));
        assert!(labels(&spec).unwrap_err().contains("host's own"));
        let store = TrustStore { folder: "/anchors", bundle: "/bundle", refresh: "true\n" };
        assert!(store.steps(&["../x".to_owned()]).is_err());
        assert_eq!(store.steps(&[]).unwrap(), []);
    }

    #[test]
    fn certificates_are_trusted_by_name_and_by_variable() {
        let store = TrustStore { folder: "/anchors", bundle: "/bundle", refresh: "true\n" };
        let steps = store.steps(&["b.pem".to_owned(), "a.crt".to_owned()]).unwrap();
        assert_eq!(steps[0], Step::copy("a.crt", "/anchors/a.crt"));
        assert_eq!(steps[1], Step::copy("b.pem", "/anchors/b.pem.crt"));
        assert_eq!(steps[2], Step::run("trust the site's certificates", "true\n"));
        assert_eq!(steps[3], Step::variable("PIP_CERT", "/bundle"));
    }

    #[test]
    fn a_version_is_a_whole_number_of_parts() {
        for (have, asked, fits) in
            [("3.11.2", "3.11", true), ("3.11.2", "3", true), ("3.11", "3.11", true), ("3.11.2", "3.1", false)]
        {
            let script = version_check("Python", asked, &format!("echo {have}"));
            let output = Command::new("/bin/sh").args(["-ec", &script]).output().unwrap();
            assert_eq!(output.status.success(), fits, "{have} {asked}");
            let said = String::from_utf8(output.stderr).unwrap();
            let sentence = format!("the image has Python {have}, and {asked} was asked for\n");
            assert_eq!(said, if fits { "" } else { &sentence });
        }
    }
}
