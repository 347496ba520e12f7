//! Logs: every line once, in order, however much there is and however the recipe ends.

#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use sha2::{Digest, Sha256};
use wharf_exchange::LogReader;
use wharf_model::outcome::LogState;
use wharf_model::protocol::Stream;
use wharf_model::protocol::frame::CONTINUES;
use wharf_model::{EventKind, Outcome};
use wharf_tests::{Finished, Home};

fn complete(outcome: &Outcome) -> u64 {
    match &outcome.log {
        Some(LogState::Complete { lines, .. }) => *lines,
        other => panic!("the log is {other:?}: {}", outcome.sentence),
    }
}

/// Checks that these are `line 0` to `line COUNT-1`, numbered without a gap.
fn assert_counted(log: &[(u64, String)], count: usize) {
    assert_eq!(log.len(), count);
    for (at, (number, text)) in log.iter().enumerate() {
        assert_eq!((*number, text.as_str()), (at as u64, format!("line {at}").as_str()));
    }
}

#[test]
#[ignore = "needs docker (runs containers)"]
fn three_hundred_thousand_lines_and_an_instant_exit() {
    const LINES: usize = 300_000;
    let home = Home::demo();
    // One write as large as it can be, and out without any ado.
    let code = format!(
        "import os, sys\n\
         sys.stdout.write(''.join(f'line {{n}}\\n' for n in range({LINES})))\n\
         sys.stdout.flush()\n\
         os._exit(0)\n"
    );
    let run = home.run_python(&code, &[]).exits(0);
    assert_counted(&run.log(), LINES);
    assert_eq!(complete(&run.outcome()), LINES as u64);
    // The record has the same.
    let kept = home.call(["--json", "logs", &run.run()]).exits(0);
    assert_counted(&kept.log(), LINES);
    let shown = home.call(["logs", &run.run()]).exits(0);
    assert_eq!(shown.stdout.lines().count(), LINES);
    home.left_only(&[]);
}

#[test]
#[ignore = "needs docker (runs containers)"]
fn the_last_words_of_a_recipe_that_is_killed() {
    const LINES: usize = 20_000;
    let home = Home::demo();
    let code = format!(
        "import os, sys\n\
         sys.stdout.write(''.join(f'line {{n}}\\n' for n in range({LINES})))\n\
         sys.stdout.flush()\n\
         os.kill(os.getpid(), 9)\n"
    );
    let run = home.run_python(&code, &[]).exits(10);
    assert_counted(&run.log(), LINES);
    assert_eq!(complete(&run.outcome()), LINES as u64);
}

#[test]
#[ignore = "needs docker (runs containers)"]
fn lines_of_any_shape() {
    let home = Home::demo();
    let code = "import sys\n\
                out = sys.stdout.buffer\n\
                out.write('ü'.encode() * 600_000 + b'\\n')\n\
                out.write(b'\\n')\n\
                out.write(b'\\xff\\xfe not text\\r\\n')\n\
                out.write(b'no newline at the end')\n\
                out.flush()\n\
                sys.stderr.write('to the other side\\n')\n";
    let run = home.run_python(code, &[]).exits(0);
    let log: Vec<(Stream, String)> = run
        .events()
        .into_iter()
        .filter_map(|event| match event.kind {
            EventKind::Log { stream, text, .. } => Some((stream, text)),
            _ => None,
        })
        .collect();
    let out: Vec<&str> = log.iter().filter(|line| line.0 == Stream::Stdout).map(|line| line.1.as_str()).collect();
    assert_eq!(out.len(), 4, "{} lines", out.len());
    assert_eq!(out[0], "ü".repeat(600_000));
    assert_eq!(out[1], "");
    assert!(out[2].ends_with(" not text") || out[2].ends_with(" not text\r"), "{:?}", out[2]);
    assert_eq!(out[3], "no newline at the end");
    assert!(log.contains(&(Stream::Stderr, "to the other side".to_owned())));
    complete(&run.outcome());
}

#[test]
#[ignore = "needs docker (runs containers)"]
fn for_people_standard_output_is_the_recipes_alone() {
    let home = Home::demo();
    let mut arguments = home.python("import sys\nprint('one')\nprint('two', file=sys.stderr)\nprint('three')", &[]);
    arguments.remove(0);
    let run = home.call(&arguments).exits(0);
    assert_eq!(run.stdout, "one\nthree\n");
    assert!(run.stderr.contains("two\n") && run.stderr.contains("the recipe succeeded"), "{run}");
    // Not a terminal: no control characters.
    assert!(!run.stderr.contains('\x1b') && !run.stderr.contains('\r'), "{run}");
}

fn sha256(bytes: impl AsRef<[u8]>) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What a recipe found out itself, and left in the folder `proof`.
fn proof(home: &Home, name: &str) -> String {
    home.read_data(&format!("proof/{name}")).trim().to_owned()
}

