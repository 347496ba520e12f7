//! What changes the components of a home.

use std::path::{Path, PathBuf};

use chrono::{SecondsFormat, Utc};
use serde::Serialize;
use wharf_components::{Gate, Grants, component_path, review};
use wharf_model::Fault;

use super::fetch::Fetched;
use super::lock::{Lock, LockedVersion};
use super::review::Review;
use super::{Distribution, place};

/// What came of a change.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Installed {
    /// The file.
    pub file: PathBuf,
    /// What was known before.
    pub review: Review,
    /// The one that was in force before stays so, until somebody grants what this one needs.
    pub held_back: bool,
}

impl Distribution {
    /// Puts what was fetched and looked at in its place. With `replace`, one of its name must be there; else none may be.
    ///
    /// # Errors
    /// There is one, or none; it lacks grants; or the files can't be changed: then nothing has.
    pub fn put(&self, fetched: &Fetched, review: &Review, replace: bool) -> Result<Installed, Fault> {
        let _held = place::hold(&self.home)?;
        let target = self.home.root().join(format!("{}.wasm", review.component));
        match (target.is_file(), replace) {
            (true, false) => {
                return Err(Fault::new(
                    "component-exists",
                    format!("there is a component {} already", review.component),
                )
                .at(&target, None)
                .hint(format!("`wharf component upgrade {} SOURCE` puts another version in its place", fetched.name)));
            }
            (false, true) => {
                return Err(Fault::new("component-not-found", format!("there is no component {}", review.component))
                    .hint("`wharf component install` puts a new one there"));
            }
            _ => {}
        }
        if !replace && let Some(need) = review.not_granted.first() {
            let message = format!("it imports {}, which it wasn't granted", review.not_granted.join(", "));
            let argument = if need == "folder" { "folder=PATH".to_owned() } else { need.clone() };
            return Err(Fault::new("component-import-not-granted", message).hint(format!(
                "if it may have that: `--grant {argument}`, or [grants] in {}",
                target.with_extension("toml").display()
            )));
        }
        // The line first: it says something of this digest alone, and without it what was granted isn't.
        self.note(review)?;
        place::put(&fetched.file(), &target)?;
        self.settle(target, review)
    }

    /// Grants something to the file that is in a component's place now, and to no other.
    ///
    /// # Errors
    /// There is no such component, it doesn't import that, or can't be loaded for another reason.
    pub fn review_grant(&self, name: &str, grants: &Grants) -> Result<Review, Fault> {
        let target = self.find(name)?;
        let gate = self.gate()?;
        let seen = review(&self.engine.with_gate(Gate { trust: gate.trust.clone(), ..Gate::default() }), &target)?;
        let lock = Lock::read(&self.home.components_lock())?;
        let digest = format!("sha256:{}", seen.digest);
        let source = lock.version(&component_path(&target), &digest).map(|version| version.source.clone());
        let source = source.unwrap_or_else(|| "put there by hand".to_owned());
        self.review_at(&target, &seen, &source, grants, None, &gate)
    }

    /// Does what [`review_grant`](Self::review_grant) showed.
    ///
    /// # Errors
    /// The lock file can't be written.
    pub fn grant(&self, review: &Review) -> Result<Installed, Fault> {
        let _held = place::hold(&self.home)?;
        self.note(review)?;
        self.settle(self.home.root().join(format!("{}.wasm", review.component)), review)
    }

    /// A kept version of a component, on its way back: the newest that isn't in its place, or the one whose digest begins so.
    ///
    /// # Errors
    /// There is no such component or version.
    pub fn fetch_kept(&self, name: &str, digest: Option<&str>) -> Result<Fetched, Fault> {
        let target = self.find(name)?;
        let component = component_path(&target);
        let keeper = self.keeper(&component);
        let record = keeper.record();
        let lock = Lock::read(&self.home.components_lock())?;
        let gate = Gate::default();
        let now = review(&self.engine.with_gate(gate), &target).map(|seen| seen.digest).unwrap_or_default();
        let wanted = digest.map(|digest| digest.trim_start_matches("sha256:"));
        let version = record.versions.iter().find(|version| match wanted {
            Some(wanted) => version.digest.starts_with(wanted) && !wanted.is_empty(),
            None => version.digest != now,
        });
        let Some(version) = version.filter(|version| keeper.file(&version.digest).is_file()) else {
            let kept: Vec<String> =
                record.versions.iter().map(|kept| format!("{} (sha256:{:.12})", kept.version, kept.digest)).collect();
            return Err(Fault::new("component-not-found", format!("no other version of {component} is kept"))
                .hint(format!("kept: {}", if kept.is_empty() { "none".to_owned() } else { kept.join(", ") })));
        };
        let source =
            lock.version(&component, &format!("sha256:{}", version.digest)).map(|version| version.source.clone());
        let name = target.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let stage = place::stage(&self.home)?;
        let fetched = Fetched { stage, name, source: source.unwrap_or_else(|| "kept".to_owned()) };
        let from = keeper.file(&version.digest);
        place::copy(&from, &fetched.file()).map_err(|error| place::unusable(&from, &error))?;
        Ok(fetched)
    }

