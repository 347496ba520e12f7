use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;
use wharf_components::{Engine, EngineOptions};
use wharf_model::decision::{Question, Receipt};
use wharf_model::{Activity, Edit, EventKind, ExecutionConfiguration, Job, Plan, Reason};

use super::*;
use crate::access::Access;
use crate::conclude::outcome;
use crate::host::HostOptions;
use crate::store::RunFilter;

const GIB: u64 = 1 << 30;

/// What a recorded run is, by its number.
pub(crate) struct Made {
    number: u64,
    /// GiB.
    memory: u64,
    user: String,
    configuration: &'static str,
    /// By allowed-groups: it never had a plan.
    refused: bool,
    /// By resource-ceiling, whose ceiling was 8 GiB then.
    rejected: bool,
    /// By a version that kept less.
    old: bool,
}

impl Made {
    fn of(number: u64) -> Self {
        let memory = [1, 2, 4, 8, 16][usize::try_from(number % 5).unwrap()];
        let refused = number % 10 == 3;
        Self {
            number,
            memory,
            user: format!("user-{}", number % 7),
            configuration: if number.is_multiple_of(3) { "large" } else { "small" },
            refused,
            rejected: !refused && memory > 8,
            old: number % 50 == 7,
        }
    }

    fn id(&self) -> String {
        format!("{:032x}", self.number)
    }

    fn activity(&self) -> Activity {
        serde_json::from_value(json!({
            "kind": "python", "code": "print(1)\n".repeat(100),
            "requester": { "user": self.user, "groups": [if self.refused { "guests" } else { "analysts" }] },
            "resources": { "memory": { "bytes": self.memory * GIB } },
        }))
        .unwrap()
    }

    fn configuration(&self) -> ExecutionConfiguration {
        serde_json::from_value(json!({
            "name": self.configuration, "base_image": "base", "registry": null, "resources": {},
            "allowed_groups": ["analysts"], "checks": ["allowed-groups"], "workload_types": [], "security": {},
            "exchange": { "mode": "dial-back", "advertise": null }, "env": {}, "labels": {}, "time_limit": null,
            "engine": { "type": "docker", "host": "unix:///var/run/docker.sock", "runtime": null }
        }))
        .unwrap()
    }

    fn plan(&self) -> Plan {
        let image = serde_json::from_value(json!({
            "name": "base", "origin": { "from": "debian:12" }, "languages": [], "system_packages": [], "mirrors": {},
            "extra_ca": [], "labels": {}, "made_by": "image-debian"
        }))
        .unwrap();
        let file = wharf_model::JobFile {
            path: "recipe.py".to_owned(),
            contents: b"print(1)\n".repeat(100),
            executable: false,
        };
        let job = Job { argv: vec!["python3".to_owned()], files: vec![file], ..Job::default() };
        Plan::new(&self.id(), &self.activity(), job, self.configuration(), image, None)
    }

    /// Records it, through the store's own functions, as the way of a run does.
    fn record(&self, store: &Store, now: u64) {
        let run = self.id();
        let at = now - (10_000 - self.number) * 1_000;
        store.begin(&run, at, &self.activity(), self.configuration).unwrap();
        let decide = |step: &str, component: &str, judgement| {
            let digest = "0".repeat(64);
            let decision = Decision {
                step: step.to_owned(),
                component: component.to_owned(),
                version: "0.1.0".to_owned(),
                digest: digest.clone(),
                settings_digest: digest,
                micros: 20,
                mode: Mode::Enforce,
                votes: None,
                judgement,
            };
            store.append(&run, at, EventKind::Decision(decision)).unwrap();
        };
        let accept = || Judgement::Accept { changes: vec![], limits: vec![], warnings: vec![] };
        let reject = |rule: &str| Judgement::Reject {
            reasons: vec![Reason {
                rule: rule.to_owned(),
                message: "No.".to_owned(),
                field: Some("resources.memory".to_owned()),
            }],
        };
        let ask = |step: &str, component: &str, question: &Question| {
            if !self.old {
                store.ask(&run, step, component, question).unwrap();
            }
        };
        let question = Question::of_permission(&self.activity(), &self.configuration(), &[]);
        ask("permission", "allowed-groups", &question);
        let end = if self.refused {
            decide("permission", "allowed-groups", reject("not-in-group"));
            outcome(Cause::Refused, "refused")
        } else {
            decide("permission", "allowed-groups", accept());
            let plan = self.plan();
            ask("policy", "", &Question::of_policy(&plan, None, &[]));
            ask("policy", "defaults-and-labels", &Question::of_policy(&plan, None, &[]));
            decide("policy", "defaults-and-labels", accept());
            let object = json!({ "Image": "wharf-run/base:1", "HostConfig": { "Memory": self.memory * GIB } });
            ask("policy", "", &Question::of_policy(&plan, Some(&object), &[]));
            ask("policy", "resource-ceiling", &Question::of_policy(&plan, Some(&object), &[]));
            if self.rejected {
                decide("policy", "resource-ceiling", reject("memory-ceiling"));
                outcome(Cause::Rejected, "rejected")
            } else {
                decide("policy", "resource-ceiling", accept());
                store.set_plan(&run, &self.plan()).unwrap();
                outcome(Cause::Succeeded, "the recipe succeeded")
            }
        };
        store.end(&run, at + 500, &end).unwrap();
    }
}

