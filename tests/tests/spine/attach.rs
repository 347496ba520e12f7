//! Containers that can't reach the host: it reaches into them, through the engine.

use std::fs;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use rustix::process::Signal;
use serde_json::json;
use wharf::message::{Explanation, Finding};
use wharf_model::outcome::LogState;
use wharf_model::{Cause, EventKind, Outcome};
use wharf_tests::{Daemon, Finished, GROUP, Home, USER};

const CONFIGURATION: &str = "configs/docker-local.toml";

/// Finds what the host started in the container, and ends it.
const CUT: &str = r"
import os, signal

def carriers():
    found = []
    for pid in filter(str.isdigit, os.listdir('/proc')):
        try:
            with open(f'/proc/{pid}/cmdline', 'rb') as file:
                if file.read().split(b'\0')[1:2] == [b'attach']:
                    found.append(int(pid))
        except OSError:
            pass
    return found

def cut():
    cut = carriers()
    for pid in cut:
        os.kill(pid, signal.SIGKILL)
    return len(cut)
";

/// A demo home whose containers are reached into, and have this network.
fn home(network: &str) -> Home {
    let home = Home::demo();
    let tables = format!("[exchange]\nmode = \"attach\"\n\n[security]\nnetwork = \"{network}\"\n\n[permissions]");
    home.replace(CONFIGURATION, "[permissions]", &tables);
    home
}

fn assert_complete(outcome: &Outcome, lines: u64) {
    let complete = matches!(outcome.log, Some(LogState::Complete { lines: counted, .. }) if counted == lines);
    assert!(complete, "{:?}: {}", outcome.log, outcome.sentence);
}

/// Checks that the log is `line 0` to `line COUNT-1` and nothing else.
fn assert_counted(run: &Finished, count: usize) {
    let log = run.log();
    assert_eq!(log.len(), count, "{run}");
    for (at, (number, text)) in log.iter().enumerate() {
        assert_eq!((*number, text.as_str()), (at as u64, format!("line {at}").as_str()));
    }
    assert_complete(&run.outcome(), count as u64);
}

#[test]
#[ignore = "needs docker (runs containers)"]
fn a_recipe_without_a_network_has_its_data() {
    let home = home("none");
    home.replace(CONFIGURATION, "network =", "read_only_root = true\nnetwork =");
    let rows: String = (0..200_000).map(|row| format!("{row},a text of some length {row}\n")).collect();
    home.write_data("big.csv", format!("n,text\n{rows}"));
    let code = r#"
import dataiku, os, socket
assert os.listdir("/sys/class/net") == ["lo"], os.listdir("/sys/class/net")
try:
    socket.create_connection(("172.17.0.1", 80), 5)
    raise SystemExit("there is a network")
except OSError:
    pass
big = dataiku.Dataset("big").get_dataframe()
assert len(big) == 200_000 and big["n"].sum() == 19_999_900_000
dataiku.Dataset("copy").write_with_schema(big)
dataiku.Folder("files").upload_data("a/zeros.bin", bytes(5 << 20))
"#;
    let bindings = [
        "--input",
        &home.bind("big", "big.csv"),
        "--output",
        &home.bind("copy", "copy.csv"),
        "--output",
        &home.bind("files", "files/"),
    ];
    let run = home.run_python(code, &bindings).exits(0);
    assert_eq!(run.outcome().cause, Cause::Succeeded);
    assert!(home.read_data("copy.csv") == home.read_data("big.csv"));
    assert!(fs::read(home.data("files/a/zeros.bin")).unwrap() == vec![0; 5 << 20]);
    home.left_only(&["big.csv", "copy.csv", "copy.csv.schema.json", "files/", "files/a/", "files/a/zeros.bin"]);
}

#[test]
#[ignore = "needs docker (runs containers)"]
fn a_hundred_thousand_lines_and_an_instant_exit() {
    let home = home("none");
    let code = "import os, sys\n\
                sys.stdout.write(''.join(f'line {n}\\n' for n in range(100_000)))\n\
                sys.stdout.flush()\n\
                os._exit(0)\n";
    assert_counted(&home.run_python(code, &[]).exits(0), 100_000);
    home.left_only(&[]);
}

