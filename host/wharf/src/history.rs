//! How long a home remembers: its record store when it is opened, and the end of what is too old.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use wharf_model::Fault;

use crate::conclude::sentence_of;
use crate::doctor::{bad, ok, warning};
use crate::host::{Inner, store_fault};
use crate::journal::millis;
use crate::message::Finding;
use crate::settings::{Home, OnDamage, Site};
use crate::store::{Health, Store, StoreError, damage, open_or_put_aside};

/// How often what is too old is looked for.
const DAILY: Duration = Duration::from_secs(86_400);
/// How many runs are forgotten in one transaction.
const RUNS: u32 = 100;

/// Opens the record store. A damaged one is put aside, if `wharf.toml` doesn't say otherwise.
pub(crate) fn open_store(home: &Home, site: &Site) -> Result<Store, Fault> {
    let file = home.store_file();
    match site.history.on_damage {
        OnDamage::Refuse => Store::open(&file),
        OnDamage::PutAside => open_or_put_aside(&file, &home.logs_dir()).map(|(store, _)| store),
    }
    .map_err(|error| store_fault(&error))
}

/// Forgets what is too old, now and once a day, until the home is given up.
pub(crate) async fn keep_swept(host: Arc<Inner>) {
    loop {
        let swept = Arc::clone(&host);
        match tokio::task::spawn_blocking(move || swept.sweep()).await {
            Ok(Ok(())) => {}
            Ok(Err(fault)) => tracing::warn!(%fault, "what is too old stays until tomorrow"),
            Err(_) => tracing::warn!("what is too old stays until tomorrow: the sweep failed"),
        }
        if host.leaving().run_until_cancelled(tokio::time::sleep(DAILY)).await.is_none() {
            return;
        }
    }
}

impl Inner {
    /// Forgets runs that ended long ago, in steps between which others write, and removes old logs.
    fn sweep(&self) -> Result<(), Fault> {
        let history = self.home().load_site()?.history;
        let failed = |error: StoreError| store_fault(&error);
        let now = SystemTime::now();
        let before = |kept: Duration| now.checked_sub(kept).map_or(0, millis);
        let mut gone = 0;
        while !self.leaving().is_cancelled() {
            let runs = self.store().ended_before(before(history.keep), RUNS).map_err(failed)?;
            if runs.is_empty() {
                break;
            }
            // The log goes first, so that a crash in between leaves none that nobody knows.
            for run in &runs {
                remove_log(&self.log_path(run));
            }
            gone += self.store().forget_runs(&runs).map_err(failed)?;
        }
        if gone > 0 {
            tracing::info!(runs = gone, "runs that ended long ago are forgotten");
            while !self.leaving().is_cancelled() && self.store().give_back().map_err(failed)? {}
        }
        self.sweep_logs(now.checked_sub(history.keep_logs).unwrap_or(SystemTime::UNIX_EPOCH))
    }

    /// Removes old logs of runs that ended before a time, or that no record knows.
    fn sweep_logs(&self, before: SystemTime) -> Result<(), Fault> {
        for entry in std::fs::read_dir(self.home().logs_dir()).into_iter().flatten().flatten() {
            if self.leaving().is_cancelled() {
                break;
            }
            // Nobody writes to a log after the run's end, so a young file needs no question.
            if !entry.metadata().and_then(|data| data.modified()).is_ok_and(|at| at < before) {
                continue;
            }
            let path = entry.path();
            let run = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
            if !self.store().is_recent(run, millis(before)).map_err(|error| store_fault(&error))? {
                remove_log(&path);
            }
        }
        Ok(())
    }

    /// Whether the record store is sound, and what became of one that wasn't.
    pub(crate) fn look_at_records(&self, findings: &mut Vec<Finding>) {
        const RECORDS: &str = "records";
        let file = self.home().store_file();
        match self.store().health() {
            Health::Sound => findings.push(ok(RECORDS, format!("{} is sound", file.display()))),
            Health::Looking => findings.push(ok(
                RECORDS,
                format!("{} is sound as far as it was looked at; the check goes on", file.display()),
            )),
            Health::Damaged(reason) => findings.push(bad(RECORDS, damaged(&file, &reason), Some(self.what_to_do()))),
        }
        for damage in damage::kept(&file) {
            findings.push(warning(RECORDS, damage.sentence(), Some(damage.advice())));
        }
    }

    /// Looks at all of the record store.
    pub(crate) async fn check_records(self: Arc<Self>) -> Result<Vec<Finding>, Fault> {
        let host = Arc::clone(&self);
        let found = tokio::task::spawn_blocking(move || host.store().check_all())
            .await
            .map_err(|_| Fault::new("host-fault", "the check of the record store failed"))?;
        let file = self.home().store_file();
        let found = found.map_err(|error| store_fault(&error))?;
        if found.is_empty() {
            return Ok(vec![ok("records", format!("every page of {} is sound", file.display()))]);
        }
        Ok(found.iter().map(|reason| bad("records", damaged(&file, reason), Some(self.what_to_do()))).collect())
    }

