//! A code environment as a run needs it: its settings, and what an earlier build of it got.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use wharf_images::{EnvironmentPlan, Images, Lock, ReadyImage};
use wharf_model::image::CodeEnvironment;
use wharf_model::{Activity, ContentKey, Fault, Job, JobEnvironment};

use crate::conclude::sentence_of;
use crate::settings::{CodeEnvSettings, Home};

/// What stands before the keys of a lock.
const HEADER: &str = "# What the last build of this code environment got. wharf writes this file: to have the packages looked at again,\n\
                      # remove it.\n";

/// A code environment over one base image.
pub(crate) struct Environment {
    pub(crate) spec: CodeEnvironment,
    /// What earlier builds got, by content keys.
    pub(crate) locks: Vec<Lock>,
    /// Its unpinned packages are due to be looked at again.
    pub(crate) refresh: bool,
    /// The file with its requirements, as people know it.
    pub(crate) file: String,
    /// Where its lock is.
    pub(crate) lock_file: PathBuf,
}

/// `code-envs/NAME/locks/BASE.toml`.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct LockFile {
    /// The content key of what was built.
    key: String,
    /// How often the packages have been looked at again.
    generation: u32,
    /// When they were looked at last: RFC 3339.
    resolved_at: String,
    /// `name==version`.
    packages: Vec<String>,
    /// What the same generation got where the base image has another key: on an engine that has another image under its `from`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    elsewhere: Vec<LockedElsewhere>,
}

/// What another build of the same generation got.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct LockedElsewhere {
    key: String,
    packages: Vec<String>,
}

/// How many of those are kept.
const ELSEWHERE: usize = 8;

/// Held while a lock is read and written again: builds for two engines may end at the same time.
static WRITING: Mutex<()> = Mutex::new(());

/// Reads a code environment for a base image.
///
/// Packages that aren't pinned keep the versions of the last build, until `refresh_after` has passed: then they are looked at
/// again, as the next generation.
pub(crate) fn load(home: &Home, name: &str, base: &str) -> Result<(CodeEnvSettings, Environment), Fault> {
    let settings = home.load_code_env(name)?;
    let lock_file = home.code_env_lock(name, base);
    let lock = read(&lock_file)?;
    let mut spec = settings.environment.clone();
    let mut refresh = false;
    if let Some(lock) = &lock {
        refresh = !settings.hashed && settings.refresh_after.is_some_and(|after| lock.is_older_than(after));
        spec.generation = lock.generation.saturating_add(u32::from(refresh));
    }
    let locks = lock.map(LockFile::known).unwrap_or_default();
    let file = settings.requirements_file.clone();
    Ok((settings, Environment { spec, locks, refresh, file, lock_file }))
}

/// The code environment of a run: the one that its activity names, else the one that its recipe brings along.
pub(crate) fn of_run(home: &Home, activity: &Activity, job: &Job, base: &str) -> Result<Option<Environment>, Fault> {
    match (&activity.code_env, &job.environment) {
        (Some(name), _) => load(home, name, base).map(|(_, environment)| Some(environment)),
        (None, Some(asked)) => of_job(home, asked, base).map(Some),
        (None, None) => Ok(None),
    }
}

/// The code environment that a recipe brings along, for a base image. It keeps the versions of its last build.
fn of_job(home: &Home, asked: &JobEnvironment, base: &str) -> Result<Environment, Fault> {
    let mut spec = asked.environment.clone();
    let lock_file = home.plugin_lock(&spec.name, base);
    let lock = read(&lock_file)?;
    spec.generation = lock.as_ref().map_or(0, |lock| lock.generation);
    let locks = lock.map(LockFile::known).unwrap_or_default();
    Ok(Environment { spec, locks, refresh: false, file: asked.file.clone(), lock_file })
}

