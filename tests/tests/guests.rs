//! Hostile guests in every world, by the real way of a run: for each misdeed the host says no, in a sentence that names
//! component and reason, or goes on unharmed; and the next honest call works.
//!
//! `docs/hostile.md` shows this table; `WHARF_UPDATE=1` writes it.

#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::Mode;
use serde_json::json;
use wharf::init::{DemoOptions, ImageSource, init};
use wharf::{Access, HostOptions};
use wharf_components::{ComponentSet, Engine, EngineOptions, PolicyAnswer};
use wharf_model::{Activity, Cause, Outcome};

const POLICY: &str = env!("WHARF_HOSTILE_POLICY");
const CLOCK: &str = env!("WHARF_HOSTILE_CLOCK");
const GRANTS: &str = env!("WHARF_HOSTILE_GRANTS");
const PERMISSION: &str = env!("WHARF_HOSTILE_PERMISSION");
const PERMISSION_CLOCK: &str = env!("WHARF_HOSTILE_PERMISSION_CLOCK");
const ADAPTER: &str = env!("WHARF_HOSTILE_ADAPTER");
const ADAPTER_CLOCK: &str = env!("WHARF_HOSTILE_ADAPTER_CLOCK");
const IMAGE: &str = env!("WHARF_HOSTILE_IMAGE");

/// No answer of the host may take longer, on a machine that has other things to do.
const PATIENCE: Duration = Duration::from_secs(30);
/// By so much may this process grow over all misdeeds together: the 512 MB that one of them is allowed, and little more.
const MEMORY: u64 = 600 << 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum World {
    Permission,
    Mutating,
    Validating,
    Image,
    Adapter,
}

use World::{Adapter, Image, Mutating, Permission, Validating};

const WORLDS: [World; 5] = [Permission, Mutating, Validating, Image, Adapter];

impl World {
    fn title(self) -> &'static str {
        match self {
            Permission => "permission",
            Mutating => "mutating policy",
            Validating => "validating policy",
            Image => "image recipe",
            Adapter => "recipe adapter",
        }
    }

    fn guest(self) -> &'static str {
        match self {
            Permission => PERMISSION,
            Mutating | Validating => POLICY,
            Image => IMAGE,
            Adapter => ADAPTER,
        }
    }

    /// The same, with an import that needs a grant.
    fn importing(self) -> &'static str {
        match self {
            Permission => PERMISSION_CLOCK,
            Adapter => ADAPTER_CLOCK,
            _ => CLOCK,
        }
    }

    /// A component of another world, under the name of this one.
    fn other(self) -> &'static str {
        match self {
            Permission => POLICY,
            Mutating | Validating => PERMISSION,
            Image => ADAPTER,
            Adapter => IMAGE,
        }
    }

    /// How a run ends that this component doesn't let pass.
    fn cause(self) -> Cause {
        match self {
            Permission => Cause::Refused,
            Mutating | Validating => Cause::Rejected,
            Image => Cause::ImageMissing,
            Adapter => Cause::NotPrepared,
        }
    }

    fn folder(self) -> &'static str {
        match self {
            Permission | Mutating | Validating => "policies",
            Image | Adapter => "plugins",
        }
    }
}

