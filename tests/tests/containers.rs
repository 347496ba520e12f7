//! Hostile containers, on the real daemon: a runner that attacks its host, and recipes that attack their runner.
//!
//! The hostile runner (`tests/hostile-runner`) is mounted over the real one, so all else is real. In every test an honest run
//! goes on beside it, in the process that owns the home: it must not notice anything, and that process must stay small, not
//! panic, and leave every file alone that isn't an output.

#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::fs;
use std::path::Path;

use wharf_model::outcome::LogState;
use wharf_model::{Cause, Outcome};
use wharf_tests::{Finished, Home, Started};

const RUNNER: &str = env!("WHARF_HOSTILE_RUNNER");
const POLICY: &str = env!("WHARF_HOSTILE_POLICY");

/// What the owner of a home may need at the most, whatever containers do.
const MEMORY: u64 = 300 << 20;

/// The honest run: it reads, writes and speaks until it is told that it may end.
const HONEST: &str = "import dataiku, pandas, time\n\
    signal = dataiku.Folder('signal')\n\
    turns = 0\n\
    while 'stop' not in [path.strip('/') for path in signal.list_paths_in_partition()]:\n\
    \x20   frame = dataiku.Dataset('in').get_dataframe()\n\
    \x20   assert frame['a'].sum() == 499500, frame\n\
    \x20   dataiku.Dataset('theirs').write_with_schema(frame)\n\
    \x20   dataiku.Folder('their-files').upload_data('turn.txt', str(turns).encode())\n\
    \x20   print(f'turn {turns}', flush=True)\n\
    \x20   turns += 1\n\
    \x20   time.sleep(0.2)\n";

/// A home under attack.
struct Siege {
    home: Home,
    honest: Started,
    before: Vec<(String, Vec<u8>)>,
}

impl Siege {
    /// `tables` is what the hostile run's configuration has besides.
    fn begin(tables: &str) -> Self {
        let home = Home::demo();
        home.opens_containers();
        let rows: String = (0..1000).map(|row| format!("{row}\n")).collect();
        home.write_data("in.csv", format!("a\n{rows}"));
        home.write_data("canary/a/b.txt", "untouched");
        home.write_data("files/there.txt", "there");
        for folder in ["signal", "their-files"] {
            fs::create_dir(home.data(folder)).unwrap();
        }
        let honest = fs::read_to_string(home.path().join("configs/docker-local.toml")).unwrap();
        home.write("configs/hostile.toml", format!("{honest}\n{tables}"));
        // A configuration can't cover the runner, so a policy does.
        let mount = format!("{RUNNER}:/opt/wharf/bin/wharf-runner:ro");
        home.drop_policy(
            "hostile-runner",
            POLICY,
            &format!("[settings]\nrole = \"mutating\"\ndo = \"mount\"\nmount = \"{mount}\"\n"),
        );
        let mut started = home.start(
            home.python(
                HONEST,
                &[
                    &["--input", &home.bind("in", "in.csv"), "--input", &home.bind("signal", "signal/")][..],
                    &["--output", &home.bind("theirs", "theirs.csv")],
                    &["--output", &home.bind("their-files", "their-files/")],
                ]
                .concat(),
            ),
        );
        started.until_log("turn 1");
        let before = contents(&home);
        Self { home, honest: started, before }
    }

    /// Runs one attack to its end.
    fn attack(&self, attack: &str) -> Attacked {
        self.attack_with(attack, &[])
    }

    fn attack_with(&self, attack: &str, more: &[&str]) -> Attacked {
        let home = &self.home;
        let variable = format!("attack={attack}");
        let run = home.run_python(
            "print('nobody runs this')",
            &[
                &["--config", "hostile", "--variable", &variable, "--input", &home.bind("in", "in.csv")][..],
                &["--output", &home.bind("out", "out.csv"), "--output", &home.bind("files", "files/")],
                more,
            ]
            .concat(),
        );
        assert!(!run.stderr.contains("panicked"), "{run}");
        Attacked { run }
    }

