//! What somebody must know before a component is put in its place.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;
use wharf_components::{
    ComponentSet, ComponentSettingsFile, Gate, Grants, PinnedGrant, Reviewed, World, component_path, need_words,
    plain_words, review,
};
use wharf_model::Fault;

use super::fetch::Fetched;
use super::lock::Lock;
use super::{Distribution, place};
use crate::component::signed_by;

/// What somebody must know before a component is put in its place.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Review {
    /// `policies/NAME` or `plugins/NAME`.
    pub component: String,
    /// Its kind.
    pub world: World,
    /// What it calls its version; none when it can't be started yet.
    pub version: Option<String>,
    /// `sha256:` and the digest of the file.
    pub digest: String,
    /// Bytes.
    pub size: u64,
    /// Where it came from.
    pub source: String,
    /// Who vouches for it.
    pub signed_by: Option<String>,
    /// What it will be allowed, a sentence each: "reads the folder reference-data".
    pub may: Vec<String>,
    /// What it imports, that needs a grant, and that it hasn't been granted.
    pub not_granted: Vec<String>,
    /// The version in force.
    pub before: Option<ReviewedVersion>,
    /// Imports that the one in force doesn't have.
    pub more: Vec<String>,
    /// Imports that the one in force has, and this one hasn't.
    pub less: Vec<String>,
    /// It won't be in force until somebody grants what is new to this digest.
    pub held_back: bool,
    /// What is granted to this file.
    #[serde(skip)]
    pub(super) grants: Grants,
}

/// The version in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReviewedVersion {
    /// What it calls its version.
    pub version: String,
    /// `sha256:` and the digest of its file.
    pub digest: String,
}

impl Review {
    /// What is new in it, a sentence each.
    #[must_use]
    pub fn more_words(&self) -> Vec<String> {
        self.more.iter().map(|need| need_words(need)).collect()
    }
}

impl Distribution {
    /// Looks at what was fetched: whether it is trusted, what it is, what it needs, and how it differs from the one in force. It
    /// is started with its settings when it has all that it needs.
    ///
    /// Blocks: it compiles.
    ///
    /// # Errors
    /// It isn't trusted, or couldn't be loaded where it belongs.
    pub fn review(&self, fetched: &Fetched, grants: &Grants) -> Result<Review, Fault> {
        let gate = self.gate()?;
        let file = fetched.file();
        // Its place is what people know, not where it waits.
        let there = |fault: Fault| Fault { at: None, ..fault };
        let seen = review(&self.engine.with_gate(Gate { trust: gate.trust.clone(), ..Gate::default() }), &file)
            .map_err(there)?;
        let target = self.target(&seen, &fetched.name);
        self.review_at(&target, &seen, &fetched.source, grants, Some(&file), &gate)
    }

    /// Where a component belongs.
    pub(super) fn target(&self, seen: &Reviewed, name: &str) -> PathBuf {
        let folder = match seen.world {
            World::Permission | World::Policy => self.home.policies_dir(),
            _ => self.home.plugins_dir(),
        };
        folder.join(format!("{name}.wasm"))
    }

