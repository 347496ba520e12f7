//! Faults between the host and its daemon, and between a container and the host: each class of `docs/faults.md`.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};
use wharf_model::{Cause, EventKind, Phase};
use wharf_tests::{Fault, Home, Proxy};

use crate::trial::{WHOLE, arguments, assert_counted, assert_once, assert_whole, behind_proxy, watch, within};

const ALWAYS: std::ops::Range<usize> = 0..usize::MAX;
const FIRST: std::ops::Range<usize> = 0..1;

/// A demo home whose containers reach it through a proxy.
fn dialled_through_proxy() -> (Home, Proxy) {
    let home = Home::portable();
    // A port that was free a moment ago; the exchange takes it, and nobody but the proxy dials it.
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    let proxy = Proxy::tcp((Ipv4Addr::UNSPECIFIED, 0).into(), SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    let bridge = home.daemon().must("GET", "/networks/bridge", None);
    let config = &bridge["IPAM"]["Config"][0];
    let gateway = config["Gateway"].as_str().unwrap_or("172.17.0.1");
    let exchange = format!(
        "exchange.listen = \"127.0.0.1:{port}\"\nexchange.advertise = \"{gateway}:{}\"\nrequired_policies",
        proxy.port()
    );
    home.replace("wharf.toml", "required_policies", &exchange);
    (home, proxy)
}

fn local(home: &Home, lines: usize, pause: f64) -> Vec<String> {
    arguments(home, "docker-local", lines, pause, "")
}

#[test]
#[ignore = "needs docker (runs containers)"]
fn tail_of_the_log_lost() {
    within(240, || {
        const LINES: usize = 600_000;
        // The end of the container is known before the last of the log is here, and is asked for again and again.
        let (home, proxy) = behind_proxy();
        proxy.fault("POST", "/wait", 0..3, Fault::CutInAnswer(150));
        let code = format!(
            "import os, sys\n\
             sys.stdout.write(''.join(f'line {{n}}\\n' for n in range({LINES})))\n\
             sys.stdout.flush()\n\
             os._exit(0)\n"
        );
        let run = home.run_python(&code, &[]).exits(0);
        assert_counted(&run.log(), LINES);
        assert_eq!(run.outcome().cause, Cause::Succeeded);
        assert!(proxy.faults() > 0);
        home.left_only(&[]);
    });
}

#[test]
#[ignore = "needs docker (runs containers)"]
fn follow_dies() {
    within(240, || {
        let (home, proxy) = dialled_through_proxy();
        let mut run = home.start(local(&home, 200, 0.05));
        for line in [10, 30, 50, 70] {
            run.until_log(&format!("line {line}"));
            proxy.cut();
        }
        // A host that nobody reaches for some seconds.
        run.until_log("line 90");
        proxy.away();
        std::thread::sleep(Duration::from_secs(4));
        proxy.back();
        let run = run.finish().exits(0);
        assert_whole(&home, &run, 200, "");
        assert!(proxy.connections() > 5, "{}", proxy.connections());
        home.left_only(&WHOLE);
    });
}

#[test]
#[ignore = "needs docker (runs containers)"]
fn follow_dies_when_the_host_attaches() {
    within(240, || {
        let (home, proxy) = behind_proxy();
        let attach = "[exchange]\nmode = \"attach\"\n\n[permissions]";
        home.replace("configs/docker-local.toml", "[permissions]", attach);
        proxy.fault("POST", "/exec/", 0..8, Fault::CutInAnswer(6000));
        let mut run = home.start(local(&home, 200, 0.05));
        run.until_log("line 100");
        proxy.away();
        std::thread::sleep(Duration::from_secs(3));
        proxy.back();
        let run = run.finish().exits(0);
        assert_whole(&home, &run, 200, "");
        assert!(proxy.requests("POST", "/exec/").len() > 2);
        home.left_only(&WHOLE);
    });
}

#[test]
#[ignore = "needs docker (runs containers)"]
fn duplicates_and_torn_lines_on_resume() {
    within(240, || {
        const LINES: usize = 40;
        const FILL: usize = (4 << 20) - 3;
        let (home, proxy) = dialled_through_proxy();
        // 4 MiB a line, the longest that stays whole, so that a cut hits the middle of one.
        let code = format!(
            "import sys\n\
             for n in range({LINES}):\n    sys.stdout.write(f'{{n:03}}' + 'x' * {FILL} + '\\n'); sys.stdout.flush()\n"
        );
        let mut run = home.start(home.python(&code, &[]));
        let long = |event: &wharf_model::Event| matches!(event.kind, EventKind::Log { .. });
        for _ in 0..5 {
            for _ in 0..3 {
                run.until(long);
            }
            proxy.cut();
        }
        let run = run.finish().exits(0);
        let log = run.log();
        assert_eq!(log.len(), LINES);
        for (at, (number, text)) in log.iter().enumerate() {
            assert_eq!((*number, text.len(), &text[..3]), (at as u64, FILL + 3, format!("{at:03}").as_str()));
            assert!(text[3..].bytes().all(|byte| byte == b'x'), "line {at} is torn");
        }
        assert_eq!(run.outcome().cause, Cause::Succeeded);
        assert!(proxy.connections() > 5, "{}", proxy.connections());
        home.left_only(&[]);
    });
}

#[test]
#[ignore = "needs docker (runs containers)"]
fn work_runs_twice() {
    within(400, || {
        let cases = [
            ("/containers/create", Fault::CutBefore),
            ("/containers/create", Fault::CutAfter),
            ("/containers/create", Fault::CutInAnswer(40)),
            ("/containers/create", Fault::ServerError),
            ("/start", Fault::CutBefore),
            ("/start", Fault::CutAfter),
            ("/start", Fault::ServerError),
        ];
        for (part, fault) in cases {
            println!("{part}: {fault:?}");
            let (home, proxy) = behind_proxy();
            proxy.fault("POST", part, FIRST, fault);
            let watch = watch(&home);
            let run = home.call(local(&home, 20, 0.0)).exits(0);
            assert_whole(&home, &run, 20, "");
            assert_once(&watch);
            assert_eq!(proxy.faults(), 1);
            home.left_only(&WHOLE);
        }
    });
}

#[test]
#[ignore = "needs docker (runs containers)"]
fn wrong_re_attach() {
    within(240, || {
        let home = Home::portable();
        home.opens_containers();
        let mut run = home.start(local(&home, 100, 0.05));
        let id = run.until_log("line 5");
        run.signal(Signal::KILL);
        let _ = run.finish();
        let [own] = home.containers().try_into().unwrap();
        // Containers that look much like it: another home's, another attempt's, another run's.
        let labels = home.daemon().inspect(&own.id)["Config"]["Labels"].clone();
        let image = home.daemon().inspect(&own.id)["Image"].clone();
        let decoy = |change: &[(&str, &str)]| {
            let mut labels = labels.clone();
            for (label, value) in change {
                labels[*label] = json!(value);
            }
            let body = json!({ "Image": image, "Entrypoint": ["sleep", "600"], "Labels": labels, "User": "1000" });
            let created = home.daemon().must("POST", "/containers/create", Some(&body));
            let decoy = created["Id"].as_str().unwrap().to_owned();
            let _ = home.daemon().must("POST", &format!("/containers/{decoy}/start"), None);
            decoy
        };
        let strangers = decoy(&[("wharf.host", "another-home")]);
        let attempt = decoy(&[("wharf.attempt", "2")]);
        let other_run = decoy(&[("wharf.run", "no-such-run")]);

        let next = home.call(["--json", "logs", "-f", &id]).exits(0);
        let runs = home.runs();
        // The stranger's isn't touched; what has our label and no run that goes on is cleared away.
        let stranger = home.daemon().inspect(&strangers)["State"]["Status"].clone();
        home.daemon().remove(&strangers);
        assert_eq!(stranger, "running");
        assert_whole(&home, &next, 100, "");
        assert_eq!(runs.len(), 1);
        for gone in [attempt, other_run] {
            assert_eq!(home.daemon().ask("GET", &format!("/containers/{gone}/json"), None).0, 404);
        }
        home.left_only(&WHOLE);
    });
}

#[test]
#[ignore = "needs docker (runs containers)"]
fn dead_watch() {
    within(240, || {
        // Whatever becomes of one wait, that run goes on, and the other one with it.
        let faults =
            [Fault::ServerError, Fault::CutAfter, Fault::Rewrite("HTTP/1.1 200".into(), "HTTP/1.1 404".into())];
        for fault in faults {
            println!("{fault:?}");
            let (home, proxy) = behind_proxy();
            proxy.fault("POST", "/wait", FIRST, fault);
            let mut first = home.start(local(&home, 40, 0.1));
            first.until_log("line 5");
            let mut second = home.start(home.python("import time\nprint('up', flush=True)\ntime.sleep(5)", &[]));
            second.until_log("up");
            assert_whole(&home, &first.finish().exits(0), 40, "");
            assert_eq!(second.finish().exits(0).outcome().cause, Cause::Succeeded);
            assert_eq!(proxy.faults(), 1);
            home.left_only(&WHOLE);
        }
    });
}

#[test]
#[ignore = "needs docker (runs containers)"]
fn stuck_running() {
    within(240, || {
        // Each time the host can't be told: its connection is dead, and the daemon is away.
        for (method, path) in [("POST", "/containers/ID/kill"), ("DELETE", "/containers/ID?force=1")] {
            let (home, proxy) = behind_proxy();
            let mut run = home.start(local(&home, 6000, 0.1));
            run.until_log("line 5");
            let [container] = home.containers().try_into().unwrap();
            proxy.away();
            let _ = home.daemon().must(method, &path.replace("ID", &container.id), None);
            std::thread::sleep(Duration::from_secs(3));
            proxy.back();
            let run = run.finish().exits(22);
            let end = run.outcome();
            assert_eq!(end.cause, Cause::Lost, "{run}");
            assert!(end.retry_helps && !end.sentence.is_empty());
            home.left_only(&["in.csv"]);
        }
    });
}

#[test]
#[ignore = "needs docker (runs containers)"]
fn zombies() {
    within(300, || {
        for fault in [Fault::CutBefore, Fault::CutAfter, Fault::ServerError] {
            println!("{fault:?}");
            let (home, proxy) = behind_proxy();
            proxy.fault("DELETE", "/containers/", FIRST, fault);
            let mut run = home.start(local(&home, 20, 0.1));
            run.until_log("line 1");
            let [container] = home.containers().try_into().unwrap();
            // Removed by the engine itself, it would take its exit code with it.
            assert_eq!(home.daemon().inspect(&container.id)["HostConfig"]["AutoRemove"], Value::Bool(false));
            let run = run.finish().exits(0);
            assert_whole(&home, &run, 20, "");
            assert_eq!(proxy.faults(), 1);
            home.left_only(&WHOLE);
        }
        // A daemon that will not remove it: the next call does.
        let (home, proxy) = behind_proxy();
        proxy.fault("DELETE", "/containers/", 0..6, Fault::CutBefore);
        assert_whole(&home, &home.call(local(&home, 20, 0.0)).exits(0), 20, "");
        assert_eq!(home.containers().len(), 1);
        while !home.containers().is_empty() {
            let _ = home.call(["runs"]).exits(0);
        }
        home.left_only(&WHOLE);
    });
}

#[test]
#[ignore = "needs docker (runs containers)"]
fn clock_and_connection() {
    within(300, || {
        // The wait is forgotten on the way, and neither end is told.
        let (home, proxy) = behind_proxy();
        proxy.fault("POST", "/wait", ALWAYS, Fault::SilenceWhenIdle(Duration::from_secs(1)));
        let run = home.call(local(&home, 50, 0.1)).exits(0);
        assert_whole(&home, &run, 50, "");
        assert!(proxy.faults() > 0);
        home.left_only(&WHOLE);

        // A daemon five years ahead of us.
        let (home, proxy) = behind_proxy();
        let info = home.daemon().must("GET", "/info", None);
        let year: u32 = info["SystemTime"].as_str().unwrap()[..4].parse().unwrap();
        for method in ["GET", "POST"] {
            proxy.fault(method, "/", ALWAYS, Fault::Rewrite(format!("\"{year}-"), format!("\"{}-", year + 5)));
        }
        let mut run = home.start(local(&home, 60, 0.05));
        let id = run.until_log("line 5");
        run.signal(Signal::KILL);
        let _ = run.finish();
        let run = home.call(["--json", "logs", "-f", &id]).exits(0);
        assert_whole(&home, &run, 60, "");
        assert!(proxy.faults() > 0);
        home.left_only(&WHOLE);
    });
}

#[test]
#[ignore = "needs docker (runs containers)"]
fn clock_and_connection_between_container_and_host() {
    within(300, || {
        // Each end believes that the connection is there, until a probe isn't answered.
        let (home, proxy) = dialled_through_proxy();
        let mut run = home.start(local(&home, 100, 0.1));
        run.until_log("line 10");
        proxy.forget();
        let run = run.finish().exits(0);
        assert_whole(&home, &run, 100, "");
        assert!(proxy.connections() > 1);
        home.left_only(&WHOLE);
    });
}

#[test]
#[ignore = "needs docker (runs containers)"]
fn quota_unclear() {
    within(120, || {
        // The daemon's own limit: what was asked for, and what it has.
        let home = Home::portable();
        std::fs::remove_file(home.path().join("policies/resource-ceiling.wasm")).unwrap();
        home.replace("wharf.toml", "\"resource-ceiling\"", "");
        let cpus = home.daemon().must("GET", "/info", None)["NCPU"].to_string();
        let end = home.run_python("print(1)", &["--resource", "cpus=4000"]).exits(23).outcome();
        assert_eq!(end.cause, Cause::EngineRefused);
        for part in ["CPUs", &cpus] {
            assert!(end.sentence.contains(part), "no {part} in: {}", end.sentence);
        }
        home.left_only(&[]);
    });
}

#[test]
#[ignore = "needs docker (runs containers)"]
fn cancel_races_create() {
    within(240, || {
        for part in ["/containers/create", "/start"] {
            println!("{part}");
            let (home, proxy) = behind_proxy();
            proxy.fault("POST", part, FIRST, Fault::Delay(Duration::from_secs(3)));
            let watch = watch(&home);
            let mut run = home.start(local(&home, 6000, 0.1));
            run.until(|event| matches!(&event.kind, EventKind::PhaseStarted { phase: Phase::Launch }));
            while proxy.faults() == 0 {
                std::thread::sleep(Duration::from_millis(20));
            }
            run.signal(Signal::INT);
            let run = run.finish().exits(13);
            assert_eq!(run.outcome().cause, Cause::Stopped, "{run}");
            home.left_only(&["in.csv"]);
            let actions = watch.so_far();
            assert!(actions.iter().filter(|action| *action == "create").count() <= 1, "{actions:?}");
            assert!(run.log().len() < 100, "it ran on: {run}");
        }
    });
}

#[test]
#[ignore = "needs docker (runs containers)"]
fn a_daemon_that_goes_silent_in_mid_request() {
    within(300, || {
        // Nobody answers and nobody hangs up: a lost answer is waited for, and then asked for again.
        let (home, proxy) = behind_proxy();
        proxy.fault("GET", "/json", FIRST, Fault::Silence);
        let run = home.call(local(&home, 20, 0.0));
        println!("{run}");
        assert!(proxy.faults() > 0);
        assert_whole(&home, &run, 20, "");
        home.left_only(&WHOLE);
    });
}