pub(crate) fn record_all(store: &Store, runs: u64) -> Vec<Made> {
    let now = crate::journal::millis(std::time::SystemTime::now());
    let made: Vec<Made> = (0..runs).map(Made::of).collect();
    made.iter().for_each(|made| made.record(store, now));
    made
}

/// The shipped policies, in a folder as a home has it.
struct Policies {
    dir: tempfile::TempDir,
    set: ComponentSet,
}

impl Policies {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("policies");
        fs::create_dir(&folder).unwrap();
        for component in wharf_bundle::components().iter().filter(|component| component.home_folder() == "policies") {
            fs::write(folder.join(format!("{}.wasm", component.name)), component.wasm).unwrap();
        }
        let options = EngineOptions { cache_dir: Some(dir.path().join("cache")), ..EngineOptions::default() };
        let set = ComponentSet::load(&Engine::new(options).unwrap(), &[folder]);
        assert_eq!(set.failures(), []);
        Self { dir, set }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join("policies").join(format!("{name}.wasm"))
    }

    fn candidate(&self, name: &str, toml: &str) -> Candidate {
        let settings = self.dir.path().join("other.toml");
        fs::write(&settings, toml).unwrap();
        Candidate::load(self.set.engine(), &self.file(name), Some(&settings)).unwrap()
    }
}

fn opened(dir: &Path) -> Store {
    Store::open(&dir.join("wharf.db")).unwrap()
}

fn all() -> ReplayRequest {
    ReplayRequest { file: PathBuf::new(), settings: None, filter: RunFilter::default(), limit: None }
}

fn resident() -> u64 {
    let statm = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or_default() * 4 / 1024
}