    /// Lets the honest run end, and checks that nothing happened to it, to the host, or to any file. Names of files that the
    /// attacks were allowed to write are given.
    fn end(self, written: &[&str]) {
        let peak = self.honest.peak_memory().expect("the honest run waits for its signal");
        assert!(peak < MEMORY, "the host needed {} MiB", peak >> 20);
        self.home.write_data("signal/stop", "");
        let honest = self.honest.finish().exits(0);
        assert!(!honest.stderr.contains("panicked"), "{honest}");
        let end = honest.outcome();
        assert!(matches!(end.log, Some(LogState::Complete { .. })), "{:?}", end.log);
        for (at, (number, text)) in honest.log().into_iter().enumerate() {
            assert_eq!((number, text), (at as u64, format!("turn {at}")));
        }
        let own = ["data/signal/stop", "data/theirs.csv", "data/theirs.csv.schema.json", "data/their-files/turn.txt"];
        let allowed =
            |name: &str| own.contains(&name) || written.iter().any(|written| name == format!("data/{written}"));
        let after: Vec<_> = contents(&self.home).into_iter().filter(|(name, _)| !allowed(name)).collect();
        let before: Vec<_> = self.before.into_iter().filter(|(name, _)| !allowed(name)).collect();
        for entry in &after {
            assert!(before.contains(entry), "{} is new or changed", entry.0);
        }
        assert_eq!(after.len(), before.len(), "files are gone");
        let containers = self.home.containers();
        assert!(containers.is_empty(), "containers are left: {containers:?}");
    }
}

/// All files of a home that no run has to change, and of the folder for data, with their contents.
fn contents(home: &Home) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for (name, path) in [("data", home.data("")), ("configs", home.path().join("configs"))] {
        collect(&path, name, &mut found);
    }
    found.push(("wharf.toml".to_owned(), fs::read(home.path().join("wharf.toml")).unwrap()));
    found
}

fn collect(folder: &Path, name: &str, found: &mut Vec<(String, Vec<u8>)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let own = entry.file_name().to_string_lossy().into_owned();
        // What the honest run has staged comes and goes.
        if own.starts_with(".wharf-") {
            continue;
        }
        let name = format!("{name}/{own}");
        match entry.file_type().unwrap() {
            kind if kind.is_dir() => collect(&entry.path(), &name, found),
            kind if kind.is_file() => found.push((name, fs::read(entry.path()).unwrap())),
            kind => panic!("{name} is {kind:?}"),
        }
    }
}

/// An attack that has ended.
struct Attacked {
    run: Finished,
}

impl Attacked {
    fn outcome(&self) -> Outcome {
        let end = self.run.outcome();
        assert!(!end.sentence.is_empty() && end.sentence.len() < 2_000, "{}", end.sentence.len());
        assert!(!end.sentence.chars().any(char::is_control), "{:?}", end.sentence);
        end
    }

    /// What the host answered, by the runner's lines: each `refused` one was refused, each `taken` one was taken.
    fn lines(&self) -> Vec<String> {
        let end = self.outcome();
        assert_eq!(end.cause, Cause::Succeeded, "{}", self.run);
        assert!(matches!(end.log, Some(LogState::Complete { .. })), "{:?}", end.log);
        let lines: Vec<String> = self.run.log().into_iter().map(|(_, text)| text).collect();
        for line in &lines {
            let answer = line.rsplit(": ").next().unwrap_or_default();
            if line.starts_with("refused ") {
                assert!(answer.starts_with('4') || answer.starts_with("507") || answer == "cut off", "{line}");
            }
            if line.starts_with("taken") {
                assert!(answer.starts_with('2'), "{line}");
            }
        }
        lines
    }

    fn says(&self, wanted: &str) {
        let lines = self.lines();
        assert!(lines.iter().any(|line| line == wanted), "no {wanted:?} in {lines:#?}");
    }
}

