//! Components that nobody wrote: generated for each world, and mutated. The host loads them and calls what loads, and whatever they
//! are there is no panic, no hang and no growth.
//!
//! It runs for some seconds, or for as long as `WHARF_FUZZ_SECONDS` says; `WHARF_FUZZ_SEED` begins elsewhere. With
//! `WHARF_UPDATE=1`, what showed a new class of outcome is kept in `corpus/`, which each run tries first.

#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod generator;
mod mutation;
mod random;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use std::{env, fs};

use serde_json::json;
use wharf_components::{CallError, ComponentSet, Engine, EngineOptions, PolicyAnswer, Request, World};
use wharf_model::{Activity, ExecutionConfiguration, ImageSpec, Job, Judgement, Plan, Step};

use generator::{GUESTS, Shape};
use random::Random;

/// How long it runs unless somebody says otherwise.
const SECONDS: u64 = 12;
/// So many executions are made however slow the machine is.
const LEAST: u64 = 100;
/// The time limit of a component's call.
const CALL_MS: u64 = 100;
/// No component may keep the host longer, whatever it is: a few calls until their time limits, on a machine with other work.
const PATIENCE: Duration = Duration::from_secs(20);
/// By so much may the process grow after it is warm.
const GROWTH_MB: u64 = 100;
/// After so many executions it is warm.
const WARM: u64 = 50;

static PANICS: AtomicUsize = AtomicUsize::new(0);

/// The host, and a home with one component at a time.
struct Subject {
    engine: Engine,
    home: tempfile::TempDir,
    activity: Activity,
    configuration: ExecutionConfiguration,
    image: ImageSpec,
    plan: Plan,
}

impl Subject {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir_all(home.path().join("policies")).unwrap();
        fs::create_dir_all(home.path().join("granted/inner")).unwrap();
        fs::write(home.path().join("granted/file"), "granted").unwrap();
        let limits = format!("limits.time_ms = {CALL_MS}\nlimits.memory_mb = 16\nlimits.answer_kb = 64\n");
        let grants = "grants.clock = true\ngrants.random = true\ngrants.folder = \"granted\"\n";
        fs::write(home.path().join("policies/fuzz.toml"), limits + grants).unwrap();
        let activity: Activity = serde_json::from_value(json!({
            "kind": "python", "requester": { "user": "ana", "groups": ["analysts"] }, "code": "print(1)", "code_name": "a.py"
        }))
        .unwrap();
        let configuration: ExecutionConfiguration = serde_json::from_value(json!({
            "name": "docker-local", "base_image": "base", "registry": null, "resources": {}, "allowed_groups": [],
            "checks": ["fuzz"], "workload_types": [], "security": {}, "exchange": { "mode": "dial-back", "advertise": null },
            "env": {}, "labels": {}, "time_limit": null,
            "engine": { "type": "docker", "host": "unix:///var/run/docker.sock", "runtime": null }
        }))
        .unwrap();
        let image: ImageSpec = serde_json::from_value(json!({
            "name": "base", "origin": { "from": "debian:12" }, "languages": [], "system_packages": [], "mirrors": {},
            "extra_ca": [], "labels": {}, "made_by": "fuzz"
        }))
        .unwrap();
        let job = Job { argv: vec!["python3".to_owned()], ..Job::default() };
        let plan = Plan::new("run-1", &activity, job, configuration.clone(), image.clone(), None);
        // Compiled code isn't kept: that is how a growth would look.
        let engine = Engine::new(EngineOptions { cache_dir: None, ..EngineOptions::default() }).unwrap();
        Self { engine, home, activity, configuration, image, plan }
    }

    /// Loads a component, and calls it if it can be loaded. The answer is the class of the outcome.
    async fn execute(&self, wasm: &[u8]) -> String {
        let folder = self.home.path().join("policies");
        fs::write(folder.join("fuzz.wasm"), wasm).unwrap();
        let set = ComponentSet::load(&self.engine, &[folder]);
        if let Some(failure) = set.failures().first() {
            return format!("not loaded: {}", failure.fault.code);
        }
        let Some(info) = set.components().first() else { return "nothing there".to_owned() };
        let outcome = match info.world {
            World::Permission => {
                let request = Request::of_activity("run-1", &self.activity, &self.configuration);
                match set.permission("fuzz").unwrap().check(&request, &[]).await.judgement {
                    Judgement::Accept { .. } => "yes".to_owned(),
                    Judgement::Reject { .. } => "no".to_owned(),
                    // A permission's error is words already.
                    _ => "error".to_owned(),
                }
            }
            World::Policy => match set.policy("fuzz").unwrap().evaluate(&self.plan, Some("{}"), &[]).await.answer {
                Ok(PolicyAnswer::Accept { changes, .. }) => {
                    let mut plan = self.plan.clone();
                    changes.iter().for_each(|change| drop(plan.apply(&change.edit)));
                    if changes.is_empty() { "yes".to_owned() } else { "yes, with changes".to_owned() }
                }
                Ok(PolicyAnswer::Reject { .. }) => "no".to_owned(),
                Err(error) => class(&error),
            },
            World::ImageRecipe => {
                let maker = set.image_recipe("fuzz").unwrap();
                match maker.generate(&self.image).await.answer {
                    Ok(recipe) if recipe.steps.iter().any(|step| matches!(step, Step::Run { .. })) => {
                        "recipe".to_owned()
                    }
                    Ok(_) => "recipe without scripts".to_owned(),
                    Err(error) => class(&error),
                }
            }
            World::RecipeAdapter => match set.adapter_for("python") {
                None => "offers something else".to_owned(),
                Some(adapter) => match adapter.prepare(&self.activity).await.answer {
                    Ok(_) => "job".to_owned(),
                    Err(error) => class(&error),
                },
            },
            // No guest of this world is generated, and mutations don't change the world.
            World::RegistryHook => "hook".to_owned(),
        };
        format!("{}: {outcome}", info.world)
    }
}

