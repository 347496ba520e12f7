//! A host that is killed again and again, at moments that nobody chose, while short runs come and go.
//!
//! Eight times, and with `WHARF_TEST_LONG` in the environment, as `./wharf-test --long` sets it, 200 times. `WHARF_CRASH_SEED` repeats
//! the moments of an earlier test, as far as a machine can.

#![expect(clippy::print_stderr, reason = "the counts are what --nocapture is for")]
#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use wharf::message::{Finding, FindingState};
use wharf::store::{RunState, RunSummary, Store};
use wharf_model::{Cause, EventKind};
use wharf_tests::{GROUP, Home, USER};

/// Runs that are asked for at once.
const AT_ONCE: usize = 5;
/// Every so many fails on purpose.
const FAILS: usize = 4;
/// How long all of them may take to end after the last kill.
const PATIENCE: Duration = Duration::from_secs(180);

fn kills() -> usize {
    if std::env::var_os("WHARF_TEST_LONG").is_some_and(|value| !value.is_empty()) { 200 } else { 8 }
}

/// Numbers that look like chance, the same for the same seed.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % limit
    }
}

/// One call of the real command. Whichever comes first owns the home; the others speak to it.
struct Call {
    child: Child,
    said: PathBuf,
}

impl Call {
    fn start(home: &Home, number: usize) -> Self {
        let end = if number.is_multiple_of(FAILS) { "raise SystemExit(3)" } else { "" };
        let recipe = home.path().join(format!("recipes/{number}.py"));
        home.write(
            &format!("recipes/{number}.py"),
            format!("import dataiku\ndataiku.Folder('out').upload_data('n', b'{number}')\nprint('done')\n{end}\n"),
        );
        let said = home.path().join(format!("recipes/{number}.out"));
        let mut command = home.command(["--json", "run", "--python"]);
        command.arg(recipe).args(["--user", USER, "--group", GROUP, "--output"]);
        command.arg(home.bind("out", &format!("{number}/")));
        let errors = File::create(said.with_extension("err")).unwrap();
        let child = command.stdin(Stdio::null()).stdout(File::create(&said).unwrap()).stderr(errors).spawn().unwrap();
        Self { child, said }
    }

    /// The run that the host said it had taken.
    fn run(&self) -> Option<String> {
        let said = fs::read_to_string(&self.said).unwrap();
        let event: serde_json::Value = serde_json::from_str(said.lines().next()?).ok()?;
        event["run"].as_str().map(str::to_owned)
    }

    fn errors(&self) -> String {
        fs::read_to_string(self.said.with_extension("err")).unwrap_or_default()
    }
}

/// The process that owns the home now, if it is one of these calls.
fn owner(home: &Home, calls: &mut BTreeMap<usize, Call>) -> Option<usize> {
    let process: u32 = fs::read_to_string(home.path().join("state/lock")).ok()?.trim().parse().ok()?;
    let mut going = calls.iter_mut().filter(|(_, call)| call.child.id() == process);
    going.find_map(|(number, call)| matches!(call.child.try_wait(), Ok(None)).then_some(*number))
}