#[test]
#[ignore = "needs docker (runs containers)"]
fn ends_are_told_as_over_the_network() {
    let home = home("none");
    let end = home.run_python("import sys\nprint('last words')\nsys.exit(7)", &[]).exits(10).outcome();
    assert_eq!((end.cause, end.exit_code), (Cause::RecipeFailed, Some(7)));
    assert_complete(&end, 1);

    let end = home.run_python("import time\ntime.sleep(600)", &["--timeout", "4s"]).exits(13).outcome();
    assert_eq!(end.sentence, "it took longer than its time limit of 4 s");

    let code = "blocks = []\nwhile True: blocks.append(bytearray(b'x') * (4 << 20))";
    let end = home.run_python(code, &["--resource", "memory=200m"]).exits(14).outcome();
    assert_eq!(end.cause, Cause::OutOfMemory);
    assert!(end.sentence.contains("its limit of 200 MiB"), "{}", end.sentence);

    let mut run = home.start(home.python("import time\nprint('up', flush=True)\ntime.sleep(600)", &[]));
    run.until_log("up");
    run.signal(Signal::INT);
    assert_eq!(run.finish().exits(13).outcome().cause, Cause::Stopped);
    home.left_only(&[]);
}

#[test]
#[ignore = "needs docker (runs containers)"]
fn streams_that_are_cut_lose_and_double_nothing() {
    const LINES: usize = 20_000;
    let home = home("none");
    let code = format!(
        "{CUT}\n\
         import time\n\
         cuts = 0\n\
         for n in range({LINES}):\n    print(f'line {{n}}', flush=True)\n    \
         if n % 1000 == 999: cuts += cut(); time.sleep(0.5)\n\
         assert cuts >= 5, cuts\n"
    );
    assert_counted(&home.run_python(&code, &[]).exits(0), LINES);
    home.left_only(&[]);
}

#[test]
#[ignore = "needs docker (runs containers)"]
fn a_host_killed_in_mid_run_is_followed_by_one_that_reaches_in_again() {
    const LINES: usize = 160;
    let home = home("none");
    let code = format!(
        "import dataiku, pandas, time\n\
         for n in range({LINES}):\n    print(f'line {{n}}', flush=True); time.sleep(0.05)\n\
         dataiku.Dataset('out').write_with_schema(pandas.DataFrame({{'n': range(1000)}}))\n"
    );
    let mut first = home.start(home.python(&code, &["--output", &home.bind("out", "out.csv")]));
    let id = first.until_log("line 20");
    first.signal(Signal::KILL);
    let _ = first.finish();
    let [container] = home.containers().try_into().unwrap();
    assert_eq!((container.run.as_str(), container.state.as_str()), (id.as_str(), "running"));

    let next = home.call(["--json", "logs", "-f", &id]).exits(0);
    assert_counted(&next, LINES);
    assert!(next.events().iter().any(|event| event.kind == EventKind::Recovered));
    assert_eq!(home.read_data("out.csv").lines().count(), 1001);
    home.left_only(&["out.csv", "out.csv.schema.json"]);
}