    fn what_to_do(&self) -> String {
        match self.home().load_site().map(|site| site.history.on_damage) {
            Ok(OnDamage::Refuse) => {
                "stop wharf and put a sound copy back; the next opening refuses a damaged one (`on_damage` under [history])"
            }
            _ => "end this process soon: the next one that opens the home puts the file aside and takes over what can be read of it",
        }
        .to_owned()
    }
}

fn damaged(file: &Path, reason: &str) -> String {
    format!("{} is damaged: {}", file.display(), reason.trim())
}

fn remove_log(path: &Path) {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            tracing::warn!(log = %path.display(), error = %sentence_of(&error), "an old log is left");
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::time::Instant;

    use wharf_model::Cause;

    use super::*;
    use crate::conclude::outcome;
    use crate::journal::millis;

    fn now() -> u64 {
        millis(std::time::SystemTime::now())
    }
    use crate::settings::fixture::Fixture;
    use crate::{Access, Host, HostOptions};

    const DAY: u64 = 86_400_000;

    /// A home whose record has runs that ended so many days ago, each with a log that is as old; and a log that no record knows.
    fn home(site: &str, runs: &[(&str, u64)]) -> Fixture {
        let fixture = Fixture::new();
        fixture.write("wharf.toml", &format!("{site}\n[exchange]\nlisten = \"127.0.0.1:0\"\n"));
        let home = fixture.home();
        fs::create_dir_all(home.logs_dir()).unwrap();
        let store = Store::open(&home.store_file()).unwrap();
        let activity = serde_json::json!({ "kind": "python", "requester": { "user": "ana", "groups": [] } });
        let activity = serde_json::from_value(activity).unwrap();
        for (run, days) in runs {
            let at = now() - days * DAY;
            store.begin(run, at, &activity, "small").unwrap();
            store.end(run, at, &outcome(Cause::Succeeded, "the recipe succeeded")).unwrap();
        }
        for (run, days) in runs.iter().copied().chain([("unknown", 400)]) {
            let log = File::create(home.logs_dir().join(format!("{run}.log"))).unwrap();
            log.set_modified(SystemTime::now() - Duration::from_millis(days * DAY)).unwrap();
        }
        fixture
    }

    fn logs(home: &Home) -> Vec<String> {
        let names = fs::read_dir(home.logs_dir()).unwrap().flatten();
        let mut names: Vec<String> = names.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort_unstable();
        names
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_home_forgets_what_is_too_old() {
        let site = "[history]\nkeep = \"10d\"\nkeep_logs = \"2d\"\n";
        let fixture = home(site, &[("older", 12), ("old", 11), ("kept", 5), ("fresh", 1)]);
        let store = Store::open(&fixture.home().store_file()).unwrap();
        let access = Access::Owner(Host::open(fixture.home().root(), HostOptions::default()).await.unwrap());
        let started = Instant::now();
        while logs(&fixture.home()) != ["fresh.log"] && started.elapsed() < Duration::from_secs(20) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(logs(&fixture.home()), ["fresh.log"]);
        let runs: Vec<String> = access.runs(10).await.unwrap().into_iter().map(|run| run.run).collect();
        assert_eq!(runs, ["fresh", "kept"]);
        assert_eq!(store.events("old", 0, 10).unwrap(), []);
        access.shutdown().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_damaged_record_is_told_by_the_doctor() {
        let fixture = home("", &[("a", 1)]);
        let file = fixture.home().store_file();
        fs::write(&file, vec![b'x'; 8192]).unwrap();
        let access = Access::Owner(Host::open(fixture.home().root(), HostOptions::default()).await.unwrap());
        let findings = access.diagnose().await.unwrap();
        let told = findings.iter().find(|finding| finding.text.contains("was damaged")).expect("a finding");
        assert!(told.text.contains("of 2 runs that left a log no record could be read"), "{told:?}");
        assert!(told.hint.as_ref().is_some_and(|hint| hint.contains("a sound copy")), "{told:?}");
        access.shutdown().await;
        fixture.write("wharf.toml", "[history]\non_damage = \"refuse\"\n");
        fs::write(&file, vec![b'x'; 8192]).unwrap();
        let refused = Host::open(fixture.home().root(), HostOptions::default()).await.err().expect("it is damaged");
        assert_eq!(refused.code, "store-damaged");
        assert!(refused.hint.is_some_and(|hint| hint.contains("put-aside")));
    }
}