#[test]
#[ignore = "needs docker (runs containers)"]
fn a_million_lines_are_what_the_recipe_itself_counted_and_hashed() {
    const LINES: usize = 1_000_000;
    let home = Home::demo();
    let code = format!(
        "import dataiku, hashlib, os\n\
         text = ''.join(f'{{n:07d}} {{n * 2654435761 % 4294967296:x}}\\n' for n in range({LINES})).encode()\n\
         proof = dataiku.Folder('proof')\n\
         proof.upload_data('lines', str(text.count(b'\\n')))\n\
         proof.upload_data('sha256', hashlib.sha256(text).hexdigest())\n\
         at = 0\n\
         while at < len(text):\n    at += os.write(1, text[at:at + 16777216])\n\
         os._exit(0)\n"
    );
    let mut arguments = home.python(&code, &["--output", &home.bind("proof", "proof/")]);
    arguments.remove(0);
    let run = home.call(&arguments).exits(0);
    let id = home.runs().remove(0);
    assert_eq!(complete(&id.outcome.unwrap()), LINES as u64);
    let kept = home.call(["logs", &id.run]).exits(0);
    for text in [&run.stdout, &kept.stdout] {
        assert_eq!(text.lines().count().to_string(), proof(&home, "lines"));
        assert_eq!(sha256(text), proof(&home, "sha256"));
    }
}

#[test]
#[ignore = "needs docker (runs containers)"]
fn rubbish_and_lines_beyond_what_travels_at_once_arrive_byte_for_byte() {
    let home = Home::demo();
    let code = "import dataiku, hashlib, os, random\n\
                limit = 4 << 20\n\
                parts = [b'\\0' * 1000 + b'\\n', b'\\xff\\xfe\\r\\n', b'\\n\\n\\n', bytes(range(256)), b'\\n']\n\
                parts += [b'x' * length + b'\\n' for length in (limit - 1, limit, limit + 1, 3 * limit + 7)]\n\
                parts += ['\u{20ac}'.encode() * (limit // 2), b'\\n', random.Random(7).randbytes(3000000), b'\\n\\xffend']\n\
                data = b''.join(parts)\n\
                dataiku.Folder('proof').upload_data('sha256', hashlib.sha256(data).hexdigest())\n\
                at = 0\n\
                while at < len(data):\n    at += os.write(1, data[at:at + 100003])\n\
                os._exit(0)\n";
    let run = home.run_python(code, &["--output", &home.bind("proof", "proof/")]).exits(0);
    complete(&run.outcome());
    // The log has every byte.
    let path = home.path().join(format!("state/logs/{}.log", run.run()));
    let mut bytes = Vec::new();
    for line in LogReader::open(path, 0).unwrap().map(Result::unwrap) {
        bytes.extend_from_slice(&line.bytes);
        if line.flags & CONTINUES == 0 {
            bytes.push(b'\n');
        }
    }
    // There was no newline behind the last line.
    bytes.pop();
    assert_eq!(sha256(&bytes), proof(&home, "sha256"));
    // What is shown is the same, where it is text, and as many lines.
    let mut shown = String::new();
    for event in home.call(["--json", "logs", &run.run()]).exits(0).events() {
        if let EventKind::Log { text, continues, .. } = event.kind {
            shown.push_str(&text);
            shown.push_str(if continues { "" } else { "\n" });
        }
    }
    shown.pop();
    let expected: Vec<_> = bytes.split(|byte| *byte == b'\n').map(String::from_utf8_lossy).collect();
    assert!(shown == expected.join("\n"), "{} and {} bytes", shown.len(), bytes.len());
}

#[test]
#[ignore = "needs docker (runs containers)"]
fn both_streams_at_once_are_both_whole() {
    const LINES: usize = 100_000;
    let home = Home::demo();
    let code = format!(
        "import os, threading\n\
         def write(to):\n    for n in range(0, {LINES}, 100):\n        \
         os.write(to, ''.join(f'{{to}} {{m}}\\n' for m in range(n, n + 100)).encode())\n\
         threads = [threading.Thread(target=write, args=(to,)) for to in (1, 2)]\n\
         [thread.start() for thread in threads]\n\
         [thread.join() for thread in threads]\n"
    );
    let run = home.run_python(&code, &[]).exits(0);
    assert_eq!(complete(&run.outcome()), 2 * LINES as u64);
    let (mut out, mut err, mut numbers) = (Vec::new(), Vec::new(), Vec::new());
    for event in run.events() {
        if let EventKind::Log { line, stream, text, .. } = event.kind {
            numbers.push(line);
            if stream == Stream::Stdout { out.push(text) } else { err.push(text) }
        }
    }
    assert!(numbers.iter().copied().eq(0..2 * LINES as u64));
    let expected = |to: u32| (0..LINES).map(|n| format!("{to} {n}")).collect::<Vec<_>>();
    assert!(out == expected(1) && err == expected(2), "{} and {} lines", out.len(), err.len());
}

/// A run whose recipe writes far more than its spool holds while nobody owns the home.
struct Flood {
    home: Home,
    run: String,
    /// A folder that is in the container too: the only way to look inside while the host is away.
    shared: PathBuf,
}