/// Writes down what a build got, unless that is written already. Where it can't be written, the next build may get other
/// versions, which is said and stops nothing.
pub(crate) async fn write_lock(environment: &EnvironmentPlan, images: &Images, image: &ReadyImage) {
    let Some(key) = &image.keys.environment else { return };
    let (spec, path) = (&environment.spec, &environment.lock_file);
    let is_written = |lock: &LockFile| lock.generation == spec.generation && lock.has(key);
    if read(path).is_ok_and(|lock| lock.as_ref().is_some_and(is_written)) {
        return;
    }
    let packages = match images.locked_packages(image).await {
        Ok(packages) => packages.unwrap_or_default(),
        Err(error) => {
            tracing::warn!(code_env = spec.name, error = %sentence_of(&error), "its packages can't be read back");
            return;
        }
    };
    let packages = packages.lines().map(str::to_owned).filter(|line| !line.is_empty()).collect();
    let _writing = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
    let before = read(path).ok().flatten();
    let lock = LockFile::after(before, key, spec.generation, packages);
    if let Err(error) = put(path, &lock) {
        tracing::warn!(file = %path.display(), %error, "the lock of a code environment can't be written");
    }
}

/// The packages that the last build for a base image got, and when: that of this content key, where it is known.
pub(crate) fn locked(
    home: &Home,
    name: &str,
    base: &str,
    key: Option<&str>,
) -> Result<Option<(Vec<String>, String)>, Fault> {
    Ok(read(&home.code_env_lock(name, base))?.map(|lock| {
        let elsewhere = lock.elsewhere.into_iter().find(|other| Some(other.key.as_str()) == key);
        (elsewhere.map_or(lock.packages, |other| other.packages), lock.resolved_at)
    }))
}

impl LockFile {
    fn known(self) -> Vec<Lock> {
        let own = LockedElsewhere { key: self.key, packages: self.packages };
        let lock = |one: LockedElsewhere| {
            Some(Lock { key: ContentKey::read(&one.key)?, packages: one.packages.join("\n") + "\n" })
        };
        std::iter::once(own).chain(self.elsewhere).filter_map(lock).collect()
    }

    fn has(&self, key: &ContentKey) -> bool {
        self.key == key.as_str() || self.elsewhere.iter().any(|other| other.key == key.as_str())
    }

    /// What stands there after one more build. What other keys of the same generation got stays.
    fn after(before: Option<Self>, key: &ContentKey, generation: u32, packages: Vec<String>) -> Self {
        let mut elsewhere = Vec::new();
        if let Some(before) = before.filter(|before| before.generation == generation) {
            elsewhere.push(LockedElsewhere { key: before.key, packages: before.packages });
            elsewhere.extend(before.elsewhere);
            elsewhere.retain(|other| other.key != key.as_str());
            elsewhere.truncate(ELSEWHERE);
        }
        let resolved_at = Utc::now().to_rfc3339_opts(SecondsFormat::Secs, true);
        Self { key: key.to_string(), generation, resolved_at, packages, elsewhere }
    }

    /// A time that can't be read is as old as can be.
    fn is_older_than(&self, age: Duration) -> bool {
        match DateTime::parse_from_rfc3339(&self.resolved_at) {
            Ok(at) => Utc::now().signed_duration_since(at).to_std().is_ok_and(|passed| passed >= age),
            Err(_) => true,
        }
    }
}

fn read(path: &Path) -> Result<Option<LockFile>, Fault> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(bad(path, &error.to_string())),
    };
    toml::from_str(&text).map(Some).map_err(|error: toml::de::Error| bad(path, error.message()))
}

fn bad(path: &Path, reason: &str) -> Fault {
    Fault::new("code-env-invalid", format!("the lock of a code environment can't be read: {reason}"))
        .at(path.to_owned(), None)
        .hint("put back a copy, or remove it: then the packages that aren't pinned are looked at again")
}

