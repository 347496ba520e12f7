//! Packages of PyPI, from its own index or from a mirror of it.

use crate::image::Step;
use crate::names;

/// Where packages of PyPI come from: the mirror that a spec names, or the public index.
#[derive(Clone, Copy, Debug)]
pub struct Index<'a> {
    mirror: Option<&'a str>,
}

impl<'a> Index<'a> {
    /// The mirror of a spec's `mirrors.pip`.
    ///
    /// # Errors
    /// One sentence: it is no address, or has a password in it.
    pub fn new(mirror: Option<&'a str>) -> Result<Self, String> {
        if let Some(mirror) = mirror {
            names::url("the pip mirror", mirror)?;
        }
        Ok(Self { mirror })
    }

    /// The command that installs with pip: `PYTHON -m pip install`, with the options that are always meant.
    #[must_use]
    pub fn pip_install(self, python: &str) -> String {
        let mut command = format!("{python} -m pip install --no-cache-dir --disable-pip-version-check");
        if let Some(mirror) = self.mirror {
            command.push_str(&format!(" --index-url {mirror}"));
            // pip leaves out an index without TLS unless it is told that this is meant.
            if let Some(rest) = mirror.strip_prefix("http://") {
                command.push_str(&format!(" --trusted-host {}", rest.split('/').next().unwrap_or_default()));
            }
        }
        command
    }

    /// The steps that put packages of a spec into the image's own `python3`; with `pandas` first that one, which recipes get
    /// tables as, unless the image has it already.
    ///
    /// # Errors
    /// One sentence: one of them is no requirement.
    pub fn steps(self, packages: &[String], pandas: bool) -> Result<Vec<Step>, String> {
        // As variables and not as options, which older releases of pip wouldn't know.
        let pip = format!("PIP_BREAK_SYSTEM_PACKAGES=1 PIP_ROOT_USER_ACTION=ignore {}", self.pip_install("python3"));
        let mut steps = Vec::new();
        if pandas {
            let script = format!("python3 -c 'import pandas' 2>/dev/null || {{\n  {pip} pandas\n}}\n");
            steps.push(Step::run("install pandas", script));
        }
        let requirements = quoted(packages)?;
        if !requirements.is_empty() {
            steps.push(Step::run("install Python packages", format!("{pip} {}\n", requirements.join(" "))));
        }
        Ok(steps)
    }

    /// The same as [`pip_install`](Self::pip_install) with uv, which installs for a Python without being installed in it. It
    /// takes an index without TLS as it is.
    #[must_use]
    pub fn uv_install(self, python: &str) -> String {
        // Its cache would stay in the image, and bytecode can't be written any more where the root is read-only.
        let mut command = format!("uv pip install --python {python} --no-cache --link-mode copy --compile-bytecode");
        if let Some(mirror) = self.mirror {
            // The name that older releases know too.
            command.push_str(&format!(" --index-url {mirror}"));
        }
        command
    }
}

/// Requirements as words of a shell, each once, in an order that doesn't depend on the spec's.
///
/// # Errors
/// One sentence: one of them is no requirement.
pub fn quoted(requirements: &[String]) -> Result<Vec<String>, String> {
    let mut sorted: Vec<&String> = requirements.iter().collect();
    sorted.sort();
    sorted.dedup();
    sorted
        .into_iter()
        .map(|requirement| names::pip_requirement(requirement).map(|()| format!("'{requirement}'")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_without_tls_is_meant() {
        let index = Index::new(Some("http://mirror.example.org:8080/simple")).unwrap();
        assert!(index.pip_install("python3").ends_with(" --trusted-host mirror.example.org:8080"));
        let index = Index::new(Some("https://mirror.example.org/simple")).unwrap();
        assert!(!index.pip_install("python3").contains("trusted"));
        assert!(Index::new(Some("https://ana:secret@mirror.example.org/simple")).is_err());
    }

    #[test]
    fn requirements_are_sorted_words() {
        let words = |texts: &[&str]| quoted(&texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>());
        assert_eq!(words(&["polars", "duckdb>=1", "polars"]).unwrap(), ["'duckdb>=1'", "'polars'"]);
        assert!(words(&["polars; rm"]).is_err());
    }
}
