//! The gate of a home: what `wharf.toml`, `components.lock` and the verdicts of trials say of which components are loaded.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::{LazyLock, Mutex, PoisonError};

use sha2::{Digest as _, Sha256};
use wharf_components::Gate;
use wharf_model::Fault;

use crate::canary::Ledger;
use crate::distribution::Lock;
use crate::settings::{Home, Site};

/// The digests of the components that came with this build.
static SHIPPED: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
    wharf_bundle::components().iter().map(|component| hex::encode(Sha256::digest(component.wasm))).collect()
});

/// The gate that the files ask for.
pub(crate) fn of(home: &Home, site: &Site) -> Result<Gate, Fault> {
    Ok(made(home, site, &Lock::read(&home.components_lock())?))
}

fn made(home: &Home, site: &Site, lock: &Lock) -> Gate {
    let mut trust = site.trust.clone();
    if site.trust_shipped {
        trust.shipped.clone_from(&SHIPPED);
    }
    Gate {
        trust,
        pinned: lock.pinned(),
        keep: Some(home.kept_components_dir()),
        cleared: Ledger::read(&home.canary_file()).cleared(),
        is_trial: false,
    }
}

/// The gate of a home whose files may change.
#[derive(Default)]
pub(crate) struct GateFiles {
    last: Mutex<Option<Last>>,
}

struct Last {
    texts: [Option<Vec<u8>>; 3],
    gate: Option<Gate>,
}

impl GateFiles {
    /// What the files say now; none while one of them is wrong: what was before holds then.
    pub(crate) fn now(&self, home: &Home) -> Option<Gate> {
        // Read, not only looked at: two changes within a tick of the file system look the same. All are small.
        let texts = [home.site_file(), home.components_lock(), home.canary_file()].map(|file| bytes(&file));
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = last.as_ref().filter(|last| last.texts == texts) {
            return last.gate.clone();
        }
        let gate = home.load_site().and_then(|site| of(home, &site));
        let gate = gate.inspect_err(|fault| tracing::warn!("the trust of before holds: {fault}")).ok();
        *last = Some(Last { texts, gate: gate.clone() });
        gate
    }
}

fn bytes(file: &Path) -> Option<Vec<u8>> {
    match fs::read(file) {
        Ok(bytes) => Some(bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        // Differs from what was there, and the reader says what is wrong.
        Err(error) => Some(error.to_string().into_bytes()),
    }
}
