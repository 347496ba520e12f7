//! Debian packages.

use std::collections::BTreeSet;

use wharf_plugin_sdk::image::Step;

use crate::names;

/// The packages of an image.
pub(crate) struct Packages {
    /// What languages need: the same for many images.
    languages: BTreeSet<String>,
    /// Python, unless the image that this one starts from brings its own.
    python: BTreeSet<String>,
    /// What this image asked for.
    system: BTreeSet<String>,
}

impl Packages {
    /// Those that a spec names. ca-certificates is in every image: nothing can be fetched over TLS without.
    pub(crate) fn new(system: &[String]) -> Result<Self, String> {
        for package in system {
            names::debian_package(package)?;
        }
        Ok(Self {
            languages: BTreeSet::from(["ca-certificates".to_owned()]),
            python: BTreeSet::new(),
            system: system.iter().cloned().collect(),
        })
    }

    /// Adds what a language needs.
    pub(crate) fn add(&mut self, packages: &[&str]) {
        self.languages.extend(packages.iter().map(|&package| package.to_owned()));
    }

    /// Adds Debian's Python.
    pub(crate) fn add_python(&mut self, packages: &[&str]) {
        self.python.extend(packages.iter().map(|&package| package.to_owned()));
    }

    /// All of them, for a bootstrap.
    pub(crate) fn all(&self) -> Vec<String> {
        let all: BTreeSet<&String> = self.languages.iter().chain(&self.python).chain(&self.system).collect();
        all.into_iter().cloned().collect()
    }

    /// Installs them, languages first: another system package then doesn't install R again.
    pub(crate) fn steps(&self) -> Vec<Step> {
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

/// A script that installs packages. The lists go in the same step, or they would stay in a layer below.
pub(crate) fn install(packages: &str) -> String {
    format!(
        "export DEBIAN_FRONTEND=noninteractive\n\
         apt-get update\n\
         apt-get install -y --no-install-recommends {packages}\n\
         rm -rf /var/lib/apt/lists/*\n"
    )
}

fn words(packages: &BTreeSet<String>) -> String {
    packages.iter().map(String::as_str).collect::<Vec<_>>().join(" ")
}

/// Has apt fetch from a mirror what it would fetch from Debian's own hosts.
pub(crate) fn mirror_step(mirror: &str, security: Option<&str>) -> Result<Step, String> {
    names::url("the apt mirror", mirror)?;
    let mirror = mirror.trim_end_matches('/');
    let security = match (security, mirror.strip_suffix("/debian")) {
        (Some(security), _) => security.trim_end_matches('/').to_owned(),
        (None, Some(parent)) => format!("{parent}/debian-security"),
        (None, None) => {
            return Err(format!(
                "the apt mirror {mirror} doesn't end in /debian, so where its security updates are isn't known: say it with \
                 security_mirror in image-debian's settings"
            ));
        }
    };
    Ok(Step::run(
        "use the package mirror",
        format!(
            "for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources; do\n  \
               [ -f \"$file\" ] || continue\n  \
               sed -E -i \\\n    \
                 -e 's#https?://[a-z0-9.]+\\.debian\\.org/debian-security/?( |$)#{security}\\1#g' \\\n    \
                 -e 's#https?://[a-z0-9.]+\\.debian\\.org/debian/?( |$)#{mirror}\\1#g' \\\n    \
                 \"$file\"\n\
             done\n"
        ),
    ))
}