impl Flood {
    const LINES: usize = 200_000;

    /// Starts it and kills the owner.
    fn start(when_full: &str) -> Self {
        let home = Home::demo();
        home.opens_containers();
        let shared = home.path().with_file_name("shared");
        fs::create_dir(&shared).unwrap();
        fs::set_permissions(&shared, fs::Permissions::from_mode(0o777)).unwrap();
        let configuration = fs::read_to_string(home.path().join("configs/docker-local.toml")).unwrap();
        home.write(
            "configs/docker-local.toml",
            format!(
                "{configuration}\n[logs]\nspool = \"1m\"\nwhen_full = \"{when_full}\"\n\n\
                 [security]\nhost_mounts = [\"{}:/shared\"]\n",
                shared.display()
            ),
        );
        let code = format!(
            "import os, time\n\
             print('up', flush=True)\n\
             while not os.path.exists('/shared/go'):\n    time.sleep(0.02)\n\
             for n in range(0, {lines}, 100):\n    \
             os.write(1, ''.join(f'{{m:08d}}{{\"x\" * 91}}\\n' for m in range(n, n + 100)).encode())\n    \
             open('/shared/written', 'w').write(str(n + 100))\n",
            lines = Self::LINES
        );
        let mut owner = home.start(home.python(&code, &[]));
        let run = owner.until_log("up");
        owner.signal(Signal::KILL);
        let _ = owner.finish();
        fs::write(shared.join("go"), "").unwrap();
        Self { home, run, shared }
    }

    /// How many lines the recipe has written.
    fn written(&self) -> usize {
        // Empty for a moment while it is written anew.
        let text = fs::read_to_string(self.shared.join("written")).unwrap_or_default();
        text.parse().unwrap_or(0)
    }

    /// Waits until the recipe's progress is as wanted.
    fn wait(&self, what: &str, mut wanted: impl FnMut(usize) -> bool) {
        let started = Instant::now();
        while !wanted(self.written()) {
            assert!(started.elapsed() < Duration::from_secs(120), "{what}: {} lines written", self.written());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Opens the home again, and follows the run to its end.
    fn go_on(&self) -> Finished {
        self.home.call(["--json", "logs", "-f", &self.run]).exits(0)
    }

    /// Checks that these lines are what was written under their numbers; the first is `up`.
    fn assert_own(log: &[(u64, String)]) {
        for (number, text) in log.iter().skip(1) {
            assert_eq!(*text, format!("{:08}{}", number - 1, "x".repeat(91)));
        }
    }
}

#[test]
#[ignore = "needs docker (runs containers)"]
fn a_recipe_waits_for_a_host_that_is_away_and_nothing_is_lost() {
    let flood = Flood::start("wait");
    // It stands still, far from its end.
    let (mut at, mut since) = (0, Instant::now());
    flood.wait("the recipe is held back", |written| {
        if written != at {
            (at, since) = (written, Instant::now());
        }
        at > 0 && since.elapsed() > Duration::from_secs(3)
    });
    let held = flood.written();
    assert!(held < Flood::LINES / 2, "{held}");
    let run = flood.go_on();
    assert_eq!(flood.written(), Flood::LINES);
    assert_eq!(complete(&run.outcome()), Flood::LINES as u64 + 1);
    let log = run.log();
    assert!(log.iter().map(|line| line.0).eq(0..=Flood::LINES as u64));
    Flood::assert_own(&log);
    flood.home.left_only(&[]);
}

#[test]
#[ignore = "needs docker (runs containers)"]
fn a_recipe_goes_on_without_its_host_where_lines_may_be_dropped_and_they_are_counted() {
    let flood = Flood::start("drop");
    flood.wait("the recipe goes on", |written| written == Flood::LINES);
    let run = flood.go_on();
    let log = run.log();
    let missing = Flood::LINES as u64 + 1 - log.len() as u64;
    let first = log.iter().enumerate().find(|(at, (number, _))| *at as u64 != *number);
    let (from, (to, _)) = first.unwrap();
    let said = LogState::Incomplete { missing: Some(missing), dropped: missing, from: from as u64, to: Some(*to) };
    assert_eq!(run.outcome().log, Some(said));
    // The spool holds a little of it, and that is what came.
    assert!(missing > Flood::LINES as u64 / 2 && log.len() > 1_000, "{missing} missing of {}", Flood::LINES);
    assert_eq!(log.last().map(|line| line.0), Some(Flood::LINES as u64));
    Flood::assert_own(&log);
    let gaps: u64 = run
        .events()
        .iter()
        .map(|event| match &event.kind {
            EventKind::LogGap { missing, .. } => *missing,
            _ => 0,
        })
        .sum();
    assert_eq!(gaps, missing);
    let shown = flood.home.call(["logs", &flood.run]).exits(0);
    assert!(
        shown.stderr.contains("missing here: the host was away and the container's spool of 1 MiB was full"),
        "{}",
        shown.stderr
    );
    flood.home.left_only(&[]);
}