#[test]
#[ignore = "needs docker (runs containers)"]
fn no_path_leads_out_and_no_name_hides_another() {
    let siege = Siege::begin("");
    let lines = siege.attack("paths").lines();
    assert!(lines.iter().filter(|line| line.starts_with("refused ")).count() > 80, "{lines:#?}");
    assert!(lines.iter().any(|line| line.starts_with("refused PUT name: 409 name-taken")), "{lines:#?}");
    let sizes = siege.attack("sizes");
    sizes.says("broken off: true");
    assert_eq!(siege.home.read_data("files/honest"), "whole");
    let names = siege.attack("names");
    assert!(names.lines().iter().any(|line| line.contains("theirs/data") && line.contains("unknown-dataset")));
    siege.end(&["files/Name", "files/dir/file", "files/both", "files/%2e%2e", "files/honest"]);
}

#[test]
#[ignore = "needs docker (runs containers)"]
fn rows_and_schemas_that_lie() {
    let siege = Siege::begin("");
    let rows = siege.attack("rows").lines();
    assert_eq!(siege.home.read_data("out.csv"), "a,b\n1,2\n");
    assert!(rows.iter().any(|line| line.starts_with("refused a field of 20 MiB: 422 bad-rows")), "{rows:#?}");
    let schemas = siege.attack("schemas").lines();
    assert!(schemas.iter().any(|line| line.starts_with("refused 1,000,000 columns: 413")), "{schemas:#?}");
    assert_eq!(siege.home.read_data("out.csv"), "a\n1\n");
    siege.attack("memory").says("open some");
    siege.end(&["out.csv", "out.csv.schema.json"]);
}

#[test]
#[ignore = "needs docker (runs containers)"]
fn a_hundred_thousand_files() {
    let siege = Siege::begin("");
    let many = siege.attack("many-files");
    many.says("written 100000");
    assert!(many.lines().iter().any(|line| line.contains("deep paths refused after") && line.contains("422")));
    let mut found = Vec::new();
    collect(&siege.home.data("files"), "files", &mut found);
    assert_eq!(found.len(), 100_001);
    // The honest run's folder is compared without them.
    fs::remove_dir_all(siege.home.data("files")).unwrap();
    siege.home.write_data("files/there.txt", "there");
    siege.end(&[]);
}

#[test]
#[ignore = "needs docker (runs containers)"]
fn a_disk_is_not_filled() {
    let siege = Siege::begin("[exchange]\noutput_limit = \"8m\"\n[logs]\nlimit = \"1m\"\n");
    let endless = siege.attack("endless").lines();
    for kind in ["file", "rows"] {
        assert!(endless.contains(&format!("refused {kind}: 507 no-room")), "{endless:#?}");
    }
    assert_eq!(siege.home.read_data("files/small"), "small");
    let flood = siege.attack("log-flood");
    let end = flood.outcome();
    let Some(LogState::Limited { lines, bytes, left_out }) = end.log else { panic!("{:?}", end.log) };
    assert_eq!(lines + left_out, 16_000);
    assert!(bytes <= 1 << 20, "{bytes}");
    let kept =
        fs::metadata(siege.home.path().join("state/logs").join(format!("{}.log", flood.run.run()))).unwrap().len();
    assert!(kept < (1 << 20) + 4_096, "{kept}");
    let shown = siege.home.call(["logs", &flood.run.run()]).exits(0);
    assert!(shown.stderr.contains("isn't kept") || shown.stdout.contains("isn't kept"), "{shown}");
    siege.end(&["files/small"]);
}

#[test]
#[ignore = "needs docker (runs containers)"]
fn what_a_runner_says_of_itself() {
    let siege = Siege::begin("");
    siege.attack("tickets").lines();
    siege.attack("talk").says("flood refused 0");
    let logs = siege.attack("logs");
    let lines = logs.lines();
    assert_eq!(lines[..5], ["line 0", "line 1", "line 2", "line 3", "line 4"]);
    let absurd = siege.attack("absurd-result").outcome();
    assert_eq!(absurd.cause, Cause::RecipeFailed, "{}", absurd.sentence);
    assert!(matches!(absurd.log, Some(LogState::Incomplete { .. })), "{:?}", absurd.log);
    siege.end(&[]);
}

