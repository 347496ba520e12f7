//! Components that misbehave: each is an error in plain words, in bounded time and memory, and the next call works.

#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use serde_json::json;
use wharf_components::{
    Attempt, Call, CallError, ComponentSet, Engine, EngineOptions, LoadFailure, Observer, OnError, PolicyAnswer,
    PolicyRole, Request, World,
};
use wharf_model::{Activity, ExecutionConfiguration, ImageSpec, Job, Judgement, Plan, Step, UsageEntry};

const POLICY: &str = env!("WHARF_HOSTILE_POLICY");
const LINES: &str = env!("WHARF_HOSTILE_LINES");
const GRANTS: &str = env!("WHARF_HOSTILE_GRANTS");
const CLOCK: &str = env!("WHARF_HOSTILE_CLOCK");
const PERMISSION: &str = env!("WHARF_HOSTILE_PERMISSION");
const ADAPTER: &str = env!("WHARF_HOSTILE_ADAPTER");
const IMAGE: &str = env!("WHARF_HOSTILE_IMAGE");

/// One engine for all tests, as in a host.
static ENGINE: LazyLock<Engine> = LazyLock::new(|| {
    // In cargo's own folder for such things, so that nothing is left elsewhere.
    let cache_dir = Some(Path::new(env!("CARGO_TARGET_TMPDIR")).join("hostile-cache"));
    let engine = Engine::new(EngineOptions { cache_dir, ..EngineOptions::default() }).unwrap();
    // Compiled once here.
    for guest in [POLICY, CLOCK, PERMISSION, ADAPTER, IMAGE] {
        let _ = ComponentSet::check(&engine, Path::new(guest));
    }
    engine
});

/// A home with nothing but its component folders.
struct Home {
    dir: tempfile::TempDir,
}

impl Home {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for folder in ["policies", "plugins"] {
            fs::create_dir(dir.path().join(folder)).unwrap();
        }
        Self { dir }
    }

    fn with(guest: &str, toml: &str) -> Self {
        let home = Self::new();
        home.put("hostile", guest, toml);
        home
    }

    fn wasm(&self, name: &str) -> PathBuf {
        self.dir.path().join(format!("policies/{name}.wasm"))
    }

    fn put(&self, name: &str, guest: &str, toml: &str) {
        fs::copy(guest, self.wasm(name)).unwrap();
        fs::write(self.wasm(name).with_extension("toml"), toml).unwrap();
    }

    fn load(&self) -> ComponentSet {
        ComponentSet::load(&ENGINE, &["policies", "plugins"].map(|folder| self.dir.path().join(folder)))
    }

    /// The one failure of a home with one component that can't be loaded.
    fn failure(&self) -> LoadFailure {
        let set = self.load();
        assert!(set.components().is_empty(), "it was loaded");
        assert_eq!(set.failures().len(), 1);
        set.failures()[0].clone()
    }
}

fn activity() -> Activity {
    serde_json::from_value(json!({
        "kind": "python", "requester": { "user": "ana", "groups": ["analysts"] }, "code": "print(1)", "code_name": "a.py"
    }))
    .unwrap()
}

fn configuration() -> ExecutionConfiguration {
    serde_json::from_value(json!({
        "name": "docker-local", "base_image": "base", "registry": null, "resources": {}, "allowed_groups": ["analysts"],
        "checks": ["hostile"], "workload_types": [], "security": {}, "exchange": { "mode": "dial-back", "advertise": null },
        "env": {}, "labels": {}, "time_limit": null,
        "engine": { "type": "docker", "host": "unix:///var/run/docker.sock", "runtime": null }
    }))
    .unwrap()
}

fn image() -> ImageSpec {
    serde_json::from_value(json!({
        "name": "base", "origin": { "from": "debian:12" }, "languages": [], "system_packages": [], "mirrors": {},
        "extra_ca": [], "labels": {}, "made_by": "hostile"
    }))
    .unwrap()
}

fn plan() -> Plan {
    let job = Job { argv: vec!["python3".to_owned()], ..Default::default() };
    Plan::new("run-1", &activity(), job, configuration(), image(), None)
}

