//! Packages of PyPI, from its own index or from a mirror of it.

use crate::image::Step;
use crate::names;

/// Where packages of PyPI come from: the mirror that a spec names, or the public index.
///
/// ```
/// use wharf_plugin_sdk::pip::Index;
///
/// let index = Index::new(Some("https://pypi.example.com/simple"))?;
/// let steps = index.steps(&["polars==1.9.0".to_owned()], true)?;
/// assert_eq!(steps.len(), 2);
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Index<'a> {
    mirror: Option<&'a str>,
}

impl<'a> Index<'a> {
    /// The mirror of a spec's `mirrors.pip`.
    ///
    /// ```
    /// use wharf_plugin_sdk::pip::Index;
    ///
    /// assert!(Index::new(None).is_ok());
    /// assert!(Index::new(Some("pypi.example.com")).is_err());
    /// ```
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
    ///
    /// ```
    /// use wharf_plugin_sdk::pip::Index;
    ///
    /// let command = Index::new(Some("https://pypi.example.com/simple"))?.pip_install("python3");
    /// assert!(command.starts_with("python3 -m pip install") && command.ends_with("--index-url https://pypi.example.com/simple"));
    /// # Ok::<(), String>(())
    /// ```
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
    /// ```
    /// use wharf_plugin_sdk::pip::Index;
    ///
    /// let steps = Index::new(None)?.steps(&[], false)?;
    /// assert!(steps.is_empty());
    /// # Ok::<(), String>(())
    /// ```
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
    ///
    /// ```
    /// use wharf_plugin_sdk::pip::Index;
    ///
    /// assert!(Index::new(None)?.uv_install("/opt/code-env/bin/python").starts_with("uv pip install --python /opt/code-env"));
    /// # Ok::<(), String>(())
    /// ```
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
/// ```
/// use wharf_plugin_sdk::pip;
///
/// assert_eq!(pip::quoted(&["polars".to_owned(), "duckdb>=1".to_owned()])?, ["'duckdb>=1'", "'polars'"]);
/// # Ok::<(), String>(())
/// ```
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