#[test]
#[ignore = "needs docker (runs containers)"]
fn nothing_is_added_after_the_end() {
    let siege = Siege::begin("");
    for _ in 0..3 {
        let late = siege.attack("late");
        // The first result stands.
        assert_eq!(late.outcome().cause, Cause::Succeeded, "{}", late.run);
        assert_eq!(siege.home.read_data("files/early"), "early");
        for name in ["open", "late", "again"] {
            assert!(!siege.home.data("files").join(name).exists(), "{name} came after the end");
        }
        fs::remove_file(siege.home.data("files/early")).unwrap();
    }
    siege.end(&[]);
}

#[test]
#[ignore = "needs docker (runs containers)"]
fn http_itself_as_a_weapon() {
    let siege = Siege::begin("");
    let streams = siege.attack("streams");
    streams.says("connections refused most");
    assert!(streams.lines().contains(&"beats on: 200 -".to_owned()), "{:#?}", streams.lines());
    assert_eq!(siege.attack("frames").lines().len(), 9);
    siege.end(&["files/after"]);
}

#[test]
#[ignore = "needs docker (runs containers)"]
fn five_hundred_connections_keep_nobody_out() {
    let siege = Siege::begin("");
    let home = &siege.home;
    let hostile = home
        .start(home.python("print('nobody runs this')", &["--config", "hostile", "--variable", "attack=connections"]));
    // Others start while it holds its connections.
    for _ in 0..2 {
        let other = home.run_python("print('here')", &[]).exits(0);
        assert_eq!(other.log(), [(0, "here".to_owned())]);
    }
    let hostile = Attacked { run: hostile.finish() };
    hostile.says("connections many");
    siege.end(&[]);
}

/// A recipe that attacks what is around it in its container.
fn recipe(home: &Home, code: &str, more: &[&str]) -> Outcome {
    let run = home.run_python(
        code,
        &[&["--output", &home.bind("out", "out.csv"), "--output", &home.bind("files", "files/")][..], more].concat(),
    );
    assert!(!run.stderr.contains("panicked"), "{run}");
    Attacked { run }.outcome()
}

