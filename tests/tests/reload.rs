//! Components that change on disk while they are in use: all of a change is taken, or none of it, and none is missed.
//!
//! With `WHARF_TEST_LONG` in the environment, as `./wharf-test --long` sets it, there are 500 changes under the callers.

#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use serde_json::json;
use wharf_components::{ComponentSet, Engine, EngineOptions, LiveSet, PolicyAnswer};
use wharf_model::{Activity, Job, Plan};

const POLICY: &str = env!("WHARF_HOSTILE_POLICY");
const PERMISSION: &str = env!("WHARF_HOSTILE_PERMISSION");
const GRANTS: &str = env!("WHARF_HOSTILE_GRANTS");

/// So long after a change a look at a file is enough to know that it is as it was.
const SETTLED: Duration = Duration::from_millis(120);
/// So many callers ask at once while components change.
const CALLERS: usize = 50;
/// By so much may this process grow over all changes after the first tenth.
const GROWTH: u64 = 48 << 20;

static ENGINE: LazyLock<Engine> = LazyLock::new(|| {
    let cache_dir = Some(Path::new(env!("CARGO_TARGET_TMPDIR")).join("reload-cache"));
    Engine::new(EngineOptions { cache_dir, ..EngineOptions::default() }).unwrap()
});

/// A home with nothing but policies.
struct Home {
    dir: tempfile::TempDir,
}

impl Home {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("policies")).unwrap();
        Self { dir }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join("policies").join(name)
    }

    fn put(&self, name: &str, guest: &str, toml: &str) {
        fs::copy(guest, self.file(&format!("{name}.wasm"))).unwrap();
        self.toml(name, toml);
    }

    fn toml(&self, name: &str, toml: &str) {
        fs::write(self.file(&format!("{name}.toml")), toml).unwrap();
    }

    fn load(&self) -> ComponentSet {
        ComponentSet::load(&ENGINE, &[self.dir.path().join("policies")])
    }
}

fn echo(text: impl std::fmt::Display) -> String {
    format!("[settings]\ndo = \"echo\"\necho = \"{text}\"\n")
}

fn plan_under(configuration: &str) -> Plan {
    let activity: Activity = serde_json::from_value(json!({
        "kind": "python", "requester": { "user": "ana", "groups": ["analysts"] }, "code": "print(1)", "code_name": "a.py"
    }))
    .unwrap();
    let configuration = serde_json::from_value(json!({
        "name": configuration, "base_image": "base", "registry": null, "resources": {}, "allowed_groups": ["analysts"],
        "checks": [], "workload_types": [], "security": {}, "exchange": { "mode": "dial-back", "advertise": null },
        "env": {}, "labels": {}, "time_limit": null,
        "engine": { "type": "docker", "host": "unix:///var/run/docker.sock", "runtime": null }
    }))
    .unwrap();
    let image = serde_json::from_value(json!({
        "name": "base", "origin": { "from": "debian:12" }, "languages": [], "system_packages": [], "mirrors": {},
        "extra_ca": [], "labels": {}, "made_by": "image-debian"
    }))
    .unwrap();
    let job = Job { argv: vec!["python3".to_owned()], ..Default::default() };
    Plan::new("run-1", &activity, job, configuration, image, None)
}

async fn said_under(set: &ComponentSet, policy: &str, configuration: &str) -> String {
    let policy = set.policy(policy).unwrap_or_else(|| panic!("{policy} isn't loaded: {:?}", set.failures()));
    match policy.evaluate(&plan_under(configuration), None, &[]).await.answer {
        Ok(PolicyAnswer::Accept { warnings, .. }) => warnings.join(","),
        other => panic!("{other:?}"),
    }
}

