use std::fs;
use std::time::Duration;

use wharf_components::{Engine, EngineOptions};
use wharf_model::Mode;

use super::*;
use crate::access::Access;
use crate::distribution::Distribution;
use crate::host::HostOptions;
use crate::message::{ComponentReport, ComponentSummary};
use crate::replay::tests::record_all;

const NAME: &str = "resource-ceiling";

/// A home whose ceiling is a canary, with 60 recorded runs: of those that had a plan, 8 GiB passed and 16 GiB didn't.
struct Site {
    dir: tempfile::TempDir,
}

impl Site {
    fn new() -> Self {
        let site = Self { dir: tempfile::tempdir().unwrap() };
        let home = site.home();
        fs::create_dir_all(home.policies_dir()).unwrap();
        fs::create_dir_all(home.store_file().parent().unwrap()).unwrap();
        fs::write(home.site_file(), "").unwrap();
        for component in wharf_bundle::components().iter().filter(|component| component.home_folder() == "policies") {
            fs::write(home.policies_dir().join(format!("{}.wasm", component.name)), component.wasm).unwrap();
        }
        site.ceiling("8g");
        record_all(&Store::open(&home.store_file()).unwrap(), 60);
        site
    }

    fn home(&self) -> Home {
        Home::at(self.dir.path().join("home"))
    }

    fn file(&self, extension: &str) -> PathBuf {
        self.home().policies_dir().join(NAME).with_extension(extension)
    }

    /// Replaces the settings, as an editor does.
    fn ceiling(&self, memory: &str) {
        let fresh = self.file("new");
        fs::write(&fresh, format!("canary = true\n[settings.ceilings]\nmemory = \"{memory}\"\n")).unwrap();
        fs::rename(fresh, self.file("toml")).unwrap();
    }

    async fn open(&self) -> Access {
        Access::open(self.home().root(), HostOptions::default()).await.unwrap()
    }

    fn release(&self) {
        Distribution::open(self.home().root(), None).unwrap().release(NAME).unwrap();
    }

    /// As a process that begins now finds it.
    fn set(&self) -> ComponentSet {
        let home = self.home();
        let gate = crate::gate::of(&home, &home.load_site().unwrap()).unwrap();
        let options =
            EngineOptions { cache_dir: Some(home.cache_dir().join("components")), ..EngineOptions::default() };
        ComponentSet::load(&Engine::new(options).unwrap().with_gate(gate), &[home.policies_dir()])
    }
}

async fn wait(access: &Access, what: &str, is_so: impl Fn(&ComponentReport) -> bool) -> ComponentReport {
    for _ in 0..300 {
        let report = access.components().await.unwrap();
        if is_so(&report) {
            return report;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{what}: {:?}", access.components().await.unwrap());
}

fn loaded(report: &ComponentReport) -> Option<&ComponentSummary> {
    report.loaded.iter().find(|component| component.name == NAME)
}

#[tokio::test]
async fn what_flips_runs_is_held_back_until_somebody_lets_it_in() {
    let site = Site::new();
    let access = site.open().await;
    let before = wait(&access, "in force", |report| loaded(report).is_some() && report.failed.is_empty()).await;
    let before = loaded(&before).unwrap().settings_digest.clone();
    site.ceiling("4g");
    let held = |report: &ComponentReport| report.failed.iter().any(|failed| failed.fault.code == HELD_BACK);
    let report = wait(&access, "held back", held).await;
    let said = report.failed[0].fault.to_string();
    assert!(said.contains("it flips ") && said.contains(" refused), such as "), "{said}");
    assert!(report.held_back.is_some() && report.failed[0].older_works);
    assert_eq!(loaded(&report).unwrap().settings_digest, before);
    access.shutdown().await;

    // The next process judges by what was in force, too.
    let access = site.open().await;
    let report = access.components().await.unwrap();
    assert!(held(&report), "{report:?}");
    assert_eq!(loaded(&report).unwrap().settings_digest, before);
    site.release();
    let report = wait(&access, "let in", |report| report.failed.is_empty()).await;
    assert_ne!(loaded(&report).unwrap().settings_digest, before);
    access.shutdown().await;
}

#[tokio::test]
async fn what_flips_nothing_comes_in_by_itself_unless_its_own_cases_fail() {
    let site = Site::new();
    let access = site.open().await;
    let before = wait(&access, "in force", |report| loaded(report).is_some() && report.failed.is_empty()).await;
    let before = loaded(&before).unwrap().settings_digest.clone();
    // Between 8 and 16 GiB there is no run.
    site.ceiling("9g");
    let other = |report: &ComponentReport| loaded(report).is_some_and(|now| now.settings_digest != before);
    let report = wait(&access, "another in force", other).await;
    assert!(report.failed.is_empty(), "{report:?}");
    let case = site.file("cases").join("small");
    fs::create_dir_all(&case).unwrap();
    fs::write(case.join("plan.json"), "{}").unwrap();
    fs::write(case.join("expected.json"), "{ \"reject\": [] }").unwrap();
    site.ceiling("10g");
    let held = |report: &ComponentReport| report.failed.iter().any(|failed| failed.fault.code == HELD_BACK);
    let report = wait(&access, "held back", held).await;
    let said = report.failed[0].fault.to_string();
    assert!(said.contains("of its 1 cases 1 failed: small"), "{said}");
    access.shutdown().await;
}

#[tokio::test]
async fn what_fails_too_often_is_taken_back() {
    let site = Site::new();
    let digest = |set: &ComponentSet| {
        set.components().iter().find(|info| info.name == NAME).map(|info| info.settings_digest.clone())
    };
    site.release();
    let first = digest(&site.set()).unwrap();
    site.ceiling("4g");
    assert_eq!(digest(&site.set()), Some(first.clone()), "not in force before its trial");
    site.release();
    let set = site.set();
    assert_ne!(digest(&set), Some(first.clone()));
    let trials = Trials::default();
    let failed = Decision {
        step: "policy".to_owned(),
        component: NAME.to_owned(),
        version: "0.1.0".to_owned(),
        digest: String::new(),
        settings_digest: String::new(),
        micros: 1,
        mode: Mode::Enforce,
        votes: None,
        judgement: Judgement::Error { message: "it trapped".to_owned(), ignored: false },
    };
    let rules = CanaryRules { max_failures: 2, ..CanaryRules::default() };
    for _ in 0..2 {
        trials.count(&site.home(), rules, &set, &failed);
    }
    assert_eq!(digest(&site.set()), digest(&set), "twice may be");
    trials.count(&site.home(), rules, &set, &failed);
    let now = site.set();
    assert_eq!(digest(&now), Some(first));
    let reason = fs::read_to_string(site.file("taken-back.txt")).unwrap();
    assert!(reason.contains("it failed 3 times within 600 s; the last time: it trapped"), "{reason}");
    let ledger = Ledger::read(&site.home().canary_file());
    assert_eq!(told(&ledger, &now.failures()[0]).code, HELD_BACK);
    // There is nothing before the first: it stays, whatever it does.
    for _ in 0..9 {
        trials.count(&site.home(), rules, &now, &failed);
    }
    assert!(digest(&site.set()).is_some());
}
