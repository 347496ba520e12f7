//! The distribution's own packages: what is the same for every package manager.

use std::collections::BTreeSet;

use crate::image::Step;

/// The packages of an image.
///
/// ```
/// use wharf_plugin_sdk::packages::Packages;
///
/// let mut packages = Packages::new(&["git".to_owned()]);
/// packages.add_python(&["python3", "python3-venv"]);
/// packages.add(&["r-base-core"]);
/// // Languages first, and then what this image alone has.
/// let steps = packages.steps(|names| format!("apt-get install -y {names}\n"));
/// assert_eq!(steps.len(), 2);
/// ```
pub struct Packages {
    /// What languages need: the same for many images.
    languages: BTreeSet<String>,
    /// Python, unless the image that this one starts from brings its own.
    python: BTreeSet<String>,
    /// What this image asked for.
    system: BTreeSet<String>,
}

impl Packages {
    /// Those that a spec names; that they are names has been checked. ca-certificates is in every image: nothing can be
    /// fetched over TLS without.
    ///
    /// ```
    /// use wharf_plugin_sdk::packages::Packages;
    ///
    /// assert_eq!(Packages::new(&["git".to_owned()]).all(), ["ca-certificates", "git"]);
    /// ```
    #[must_use]
    pub fn new(system: &[String]) -> Self {
        Self {
            languages: BTreeSet::from(["ca-certificates".to_owned()]),
            python: BTreeSet::new(),
            system: system.iter().cloned().collect(),
        }
    }

    /// Adds what a language needs.
    ///
    /// ```
    /// use wharf_plugin_sdk::packages::Packages;
    ///
    /// let mut packages = Packages::new(&[]);
    /// packages.add(&["r-base-core"]);
    /// assert_eq!(packages.all(), ["ca-certificates", "r-base-core"]);
    /// ```
    pub fn add(&mut self, packages: &[&str]) {
        self.languages.extend(packages.iter().map(|&package| package.to_owned()));
    }

    /// Adds the distribution's Python.
    ///
    /// ```
    /// use wharf_plugin_sdk::packages::Packages;
    ///
    /// let mut packages = Packages::new(&[]);
    /// packages.add_python(&["python3"]);
    /// assert_eq!(packages.all(), ["ca-certificates", "python3"]);
    /// ```
    pub fn add_python(&mut self, packages: &[&str]) {
        self.python.extend(packages.iter().map(|&package| package.to_owned()));
    }

    /// All of them, for a bootstrap.
    ///
    /// ```
    /// use wharf_plugin_sdk::image::ImageRecipe;
    /// use wharf_plugin_sdk::packages::Packages;
    ///
    /// let packages = Packages::new(&[]);
    /// let recipe = ImageRecipe { steps: Vec::new(), files: Vec::new(), bootstrap_packages: packages.all() };
    /// ```
    #[must_use]
    pub fn all(&self) -> Vec<String> {
        let all: BTreeSet<&String> = self.languages.iter().chain(&self.python).chain(&self.system).collect();
        all.into_iter().cloned().collect()
    }

    /// Installs them, languages first: another system package then doesn't install R again.
    ///
    /// `install` makes the script that installs the packages that it gets, with spaces between them.
    ///
    /// ```
    /// use wharf_plugin_sdk::packages::Packages;
    ///
    /// let steps = Packages::new(&[]).steps(|names| format!("dnf install -y {names}\n"));
    /// assert_eq!(steps.len(), 1);
    /// ```
    #[must_use]
    pub fn steps(&self, install: impl Fn(&str) -> String) -> Vec<Step> {
        let mut script = format!("packages=\"{}\"\n", words(&self.languages));
        if !self.python.is_empty() {
            script.push_str(&format!(
                "# An image that brings a Python of its own keeps it.\n\
                 [ -x /usr/local/bin/python3 ] || packages=\"$packages {}\"\n",
                words(&self.python)
            ));
        }
        let alone = self.languages.len() == 1 && self.python.is_empty();
        let title = if alone { "install ca-certificates" } else { "install languages" };
        let mut steps = vec![Step::run(title, script + &install("$packages"))];
        if !self.system.is_empty() {
            steps.push(Step::run("install system packages", install(&words(&self.system))));
        }
        steps
    }
}

fn words(packages: &BTreeSet<String>) -> String {
    packages.iter().map(String::as_str).collect::<Vec<_>>().join(" ")
}