/// What the policy does with this in its TOML, and how long that took.
async fn evaluate(toml: &str) -> (Call<PolicyAnswer>, Duration) {
    let home = Home::with(POLICY, toml);
    let set = home.load();
    assert_eq!(set.failures(), [], "{toml}");
    let policy = set.policy("hostile").unwrap();
    let started = Instant::now();
    let call = policy.evaluate(&plan(), Some("{}"), &[]).await;
    (call, started.elapsed())
}

async fn does(what: &str) -> Result<PolicyAnswer, CallError> {
    evaluate(&format!("[settings]\ndo = \"{what}\"")).await.0.answer
}

fn warnings(answer: Result<PolicyAnswer, CallError>) -> Vec<String> {
    match answer {
        Ok(PolicyAnswer::Accept { warnings, .. }) => warnings,
        other => panic!("{other:?}"),
    }
}

/// The most memory that this process ever had, in bytes.
fn peak_memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn computing_and_waiting_without_end_are_ended() {
    for what in ["loop", "sleep"] {
        let (call, took) = evaluate(&format!("limits.time_ms = 200\n[settings]\ndo = \"{what}\"")).await;
        assert_eq!(call.answer, Err(CallError::TimeLimit { limit: Duration::from_millis(200) }), "{what}");
        assert!((Duration::from_millis(190)..Duration::from_secs(2)).contains(&took), "{what} took {took:?}");
        assert!(call.by.micros >= 190_000);
    }
    assert_eq!(
        CallError::TimeLimit { limit: Duration::from_millis(200) }.to_string(),
        "took longer than its time limit of 200 ms"
    );
    // One that waits within its limit is let wait.
    assert_eq!(warnings(does("nap").await), ["rested"]);
}