/// Renamed into place, so that a crash leaves either the old one or the new one.
fn put(path: &Path, lock: &LockFile) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let readable = std::fs::Permissions::from_mode(0o644);
    let mut file = tempfile::Builder::new().permissions(readable).tempfile_in(folder)?;
    let text = toml::to_string(lock).map_err(std::io::Error::other)?;
    file.write_all(format!("{HEADER}{text}").as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(path).map(drop).map_err(|error| error.error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::fixture::Fixture;

    fn lock(days_ago: i64) -> LockFile {
        LockFile {
            key: "ab".repeat(32),
            generation: 4,
            resolved_at: (Utc::now() - chrono::TimeDelta::days(days_ago)).to_rfc3339(),
            packages: vec!["pandas==2.2.3".to_owned(), "six==1.17.0".to_owned()],
            elsewhere: Vec::new(),
        }
    }

    #[test]
    fn a_lock_holds_until_it_is_due() {
        let fixture = Fixture::new();
        fixture
            .write("code-envs/ml/env.toml", "language = \"python\"\npackages = [\"six\"]\nrefresh_after = \"30d\"\n");
        let home = fixture.home();
        let load = || load(&home, "ml", "python-r").expect("sound").1;
        let fresh = load();
        assert_eq!((fresh.spec.generation, fresh.refresh, fresh.locks.len()), (0, false, 0));

        put(&home.code_env_lock("ml", "python-r"), &lock(29)).expect("written");
        let held = load();
        assert_eq!((held.spec.generation, held.refresh), (4, false));
        let [lock_of] = held.locks.as_slice() else { panic!("{:?}", held.locks) };
        assert_eq!(lock_of.packages, "pandas==2.2.3\nsix==1.17.0\n");
        let shown = locked(&home, "ml", "python-r", None).expect("readable").expect("there");
        assert_eq!(shown.0, lock(29).packages);

        put(&home.code_env_lock("ml", "python-r"), &lock(31)).expect("written");
        let due = load();
        assert_eq!((due.spec.generation, due.refresh), (5, true));
        // Another base image has packages of its own.
        assert_eq!(super::load(&home, "ml", "other").expect("sound").1.spec.generation, 0);
    }

    #[test]
    fn two_engines_with_different_bases_keep_each_its_versions() {
        let fixture = Fixture::new();
        fixture.write("code-envs/ml/env.toml", "language = \"python\"\npackages = [\"six\"]\n");
        let home = fixture.home();
        let path = home.code_env_lock("ml", "python-r");
        let key = |of: &str| ContentKey::of([("test", of.as_bytes())]);
        let build = |of: &str, generation: u32, version: &str| {
            let before = read(&path).expect("readable");
            let lock = LockFile::after(before, &key(of), generation, vec![format!("six=={version}")]);
            put(&path, &lock).expect("written");
        };
        let kept = || {
            let locks = load(&home, "ml", "python-r").expect("sound").1.locks;
            locks.into_iter().map(|lock| (lock.key, lock.packages)).collect::<Vec<_>>()
        };
        build("near", 0, "1.16.0");
        build("far", 0, "1.17.0");
        assert_eq!(kept(), [(key("far"), "six==1.17.0\n".to_owned()), (key("near"), "six==1.16.0\n".to_owned())]);
        let of =
            |of: &str| locked(&home, "ml", "python-r", Some(key(of).as_str())).expect("readable").expect("there").0;
        assert_eq!((of("near"), of("far")), (vec!["six==1.16.0".to_owned()], vec!["six==1.17.0".to_owned()]));
        // The next generation begins anew.
        build("near", 1, "1.18.0");
        assert_eq!(kept(), [(key("near"), "six==1.18.0\n".to_owned())]);
    }

    #[test]
    fn what_has_its_hashes_is_never_due() {
        let fixture = Fixture::new();
        fixture.write(
            "code-envs/ml/env.toml",
            "language = \"python\"\ninstall_core_packages = false\nrefresh_after = \"1d\"\n",
        );
        fixture.write("code-envs/ml/requirements.txt", "six==1.17.0 --hash=sha256:00\n");
        let home = fixture.home();
        put(&home.code_env_lock("ml", "python-r"), &lock(400)).expect("written");
        let (_, environment) = load(&home, "ml", "python-r").expect("sound");
        assert_eq!((environment.spec.generation, environment.refresh), (4, false));
    }

    #[test]
    fn a_lock_that_is_damaged_is_named() {
        let fixture = Fixture::new();
        fixture.write("code-envs/ml/env.toml", "language = \"python\"\n");
        fixture.write("code-envs/ml/locks/python-r.toml", "key = 3\n");
        let fault = load(&fixture.home(), "ml", "python-r").map(drop).expect_err("damaged");
        assert_eq!(fault.code, "code-env-invalid");
        assert!(fixture.spell(&fault).starts_with("code-envs/ml/locks/python-r.toml: the lock"), "{fault}");
    }
}
