//! The distribution's own packages: what is the same for every package manager.

use std::collections::BTreeSet;

use crate::image::Step;

/// The packages of an image.
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
    #[must_use]
    pub fn new(system: &[String]) -> Self {
        Self {
            languages: BTreeSet::from(["ca-certificates".to_owned()]),
            python: BTreeSet::new(),
            system: system.iter().cloned().collect(),
        }
    }

    /// Adds what a language needs.
    pub fn add(&mut self, packages: &[&str]) {
        self.languages.extend(packages.iter().map(|&package| package.to_owned()));
    }

    /// Adds the distribution's Python.
    pub fn add_python(&mut self, packages: &[&str]) {
        self.python.extend(packages.iter().map(|&package| package.to_owned()));
    }

    /// All of them, for a bootstrap.
    #[must_use]
    pub fn all(&self) -> Vec<String> {
        let all: BTreeSet<&String> = self.languages.iter().chain(&self.python).chain(&self.system).collect();
        all.into_iter().cloned().collect()
    }

    /// Installs them, languages first: another system package then doesn't install R again.
    ///
    /// `install` makes the script that installs the packages that it gets, with spaces between them.
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