#[test]
#[ignore = "needs docker (runs containers)"]
fn recipes_that_attack_their_runner() {
    let siege = Siege::begin("");
    let home = &siege.home;

    // The first process of a container can't be killed, seen into or spoken for from inside.
    let end = recipe(
        home,
        "import ctypes, os, signal\n\
         os.kill(1, signal.SIGKILL); os.kill(1, signal.SIGSTOP)\n\
         libc = ctypes.CDLL(None, use_errno=True)\n\
         assert libc.ptrace(16, 1, 0, 0) == -1\n\
         for name in ['environ', 'mem', 'fd', 'maps', 'root']:\n\
         \x20   try: os.listdir(f'/proc/1/{name}') if name in ('fd', 'root') else open(f'/proc/1/{name}', 'rb').read(1)\n\
         \x20   except OSError: pass\n\
         \x20   else: raise SystemExit(f'/proc/1/{name} can be read')\n\
         assert not [name for name in os.environ if name in ('WHARF_TICKET', 'WHARF_FINGERPRINT', 'WHARF_EXCHANGE')]\n",
        &[],
    );
    assert_eq!(end.cause, Cause::Succeeded, "{} {:?}", end.sentence, end.error_tail);

    // Its socket takes the recipe's requests and nothing else.
    let end = recipe(
        home,
        "import os, socket\n\
         path = os.environ['WHARF_SOCKET']\n\
         def say(data, wait=True):\n\
         \x20   s = socket.socket(socket.AF_UNIX); s.settimeout(20); s.connect(path)\n\
         \x20   try:\n\
         \x20       s.sendall(data)\n\
         \x20       return s.recv(4096) if wait else s\n\
         \x20   except (BrokenPipeError, ConnectionResetError): return b''\n\
         def ask(method, target, more=b''):\n\
         \x20   return say(f'{method} {target} HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n'.encode() + more + b'\\r\\n')\n\
         for target in ['/v1/task', '/v1/result', '/v1/logs', '/v1/heartbeat', '/v1/started', '/', '//v1/task', '/v1/datasets/../task',\n\
         \x20       '/v1/folders/files/files/../../../task', '/v1/folders/files/files/%2e%2e/x', 'http://wharf/v1/task', '*']:\n\
         \x20   for method in ['GET', 'POST', 'PUT', 'DELETE']:\n\
         \x20       answer = ask(method, target, b'Content-Length: 0\\r\\n')\n\
         \x20       assert b' 4' in answer.split(b'\\r\\n')[0] or b' 502 ' in answer or not answer, (method, target, answer)\n\
         assert b'WHARF' not in ask('GET', '/v1/context')\n\
         say(b'\\x16\\x03\\x01' + os.urandom(5000)); say(b'GET / HTTP/1.1\\r\\n' + b'x: y\\r\\n' * 100000)\n\
         say(b'PUT /v1/folders/files/files/x HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: 99999999999\\r\\n\\r\\nx', wait=False).close()\n\
         open = [say(b'GET /v1/con', wait=False) for _ in range(200)]\n\
         assert b' 200 ' in ask('GET', '/v1/context')\n",
        &[],
    );
    assert_eq!(end.cause, Cause::Succeeded, "{} {:?}", end.sentence, end.error_tail);

    // Processes that never end, and more of them than there may be.
    let end = recipe(
        home,
        "import os, signal, time\n\
         os.fork() or (os.setsid(), signal.signal(signal.SIGTERM, signal.SIG_IGN), time.sleep(3600))\n\
         count = 0\n\
         try:\n\
         \x20   while count < 5000:\n\
         \x20       os.fork() or time.sleep(3600)\n\
         \x20       count += 1\n\
         except OSError as error: print(error)\n\
         assert count < 600, count\n",
        &[],
    );
    assert_eq!(end.cause, Cause::Succeeded, "{} {:?}", end.sentence, end.error_tail);

    // A working folder that is gone, and a full /tmp.
    let end = recipe(
        home,
        "import os, shutil\n\
         shutil.rmtree(os.getcwd(), ignore_errors=True); shutil.rmtree('/tmp', ignore_errors=True)\n\
         raise SystemExit('gone')\n",
        &[],
    );
    assert_eq!(end.cause, Cause::RecipeFailed);
    assert!(end.sentence.contains("gone"), "{}", end.sentence);

    // Links of the container lead to files of the container, and what isn't a file isn't sent.
    let end = recipe(
        home,
        "import dataiku, os\n\
         folder = dataiku.Folder('files')\n\
         path = folder.get_path()\n\
         os.symlink('/etc/hostname', path + '/name'); folder.flush()\n\
         os.mkfifo(path + '/fifo')\n\
         try: folder.flush()\n\
         except Exception as error: assert 'a file' in str(error), error\n\
         else: raise SystemExit('a pipe was sent')\n\
         os.remove(path + '/fifo')\n",
        &[],
    );
    assert_eq!(end.cause, Cause::Succeeded, "{} {:?}", end.sentence, end.error_tail);
    assert!(fs::symlink_metadata(home.data("files/name")).unwrap().is_file());

    // Links of the host lead nowhere.
    std::os::unix::fs::symlink(home.data("canary"), home.data("files/link")).unwrap();
    let end = recipe(
        home,
        "import dataiku\n\
         folder = dataiku.Folder('files')\n\
         assert not [path for path in folder.list_paths_in_partition() if 'link' in path]\n\
         try: print(folder.get_download_stream('link/a/b.txt').read())\n\
         except Exception as error: assert 'leads out' in str(error), error\n\
         else: raise SystemExit('a link was followed')\n\
         folder.upload_data('link/a/b.txt', b'hostile')\n\
         folder.upload_data('link/new.txt', b'hostile')\n",
        &[],
    );
    assert_eq!(end.cause, Cause::OutputFailed, "{} {:?}", end.sentence, end.error_tail);
    assert!(end.sentence.contains("leads out of the folder"), "{}", end.sentence);
    fs::remove_dir_all(home.data("files")).unwrap();
    home.write_data("files/there.txt", "there");
    siege.end(&[]);
}