#[tokio::test(flavor = "current_thread")]
async fn a_loop_leaves_the_worker_to_others() {
    let home = Home::with(POLICY, "limits.time_ms = 600\n[settings]\ndo = \"loop\"");
    let set = home.load();
    let policy = set.policy("hostile").unwrap().clone();
    let looping = tokio::spawn(async move { policy.evaluate(&plan(), None, &[]).await.answer });
    // A task beside it: the test itself is only polled now and then.
    let other = tokio::spawn(async move {
        let mut worst = Duration::ZERO;
        let mut turns = 0;
        while !looping.is_finished() {
            let before = Instant::now();
            tokio::task::yield_now().await;
            worst = worst.max(before.elapsed());
            turns += 1;
        }
        (looping.await, turns, worst)
    });
    let (looping, turns, worst) = other.await.unwrap();
    assert!(matches!(looping.unwrap(), Err(CallError::TimeLimit { .. })));
    assert!(turns > 20, "the one worker was given back {turns} times");
    assert!(worst < Duration::from_millis(150), "it was kept for {worst:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_says_what_happened_and_harms_no_other_call() {
    let panic = does("panic").await.unwrap_err();
    let CallError::Panic { message, at } = &panic else { panic!("{panic:?}") };
    assert!(message.starts_with("no patience with call 1 (") && message.contains("misdeed.rs"), "{message}");
    assert!(at.contains("lose_temper"), "{at:?}");
    assert!(panic.to_string().starts_with("panicked: no patience with call 1"));

    let unreachable = does("unreachable").await.unwrap_err().to_string();
    assert!(unreachable.starts_with("failed: it gave up"), "{unreachable}");

    let stack = does("deep").await.unwrap_err();
    assert!(matches!(&stack, CallError::StackOverflow { at } if at.contains("sink")), "{stack:?}");
    // A stack that the guest keeps in its own memory ends where that memory begins.
    let stack = does("stack").await.unwrap_err();
    assert!(matches!(&stack, CallError::Trap { at, .. } if at.contains("fall")), "{stack:?}");

    let exit = does("exit").await.unwrap_err().to_string();
    assert!(exit.contains("exit code") && exit.contains("I am leaving"), "{exit}");

    // The same component, one call after the other, and at once.
    let home = Home::with(POLICY, "[settings]\ndo = \"panic\"");
    let set = home.load();
    let policy = set.policy("hostile").unwrap();
    for _ in 0..5 {
        assert!(matches!(policy.evaluate(&plan(), None, &[]).await.answer, Err(CallError::Panic { .. })));
    }
    assert_eq!(warnings(does("nothing").await), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trap_names_its_line_where_that_is_wanted() {
    for (source_lines, guest, named) in [(true, LINES, true), (true, POLICY, false), (false, LINES, false)] {
        let engine = Engine::new(EngineOptions { source_lines, ..EngineOptions::default() }).unwrap();
        for (what, function) in [("panic", "lose_temper"), ("unreachable", "misbehave"), ("deep", "sink")] {
            let home = Home::with(guest, &format!("[settings]\ndo = \"{what}\""));
            let set = ComponentSet::load(&engine, &[home.dir.path().join("policies")]);
            let failed = set.policy("hostile").unwrap().evaluate(&plan(), None, &[]).await.answer.unwrap_err();
            let (CallError::Panic { at, .. } | CallError::Trap { at, .. } | CallError::StackOverflow { at }) = &failed
            else {
                panic!("{failed:?}")
            };
            assert!(at.contains(function), "{what}: {at:?}");
            assert_eq!(at.contains("misdeed.rs:"), named, "{what}: {at:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_watches_sees_what_a_component_did() {
    let observer = Observer::default();
    let engine = Engine::new(EngineOptions { observer: Some(observer.clone()), ..EngineOptions::default() }).unwrap();
    let seen = async |guest: &str, toml: &str| {
        let home = Home::with(guest, toml);
        fs::create_dir(home.dir.path().join("granted")).unwrap();
        fs::write(home.dir.path().join("granted/inside"), "x").unwrap();
        let set = ComponentSet::load(&engine, &[home.dir.path().join("policies")]);
        assert_eq!(set.failures(), []);
        assert_eq!(observer.take().len(), 3, "it describes itself, says its role, and checks its settings");
        let _ = set.policy("hostile").unwrap().evaluate(&plan(), None, &[]).await;
        let [call] = observer.take().try_into().unwrap();
        call
    };
    let tried = |call: &wharf_components::Observation, what: &str| -> Attempt {
        let found = call.attempts.iter().find(|attempt| attempt.what == what);
        found.unwrap_or_else(|| panic!("no \"{what}\" in {:?}", call.attempts)).clone()
    };
    let world = seen(POLICY, "[settings]\ndo = \"world\"").await;
    for what in ["open a TCP socket", "open a UDP socket"] {
        assert_eq!(tried(&world, what).refused.as_deref(), Some("components have no network"));
    }
    assert!(world.micros > 0 && world.memory >= 1 << 16, "{world:?}");
    let grants = "[grants]\nclock = true\nrandom = true\nfolder = \"granted\"\n";
    let folder = seen(GRANTS, &format!("{grants}[settings]\ndo = \"folder\"")).await;
    assert_eq!(tried(&folder, "read \"inside\" of its folder").refused, None);
    let outside = tried(&folder, "read \"../secret\" of its folder");
    assert_eq!(outside.refused.as_deref(), Some("it is outside of the folder"));
    let flood = seen(POLICY, "limits.time_ms = 10000\n[settings]\ndo = \"flood\"").await;
    assert_eq!(flood.log.len(), 1_000);
    assert_eq!((flood.log[7].level, flood.log[7].message.as_str()), ("info", "line 7  [2J"));
    let exit = seen(POLICY, "[settings]\ndo = \"exit\"").await;
    assert!(exit.output.contains("I am leaving"), "{exit:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_and_answers_are_bounded() {
    let before = peak_memory();
    let (memory, _) = evaluate("limits.memory_mb = 32\n[settings]\ndo = \"memory\"").await;
    assert_eq!(memory.answer, Err(CallError::MemoryLimit { limit_mb: 32 }));
    // One gibibyte doesn't fit into its own memory; eight mebibytes do, but not through the door.
    assert_eq!(does("huge-answer").await, Err(CallError::MemoryLimit { limit_mb: 64 }));
    assert_eq!(does("large-answer").await, Err(CallError::AnswerTooLarge { limit_kb: 1024 }));
    assert_eq!(does("long-line").await, Err(CallError::AnswerTooLarge { limit_kb: 1024 }));
    // A thousand times one mebibyte, ten million times one mebibyte, and five million times nothing.
    assert_eq!(does("amplify").await, Err(CallError::AnswerTooLarge { limit_kb: 1024 }));
    for what in ["amplify-more", "many-empty"] {
        let limits = "limits.memory_mb = 512\nlimits.time_ms = 20000";
        let (call, took) = evaluate(&format!("{limits}\n[settings]\ndo = \"{what}\"")).await;
        assert_eq!(call.answer, Err(CallError::AnswerTooLarge { limit_kb: 1024 }), "{what}");
        assert!(took < Duration::from_secs(20), "{what} took {took:?}");
    }
    let grown = (peak_memory() - before) >> 20;
    assert!(grown < 900, "the host grew by {grown} MiB");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn floods_are_cut_off() {
    for what in ["flood", "print"] {
        let (call, _) = evaluate(&format!("limits.time_ms = 10000\n[settings]\ndo = \"{what}\"")).await;
        assert_eq!(warnings(call.answer), Vec::<String>::new(), "{what}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_call_has_a_fresh_instance() {
    let home = Home::with(POLICY, "[settings]\ndo = \"count\"");
    let set = home.load();
    let policy = set.policy("hostile").unwrap();
    for _ in 0..100 {
        assert_eq!(warnings(policy.evaluate(&plan(), None, &[]).await.answer), ["1"]);
    }
    let calls: Vec<_> = (0..100)
        .map(|_| {
            let policy = policy.clone();
            tokio::spawn(async move { warnings(policy.evaluate(&plan(), None, &[]).await.answer) })
        })
        .collect();
    for call in calls {
        assert_eq!(call.await.unwrap(), ["1"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn standard_wasi_leads_nowhere() {
    // Somebody listens there, so that nothing but the host stands between.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let world = async || warnings(evaluate(&format!("[settings]\ndo = \"world\"\nport = \"{port}\"")).await.0.answer);
    assert!(std::env::vars().count() > 0, "there is an environment to be seen");
    assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_ok(), "the port answers");
    let seen = world().await;
    assert_eq!(seen, world().await, "two calls saw different things");
    let order = seen.iter().find(|line| line.starts_with("order ")).unwrap().clone();
    assert_eq!(
        seen,
        [
            "env 0",
            "args 0",
            "now 1577836800",
            "elapsed 0",
            &order,
            "read false",
            "write false",
            "list false",
            "link false",
            "above false",
            "connect false",
            "connect to metadata false",
            "look up a name false",
            "send a datagram false",
            "listen false",
            "datagram false",
            "stdin 0"
        ]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_are_seen_by_their_own_component_alone() {
    let home = Home::with(POLICY, "[settings]\ndo = \"settings\"\nmine = \"first\"");
    home.put("second", POLICY, "[settings]\ndo = \"settings\"\nmine = \"hunter2\"");
    let set = home.load();
    for (name, own) in [("hostile", "first"), ("second", "hunter2"), ("hostile", "first")] {
        let seen = warnings(set.policy(name).unwrap().evaluate(&plan(), None, &[]).await.answer);
        assert_eq!(seen, [format!("{{\"do\":\"settings\",\"mine\":\"{own}\"}}")], "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_waited_for_longer_than_the_limit() {
    // One long wait, and many short ones.
    for what in ["sleep", "sleep-often"] {
        let (call, took) = evaluate(&format!("limits.time_ms = 300\n[settings]\ndo = \"{what}\"")).await;
        assert!(matches!(call.answer, Err(CallError::TimeLimit { .. })), "{what}: {:?}", call.answer);
        assert!(took < Duration::from_secs(10), "{what} took {took:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_cannot_be_are_errors() {
    let invalid = |answer: Result<PolicyAnswer, CallError>| match answer {
        Err(CallError::Invalid { field, .. }) => field,
        other => panic!("{other:?}"),
    };
    assert_eq!(invalid(does("no-reasons").await), "reasons");
    assert_eq!(invalid(does("change").await), "changes", "a validating policy changed something");
    let mutating = |what: &str| format!("[settings]\nrole = \"mutating\"\ndo = \"{what}\"");
    assert_eq!(invalid(evaluate(&mutating("own-label")).await.0.answer), "changes[0].edit.set-label.key");
    match evaluate(&mutating("change")).await.0.answer {
        Ok(PolicyAnswer::Accept { changes, .. }) => assert_eq!(changes[0].rule, "because"),
        other => panic!("{other:?}"),
    }
    match does("reject").await {
        Ok(PolicyAnswer::Reject { reasons }) => assert_eq!(reasons[0].message, "ana is {}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_permission_is_a_yes_or_a_no() {
    let check = async |what: &str| {
        let home = Home::with(PERMISSION, &format!("limits.time_ms = 300\n[settings]\ndo = \"{what}\""));
        let set = home.load();
        assert_eq!(set.failures(), []);
        let entry =
            UsageEntry { user: "ana".into(), configuration: "docker-local".into(), running: 2, cpus: 0, memory: 0 };
        let (activity, configuration) = (activity(), configuration());
        let request = Request::of_activity("run-1", &activity, &configuration);
        set.permission("hostile").unwrap().check(&request, &[entry]).await
    };
    let yes = check("allow").await;
    assert_eq!((yes.step.as_str(), yes.component.as_str(), yes.version.as_str()), ("permission", "hostile", "0.0.1"));
    assert_eq!((yes.digest.len(), yes.settings_digest.len()), (64, 64));
    let Judgement::Accept { limits, .. } = yes.judgement else { panic!("{yes:?}") };
    assert_eq!((limits[0].scope.as_str(), limits[0].maximum), ("user:ana", 3));
    let Judgement::Reject { reasons } = check("deny").await.judgement else { panic!() };
    assert_eq!(reasons[0].message, "nobody may use docker-local");
    for what in ["loop", "panic", "deny-without-reason"] {
        assert!(matches!(check(what).await.judgement, Judgement::Error { ignored: false, .. }), "{what}");
    }
    let failure = Home::with(PERMISSION, "on_error = \"allow\"").failure();
    assert_eq!((failure.fault.code.as_str(), failure.world), ("component-toml-invalid", Some(World::Permission)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_of_a_job_stay_where_they_belong() {
    let prepare = async |toml: &str| {
        let home = Home::with(ADAPTER, toml);
        fs::write(home.dir.path().join("secret"), "s").unwrap();
        fs::create_dir(home.dir.path().join("lib")).unwrap();
        fs::write(home.dir.path().join("lib/lib.py"), "shared = 1").unwrap();
        let set = home.load();
        assert_eq!(set.failures(), []);
        assert!(set.adapter_for("r").is_none());
        set.adapter_for("python").unwrap().prepare(&activity()).await.answer
    };
    let job = prepare("").await.unwrap();
    assert_eq!((job.files[0].path.as_str(), job.files[0].contents.as_slice()), ("a.py", b"print(1)".as_slice()));
    let granted = "grants.folder = \"lib\"\n[settings]\ndo = \"granted\"";
    assert_eq!(prepare(granted).await.unwrap().files[0].contents, b"shared = 1");
    for (toml, at) in [
        ("[settings]\ndo = \"escape\"", "files[0].path"),
        ("[settings]\ndo = \"granted\"", "files[0].contents"),
        ("grants.folder = \"lib\"\n[settings]\ndo = \"granted-escape\"", "files[0].contents"),
    ] {
        assert!(matches!(prepare(toml).await, Err(CallError::Invalid { field, .. }) if field == at), "{toml}");
    }
    let refused = prepare("[settings]\ndo = \"refuse\"").await.unwrap_err();
    assert_eq!(refused.to_string(), "can't do this: there is no code in it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn image_recipes_are_pure() {
    let home = Home::with(IMAGE, "grants.clock = true\ngrants.random = true");
    let generate = async || home.load().image_recipe("hostile").unwrap().generate(&image()).await.answer.unwrap();
    let first = generate().await;
    assert!(matches!(&first.steps[0], Step::Run { script, .. } if script.contains("49")));
    for _ in 0..10 {
        assert_eq!(generate().await, first);
    }
    let home = Home::with(IMAGE, "[settings]\ndo = \"copy-nothing\"");
    let answer = home.load().image_recipe("hostile").unwrap().generate(&image()).await.answer;
    assert!(matches!(answer, Err(CallError::Invalid { field, .. }) if field == "steps[0].copy.source"));
}

#[test]
fn what_is_no_component_is_named() {
    let policy = fs::read(POLICY).unwrap();
    let core = b"\0asm\x01\0\0\0".to_vec();
    let mut damaged = policy.clone();
    let middle = damaged.len() / 2;
    damaged[middle..middle + 64].fill(0xff);
    for (bytes, code, words) in [
        (Vec::new(), "component-truncated", "empty"),
        (policy[..policy.len() / 2].to_vec(), "component-truncated", "middle"),
        (policy[..policy.len() - 1].to_vec(), "component-truncated", "middle"),
        (policy[..5].to_vec(), "component-truncated", "ends"),
        (core, "component-core-module", "a core module, not a component"),
        (b"# a policy\n".to_vec(), "component-not-wasm", "isn't WebAssembly"),
        (b"\0asm\x0d\0\x01\0".to_vec(), "component-unknown-world", "exports nothing"),
        (damaged, "component-invalid", "valid"),
    ] {
        let home = Home::new();
        fs::write(home.wasm("hostile"), bytes).unwrap();
        let failure = home.failure();
        assert_eq!(failure.fault.code, code, "{}", failure.fault);
        assert!(failure.fault.message.contains(words), "{}", failure.fault);
        assert_eq!(failure.fault.at.as_ref().map(|at| &at.file), Some(&home.wasm("hostile")));
        assert!(!failure.kept);
    }
    let home = Home::new();
    fs::create_dir(home.wasm("folder")).unwrap();
    assert_eq!(home.failure().fault.code, "component-unreadable");
    let home = Home::new();
    fs::File::create(home.wasm("large")).unwrap().set_len(65 << 20).unwrap();
    assert_eq!(home.failure().fault.code, "component-too-large");
}

#[test]
fn settings_are_checked_within_limits() {
    for (toml, code, line, words) in [
        ("order = 1\nlimit = 3", "component-toml-invalid", Some(2), "limit"),
        ("limits.time_ms = 200\n[settings]\nvalidate = \"loop\"", "component-settings-invalid", Some(2), "time limit"),
        ("[settings]\nvalidate = \"panic\"", "component-settings-invalid", Some(1), "settings are hard"),
        ("[settings]\nvalidate = \"reject\"", "component-settings-invalid", Some(1), "`validate` can't be"),
        ("limits.time_ms = 200\n[settings]\ndescribe = \"loop\"", "component-invalid", None, "describe itself"),
        ("[settings]\ndescribe = \"panic\"", "component-invalid", None, "nothing to say"),
        ("[grants]\nfolder = \"nowhere\"", "component-toml-invalid", Some(2), "nowhere"),
    ] {
        let started = Instant::now();
        let failure = Home::with(POLICY, toml).failure();
        assert!(started.elapsed() < Duration::from_secs(10));
        assert_eq!(failure.fault.code, code, "{}", failure.fault);
        assert!(failure.fault.message.contains(words), "{}", failure.fault);
        assert_eq!(failure.fault.at.and_then(|at| at.line), line, "{toml}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_needs_its_grant() {
    let home = Home::with(CLOCK, "[settings]\ndo = \"clock\"");
    let set = home.load();
    assert!(set.components().is_empty());
    let fault = &set.failures()[0].fault;
    assert_eq!(fault.code, "component-import-not-granted");
    assert!(fault.message.contains("wharf:plugin/clock"), "{fault}");
    assert_eq!(fault.hint.as_deref(), Some("if it may have that, write `clock = true` under [grants] in hostile.toml"));
    fs::write(home.wasm("hostile").with_extension("toml"), "grants.clock = true\n[settings]\ndo = \"clock\"").unwrap();
    let set = set.reload().unwrap();
    assert_eq!(set.failures(), []);
    let now = warnings(set.policy("hostile").unwrap().evaluate(&plan(), None, &[]).await.answer);
    assert!(now[0].parse::<u64>().unwrap() > 1_700_000_000_000, "{now:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_may_change_while_they_are_loaded() {
    let home = Home::with(POLICY, "[settings]\ndo = \"count\"");
    let first = home.load();
    assert!(first.reload().is_none(), "nothing changed");
    let answer = async |set: &ComponentSet| set.policy("hostile").unwrap().evaluate(&plan(), None, &[]).await.answer;

    // Half a file, in place: the old one goes on.
    let whole = fs::read(POLICY).unwrap();
    fs::write(home.wasm("hostile"), &whole[..whole.len() / 2]).unwrap();
    let second = first.reload().unwrap();
    let failure = &second.failures()[0];
    assert!(failure.kept && second.held_back().is_some());
    assert_eq!(failure.fault.code, "component-truncated");
    assert_eq!(warnings(answer(&second).await), ["1"]);
    assert!(second.reload().is_none());

    // The whole file again.
    fs::write(home.wasm("hostile"), &whole).unwrap();
    let third = second.reload().unwrap();
    assert_eq!((third.failures(), third.held_back()), (&[][..], None));

    // Other settings; bad settings.
    let toml = home.wasm("hostile").with_extension("toml");
    fs::write(&toml, "order = 3\n[settings]\ndo = \"panic\"").unwrap();
    let fourth = third.reload().unwrap();
    assert!(matches!(answer(&fourth).await, Err(CallError::Panic { .. })));
    assert_eq!(fourth.components()[0].order, 3);
    fs::write(&toml, "order = first").unwrap();
    let fifth = fourth.reload().unwrap();
    assert_eq!((fifth.failures().len(), fifth.components()[0].order), (1, 3));

    // Another component beside it; the first one gone.
    fs::remove_file(&toml).unwrap();
    home.put("second", POLICY, "");
    let sixth = fifth.reload().unwrap();
    assert_eq!((sixth.failures().len(), sixth.components().len()), (0, 2));
    fs::remove_file(home.wasm("hostile")).unwrap();
    let seventh = sixth.reload().unwrap();
    assert!(seventh.policy("hostile").is_none() && seventh.policy("second").is_some());
    // A set that a run still holds is as it was.
    assert_eq!(warnings(answer(&first).await), ["1"]);
    assert!(seventh.reload().is_none());
}

#[test]
fn touching_a_file_changes_nothing() {
    let home = Home::with(POLICY, "");
    std::thread::sleep(Duration::from_millis(120));
    let set = home.load();
    fs::copy(POLICY, home.wasm("copy")).unwrap();
    fs::rename(home.wasm("copy"), home.wasm("hostile")).unwrap();
    assert!(set.reload().is_none(), "the same bytes in another file");
}

#[test]
fn a_granted_folder_may_come_later() {
    let home = Home::with(POLICY, "grants.folder = \"data\"");
    let set = home.load();
    assert_eq!(set.failures().len(), 1);
    assert!(set.reload().is_none());
    fs::create_dir(home.dir.path().join("data")).unwrap();
    assert_eq!(set.reload().unwrap().failures(), []);
}

#[test]
fn order_and_names_are_kept() {
    let home = Home::new();
    home.put("c", POLICY, "order = 1");
    home.put("b", POLICY, "on_error = \"allow\"");
    home.put("a", POLICY, "");
    home.put("m", POLICY, "[settings]\nrole = \"mutating\"");
    fs::copy(POLICY, home.dir.path().join("plugins/a.wasm")).unwrap();
    let set = home.load();
    let names: Vec<_> = set.policies_validating().iter().map(|policy| policy.name()).collect();
    assert_eq!(names, ["c", "a", "b"]);
    assert_eq!(set.policies_mutating()[0].role(), PolicyRole::Mutating);
    assert_eq!(set.policy("b").unwrap().on_error(), OnError::Allow);
    assert_eq!(set.failures().len(), 1);
    assert_eq!(set.failures()[0].fault.code, "component-name-taken");
    let info = &set.components()[0];
    assert_eq!((info.title.as_str(), info.settings_schema.as_deref()), ("hostile", Some("{\"type\":\"object\"}")));
    assert!(info.imports.iter().all(|import| !import.contains("wharf:plugin/clock")), "{:?}", info.imports);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_works_without_signals() {
    let engine = Engine::new(EngineOptions { signals_based_traps: false, ..EngineOptions::default() }).unwrap();
    for (what, ok) in [("count", true), ("unreachable", false), ("stack", false), ("deep", false)] {
        let home = Home::with(POLICY, &format!("[settings]\ndo = \"{what}\""));
        let set = ComponentSet::load(&engine, &[home.dir.path().join("policies")]);
        let answer = set.policy("hostile").unwrap().evaluate(&plan(), None, &[]).await.answer;
        assert_eq!(answer.is_ok(), ok, "{what}: {answer:?}");
    }
}
