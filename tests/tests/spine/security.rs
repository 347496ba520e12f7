//! What containers may do: the defaults hold at the engine, and every change of them shows.

use serde_json::{Value, json};
use wharf::message::{ChangedBy, Explanation, Finding, FindingState};
use wharf_tests::{Home, USER, openings};

const HOSTILE: &str = env!("WHARF_HOSTILE_POLICY");

/// What else is strict under the demo's configuration, which has amounts and no network of its own.
fn assert_strict(container: &Value) {
    let found = openings(container);
    assert!(found.is_empty(), "{found:?}");
    let host = &container["HostConfig"];
    assert_eq!(host["NetworkMode"], json!("bridge"));
    assert_eq!(host["Memory"], json!(2_u64 << 30));
    assert_eq!(host["MemorySwap"], host["Memory"], "swap would be more memory");
    assert_eq!(host["PidsLimit"], json!(512));
    assert_eq!(host["Ulimits"], json!([{ "Name": "core", "Soft": 0, "Hard": 0 }]));
    assert_eq!(host["ExtraHosts"], json!(["host.docker.internal:host-gateway"]));
    for list in ["Dns", "DnsOptions", "DnsSearch", "Links"] {
        assert!(matches!(&host[list], Value::Null) || host[list] == json!([]), "{list} is {}", host[list]);
    }
}

#[test]
#[ignore = "needs docker (runs containers)"]
fn every_kind_of_run_is_strict_as_the_daemon_sees_it() {
    let home = Home::demo();
    // Under the defaults the usual libraries work, with threads and shared memory.
    let python = "import pandas, numpy\nfrom multiprocessing import shared_memory\n\
                  block = shared_memory.SharedMemory(create=True, size=1 << 20)\nblock.close(); block.unlink()\n\
                  print((numpy.ones((500, 500)) @ numpy.ones((500, 500))).sum(), pandas.DataFrame({'n': [1]}).n.sum())\n\
                  status = dict(line.split(':\\t', 1) for line in open('/proc/self/status').read().splitlines())\n\
                  print({key: status[key] for key in ('Uid', 'CapEff', 'CapBnd', 'NoNewPrivs', 'Seccomp')})\n";
    let run = home.run_python(python, &[]).exits(0);
    let seen = format!("{:?}", run.log());
    for part in [
        "125000000.0 1",
        "1000\\\\t1000\\\\t1000\\\\t1000",
        "'CapEff': '0000000000000000'",
        "'CapBnd': '0000000000000000'",
    ] {
        assert!(seen.contains(part), "no {part} in {seen}");
    }
    // The kernel says so, too: no new privileges, and a filter on system calls.
    assert!(seen.contains("'NoNewPrivs': '1', 'Seccomp': '2'"), "{seen}");
    let r = "x <- parallel::mclapply(1:4, function(n) n * n, mc.cores = 2)\nprint(sum(unlist(x)))\n";
    let run = home.call(home.r(r, &[])).exits(0);
    assert!(run.log().iter().any(|(_, line)| line == "[1] 30"), "{run}");
    let _ = home.call(["--json", "config", "test", "docker-local", "--user", USER]).exits(0);
    let containers = home.created(3);
    assert_eq!(containers.len(), 3);
    for container in &containers {
        assert_strict(container);
    }
    home.left_only(&[]);
}

/// Every key of `[security]` with another value than the strict one.
fn every_key() -> [(&'static str, Value); 8] {
    [
        ("user", json!("0:0")),
        ("privileged", json!(true)),
        ("no_new_privileges", json!(false)),
        ("read_only_root", json!(true)),
        ("drop_capabilities", json!([])),
        ("add_capabilities", json!(["NET_ADMIN"])),
        ("host_mounts", json!(["/srv:/srv:ro"])),
        ("network", json!("host")),
    ]
}

#[test]
#[ignore = "needs docker (asks the daemon)"]
fn every_change_of_a_security_key_shows_in_explain() {
    let home = Home::demo();
    let mut arguments = home.python("print(1)", &[]);
    arguments[1] = "explain".to_owned();
    let explain = || -> Explanation { home.call(&arguments).exits(0).document() };
    let shown = || home.call(&arguments[1..]).exits(0).stdout;
    assert_eq!(explain().differences, []);
    assert!(!shown().contains("differs from the strict default"));

    // One by one, by the administrator.
    let configuration = std::fs::read_to_string(home.path().join("configs/docker-local.toml")).unwrap();
    for (key, value) in every_key() {
        home.write("configs/docker-local.toml", format!("{configuration}\n[security]\n{key} = {value}\n"));
        let [difference] = explain().differences.try_into().unwrap();
        assert_eq!((difference.key.as_str(), &difference.value), (key, &value));
        assert_ne!(difference.strict, value);
        assert_eq!(difference.from, ChangedBy::Configuration("docker-local".to_owned()));
        let line = format!("{key} = {value} (from configuration docker-local)");
        assert!(shown().contains(&line), "no {line} in:\n{}", shown());
    }

    // All at once, by a policy.
    home.write("configs/docker-local.toml", &configuration);
    home.drop_policy("opener", HOSTILE, "[settings]\nrole = \"mutating\"\ndo = \"open\"\n");
    let differences = explain().differences;
    assert_eq!(differences.len(), every_key().len());
    for (key, value) in every_key() {
        let difference = differences.iter().find(|difference| difference.key == key).unwrap();
        assert_eq!(difference.value, value);
        let by = ChangedBy::Policy {
            component: "opener".to_owned(),
            rule: "because".to_owned(),
            reason: "I can.".to_owned(),
        };
        assert_eq!(difference.from, by);
    }
    assert!(shown().contains("privileged = true (by policy opener, rule because: I can.)"), "{}", shown());
    home.left_only(&[]);
}

#[test]
#[ignore = "needs docker (runs containers)"]
fn what_an_administrator_opens_is_open_and_recorded() {
    let home = Home::demo();
    home.opens_containers();
    home.replace(
        "configs/docker-local.toml",
        "[permissions]\n",
        "[security]\nadd_capabilities = [\"NET_RAW\"]\nuser = \"0:0\"\n\n[permissions]\n",
    );
    let warned = home.call(["config", "check"]).exits(0);
    for part in ["warning[security-open]", "configs/docker-local.toml:", "`user = \"0:0\"`", "NET_RAW"] {
        assert!(warned.stderr.contains(part), "no {part} in {warned}");
    }
    let findings: Vec<Finding> = home.call(["--json", "doctor"]).document();
    let security: Vec<&Finding> = findings.iter().filter(|finding| finding.name == "security").collect();
    assert_eq!(security.len(), 2, "{findings:?}");
    assert!(security.iter().all(|finding| finding.state == FindingState::Warning));

    let tested = home.call(["config", "test", "docker-local", "--user", USER]).exits(0);
    assert!(tested.stderr.contains("warning[security-open]"), "{tested}");
    let run = home.run_python("import os\nprint(os.getuid())", &[]).exits(0);
    assert_eq!(run.log(), [(0, "0".to_owned())]);
    let containers = home.created(2);
    for container in &containers {
        let mut found = openings(container);
        found.sort();
        assert_eq!(found, ["/Config/User is \"0:0\"", "/HostConfig/CapAdd is [\"NET_RAW\"]"]);
    }
    // The record has it as well.
    let explained: Explanation = home.call(["--json", "explain", &run.run()]).exits(0).document();
    let keys: Vec<&str> = explained.differences.iter().map(|difference| difference.key.as_str()).collect();
    assert_eq!(keys, ["add_capabilities", "user"]);
    home.left_only(&[]);
}