/// `WHARF_REPLAY_RUNS=5000` measures; with `--nocapture` it prints what it found.
#[tokio::test]
async fn a_stricter_policy_is_counted_run_by_run() {
    let runs = std::env::var("WHARF_REPLAY_RUNS").ok().and_then(|text| text.parse().ok()).unwrap_or(400);
    let policies = Policies::new();
    let dir = tempfile::tempdir().unwrap();
    let store = opened(dir.path());
    let started = Instant::now();
    let made = record_all(&store, runs);
    let recorded = started.elapsed();
    let candidate = policies.candidate("resource-ceiling", "[settings.ceilings]\nmemory = \"4g\"\n");
    let before = resident();
    let steps = std::cell::Cell::new(0);
    let report = Replay::new(&store, &policies.set, &candidate)
        .over(&all(), |done, total| {
            assert!(done <= total && total == runs);
            steps.set(steps.get() + 1);
        })
        .await
        .unwrap();
    let grown = resident().saturating_sub(before);
    let size = fs::metadata(dir.path().join("wharf.db")).unwrap().len() / runs;
    eprintln!(
        "{runs} runs recorded in {recorded:?} ({size} bytes each), replayed in {} ms ({} µs in the component, slowest call {} µs), \
         {grown} MiB more resident",
        report.millis, report.component_micros, report.slowest_micros
    );
    assert_eq!(steps.get(), runs.div_ceil(u64::from(PAGE)));
    let kept = || made.iter().filter(|made| !made.old);
    // 8 GiB was let pass then; 16 GiB was rejected then and now, which is no difference.
    let flips: Vec<&Made> = kept().filter(|made| !made.refused && made.memory == 8).collect();
    assert!(!flips.is_empty());
    assert_eq!(report.effects, Effects { refused: flips.len() as u64, ..Effects::default() });
    assert_eq!(report.replayed, kept().filter(|made| !made.refused).count() as u64);
    assert_eq!(report.failed, 0);
    for (configuration, effects) in &report.by_configuration {
        let expected = flips.iter().filter(|made| made.configuration == configuration).count() as u64;
        assert_eq!(effects.refused, expected, "{configuration}");
    }
    for (user, effects) in &report.by_user {
        assert_eq!(effects.refused, flips.iter().filter(|made| made.user == *user).count() as u64, "{user}");
    }
    let missing: Vec<(&str, u64)> = report.not_replayed.iter().map(|some| (some.why.as_str(), some.runs)).collect();
    let refused = kept().filter(|made| made.refused).count() as u64;
    let old = made.iter().filter(|made| made.old).count() as u64;
    assert_eq!(missing, [(NO_PLAN, refused), (NOT_RECORDED, old)]);
    assert_eq!(report.flips.len() as u64 + report.not_listed, flips.len() as u64);
    let newest = flips.iter().max_by_key(|made| made.number).unwrap();
    assert_eq!(report.flips[0].run, newest.id());
    let Judgement::Reject { reasons } = &report.flips[0].decision.judgement else { panic!("{:?}", report.flips[0]) };
    assert_eq!(reasons[0].rule, "memory-ceiling");
    assert!(grown < 256, "{grown} MiB");
}

#[tokio::test]
async fn a_laxer_policy_lets_pass_what_it_had_rejected() {
    let policies = Policies::new();
    let dir = tempfile::tempdir().unwrap();
    let store = opened(dir.path());
    let made = record_all(&store, 60);
    let candidate = policies.candidate("resource-ceiling", "[settings.ceilings]\nmemory = \"32g\"\n");
    let report = Replay::new(&store, &policies.set, &candidate).over(&all(), |_, _| {}).await.unwrap();
    let allowed = made.iter().filter(|made| made.rejected && !made.old).count() as u64;
    assert_eq!(report.effects, Effects { allowed, ..Effects::default() });
    // Of one user, and the newest alone.
    let filter = RunFilter { user: Some("user-4".to_owned()), ..RunFilter::default() };
    let request = ReplayRequest { filter, limit: Some(3), ..all() };
    let report = Replay::new(&store, &policies.set, &candidate).over(&request, |_, _| {}).await.unwrap();
    assert_eq!(report.runs, 3);
}

#[tokio::test]
async fn edits_and_checks_are_compared_with_those_of_then() {
    let policies = Policies::new();
    let dir = tempfile::tempdir().unwrap();
    let store = opened(dir.path());
    let made = record_all(&store, 60);
    let planned = made.iter().filter(|made| !made.refused && !made.old).count() as u64;
    let refused_by_others = made.iter().filter(|made| made.rejected && !made.old).count() as u64;
    let labels = "[settings.labels]\nteam = \"${user}\"\n";
    let candidate = policies.candidate("defaults-and-labels", labels);
    let report = Replay::new(&store, &policies.set, &candidate).over(&all(), |_, _| {}).await.unwrap();
    assert_eq!(report.effects, Effects { changed: planned, ..Effects::default() });
    assert_eq!(report.fields, [("labels.team".to_owned(), planned)].into());
    assert!(refused_by_others > 0);
    // The same check says the same, of those that it refused, too.
    let candidate = policies.candidate("allowed-groups", "");
    let report = Replay::new(&store, &policies.set, &candidate).over(&all(), |_, _| {}).await.unwrap();
    assert_eq!(
        (report.effects, report.replayed),
        (Effects::default(), made.iter().filter(|made| !made.old).count() as u64)
    );
}