/// Looks at the outputs all the time, and at which file each is: one that is put in place a second time is another file.
fn watch_outputs(data: PathBuf, over: Arc<AtomicBool>) -> std::thread::JoinHandle<BTreeMap<String, BTreeSet<u64>>> {
    std::thread::spawn(move || {
        let mut seen: BTreeMap<String, BTreeSet<u64>> = BTreeMap::new();
        while !over.load(Ordering::Relaxed) {
            for entry in fs::read_dir(&data).into_iter().flatten().flatten() {
                if let Ok(file) = entry.path().join("n").metadata() {
                    seen.entry(entry.file_name().to_string_lossy().into_owned()).or_default().insert(file.ino());
                }
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        seen
    })
}

#[test]
#[ignore = "needs docker (runs containers)"]
fn a_host_that_is_killed_again_and_again_ends_every_run_once() {
    let seed = std::env::var("WHARF_CRASH_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| {
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(1, |since| since.as_secs())
    });
    eprintln!("WHARF_CRASH_SEED={seed}");
    let mut chance = Chance(seed);
    let home = Home::demo();
    let over = Arc::new(AtomicBool::new(false));
    let watcher = watch_outputs(home.data(""), Arc::clone(&over));
    let started = Instant::now();

    let mut going: BTreeMap<usize, Call> = BTreeMap::new();
    let mut ended: BTreeMap<usize, Call> = BTreeMap::new();
    let (mut next, mut killed) = (0, 0);
    while killed < kills() {
        while going.len() < AT_ONCE {
            going.insert(next, Call::start(&home, next));
            next += 1;
        }
        // Often while it still opens the home, and mostly while it works.
        let longest = if chance.below(3) == 0 { 300 } else { 2500 };
        std::thread::sleep(Duration::from_millis(chance.below(longest)));
        if let Some(owner) = owner(&home, &mut going) {
            going.get_mut(&owner).unwrap().child.kill().unwrap();
            killed += 1;
        }
        let over: Vec<usize> = going
            .iter_mut()
            .filter_map(|(number, call)| matches!(call.child.try_wait(), Ok(Some(_))).then_some(*number))
            .collect();
        for number in over {
            ended.insert(number, going.remove(&number).unwrap());
        }
    }
    let last = Instant::now();
    let under = last - started;
    for (number, mut call) in going {
        // One that lost its host ends at once; one that owns the home ends with the last run.
        while matches!(call.child.try_wait(), Ok(None)) && last.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(matches!(call.child.try_wait(), Ok(Some(_))), "the call of {number} doesn't end: {}", call.errors());
        ended.insert(number, call);
    }
    // The shortest call there is goes on with what is left, and ends with the last of it.
    let _ = home.call(["runs"]).exits(0);
    over.store(true, Ordering::Relaxed);
    let put = watcher.join().unwrap();

    let store = Store::open(&home.path().join("state/wharf.db")).unwrap();
    assert_eq!(store.check_all().unwrap(), Vec::<String>::new(), "the store isn't sound");
    let mut by_number: BTreeMap<usize, Vec<RunSummary>> = BTreeMap::new();
    let (mut recoveries, mut wrong) = (0, Vec::new());
    for run in store.runs(u32::MAX).unwrap() {
        let details = store.details(&run.run).unwrap().unwrap();
        let number = details.activity.outputs[0].place.path.file_name().unwrap().to_str().unwrap().parse().unwrap();
        let events = store.events(&run.run, 0, u32::MAX).unwrap();
        let ends = events.iter().filter(|event| matches!(event.kind, EventKind::Ended(_))).count();
        recoveries += events.iter().filter(|event| matches!(event.kind, EventKind::Recovered)).count();
        if run.state != RunState::Ended || ends != 1 {
            wrong.push(format!("{number}: run {} is {:?} and ended {ends} times", run.run, run.state));
        }
        by_number.entry(number).or_default().push(run);
    }
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for (number, call) in &ended {
        let runs = by_number.get(number).map_or(&[][..], Vec::as_slice);
        let output = fs::read_to_string(home.data(&format!("{number}/n"))).ok();
        let files = put.get(&number.to_string()).map_or(0, BTreeSet::len);
        let said = call.run();
        let mut count = |what: &str| *counts.entry(what.to_owned()).or_default() += 1;
        match (runs, said) {
            // Its host was killed before it took the run, or its call found none.
            ([], None) => count("not taken, and its caller was told nothing else"),
            ([], Some(said)) => wrong.push(format!("{number}: run {said} was taken and isn't in the record")),
            ([run], said) => {
                if said.is_some_and(|said| said != run.run) {
                    wrong.push(format!("{number}: another run was told than {}", run.run));
                }
                let outcome = run.outcome.clone().unwrap();
                let fails = number.is_multiple_of(FAILS);
                match outcome.cause {
                    Cause::Succeeded if !fails => count("succeeded"),
                    Cause::RecipeFailed if fails && outcome.exit_code == Some(3) => count("failed as its recipe says"),
                    Cause::HostFault if outcome.sentence.contains("before the run's container") => {
                        count("never begun, and said so");
                    }
                    _ => wrong.push(format!("{number}: {:?}: {}", outcome.cause, outcome.sentence)),
                }
                let expected = (outcome.cause == Cause::Succeeded).then(|| number.to_string());
                if output != expected {
                    wrong.push(format!("{number}: {:?}, and its output is {output:?}", outcome.cause));
                }
                if files > 1 {
                    wrong.push(format!("{number}: its output was put in place {files} times"));
                }
            }
            (runs, _) => wrong.push(format!("{number}: {} runs of one call", runs.len())),
        }
    }
    let allowed: BTreeSet<String> =
        ended.keys().flat_map(|number| [format!("{number}/"), format!("{number}/n")]).collect();
    wrong.extend(
        home.data_listing().into_iter().filter(|path| !allowed.contains(path)).map(|path| format!("left: {path}")),
    );
    let containers = home.containers();
    if !containers.is_empty() {
        wrong.push(format!("containers are left: {containers:?}"));
    }
    let commits = fs::read_dir(home.path().join("state/commits")).into_iter().flatten().count();
    if commits != 0 {
        wrong.push(format!("{commits} intents of commits are left"));
    }
    eprintln!(
        "{killed} kills in {:.0} s, {} calls, runs taken over by another process: {recoveries} times; all had ended {:.1} s after the last",
        under.as_secs_f64(),
        ended.len(),
        last.elapsed().as_secs_f64()
    );
    for (what, count) in &counts {
        eprintln!("  {count} {what}");
    }
    eprintln!("  {} wrong", wrong.len());
    assert!(wrong.is_empty(), "seed {seed}:\n{}", wrong.join("\n"));
    assert!(counts.contains_key("succeeded"), "nothing succeeded, so this shows nothing");
}

/// What Python's own SQLite says, as somebody who reads the record would ask it.
fn sqlite(file: &Path, write: bool, script: &str) -> String {
    let mode = if write { "rw" } else { "ro" };
    let script =
        format!("import sqlite3\ndb = sqlite3.connect('file:{}?mode={mode}', uri=True)\n{script}", file.display());
    let output = Command::new("python3").args(["-c", &script]).output().unwrap();
    assert!(output.status.success(), "{script}\n{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[test]
#[ignore = "needs docker (runs containers)"]
fn the_record_is_read_with_plain_sqlite_beside_a_running_host() {
    let home = Home::demo();
    let code = "import time\nprint('up', flush=True)\ntime.sleep(4)";
    let mut run = home.start(home.python(code, &[]));
    let id = run.until_log("up");
    let file = home.path().join("state/wharf.db");
    let query = "print(*db.execute('SELECT id, state, user FROM runs').fetchone())\n\
                 print(db.execute('SELECT count(*) FROM events').fetchone()[0] > 5)";
    assert_eq!(sqlite(&file, false, query), format!("{id} running {USER}\nTrue"));
    assert_eq!(run.finish().exits(0).outcome().cause, Cause::Succeeded);
    assert!(sqlite(&file, false, query).starts_with(&format!("{id} ended")));
    home.left_only(&[]);
}

/// Overwrites one page of a table.
fn damage(home: &Home, table: &str) {
    let file = home.path().join("state/wharf.db");
    let script = format!(
        "db.execute('PRAGMA wal_checkpoint(TRUNCATE)')\n\
         print(db.execute(\"SELECT rootpage FROM sqlite_schema WHERE name = '{table}'\").fetchone()[0], \
         db.execute('PRAGMA page_size').fetchone()[0])"
    );
    let said = sqlite(&file, true, &script);
    let (page, size) = said.split_once(' ').unwrap();
    let (page, size): (usize, usize) = (page.parse().unwrap(), size.parse().unwrap());
    let mut bytes = fs::read(&file).unwrap();
    bytes[(page - 1) * size..page * size].fill(0xA5);
    fs::write(&file, bytes).unwrap();
}

fn findings(home: &Home, deep: bool) -> Vec<Finding> {
    let mut arguments = vec!["--json", "doctor"];
    arguments.extend(deep.then_some("--deep"));
    home.call(arguments).document::<Vec<Finding>>().into_iter().filter(|finding| finding.name == "records").collect()
}

#[test]
#[ignore = "needs docker (runs containers)"]
fn a_run_goes_on_although_the_record_is_damaged() {
    let home = Home::demo();
    let code = "import dataiku, time\nprint('up', flush=True)\ntime.sleep(4)\nprint('over', flush=True)\n\
                dataiku.Folder('out').upload_data('n', b'1')\n";
    let mut first = home.start(home.python(code, &["--output", &home.bind("out", "out/")]));
    let id = first.until_log("up");
    first.signal(Signal::KILL);
    let _ = first.finish();
    damage(&home, "events");

    let next = home.call(["--json", "logs", "-f", &id]).exits(0);
    assert_eq!(next.outcome().cause, Cause::Succeeded, "{next}");
    let lines: Vec<String> = next.log().into_iter().map(|(_, text)| text).collect();
    assert_eq!(lines, ["up", "over"]);
    assert!(next.stderr.contains("the record store was damaged"), "{next}");
    let told = |kind: &EventKind| matches!(kind, EventKind::Progress { text, .. } if text.contains("was damaged"));
    assert!(next.events().iter().any(|event| told(&event.kind)), "{next}");
    home.left_only(&["out/", "out/n"]);
    // It is told until somebody looks after it; the new store is sound.
    let records = findings(&home, true);
    let states: Vec<FindingState> = records.iter().map(|finding| finding.state).collect();
    assert_eq!(states, [FindingState::Ok, FindingState::Warning, FindingState::Ok], "{records:?}");
    assert!(records[1].text.contains("1 runs (1 of them going on)"), "{records:?}");
    let state = home.path().join("state");
    for entry in fs::read_dir(&state).unwrap().flatten() {
        if entry.file_name().to_string_lossy().contains(".damaged-") {
            fs::remove_file(entry.path()).unwrap();
        }
    }
    assert_eq!(findings(&home, false).len(), 1);
}

#[test]
#[ignore = "needs docker (runs containers)"]
fn a_home_that_refuses_damage_stays_closed() {
    let home = Home::demo();
    let _ = home.run_python("pass", &[]).exits(0);
    damage(&home, "runs");
    let old = fs::read_to_string(home.path().join("wharf.toml")).unwrap();
    home.write("wharf.toml", format!("{old}\n[history]\non_damage = \"refuse\"\n"));
    let refused = home.call(["--json", "runs"]);
    assert_ne!(refused.code, Some(0), "{refused}");
    assert!(format!("{refused}").contains("store-damaged"), "{refused}");
    // Nothing was moved.
    let names = fs::read_dir(home.path().join("state")).unwrap().flatten();
    assert!(names.map(|entry| entry.file_name()).all(|name| !name.to_string_lossy().contains("damaged")));
    home.write("wharf.toml", old);
    assert_eq!(home.runs(), []);
    assert_eq!(findings(&home, false).len(), 2);
    home.left_only(&[]);
}