#[test]
#[ignore = "needs docker (runs containers)"]
fn a_recipe_that_stands_between_host_and_runner_learns_nothing() {
    let home = home("none");
    // It takes the socket's place and passes everything on, and looks at the environment of what the host starts.
    let code = format!(
        r#"{CUT}
import glob, select, socket, threading, time

[place] = glob.glob("/tmp/wharf-*/host")
real = place + ".real"
heard = bytearray()

def pass_on(host):
    runner = socket.socket(socket.AF_UNIX)
    try:
        runner.connect(real)
        other = {{host: runner, runner: host}}
        while True:
            for end in select.select([host, runner], [], [])[0]:
                passed = end.recv(65536)
                if not passed:
                    return
                heard.extend(passed)
                other[end].sendall(passed)
    except OSError:
        pass
    finally:
        host.close()
        runner.close()

def between():
    fake, mine = None, None
    while True:
        try:
            # The runner takes its place back while it waits for the host.
            if os.stat(place).st_ino != mine:
                os.rename(place, real)
                fake = socket.socket(socket.AF_UNIX)
                fake.bind(place)
                fake.listen()
                mine = os.stat(place).st_ino
        except FileNotFoundError:
            pass
        if select.select([fake], [], [], 0.005)[0]:
            threading.Thread(target=pass_on, args=(fake.accept()[0],), daemon=True).start()

environments = set()

def look():
    while True:
        for pid in carriers():
            try:
                with open(f"/proc/{{pid}}/environ", "rb") as file:
                    environments.update(file.read().split(b"\0"))
            except OSError:
                pass

for work in (between, look):
    threading.Thread(target=work, daemon=True).start()
for n in range(20):
    cut()
    print("marked line", n, flush=True)
    time.sleep(0.3)
assert len(heard) > 1000, len(heard)
assert not any(word in heard for word in (b"marked line", b"/v1/", b"Bearer", b"PRI * HTTP")), bytes(heard)
assert any(text.startswith(b"WHARF_EXCHANGE=attach:") for text in environments), environments
assert {{text for text in environments if text.startswith(b"WHARF_TICKET=")}} == {{b"WHARF_TICKET="}}, environments
# It speaks to the runner as if it were the host.
for words in (b"HTTP/1.1 200 OK\r\n\r\n", b"\x16\x03\x03\x00\x02no"):
    runner = socket.socket(socket.AF_UNIX)
    try:
        runner.connect(real)
        runner.sendall(words)
    except ConnectionRefusedError:
        pass
cut()
print("marked line", 20, flush=True)
os.kill(os.getpid(), 9)
"#
    );
    let end = home.run_python(&code, &[]).exits(10).outcome();
    assert!(end.sentence.contains("signal 9"), "{}: {:?}", end.sentence, end.error_tail);
    // Even its end, which it had shut the host out of, is heard.
    assert_complete(&end, 21);
    home.left_only(&[]);
}

#[test]
#[ignore = "needs docker (runs containers)"]
fn two_containers_that_share_their_temporary_folder() {
    // Of the other network modes, the one in which containers share their names on the network.
    let home = home("host");
    home.opens_containers();
    let shared = home.data("tmp");
    fs::create_dir(&shared).unwrap();
    fs::set_permissions(&shared, fs::Permissions::from_mode(0o1777)).unwrap();
    let mount = format!("host_mounts = [\"{}:/tmp\"]\nnetwork =", shared.display());
    home.replace(CONFIGURATION, "network =", &mount);
    let code = |name: &str, other: &str| {
        format!(
            "import os, time\n\
             print('{name}', flush=True)\n\
             open('/tmp/{name}', 'w').close()\n\
             while not os.path.exists('/tmp/{other}'): time.sleep(0.1)\n\
             print('both', flush=True)\n"
        )
    };
    let one = home.start(home.python(&code("one", "two"), &[]));
    home.write("two.py", code("two", "one"));
    let two = home.path().join("two.py").display().to_string();
    let two = home.start(["--json", "run", "--python", &two, "--user", USER, "--group", GROUP]);
    for (run, name) in [(one, "one"), (two, "two")] {
        let run = run.finish().exits(0);
        let texts: Vec<String> = run.log().into_iter().map(|(_, text)| text).collect();
        assert_eq!(texts, [name, "both"]);
        assert_complete(&run.outcome(), 2);
    }
    assert_eq!(home.containers().len(), 0);
}

#[test]
#[ignore = "needs docker (runs containers)"]
fn a_container_without_room_for_another_process() {
    let home = home("none");
    // The stream is cut while nothing can be started in the container.
    let code = format!(
        "{CUT}\n\
         import time\n\
         print('line 0', flush=True)\n\
         children = []\n\
         try:\n    \
             while True: children.append(os.posix_spawn('/bin/sleep', ['sleep', '60'], {{}}))\n\
         except OSError:\n    pass\n\
         assert cut() == 1\n\
         for n in range(1, 40): print(f'line {{n}}', flush=True); time.sleep(0.1)\n\
         for child in children: os.kill(child, 9)\n"
    );
    let run = home.run_python(&code, &["--resource", "pids-limit=40"]).exits(0);
    assert_counted(&run, 40);
    home.left_only(&[]);
}