#[test]
fn an_adapter_judges_nothing() {
    let policies = Policies::new();
    let adapter = wharf_bundle::components().iter().find(|component| component.name == "recipe-python").unwrap();
    let file = policies.dir.path().join("adapter.wasm");
    fs::write(&file, adapter.wasm).unwrap();
    let fault = Candidate::load(policies.set.engine(), &file, None).err().unwrap();
    assert_eq!(fault.code, "component-judges-nothing");
    let fault =
        Candidate::load(policies.set.engine(), &policies.file("resource-ceiling"), Some(Path::new("/none.toml")));
    assert_eq!(fault.err().unwrap().code, "file-unreadable");
}

/// Records a run whose memory one policy cut, and then another; a third one only watches.
fn record_edited(store: &Store, run: &str) {
    let mut plan = Made { refused: false, ..Made::of(13) }.plan();
    store.begin(run, 1, &Made::of(13).activity(), "small").unwrap();
    let question = Question::of_permission(&Made::of(13).activity(), &plan.configuration, &[]);
    store.ask(run, "permission", "allowed-groups", &question).unwrap();
    store.ask(run, "policy", "", &Question::of_policy(&plan, None, &[])).unwrap();
    for (component, gib, mode) in
        [("first", 3, Mode::Enforce), ("watching", 1, Mode::Audit), ("second", 2, Mode::Enforce)]
    {
        store.ask(run, "policy", component, &Question::of_policy(&plan, None, &[])).unwrap();
        let edit = Edit::SetResource("memory".to_owned(), wharf_model::Quantity::Bytes(gib * GIB));
        let change = wharf_model::Change { edit, rule: "memory".to_owned(), reason: "Enough.".to_owned() };
        let mut copy = plan.clone();
        let edited = if mode == Mode::Enforce { &mut plan } else { &mut copy };
        let done = edited.apply(&change.edit).into_iter();
        let changes = done.map(|done| Receipt {
            change: change.clone(),
            field: done.field,
            before: done.before,
            after: done.after,
            overrides: None,
        });
        let decision = Decision {
            step: "policy".to_owned(),
            component: component.to_owned(),
            version: "1".to_owned(),
            digest: String::new(),
            settings_digest: String::new(),
            micros: 1,
            mode,
            votes: None,
            judgement: Judgement::Accept { changes: changes.collect(), limits: vec![], warnings: vec![] },
        };
        store.append(run, 1, EventKind::Decision(decision)).unwrap();
    }
}

#[test]
fn each_policy_of_the_past_gets_the_plan_that_it_saw() {
    let policies = Policies::new();
    let dir = tempfile::tempdir().unwrap();
    let store = opened(dir.path());
    let run = Made::of(13).id();
    record_edited(&store, &run);
    let past = rounds(&store, &run).unwrap();
    let [round] = past.as_slice() else { panic!("{} rounds", past.len()) };
    let memory = |plan: &Plan| plan.fields().remove("resources.memory").unwrap();
    let plans: Vec<(&str, String)> = round.plans().map(|asked| (asked.component, memory(asked.plan))).collect();
    let expected = [("", "8g"), ("first", "8g"), ("watching", "3g"), ("second", "3g")];
    assert_eq!(plans, expected.map(|(component, memory)| (component, memory.to_owned())));
    assert_eq!(memory(&round.last_plan().unwrap()), "2g");
    assert!(round.judged().is_none());
    assert!(round.decision("policy", "watching").is_none(), "what is only watched decides nothing");
    // One that isn't among them stands where its order puts it, before those behind it.
    let candidate = policies.candidate("defaults-and-labels", "order = 5");
    for (of_second, expected) in [(4, "2g"), (6, "3g")] {
        let order = |other: &str| (other == "second").then_some(of_second);
        let (plan, _) = round.plan_for(candidate.info(), order).unwrap();
        assert_eq!(memory(&plan), expected);
    }
}