    /// Where a newer version of a component would come from.
    ///
    /// # Errors
    /// It isn't there, or was put there by hand.
    pub fn source_of(&self, name: &str) -> Result<String, Fault> {
        let component = component_path(&self.find(name)?);
        let lock = Lock::read(&self.home.components_lock())?;
        let source = lock.component(&component).and_then(|component| component.versions.first());
        let source = source
            .map(|version| version.source.clone())
            .filter(|source| source.contains("://") || Path::new(source).is_file());
        let source = source.ok_or_else(|| {
            Fault::new("component-source-missing", format!("it isn't known where {component} came from"))
                .hint(format!("`wharf component upgrade {name} SOURCE` says it"))
        })?;
        // The tag may mean another manifest by now.
        Ok(source
            .split_once('@')
            .filter(|_| source.starts_with("oci://"))
            .map_or(source.clone(), |(tag, _)| tag.to_owned()))
    }

    /// Lets a component in as it is now, whatever came of its trial.
    ///
    /// # Errors
    /// There is none of this name.
    pub fn release(&self, name: &str) -> Result<PathBuf, Fault> {
        let rule = |folder: PathBuf| folder.join(name).with_extension("toml");
        let target = self.find(name).or_else(|fault| {
            // A rule that uses another's `.wasm`.
            let rules = [rule(self.home.policies_dir()), rule(self.home.plugins_dir())];
            rules.into_iter().find(|file| file.is_file()).ok_or(fault)
        })?;
        let _held = place::hold(&self.home)?;
        crate::canary::release(&self.home, &target)?;
        Ok(target)
    }

    /// Removes a component, and what was granted to it. Its TOML file stays: somebody wrote it.
    ///
    /// # Errors
    /// There is none, or nothing would run without it.
    pub fn remove(&self, name: &str) -> Result<PathBuf, Fault> {
        let target = self.find(name)?;
        let component = component_path(&target);
        let bare = target.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let needed = |who: &str, what: &str| {
            Fault::new("component-needed", format!("{who} needs {component}"))
                .hint(format!("take it out of {what} first"))
        };
        if self.home.load_site()?.required_policies.contains(&bare) {
            return Err(needed("wharf.toml", "`required_policies`"));
        }
        for (name, configuration) in self.home.load_configurations()? {
            if configuration.is_ok_and(|configuration| configuration.checks.contains(&bare)) {
                return Err(needed(&format!("the execution configuration {name}"), "its `checks`"));
            }
        }
        let _held = place::hold(&self.home)?;
        place::remove(&target)?;
        let mut lock = Lock::read(&self.home.components_lock())?;
        if lock.component(&component).is_some() {
            lock.remove(&component);
            lock.write(&self.home.components_lock())?;
        }
        self.keeper(&component).forget().map_err(|error| place::unusable(&target, &error))?;
        Ok(target)
    }

    /// Writes the line of a component into the lock file.
    fn note(&self, review: &Review) -> Result<(), Fault> {
        let file = self.home.components_lock();
        let mut lock = Lock::read(&file)?;
        let known = lock.version(&review.component, &review.digest).cloned();
        lock.put(
            &review.component,
            LockedVersion {
                digest: review.digest.clone(),
                version: review.version.clone().or_else(|| known.and_then(|known| known.version)),
                source: review.source.clone(),
                signed_by: review.signed_by.clone(),
                installed: Utc::now().to_rfc3339_opts(SecondsFormat::Secs, true),
                grants: review.grants.clone(),
            },
        );
        lock.write(&file)
    }

    /// Sees what the host will make of a file in its place.
    fn settle(&self, target: PathBuf, review: &Review) -> Result<Installed, Fault> {
        let held_back = match self.accept(&target)? {
            None => false,
            Some(fault) if matches!(fault.code.as_str(), "component-held-back" | "component-import-not-granted") => {
                true
            }
            Some(fault) => return Err(fault),
        };
        let mut review = review.clone();
        if !held_back && review.version.is_none() {
            let record = self.keeper(&review.component).record();
            review.version = record.in_force().map(|version| version.version.clone());
            self.note(&review)?;
        }
        Ok(Installed { file: target, review, held_back })
    }
}