/// Passes requests on to the daemon, all but those that begin something in a container: proxies that sites put before a
/// daemon's socket are often like that.
fn forbidding(socket: &Path, daemon: &Daemon) {
    let listener = UnixListener::bind(socket).expect("it can listen");
    let daemon = daemon.clone();
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let (Ok(client), daemon) = (client, daemon.clone()) else { return };
            std::thread::spawn(move || pass(client, &daemon));
        }
    });
}

fn pass(mut client: UnixStream, daemon: &Daemon) {
    let connected = UnixStream::connect(daemon.address().trim_start_matches("unix://"));
    let mut server = connected.expect("the daemon is there");
    let clone = |stream: &UnixStream| stream.try_clone().expect("there is a free file descriptor");
    let (mut answers, mut back) = (clone(&server), clone(&client));
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut answers, &mut back);
        let _ = back.shutdown(Shutdown::Both);
    });
    let mut buffer = vec![0; 1 << 16];
    while let Ok(length @ 1..) = client.read(&mut buffer) {
        let request = String::from_utf8_lossy(&buffer[..length]);
        let path = request.split(' ').nth(1).unwrap_or_default();
        if path.ends_with("/exec") {
            const ANSWER: &str = "HTTP/1.1 403 Forbidden\r\nContent-Type: application/json\r\nConnection: close\r\n\
                                  Content-Length: 45\r\n\r\n{\"message\":\"this proxy allows no such thing\"}";
            let _ = client.write_all(ANSWER.as_bytes());
            break;
        }
        if server.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    let _ = server.shutdown(Shutdown::Both);
}

#[test]
#[ignore = "needs docker (runs containers)"]
fn a_container_that_cannot_be_reached_into() {
    let home = home("none");
    let socket = home.path().join("proxy.sock");
    forbidding(&socket, home.daemon());
    home.replace(CONFIGURATION, &home.daemon().address(), &format!("unix://{}", socket.display()));
    home.replace(
        "wharf.toml",
        "required_policies",
        "runs.start_timeout = \"8s\"\nruns.grace = \"1s\"\nrequired_policies",
    );
    let end = home.run_python("print(1)", &[]).exits(22).outcome();
    assert_eq!(end.cause, Cause::RunnerNeverCameUp);
    assert!(end.sentence.contains("was not heard of for 8 s"), "{}", end.sentence);
    assert!(
        end.sentence.contains("the host could not reach into it") && end.sentence.contains("allows no such thing"),
        "{}",
        end.sentence
    );
    assert!(end.advice.as_ref().is_some_and(|advice| advice.contains("docker exec")), "{end:?}");
    assert!(end.evidence["attach.tries"].as_u64().unwrap() > 1, "{end:?}");
    assert!(end.evidence["attach.failure"].as_str().unwrap().contains("allows no such thing"), "{end:?}");
    home.left_only(&[]);
}

#[test]
#[ignore = "needs docker (asks the daemon, runs a container)"]
fn the_mode_is_shown() {
    let home = home("none");
    let tested = home.call(["config", "test", "docker-local", "--user", USER]).exits(0);
    assert!(tested.stderr.contains("exchange: attach: the host reaches into the container"), "{tested}");

    home.write("activities/one.toml", "kind = \"python\"\nscript = \"print(1)\"\n");
    let file = home.path().join("activities/one.toml").display().to_string();
    let asked = ["explain", &file, "--user", USER, "--group", GROUP];
    let explained = home.call(asked).exits(0);
    assert!(explained.stdout.contains("exchange       attach: the host reaches into the container"), "{explained}");
    let explained: Explanation = home.call(["--json"].iter().chain(&asked)).exits(0).document();
    assert_eq!(explained.object.unwrap()["HostConfig"]["NetworkMode"], json!("none"));

    let findings: Vec<Finding> = home.call(["--json", "doctor"]).exits(0).document();
    let has = |name: &str| findings.iter().any(|finding| finding.name == name);
    assert!(has("way in") && !has("way back"), "{findings:?}");
    home.left_only(&[]);
}
