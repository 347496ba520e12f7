//! The files of a plugin's code environment: `desc.json` and what lies beside it.

use std::path::Path;

use serde::Deserialize;
use wharf_model::Fault;

use super::{CODE, read};

/// `desc.json` of a plugin's code environment.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Description {
    accepted_python_interpreters: Vec<String>,
    pub(super) install_core_packages: bool,
    force_conda: bool,
}

impl Default for Description {
    fn default() -> Self {
        Self { accepted_python_interpreters: Vec::new(), install_core_packages: true, force_conda: false }
    }
}

impl Description {
    pub(super) fn read(path: &Path) -> Result<Self, Fault> {
        let text = read(path)?.unwrap_or_default();
        let description: Self = serde_json::from_str(&text).map_err(|error| {
            let line = u32::try_from(error.line()).ok();
            Fault::new(CODE, format!("this isn't the description of a code environment: {error}")).at(path, line)
        })?;
        if description.force_conda {
            return Err(Fault::new(CODE, "`forceConda` asks for conda, which wharf doesn't have")
                .at(path, None)
                .hint("list its packages in spec/requirements.txt, and set forceConda to false"));
        }
        Ok(description)
    }

    /// `PYTHON39` is `python3.9`; the newest first, since all of them are accepted.
    pub(super) fn interpreters(&self) -> Vec<String> {
        let version = |name: &String| {
            let digits = name.strip_prefix("PYTHON")?;
            let (major, minor) = digits.split_at_checked(1)?;
            Some((major.parse::<u32>().ok()?, minor.parse::<u32>().ok()?))
        };
        let mut versions: Vec<(u32, u32)> = self.accepted_python_interpreters.iter().filter_map(version).collect();
        versions.sort_unstable_by(|one, other| other.cmp(one));
        versions.dedup();
        versions.into_iter().map(|(major, minor)| format!("python{major}.{minor}")).collect()
    }
}

/// `spec/rPackages.txt`: a package a line, with or without quotes; what comes after a comma is the least version that will do,
/// and CRAN has the newest.
pub(super) fn r_packages(path: &Path) -> Result<Vec<String>, Fault> {
    let text = read(path)?.unwrap_or_default();
    let lines = text.lines().map(|line| line.split(',').next().unwrap_or_default().trim().trim_matches('"').trim());
    Ok(lines.filter(|name| !name.is_empty() && !name.starts_with('#')).map(str::to_owned).collect())
}