/// How a component misbehaves.
enum Misdeed {
    /// In its call: `do` in its settings.
    Does(&'static str),
    /// In what it is asked when it is loaded: a key of its settings, and its value.
    Says(&'static str, &'static str),
    /// By what it is.
    Is(fn(World, &Path)),
}

/// What the host does about it.
#[derive(Clone, Copy)]
enum Answer {
    /// The run doesn't begin; these words are in the sentence.
    No(&'static str),
    /// The run goes on; in words for the table.
    GoesOn(&'static str),
    /// There is nothing in this world to do it with.
    Never,
}

use Answer::{GoesOn, Never, No};
use Misdeed::{Does, Is, Says};

type Row = (&'static str, Misdeed, [Answer; 5]);

fn all(words: &'static str) -> [Answer; 5] {
    [No(words); 5]
}

/// For permission and both kinds of policy.
fn judges(words: &'static str) -> [Answer; 5] {
    [No(words), No(words), No(words), Never, Never]
}

/// Mutating policy, image recipe, adapter; a validating policy may not change a thing.
fn changes(mutating: &'static str, image: Answer, adapter: Answer) -> [Answer; 5] {
    [Never, No(mutating), No("a validating policy can't change anything"), image, adapter]
}

/// Misdeed, how it is done, and what comes of it for permission, mutating policy, validating policy, image recipe, adapter.
fn table() -> Vec<Row> {
    let flood = "goes on; of a call's lines the first 1,000 are logged";
    vec![
        ("computes without end", Does("loop"), all("took longer than its time limit of 1000 ms")),
        ("waits without end", Does("sleep"), all("took longer than its time limit of 1000 ms")),
        ("takes memory without end", Does("memory"), all("asked for more memory than its limit of 64 MB")),
        ("panics", Does("panic"), all("panicked: no patience")),
        ("traps", Does("unreachable"), all("it gave up (an `unreachable` instruction)")),
        ("calls itself without end", Does("deep"), all("used up its stack")),
        ("ends its process", Does("exit"), all("exit code")),
        ("answers with one text of 1 GiB", Does("huge-answer"), all("asked for more memory than its limit of 64 MB")),
        (
            "answers with one text of 8 MiB",
            Does("large-answer"),
            all("handed over more than its limit of 1024 KB at once"),
        ),
        (
            "answers with 1 GiB of texts that share their memory",
            Does("amplify"),
            all("handed over more than its limit of 1024 KB at once"),
        ),
        (
            "answers with five million empty texts",
            Does("many-empty"),
            all("handed over more than its limit of 1024 KB at once"),
        ),
        (
            "answers with a list of 5,000",
            Does("too-many"),
            [
                No("reasons: it has more than 2000 entries"),
                No("warnings: it has more than 2000 entries"),
                No("warnings: it has more than 2000 entries"),
                No("steps: it has more than 2000 entries"),
                GoesOn("goes on: a command may have so many arguments"),
            ],
        ),
        ("says a sentence with control characters", Does("ugly-words"), all("a b [2Jc  d e")),
        ("says a sentence of 900 KB", Does("long-words"), all("xxx…")),
        ("gives 1,500 reasons", Does("many-reasons"), judges("; and 1495 more reasons")),
        ("names a rule with a space and a line end", Does("odd-rule"), judges("isn't in kebab-case")),
        ("limits what isn't counted", Does("odd-counter"), judges("\"sheep\" isn't counted")),
        (
            "sets a variable called `A=B`",
            Does("equals-sign"),
            changes(
                "\"A=B\" isn't the name of a variable",
                No("\"A=B\" isn't the name of a variable"),
                No("\"A=B\" isn't the name of a variable"),
            ),
        ),
        (
            "sets one of the host's labels, `wharf.run`",
            Does("own-label"),
            changes("labels under `wharf.` are the host's own", No("labels under `wharf.` are the host's own"), Never),
        ),
        (
            "gives a path with `..`",
            Does("dots"),
            changes("isn't an absolute path", No("isn't an absolute path"), No("isn't a plain path below the folder")),
        ),
        (
            "gives a text with a zero byte",
            Does("zero-byte"),
            [Never, Never, Never, No("it has a zero byte"), No("it has a zero byte")],
        ),
        (
            "sets a resource that isn't",
            Does("unknown-key"),
            changes("no resource key is called \"warp-speed\"", Never, Never),
        ),
        ("sets memory to -1", Does("below-nothing"), changes("`memory` takes bytes", Never, Never)),
        ("sets `pids-limit` to -7", Does("absurd-amount"), changes("`pids-limit` is -7", Never, Never)),
        (
            "sends the run to a configuration that isn't",
            Does("nowhere"),
            changes("to a configuration that can't be used", Never, Never),
        ),
        ("gives no command", Does("no-command"), [Never, Never, Never, Never, No("there is no command in it")]),
        (
            "calls its code environment `../../../etc`",
            Does("odd-environment"),
            [Never, Never, Never, Never, No("\"../../../etc\" isn't a name")],
        ),
        (
            "puts the folder `../secrets` into an image",
            Does("odd-folder"),
            [Never, Never, Never, Never, No("isn't a plain path below the folder")],
        ),
        ("logs 100,000 lines", Does("flood"), [GoesOn(flood); 5]),
        ("prints 20 MB", Does("print"), [GoesOn("goes on; the last 8 KB are kept"); 5]),
        (
            "computes without end when it is asked what it is",
            Says("describe", "loop"),
            all("asked to describe itself, it took longer"),
        ),
        (
            "takes memory without end then",
            Says("describe", "memory"),
            all("asked to describe itself, it asked for more memory"),
        ),
        ("panics then", Says("describe", "panic"), all("asked to describe itself, it panicked: nothing to say")),
        (
            "describes its settings by something else than JSON",
            Says("schema", "no JSON"),
            all("settings-schema: it isn't a JSON object"),
        ),
        (
            "computes without end when it checks its settings",
            Says("validate", "loop"),
            all("asked to check its settings, it took longer"),
        ),
        ("panics then", Says("validate", "panic"), all("asked to check its settings, it panicked: settings are hard")),
        (
            "refuses them with control characters",
            Says("validate", "words"),
            all("its settings aren't valid: a b [2Jc  d e"),
        ),
        ("is of another world", Is(|world, file| copy(world.other(), file)), wrong_world()),
        (
            "imports what it wasn't granted",
            Is(|world, file| copy(world.importing(), file)),
            [
                No("it imports wharf:plugin/clock@0.1.0, which it wasn't granted"),
                No("it imports wharf:plugin/clock@0.1.0, which it wasn't granted"),
                No("it imports wharf:plugin/clock@0.1.0, which it wasn't granted"),
                Never,
                No("it imports wharf:plugin/clock@0.1.0, which it wasn't granted"),
            ],
        ),
        (
            "is cut off in the middle",
            Is(|world, file| write(file, &bytes(world)[..bytes(world).len() / 2])),
            all("the file ends in the middle of a section"),
        ),
        ("is an empty file", Is(|_, file| write(file, b"")), all("the file is empty")),
        ("is no WebAssembly", Is(|_, file| write(file, b"#!/bin/sh\n")), all("it isn't WebAssembly")),
        (
            "is a core module",
            Is(|_, file| write(file, b"\0asm\x01\0\0\0")),
            all("it is a core module, not a component"),
        ),
        ("is damaged in the middle", Is(damaged), all("it isn't a valid component")),
        (
            "is a named pipe",
            Is(|_, file| rustix::fs::mkfifoat(rustix::fs::CWD, file, Mode::RWXU).unwrap()),
            all("it isn't a file"),
        ),
        (
            "is a link to /dev/zero",
            Is(|_, file| std::os::unix::fs::symlink("/dev/zero", file).unwrap()),
            all("it isn't a file"),
        ),
        (
            "is larger than 64 MiB",
            Is(|_, file| fs::File::create(file).unwrap().set_len(65 << 20).unwrap()),
            all("it is larger than 64 MiB"),
        ),
    ]
}

fn wrong_world() -> [Answer; 5] {
    let other = |words| No(words);
    [
        other("hostile is a component of another world: policy"),
        other("hostile is a component of another world: permission"),
        other("hostile is a component of another world: permission"),
        other("hostile is a component of another world: recipe-adapter"),
        other("no recipe adapter is loaded for activities of the kind `python`"),
    ]
}

fn bytes(world: World) -> Vec<u8> {
    fs::read(world.guest()).unwrap()
}

fn damaged(world: World, file: &Path) {
    let mut bytes = bytes(world);
    let middle = bytes.len() / 2;
    bytes[middle..middle + 64].fill(0xff);
    write(file, &bytes);
}

fn write(file: &Path, bytes: &[u8]) {
    fs::write(file, bytes).unwrap();
}

fn copy(guest: &str, file: &Path) {
    fs::copy(guest, file).unwrap();
}

/// A home whose daemon isn't there: nothing is created, so nobody needs it.
struct House {
    dir: tempfile::TempDir,
    fresh: BTreeMap<PathBuf, Vec<u8>>,
}

impl House {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let options = DemoOptions {
            image_source: ImageSource::Bootstrap,
            extra_ca: Vec::new(),
            docker_host: Some("unix:///nowhere/docker.sock".to_owned()),
            cluster: None,
        };
        let report = init(&dir.path().join("home"), Some(&options)).unwrap();
        let fresh = report.files.iter().map(|file| (file.clone(), fs::read(report.home.join(file)).unwrap())).collect();
        Self { dir, fresh }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("home")
    }

    /// Makes it as it was, and then so that every run needs the component `hostile` of this world.
    fn needs(&self, world: World) {
        for folder in ["policies", "plugins"] {
            let _ = fs::remove_file(self.path().join(folder).join("hostile.wasm"));
            let _ = fs::remove_file(self.path().join(folder).join("hostile.toml"));
        }
        for (file, bytes) in &self.fresh {
            let there = fs::read(self.path().join(file)).ok();
            if there.as_ref() != Some(bytes) {
                write(&self.path().join(file), bytes);
            }
        }
        let change = |file: &str, old: &str, new: &str| {
            let text = fs::read_to_string(self.path().join(file)).unwrap();
            assert!(text.contains(old), "{file}: {text}");
            write(&self.path().join(file), text.replacen(old, new, 1).as_bytes());
        };
        match world {
            Permission => {
                change("configs/docker-local.toml", "[permissions]\n", "[permissions]\nchecks = [\"hostile\"]\n");
            }
            Mutating | Validating => {
                change("wharf.toml", "[\"resource-ceiling\"]", "[\"resource-ceiling\", \"hostile\"]");
            }
            Image => change("base-images/python-r.toml", "[bootstrap]", "image_recipe = \"hostile\"\n\n[bootstrap]"),
            Adapter => fs::remove_file(self.path().join("plugins/recipe-python.wasm")).unwrap(),
        }
    }

    fn wasm(&self, world: World) -> PathBuf {
        self.path().join(world.folder()).join("hostile.wasm")
    }

    /// Puts the component there, behaving as its settings say.
    fn put(&self, world: World, misdeed: &Misdeed) {
        let _ = fs::remove_file(self.wasm(world));
        let (limits, settings) = match misdeed {
            Does(what @ ("loop" | "sleep")) => ("limits.time_ms = 1000", format!("do = \"{what}\"")),
            Does(what @ "many-empty") => ("limits.time_ms = 20000\nlimits.memory_mb = 512", format!("do = \"{what}\"")),
            // On a busy machine a call that copies a lot takes its time.
            Does(what) => ("limits.time_ms = 20000", format!("do = \"{what}\"")),
            Says(key, what @ "loop") => ("limits.time_ms = 1000", format!("{key} = \"{what}\"")),
            Says(key, what) => ("limits.time_ms = 20000", format!("{key} = \"{what}\"")),
            Is(_) => ("limits.time_ms = 20000", String::new()),
        };
        let role = if world == Mutating { "role = \"mutating\"\n" } else { "" };
        let toml = format!("{limits}\n[settings]\n{role}{settings}\n");
        write(&self.wasm(world).with_extension("toml"), toml.as_bytes());
        match misdeed {
            Is(make) => make(world, &self.wasm(world)),
            _ => copy(world.guest(), &self.wasm(world)),
        }
    }
}

fn activity() -> Activity {
    serde_json::from_value(json!({
        "kind": "python", "requester": { "user": "ana", "groups": ["analysts"] }, "code": "print(1)", "code_name": "a.py"
    }))
    .unwrap()
}

/// Why a run wouldn't begin; none when it would.
async fn refusal(access: &Access) -> Option<Outcome> {
    let explained = tokio::time::timeout(PATIENCE, access.explain(activity())).await;
    explained.expect("the host answers in time").unwrap().outcome
}

/// The most memory that this process ever had, in bytes.
fn peak_memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_misdeed_in_every_world() {
    let house = House::new();
    let access = Access::open(&house.path(), HostOptions::default()).await.unwrap();
    let honest = Does("nothing");
    for world in WORLDS {
        house.needs(world);
        house.put(world, &honest);
        assert_eq!(refusal(&access).await, None, "{world:?}, honest");
    }
    let before = peak_memory();
    for (at, world) in WORLDS.into_iter().enumerate() {
        house.needs(world);
        for (name, misdeed, answers) in table() {
            let answer = answers[at];
            if matches!(answer, Never) {
                continue;
            }
            // What is kept of an earlier file would stand in for one that can't be loaded, and what that one imports counts.
            let _ = fs::remove_file(house.wasm(world));
            let _ = fs::remove_dir_all(house.path().join("state/components"));
            let _ = refusal(&access).await;
            house.put(world, &misdeed);
            let end = refusal(&access).await;
            match (answer, end) {
                (No(words), Some(end)) => {
                    let sentence = &end.sentence;
                    assert_eq!(end.cause, world.cause(), "{world:?} {name}: {sentence}");
                    assert!(sentence.contains(words), "{world:?} {name}: {sentence}");
                    let named = sentence.contains("hostile") || words.starts_with("no recipe adapter");
                    assert!(named, "{world:?} {name}: {sentence}");
                    assert!(
                        sentence.len() < 3_000 && !sentence.chars().any(char::is_control),
                        "{world:?} {name}: {sentence:?}"
                    );
                }
                (GoesOn(_), None) => {}
                (_, end) => panic!("{world:?} {name}: {end:?}"),
            }
            house.put(world, &honest);
            assert_eq!(refusal(&access).await, None, "{world:?} after {name}");
        }
    }
    let grown = peak_memory() - before;
    assert!(grown < MEMORY, "the host grew by {} MiB", grown >> 20);
    access.shutdown().await;
}

/// An image recipe is asked twice: the second time for the code environment over its base image.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_recipe_that_is_honest_until_the_code_environment() {
    let house = House::new();
    let folder = house.path().join("code-envs/odd");
    fs::create_dir_all(&folder).unwrap();
    write(&folder.join("env.toml"), b"language = \"python\"\npackages = [\"six\"]\n");
    let access = Access::open(&house.path(), HostOptions::default()).await.unwrap();
    house.needs(Image);
    let why = async |misdeed: &'static str| {
        house.put(Image, &Says("environment", misdeed));
        let activity = Activity { code_env: Some("odd".to_owned()), ..activity() };
        let explained = tokio::time::timeout(PATIENCE, access.explain(activity)).await;
        explained.expect("the host answers in time").unwrap().outcome
    };
    assert_eq!(why("nothing").await, None);
    for (misdeed, words) in [
        ("loop", "took longer than its time limit of 1000 ms"),
        ("memory", "asked for more memory than its limit of 64 MB"),
        ("panic", "panicked: no patience"),
        ("huge-answer", "asked for more memory than its limit of 64 MB"),
        ("amplify", "handed over more than its limit of 1024 KB at once"),
        ("too-many", "steps: it has more than 2000 entries"),
        ("ugly-words", "a b [2Jc  d e"),
        ("refuse", "odd can't be made"),
        ("own-label", "labels under `wharf.` are the host's own"),
        ("dots", "isn't an absolute path"),
        ("zero-byte", "it has a zero byte"),
        ("copy-nothing", "\"x\""),
        ("bootstrap", "a code environment is made over a base image that is there already"),
    ] {
        let end = why(misdeed).await.unwrap_or_else(|| panic!("{misdeed} was let pass"));
        assert_eq!(end.cause, Cause::ImageMissing, "{misdeed}: {}", end.sentence);
        assert!(end.sentence.contains(words) && end.sentence.contains("hostile"), "{misdeed}: {}", end.sentence);
    }
    assert_eq!(why("nothing").await, None);
    access.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_changes_all_the_time() {
    let house = House::new();
    house.needs(Validating);
    house.put(Validating, &Does("nap"));
    let access = Access::open(&house.path(), HostOptions::default()).await.unwrap();
    assert_eq!(refusal(&access).await, None);
    let whole = bytes(Validating);
    let wasm = house.wasm(Validating);
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let writer = std::thread::spawn(move || {
        // Half of it, more of it, nothing of it, all of it, in place and while others read.
        for length in [whole.len() / 2, whole.len() - 1, 0, whole.len(), 8].into_iter().cycle() {
            fs::write(&wasm, &whole[..length]).unwrap();
            if stopped.recv_timeout(Duration::from_millis(7)).is_ok() {
                return;
            }
        }
    });
    let started = Instant::now();
    let mut answers = 0;
    while started.elapsed() < Duration::from_secs(3) || answers < 5 {
        // The component that was loaded before stays in use.
        assert_eq!(refusal(&access).await, None);
        answers += 1;
    }
    stop.send(()).unwrap();
    writer.join().unwrap();
    house.put(Validating, &Does("reject"));
    let end = refusal(&access).await.unwrap();
    assert_eq!(end.cause, Cause::Rejected, "{}", end.sentence);
    access.shutdown().await;
}

/// Imports have one implementation for all worlds: the policy stands for them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn granted_imports_give_no_more_than_was_granted() {
    let home = tempfile::tempdir().unwrap();
    let (policies, granted) = (home.path().join("policies"), home.path().join("granted"));
    for folder in [&policies, &granted, &granted.join("folder")] {
        fs::create_dir(folder).unwrap();
    }
    fs::write(home.path().join("secret"), "secret").unwrap();
    fs::write(granted.join("inside"), "inside").unwrap();
    std::os::unix::fs::symlink("../secret", granted.join("link")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", granted.join("absolute")).unwrap();
    std::os::unix::fs::symlink("/dev/null", granted.join("null")).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, granted.join("pipe"), Mode::RWXU).unwrap();
    fs::File::create(granted.join("large")).unwrap().set_len(9 << 20).unwrap();
    copy(GRANTS, &policies.join("hostile.wasm"));
    let engine = Engine::new(EngineOptions::default()).unwrap();
    let plan: wharf_model::Plan = plan();
    let ask = async |what: &str, time_ms: u32| {
        let grants = "grants.clock = true\ngrants.random = true\ngrants.folder = \"granted\"";
        let toml = format!("limits.time_ms = {time_ms}\n{grants}\n[settings]\ndo = \"{what}\"");
        fs::write(policies.join("hostile.toml"), toml).unwrap();
        let set = ComponentSet::load(&engine, std::slice::from_ref(&policies));
        assert_eq!(set.failures(), []);
        set.policy("hostile").unwrap().evaluate(&plan, None, &[]).await.answer
    };
    let error = ask("wait-by-clock", 1_000).await.unwrap_err().to_string();
    assert!(error.contains("took longer than its time limit of 1000 ms"), "{error}");
    let error = ask("random", 20_000).await.unwrap_err().to_string();
    assert!(error.contains("1073741824 random bytes at once, of at most 4096"), "{error}");
    let PolicyAnswer::Accept { warnings, .. } = ask("folder", 20_000).await.unwrap() else { panic!() };
    let outside = "ReadError::Outside";
    let expected = [
        ("inside", "6 bytes"),
        ("link", outside),
        ("absolute", outside),
        ("../secret", outside),
        ("/etc/passwd", outside),
        ("pipe", "it isn't a file"),
        ("null", outside),
        ("large", "ReadError::TooLarge"),
        ("folder", "it isn't a file"),
        ("a b", "ReadError::NotFound"),
        ("nothing", "ReadError::NotFound"),
    ];
    assert_eq!(warnings.len(), expected.len(), "{warnings:#?}");
    for (warning, (path, words)) in warnings.iter().zip(expected) {
        assert!(warning.starts_with(&format!("{path}: ")) && warning.contains(words), "{warning}, not {words}");
    }
}

fn plan() -> wharf_model::Plan {
    let configuration = serde_json::from_value(json!({
        "name": "docker-local", "base_image": "base", "registry": null, "resources": {}, "allowed_groups": [],
        "checks": ["hostile"], "workload_types": [], "security": {}, "exchange": { "mode": "dial-back", "advertise": null },
        "env": {}, "labels": {}, "time_limit": null,
        "engine": { "type": "docker", "host": "unix:///var/run/docker.sock", "runtime": null }
    }))
    .unwrap();
    let image = serde_json::from_value(json!({
        "name": "base", "origin": { "from": "debian:12" }, "languages": [], "system_packages": [], "mirrors": {},
        "extra_ca": [], "labels": {}, "made_by": "hostile"
    }))
    .unwrap();
    let job = wharf_model::Job { argv: vec!["python3".to_owned()], ..Default::default() };
    wharf_model::Plan::new("run-1", &activity(), job, configuration, image, None)
}

/// The table of the guide, between its two marks.
#[test]
fn the_guide_shows_this_table() {
    const MARKS: [&str; 2] = ["<!-- guests: generated by tests/tests/guests.rs -->\n", "<!-- end of guests -->\n"];
    let mut table_text = String::from("| a component that … |");
    WORLDS.iter().for_each(|world| write!(table_text, " {} |", world.title()).unwrap());
    table_text.push_str("\n| --- | --- | --- | --- | --- | --- |\n");
    for (name, _, answers) in table() {
        write!(table_text, "| {name} |").unwrap();
        for answer in answers {
            match answer {
                No(words) => write!(table_text, " no: {} |", words.replace('|', "\\|")).unwrap(),
                GoesOn(words) => write!(table_text, " {words} |").unwrap(),
                Never => table_text.push_str(" – |"),
            }
        }
        table_text.push('\n');
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/hostile.md");
    let text = fs::read_to_string(&file).unwrap();
    let [begin, end] = MARKS.map(|mark| text.find(mark).unwrap_or_else(|| panic!("no {mark:?} in docs/hostile.md")));
    let wanted = format!("{}{table_text}\n{}", &text[..begin + MARKS[0].len()], &text[end..]);
    if std::env::var_os("WHARF_UPDATE").is_some() {
        fs::write(&file, wanted).unwrap();
    } else {
        assert!(text == wanted, "docs/hostile.md isn't up to date: run this test with WHARF_UPDATE=1");
    }
}
