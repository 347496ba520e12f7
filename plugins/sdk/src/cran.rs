//! Packages of CRAN, from the public place or from a mirror of it.

use crate::names;

const PUBLIC: &str = "https://cloud.r-project.org";

/// Where packages of CRAN come from: the mirror that a spec names, or the public place.
///
/// ```
/// use wharf_plugin_sdk::cran::Cran;
///
/// let script = Cran::new(Some("https://cran.example.com"))?.install(&["forecast".to_owned()])?;
/// assert!(script.contains("repos = \"https://cran.example.com\""));
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Cran<'a> {
    mirror: &'a str,
}

impl<'a> Cran<'a> {
    /// The mirror of a spec's `mirrors.cran`.
    ///
    /// ```
    /// use wharf_plugin_sdk::cran::Cran;
    ///
    /// assert!(Cran::new(None).is_ok());
    /// assert!(Cran::new(Some("https://ana:secret@cran.example.com")).is_err());
    /// ```
    ///
    /// # Errors
    /// One sentence: it is no address, or has a password in it.
    pub fn new(mirror: Option<&'a str>) -> Result<Self, String> {
        let mirror = mirror.unwrap_or(PUBLIC);
        names::url("the CRAN mirror", mirror)?;
        Ok(Self { mirror })
    }

    /// A script that installs packages into the first library that R looks at. They are compiled, since CRAN has sources.
    ///
    /// ```
    /// use wharf_plugin_sdk::cran::Cran;
    ///
    /// let public = Cran::new(None)?;
    /// assert!(public.install(&["data.table".to_owned()]).is_ok());
    /// assert!(public.install(&["a'; rm -rf /".to_owned()]).is_err());
    /// # Ok::<(), String>(())
    /// ```
    ///
    /// # Errors
    /// One sentence: one of them is no name of a package.
    pub fn install(self, packages: &[String]) -> Result<String, String> {
        let mut quoted = Vec::new();
        for package in packages {
            names::cran_package(package)?;
            quoted.push(format!("\"{package}\""));
        }
        // install.packages only warns when a package doesn't build.
        Ok(format!(
            "Rscript -e 'wanted <- c({})' \\\n  \
               -e 'install.packages(wanted, repos = \"{}\")' \\\n  \
               -e 'missing <- wanted[!wanted %in% rownames(installed.packages(.libPaths()[1]))]' \\\n  \
               -e 'if (length(missing)) stop(\"not installed: \", paste(missing, collapse = \", \"))'\n",
            quoted.join(", "),
            self.mirror
        ))
    }
}

/// Packages as those of the distribution, whose names begin with `prefix`, and those of CRAN. Each once, in an order that doesn't
/// depend on the spec's.
///
/// A name of CRAN has no hyphen in it, so a prefix with one can't be part of such a name.
///
/// ```
/// use wharf_plugin_sdk::cran;
///
/// let packages = ["forecast", "r-cran-dplyr", "forecast"].map(str::to_owned);
/// let (system, cran) = cran::split(&packages, "r-cran-");
/// assert_eq!((system, cran), (vec!["r-cran-dplyr".to_owned()], vec!["forecast".to_owned()]));
/// ```
#[must_use]
pub fn split(packages: &[String], prefix: &str) -> (Vec<String>, Vec<String>) {
    let mut sorted = packages.to_vec();
    sorted.sort();
    sorted.dedup();
    sorted.into_iter().partition(|package| package.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|&text| text.to_owned()).collect()
    }

    #[test]
    fn a_prefix_tells_whose_a_package_is() {
        let (own, cran) = split(&texts(&["rlang", "r-cran-dplyr", "forecast", "rlang"]), "r-");
        assert_eq!((own, cran), (texts(&["r-cran-dplyr"]), texts(&["forecast", "rlang"])));
    }

    #[test]
    fn a_mirror_takes_the_place_of_cran() {
        let script = Cran::new(None).unwrap().install(&texts(&["forecast"])).unwrap();
        assert!(script.contains("repos = \"https://cloud.r-project.org\""), "{script}");
        let script = Cran::new(Some("https://cran.example.org")).unwrap().install(&texts(&["a", "b"])).unwrap();
        assert!(script.contains("c(\"a\", \"b\")") && script.contains("https://cran.example.org"), "{script}");
        assert!(Cran::new(Some("https://ana:secret@cran.example.org")).is_err());
        assert!(Cran::new(None).unwrap().install(&texts(&["a\")"])).is_err());
    }
}