async fn said(set: &ComponentSet, policy: &str) -> String {
    said_under(set, policy, "docker-local").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_fails_holds_all_back() {
    let home = Home::new();
    home.put("a", POLICY, &echo("old"));
    home.put("b", POLICY, &echo("old"));
    home.put("gone", POLICY, "");
    let live = LiveSet::new(home.load());
    let first = live.current(None).await;
    assert!(first.held_back().is_none());

    // One is better, one is worse, one is new, one is gone.
    home.toml("a", &echo("new"));
    home.toml("b", "order = \"first\"");
    home.put("c", POLICY, &echo("new"));
    fs::remove_file(home.file("gone.wasm")).unwrap();
    fs::remove_file(home.file("gone.toml")).unwrap();
    for _ in 0..2 {
        let held = live.current(None).await;
        assert_eq!((said(&held, "a").await, said(&held, "b").await), ("old".to_owned(), "old".to_owned()));
        assert!(held.policy("c").is_none() && held.policy("gone").is_some());
        let [failure] = held.failures() else { panic!("{:?}", held.failures()) };
        assert!(failure.kept && failure.file == home.file("b.wasm"), "{failure:?}");
        let how = |name: &str| {
            let changes = &held.held_back().unwrap().changes;
            changes.iter().find(|(file, _)| *file == home.file(name)).map(|(_, how)| *how)
        };
        let all = ["a.wasm", "b.wasm", "c.wasm", "gone.wasm"].map(how);
        assert_eq!(all, [Some("changed"), Some("changed"), Some("added"), Some("removed")]);
    }

    home.toml("b", &echo("new"));
    let second = live.current(None).await;
    assert_eq!((second.failures().len(), second.held_back()), (0, None));
    for name in ["a", "b", "c"] {
        assert_eq!(said(&second, name).await, "new");
    }
    assert!(second.policy("gone").is_none());
    // Who began before goes on with what it had.
    assert_eq!(said(&first, "a").await, "old");
    assert!(first.policy("gone").is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_never_worked_holds_nothing_back() {
    let home = Home::new();
    home.put("a", POLICY, &echo("old"));
    fs::write(home.file("broken.wasm"), "no").unwrap();
    let set = home.load();
    assert_eq!((set.failures().len(), set.components().len()), (1, 1));
    fs::write(home.file("broken.wasm"), "no, and no").unwrap();
    home.toml("a", &echo("new"));
    let set = set.reload().unwrap();
    assert_eq!((set.failures().len(), set.held_back()), (1, None));
    assert_eq!(said(&set, "a").await, "new");
    // Once it has worked, it does.
    home.put("broken", POLICY, "");
    let set = set.reload().unwrap();
    assert_eq!(set.failures(), []);
    fs::write(home.file("broken.wasm"), "no").unwrap();
    home.toml("a", &echo("newer"));
    let set = set.reload().unwrap();
    assert!(set.held_back().is_some());
    assert_eq!(said(&set, "a").await, "new");
}

/// As a Kubernetes ConfigMap is: files that are links into `..data`, which is a link to a folder and renamed as a whole.
struct ConfigMap {
    folder: PathBuf,
}

impl ConfigMap {
    fn new(folder: PathBuf, names: &[&str]) -> Self {
        for name in names {
            symlink(Path::new("..data").join(name), folder.join(name)).unwrap();
        }
        Self { folder }
    }

    fn swap(&self, generation: usize, files: &[(&str, &[u8])]) {
        let data = self.folder.join(format!("..{generation}"));
        fs::create_dir(&data).unwrap();
        for (name, bytes) in files {
            fs::write(data.join(name), bytes).unwrap();
        }
        let fresh = self.folder.join("..data_tmp");
        symlink(data.file_name().unwrap(), &fresh).unwrap();
        let before = fs::read_link(self.folder.join("..data")).ok();
        fs::rename(fresh, self.folder.join("..data")).unwrap();
        if let Some(before) = before {
            fs::remove_dir_all(self.folder.join(before)).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_way_to_replace_a_file_is_missed() {
    let home = Home::new();
    home.put("a", POLICY, &echo(0));
    let live = LiveSet::new(home.load());
    let toml = home.file("a.toml");
    let now = async || said(&*live.current(None).await, "a").await;
    // Written in place, at once and when nobody looks closely any more; the text has the same length each time.
    for (generation, wait) in [(1, Duration::ZERO), (2, SETTLED), (3, Duration::ZERO)] {
        tokio::time::sleep(wait).await;
        fs::write(&toml, echo(generation)).unwrap();
        assert_eq!(now().await, generation.to_string());
    }
    // As rsync does it: renamed into place, with the size and the time of before.
    tokio::time::sleep(SETTLED).await;
    assert_eq!(now().await, "3");
    let keep_time = |file: &Path, time| fs::File::options().write(true).open(file).unwrap().set_modified(time).unwrap();
    let time = fs::metadata(&toml).unwrap().modified().unwrap();
    let fresh = home.file(".a.toml.x7Gh");
    fs::write(&fresh, echo(4)).unwrap();
    keep_time(&fresh, time);
    fs::rename(&fresh, &toml).unwrap();
    assert_eq!(now().await, "4");
    // As `rsync --inplace` does it.
    tokio::time::sleep(SETTLED).await;
    assert_eq!(now().await, "4");
    fs::write(&toml, echo(5)).unwrap();
    keep_time(&toml, time);
    assert_eq!(now().await, "5");
    // A link that is set anew: `ln -sfn`.
    for (generation, target) in [(6, "one"), (7, "two")] {
        let target = home.dir.path().join(target);
        fs::write(&target, echo(generation)).unwrap();
        keep_time(&target, time);
        tokio::time::sleep(SETTLED).await;
        let fresh = home.file(".link");
        symlink(&target, &fresh).unwrap();
        fs::rename(&fresh, &toml).unwrap();
        assert_eq!(now().await, generation.to_string());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_that_is_swapped_or_away() {
    let home = Home::new();
    for name in ["one", "two"] {
        let folder = home.dir.path().join(name);
        fs::create_dir(&folder).unwrap();
        fs::copy(POLICY, folder.join("a.wasm")).unwrap();
        fs::write(folder.join("a.toml"), echo(name)).unwrap();
    }
    let folder = home.dir.path().join("policies");
    fs::remove_dir(&folder).unwrap();
    symlink("one", &folder).unwrap();
    let live = LiveSet::new(home.load());
    assert_eq!(said(&*live.current(None).await, "a").await, "one");
    // In between there is none, and a policy must not be gone for that moment.
    fs::remove_file(&folder).unwrap();
    for _ in 0..2 {
        let held = live.current(None).await;
        assert_eq!(said(&held, "a").await, "one");
        assert!(held.held_back().is_some());
        assert!(held.failures()[0].fault.message.contains("isn't there any more"), "{:?}", held.failures());
    }
    symlink("two", &folder).unwrap();
    let set = live.current(None).await;
    assert_eq!((said(&set, "a").await, set.held_back()), ("two".to_owned(), None));
    // An empty folder is meant.
    fs::remove_file(folder.join("a.wasm")).unwrap();
    fs::remove_file(folder.join("a.toml")).unwrap();
    assert!(live.current(None).await.policy("a").is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_granted_folder_that_is_swapped() {
    let home = Home::new();
    for (name, bytes) in [("one", "1"), ("two", "twotwo")] {
        fs::create_dir(home.dir.path().join(name)).unwrap();
        fs::write(home.dir.path().join(name).join("inside"), bytes).unwrap();
    }
    let granted = home.dir.path().join("granted");
    symlink("one", &granted).unwrap();
    let grants = "grants.clock = true\ngrants.random = true\ngrants.folder = \"granted\"";
    home.put("a", GRANTS, &format!("{grants}\n[settings]\ndo = \"folder\""));
    let live = LiveSet::new(home.load());
    assert!(said(&*live.current(None).await, "a").await.contains("inside: 1 bytes"));
    let fresh = home.dir.path().join("fresh");
    symlink("two", &fresh).unwrap();
    fs::rename(&fresh, &granted).unwrap();
    assert!(said(&*live.current(None).await, "a").await.contains("inside: 6 bytes"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_component_for_many_rules() {
    let home = Home::new();
    home.put("base", POLICY, &echo("base"));
    home.toml("big", &format!("component = \"base.wasm\"\norder = 1\n{}", echo("big")));
    let own = "[settings_for.gpu]\necho = \"gpu\"\n[settings_for.none]\ndo = \"count\"\n";
    home.toml("small", &format!("component = \"base.wasm\"\n{}{own}", echo("small")));
    let set = home.load();
    assert_eq!(set.failures(), []);
    let names: Vec<&str> = set.policies_validating().iter().map(|policy| policy.name()).collect();
    assert_eq!(names, ["big", "base", "small"]);
    for (policy, configuration, words) in [
        ("base", "gpu", "base"),
        ("big", "gpu", "big"),
        ("small", "cpu", "small"),
        ("small", "gpu", "gpu"),
        ("small", "none", "1"),
    ] {
        assert_eq!(said_under(&set, policy, configuration).await, words, "{policy} under {configuration}");
    }
    // A record tells which settings it was.
    let digest = async |configuration: &str| {
        let call = set.policy("small").unwrap().evaluate(&plan_under(configuration), None, &[]).await;
        call.by.settings_digest.to_string()
    };
    assert_ne!(digest("gpu").await, digest("cpu").await);
    let info = set.components().iter().find(|info| info.name == "small").unwrap();
    assert_eq!((&info.file, &info.source), (&home.file("base.wasm"), &home.file("small.toml")));
    assert_eq!(info.settings_for, ["gpu", "none"]);

    // What they share is replaced for all of them at once.
    fs::copy(PERMISSION, home.file("fresh.tmp")).unwrap();
    fs::rename(home.file("fresh.tmp"), home.file("base.wasm")).unwrap();
    let set = set.reload().unwrap();
    assert!(set.held_back().is_none(), "{:?}", set.failures());
    assert!(["base", "big", "small"].iter().all(|name| set.permission(name).is_some() && set.policy(name).is_none()));
    // When it is gone, its rules are kept.
    fs::remove_file(home.file("base.wasm")).unwrap();
    let set = set.reload().unwrap();
    assert_eq!(set.failures().len(), 2, "{:?}", set.failures());
    assert!(set.failures()[0].fault.message.contains("`component` is \"base.wasm\", which isn't there"));
    assert!(set.permission("small").is_some());
}

/// What a file says and the host can't do must be refused, not left out.
#[test]
fn mistakes_in_a_rule_are_refused() {
    for (name, toml, words) in [
        ("base", "component = \"other.wasm\"", "base.wasm is beside it"),
        ("base", "[group]\nlogic = \"any\"\nmembers = [\"a\"]", "base.wasm is beside it"),
        ("rule", "component = \"nothing.wasm\"", "which isn't there"),
        ("rule", "componnent = \"base.wasm\"", "did you mean `component`?"),
        ("rule", "component = \"base.wasm\"\n[settings]\nvalidate = \"reject\"", "`validate` can't be"),
        (
            "rule",
            "component = \"base.wasm\"\n[settings_for.gpu]\nvalidate = \"reject\"",
            "its settings under gpu, [settings] included, aren't valid: `validate` can't be",
        ),
        ("rule", "component = \"base.wasm\"\n[settings_for.gpu]\nvalidate = \"panic\"", "settings are hard"),
        (
            "rule",
            "component = \"base.wasm\"\n[settings_for.gpu]\nrole = \"mutating\"",
            "changes plans, the other judges",
        ),
        ("rule", "[group]\nlogic = \"any\"\nmembers = [\"nobody\"]", "nobody isn't a component that is loaded"),
        ("rule", "[group]\nlogic = \"any\"\nmembers = [\"mutating\"]", "mutating changes plans"),
        ("rule", "[group]\nlogic = \"any\"\nmembers = [\"base\", \"check\"]", "two worlds"),
        ("rule", "[group]\nlogic = \"any\"\nmembers = [\"timid\"]", "conditions or a mode of its own"),
        ("rule", "[group]\nlogic = \"any\"\nmembers = [\"soft\"]", "`on_error = \"allow\"`"),
    ] {
        let home = Home::new();
        home.put("base", POLICY, "");
        home.put("mutating", POLICY, "[settings]\nrole = \"mutating\"");
        home.put("check", PERMISSION, "");
        home.put("timid", POLICY, "mode = \"audit\"");
        home.put("soft", POLICY, "on_error = \"allow\"");
        home.toml(name, toml);
        let set = home.load();
        let [failure] = set.failures() else { panic!("{toml}: {:?}", set.failures()) };
        assert!(failure.fault.message.contains(words), "{toml}: {}", failure.fault);
        assert!(failure.fault.at.as_ref().is_some_and(|at| at.file.ends_with(format!("{name}.toml"))), "{toml}");
        // A group that can't be asked closes the host: it was there to judge.
        assert_eq!(set.closed_by().is_some(), name == "rule" && toml.contains("[group]"), "{toml}");
    }
}

#[test]
fn a_component_that_is_off_needs_no_settings_yet() {
    let home = Home::new();
    home.put("a", POLICY, "mode = \"off\"\n[settings]\nvalidate = \"reject\"");
    let set = home.load();
    assert_eq!(set.failures(), []);
    home.toml("a", "[settings]\nvalidate = \"reject\"");
    assert!(set.reload().unwrap().held_back().is_some());
}

/// The memory that this process has now, in bytes.
fn memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

/// Two policies that change together, again and again, under callers who ask both: no caller sees one without the other, nobody
/// sees less than what was there when it began to ask, and what can't be loaded is never seen.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_changes_under_many_callers() {
    let changes = if std::env::var_os("WHARF_TEST_LONG").is_some_and(|value| !value.is_empty()) { 500 } else { 50 };
    let home = Home::new();
    let map = ConfigMap::new(home.dir.path().join("policies"), &["a.wasm", "a.toml", "b.wasm", "b.toml"]);
    let guests = [fs::read(POLICY).unwrap(), fs::read(GRANTS).unwrap()];
    let swap = |generation: usize, b: &str| {
        // On a busy machine a call among so many takes its time.
        let grants = "limits.time_ms = 20000\ngrants.clock = true\ngrants.random = true\ngrants.folder = \"policies\"";
        let toml = format!("{grants}\n{}", echo(generation));
        let guest = guests[generation % 2].as_slice();
        let b = format!("{toml}{b}");
        map.swap(
            generation,
            &[("a.wasm", guest), ("a.toml", toml.as_bytes()), ("b.wasm", guest), ("b.toml", b.as_bytes())],
        );
    };
    swap(0, "");
    let live = Arc::new(LiveSet::new(home.load()));
    let (good, over) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let callers: Vec<_> = (0..CALLERS)
        .map(|_| {
            let (live, good, over) = (Arc::clone(&live), Arc::clone(&good), Arc::clone(&over));
            tokio::spawn(async move {
                let mut calls = 0_usize;
                while !over.load(Ordering::SeqCst) {
                    let at_least = good.load(Ordering::SeqCst);
                    let set = live.current(None).await;
                    let (a, b) = (said(&set, "a").await, said(&set, "b").await);
                    assert_eq!(a, b, "half of a set");
                    let seen: usize = a.parse().unwrap();
                    assert!(seen >= at_least, "{seen} was seen when {at_least} was there");
                    assert_ne!(seen % 10, 9, "one that can't be loaded was seen");
                    calls += 1;
                }
                calls
            })
        })
        .collect();
    let started = Instant::now();
    let mut early = 0;
    for generation in 1..=changes {
        if generation % 10 == 9 {
            // Now the one before is in use everywhere, and this one must change nothing.
            live.current(None).await;
            swap(generation, "[limit]\ntime_ms = 20000\n");
            assert!(live.current(None).await.held_back().is_some());
        } else {
            swap(generation, "");
            good.store(generation, Ordering::SeqCst);
            live.current(None).await;
        }
        tokio::task::yield_now().await;
        if generation == changes / 10 {
            early = memory();
        }
    }
    let took = started.elapsed();
    over.store(true, Ordering::SeqCst);
    let mut calls = 0;
    for caller in callers {
        calls += caller.await.unwrap();
    }
    let late = memory();
    println!(
        "{changes} changes of two components under {CALLERS} callers in {:.1} s; {calls} calls; memory {} MB after the first \
         tenth, {} MB at the end",
        took.as_secs_f64(),
        early >> 20,
        late >> 20
    );
    assert!(calls >= CALLERS, "{calls} calls");
    assert!(late < early + GROWTH, "it grew from {early} to {late} bytes");
}
