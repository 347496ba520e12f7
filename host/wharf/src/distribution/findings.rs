//! What `wharf doctor` says of trust, and of what was installed.

use wharf_components::{ComponentSet, TrustMode, component_path};

use super::Lock;
use crate::message::{Finding, FindingState};
use crate::settings::Home;

/// Who is trusted, and whether what is in its place is what was installed.
pub(crate) fn findings(home: &Home, set: &ComponentSet) -> Vec<Finding> {
    let trust = &set.gate().trust;
    let keys = trust.keys.len() + trust.cosign_keys.len();
    let text = match trust.mode {
        TrustMode::Any => {
            "every file in policies/ and plugins/ is loaded: whoever can write there is trusted".to_owned()
        }
        TrustMode::Digests => format!("only listed files are loaded: {} digests", trust.digests.len()),
        TrustMode::Signed => format!("only signed files are loaded: {keys} keys, {} digests", trust.digests.len()),
    };
    let mut findings = vec![finding("trust", FindingState::Ok, text, None)];
    let lock = match Lock::read(&home.components_lock()) {
        Ok(lock) => lock,
        Err(fault) => {
            findings.push(finding("components", FindingState::Bad, fault.to_string(), fault.hint));
            return findings;
        }
    };
    for component in &lock.components {
        let Some(installed) = component.versions.first() else { continue };
        let there = set.components().iter().find(|info| component_path(&info.file) == component.name);
        let failed = set.failures().iter().any(|failure| component_path(&failure.file) == component.name);
        let text = match there {
            // Why it isn't loaded, or isn't the one in its place, is said already.
            _ if failed => continue,
            None => format!("{} was installed, and its file is gone", component.name),
            Some(info) if format!("sha256:{}", info.digest) != installed.digest => {
                format!("{} isn't the file that was installed: it is sha256:{}", component.name, info.digest)
            }
            Some(_) => continue,
        };
        let name = component.name.rsplit('/').next().unwrap_or_default();
        let hint = format!("`wharf component upgrade {name} SOURCE` puts another in its place, and writes it down");
        findings.push(finding("components", FindingState::Warning, text, Some(hint)));
    }
    findings
}

fn finding(name: &str, state: FindingState, text: String, hint: Option<String>) -> Finding {
    Finding { name: name.to_owned(), state, text, hint }
}