    /// The same, for a file whose place is known; `staged` is where its bytes are when they aren't there.
    pub(super) fn review_at(
        &self,
        target: &Path,
        seen: &Reviewed,
        source: &str,
        given: &Grants,
        staged: Option<&Path>,
        gate: &Gate,
    ) -> Result<Review, Fault> {
        let component = component_path(target);
        let digest = format!("sha256:{}", seen.digest);
        let lock = Lock::read(&self.home.components_lock())?;
        let toml = settings(target)?;
        let before = self.in_force(target)?;
        let new: Vec<String> = before.as_ref().map_or_else(Vec::new, |before| {
            seen.needs.iter().filter(|need| !before.needs.contains(need)).cloned().collect()
        });
        // What the version in force may, this one may, too; and what was granted to this digest before.
        let carried = before.as_ref().and_then(|before| lock.version(&component, &format!("sha256:{}", before.digest)));
        let own = lock.version(&component, &digest).map(|version| version.grants.clone()).unwrap_or_default();
        let pinned = given.or(&own);
        let grants = carried.map_or_else(|| pinned.clone(), |carried| pinned.or(&carried.grants)).only(&seen.needs);
        let pinned_here = toml.grants.digest.as_deref() == Some(digest.as_str());
        let by_toml = if toml.grants.digest.is_none() || pinned_here { toml.grants.clone() } else { Grants::default() };
        let effective = by_toml.or(&grants);
        let not_granted: Vec<String> = seen.needs.iter().filter(|need| !effective.give(need)).cloned().collect();
        let held_back = new.iter().any(|need| !pinned_here && !pinned.give(need));
        if let Some(useless) = ["clock", "random", "folder", "http"]
            .iter()
            .find(|need| given.give(need) && !seen.needs.iter().any(|has| has == *need))
        {
            return Err(Fault::new(
                "component-grant-useless",
                format!("{component} doesn't import {useless}, so it can't be granted"),
            )
            .hint(if seen.needs.is_empty() {
                "it needs no grant".to_owned()
            } else {
                format!("it imports: {}", seen.needs.join(", "))
            }));
        }
        let mut review = Review {
            component,
            world: seen.world,
            version: None,
            digest,
            size: seen.size,
            source: source.to_owned(),
            signed_by: signed_by(&seen.voucher),
            may: plain_words(&effective.only(&seen.needs)),
            not_granted,
            less: before.as_ref().map_or_else(Vec::new, |before| {
                before.needs.iter().filter(|need| !seen.needs.contains(need)).cloned().collect()
            }),
            more: new,
            before: before
                .map(|before| ReviewedVersion { version: before.version, digest: format!("sha256:{}", before.digest) }),
            held_back,
            grants,
        };
        if review.not_granted.is_empty()
            && !review.held_back
            && let Some(staged) = staged
        {
            review.version = Some(self.try_out(target, staged, &review, gate)?);
        }
        Ok(review)
    }

    /// Starts a staged component as it would be started in its place, and asks for its version.
    fn try_out(&self, target: &Path, staged: &Path, review: &Review, gate: &Gate) -> Result<String, Fault> {
        let failed = |error: std::io::Error| place::unusable(staged, &error);
        let (toml, beside) = (target.with_extension("toml"), staged.with_extension("toml"));
        if toml.is_file() {
            fs::copy(&toml, &beside).map_err(failed)?;
        }
        let pinned = PinnedGrant {
            component: component_path(staged),
            digest: review.digest.trim_start_matches("sha256:").to_owned(),
            grants: review.grants.clone(),
        };
        let gate = Gate { trust: gate.trust.clone(), pinned: vec![pinned], is_trial: true, ..Gate::default() };
        let info = ComponentSet::check(&self.engine.with_gate(gate), staged).map_err(|fault| {
            let about_toml = fault.at.as_ref().is_some_and(|at| at.file == beside);
            let line = fault.at.as_ref().and_then(|at| at.line);
            let settings = matches!(fault.code.as_str(), "component-settings-invalid" | "component-toml-invalid");
            let fault = Fault { at: None, ..fault };
            if about_toml && toml.is_file() {
                fault.at(&toml, line)
            } else if settings {
                fault.hint(format!("write {} with its [settings] first, and install it then", toml.display()))
            } else {
                fault
            }
        })?;
        Ok(info.version)
    }

    /// The version of a component that is in force. One that nobody recorded, since no host ran meanwhile, is looked at now.
    pub(super) fn in_force(&self, target: &Path) -> Result<Option<wharf_components::KeptVersion>, Fault> {
        let keeper = self.keeper(&component_path(target));
        if let Some(version) = keeper.record().in_force() {
            return Ok(Some(version.clone()));
        }
        if !target.is_file() {
            return Ok(None);
        }
        self.accept(target)?;
        Ok(keeper.record().in_force().cloned())
    }

    /// Loads a component in its place, and records that it is in force. That it can't be loaded is no error here.
    pub(super) fn accept(&self, target: &Path) -> Result<Option<Fault>, Fault> {
        match ComponentSet::check(&self.engine.with_gate(self.gate()?), target) {
            Ok(info) => {
                let toml = fs::read_to_string(target.with_extension("toml")).unwrap_or_default();
                let recorded = self.keeper(&component_path(target)).put_in_force(&info, &toml);
                recorded.map_err(|error| place::unusable(target, &error))?;
                Ok(None)
            }
            Err(fault) => Ok(Some(fault)),
        }
    }
}

fn settings(target: &Path) -> Result<ComponentSettingsFile, Fault> {
    let file = target.with_extension("toml");
    match fs::read_to_string(&file) {
        Ok(text) => ComponentSettingsFile::read(&file, &text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(ComponentSettingsFile::default()),
        Err(error) => Err(place::unusable(&file, &error)),
    }
}