#[test]
fn a_policy_that_moves_a_run_begins_a_round() {
    let dir = tempfile::tempdir().unwrap();
    let store = opened(dir.path());
    let run = Made::of(1).id();
    store.begin(&run, 1, &Made::of(1).activity(), "small").unwrap();
    for (number, mode) in [(1, Mode::Audit), (1, Mode::Enforce), (3, Mode::Enforce)] {
        let made = Made::of(number);
        if mode == Mode::Enforce {
            let question = Question::of_permission(&made.activity(), &made.configuration(), &[]);
            store.ask(&run, "permission", "allowed-groups", &question).unwrap();
            store.ask(&run, "policy", "", &Question::of_policy(&made.plan(), None, &[])).unwrap();
        }
        let edit = Edit::SetExecutionConfiguration("large".to_owned());
        let change = wharf_model::Change { edit, rule: "move".to_owned(), reason: "It is large.".to_owned() };
        let receipt = Receipt {
            change,
            field: "execution-configuration".to_owned(),
            before: Some("small".to_owned()),
            after: Some("large".to_owned()),
            overrides: None,
        };
        let decision = Decision {
            step: "policy".to_owned(),
            component: "mover".to_owned(),
            version: "1".to_owned(),
            digest: String::new(),
            settings_digest: String::new(),
            micros: 1,
            mode,
            votes: None,
            judgement: Judgement::Accept { changes: vec![receipt], limits: vec![], warnings: vec![] },
        };
        store.append(&run, 1, EventKind::Decision(decision)).unwrap();
    }
    let past = rounds(&store, &run).unwrap();
    let found: Vec<(&str, usize)> =
        past.iter().map(|round| (round.permission().unwrap().0.name.as_str(), round.decisions.len())).collect();
    assert_eq!(found, [("small", 2), ("large", 1)]);
}

#[tokio::test]
async fn other_settings_are_tried_on_one_run() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("home");
    fs::create_dir_all(home.join("policies")).unwrap();
    fs::create_dir_all(home.join("state")).unwrap();
    fs::write(home.join("wharf.toml"), "").unwrap();
    for component in wharf_bundle::components().iter().filter(|component| component.home_folder() == "policies") {
        fs::write(home.join("policies").join(format!("{}.wasm", component.name)), component.wasm).unwrap();
    }
    let file = crate::settings::Home::at(&home).store_file();
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    let store = Store::open(&file).unwrap();
    // 8 GiB, let pass.
    let run = Made::of(8).id();
    record_all(&store, 9);
    drop(store);
    let access = Access::open(&home, HostOptions::default()).await.unwrap();
    let ask = async |name: &str, toml: &str| {
        let settings = dir.path().join(format!("{name}.toml"));
        fs::write(&settings, toml).unwrap();
        access.what_if(WhatIfRequest { run: run.clone(), settings, component: None }).await
    };
    let same = ask("resource-ceiling", "").await.unwrap();
    assert_eq!(
        (same.then.as_str(), same.now.as_str(), same.differences.len()),
        ("accepted", "accepted", 0),
        "{same:?}"
    );
    let stricter = ask("resource-ceiling", "[settings.ceilings]\nmemory = \"4g\"\n").await.unwrap();
    assert_eq!((stricter.then.as_str(), stricter.now.as_str()), ("accepted", "rejected by resource-ceiling"));
    let [difference] = stricter.differences.as_slice() else { panic!("{stricter:?}") };
    assert_eq!((difference.what.as_str(), difference.then.as_deref()), ("resource-ceiling", Some("accepted")));
    // An edit reaches the policies after it: the whole chain is asked.
    let labelled = ask("defaults-and-labels", "[settings.labels]\nteam = \"${user}\"\n").await.unwrap();
    let [difference] = labelled.differences.as_slice() else { panic!("{labelled:?}") };
    assert_eq!((difference.what.as_str(), difference.now.as_deref()), ("labels.team", Some("user-1")));
    let unknown = ask("no-such", "").await.unwrap_err();
    assert_eq!(unknown.code, "component-not-found");
    let wrong = ask("resource-ceiling", "[settings.ceilings]\nmemmory = \"4g\"\n").await.unwrap_err();
    assert_eq!(wrong.code, "component-settings-invalid");
    // And one field, from its beginning.
    let history = access.explain_field(&run, "memory").await.unwrap();
    assert_eq!(history.rounds[0].from.as_deref(), Some("activity"));
    assert_eq!((history.rounds[0].before.as_deref(), history.rounds[0].edits.len()), (Some("8g"), 0));
    access.shutdown().await;
}