/// The kind of an error, without its words.
fn class(error: &CallError) -> String {
    let text = format!("{error:?}");
    text.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default().to_owned()
}

/// What was tried, and what came of it.
#[derive(Default)]
struct Tally {
    executions: u64,
    outcomes: BTreeMap<String, u64>,
    slowest: Duration,
    /// The smallest component of each class.
    smallest: BTreeMap<String, Vec<u8>>,
}

impl Tally {
    fn note(&mut self, class: String, took: Duration, wasm: &[u8]) {
        self.executions += 1;
        self.slowest = self.slowest.max(took);
        let smallest = self.smallest.entry(class.clone()).or_insert_with(|| wasm.to_vec());
        if wasm.len() < smallest.len() {
            *smallest = wasm.to_vec();
        }
        *self.outcomes.entry(class).or_default() += 1;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_a_component_is_the_host_goes_on() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        PANICS.fetch_add(1, Ordering::SeqCst);
        before(info);
    }));
    let number = |name: &str, otherwise: u64| env::var(name).ok().map_or(otherwise, |text| text.parse().unwrap());
    let (seconds, seed) = (number("WHARF_FUZZ_SECONDS", SECONDS), number("WHARF_FUZZ_SEED", 1));
    let subject = Subject::new();
    let mut random = Random::from_seed(seed);
    let mut tally = Tally::default();
    let mut corpus = read_corpus();
    let kept = corpus.len();
    for wasm in corpus.clone() {
        try_one(&subject, &wasm, &mut tally).await;
    }
    let shapes: Vec<Shape> = GUESTS.iter().map(|guest| Shape::of(guest)).collect();
    let started = Instant::now();
    let mut warm = None;
    while started.elapsed() < Duration::from_secs(seconds) || tally.executions < LEAST {
        let wasm = match random.below(10) {
            0..=6 => random.pick(&shapes).component(&mut random),
            _ if corpus.is_empty() => random.pick(&shapes).component(&mut random),
            7 => mutation::of_code(&mut random, &corpus),
            _ => mutation::of_bytes(&mut random, &corpus),
        };
        let classes = tally.outcomes.len();
        try_one(&subject, &wasm, &mut tally).await;
        // What did something new, and some of what didn't, is mutated in its turn.
        if tally.outcomes.len() > classes || random.below(20) == 0 {
            if corpus.len() >= 200 {
                let replaced = random.below(corpus.len() - kept.min(corpus.len() - 1)) + kept.min(corpus.len() - 1);
                corpus.swap_remove(replaced);
            }
            corpus.push(wasm);
        }
        if tally.executions >= WARM && warm.is_none() {
            warm = Some(resident_mb());
        }
    }
    let (warm, after) = (warm.unwrap_or_else(resident_mb), resident_mb());
    println!(
        "seed {seed}: {} executions in {} s, of which {kept} from the corpus; the slowest took {} ms; resident {warm} MB when warm, {after} MB after",
        tally.executions,
        started.elapsed().as_secs(),
        tally.slowest.as_millis()
    );
    for (class, count) in &tally.outcomes {
        println!("{count:>8}  {class}");
    }
    assert_eq!(PANICS.load(Ordering::SeqCst), 0, "the host panicked");
    assert!(after < warm + GROWTH_MB, "the host grew from {warm} to {after} MB");
    // A generator whose guests all fail alike shows nothing.
    for world in ["permission", "policy", "image-recipe", "recipe-adapter"] {
        let called = tally.outcomes.keys().filter(|class| class.starts_with(&format!("{world}: "))).count();
        assert!(called >= 1, "no guest of the world {world} was ever called");
    }
    if env::var_os("WHARF_UPDATE").is_some() {
        write_corpus(&tally);
    }
}

async fn try_one(subject: &Subject, wasm: &[u8], tally: &mut Tally) {
    let (panics, started) = (PANICS.load(Ordering::SeqCst), Instant::now());
    let class = subject.execute(wasm).await;
    let took = started.elapsed();
    if took > PATIENCE || PANICS.load(Ordering::SeqCst) > panics {
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fuzz-found.wasm");
        fs::write(&file, wasm).unwrap();
        panic!("{class} after {took:?}: kept in {}", file.display());
    }
    tally.note(class, took, wasm);
}

fn corpus_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus")
}

fn read_corpus() -> Vec<Vec<u8>> {
    let Ok(entries) = fs::read_dir(corpus_folder()) else { return Vec::new() };
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

/// One file a class, named for it.
fn write_corpus(tally: &Tally) {
    fs::create_dir_all(corpus_folder()).unwrap();
    for (class, wasm) in &tally.smallest {
        let name: String = class.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        let file = corpus_folder().join(name.replace("--", "-") + ".wasm");
        if fs::metadata(&file).map_or(true, |there| there.len() > wasm.len() as u64) {
            fs::write(file, wasm).unwrap();
        }
    }
}

fn resident_mb() -> u64 {
    let statm = fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = statm.split(' ').nth(1).unwrap().parse().unwrap();
    (pages * rustix::param::page_size() as u64) >> 20
}
