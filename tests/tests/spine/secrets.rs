//! Secrets: a recipe gets them, and nobody else ever sees them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustix::process::Signal;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use wharf::message::{Explanation, Finding, FindingState};
use wharf::{Access, HostOptions, SecretError, SecretStore};
use wharf_model::outcome::LogState;
use wharf_model::{Activity, Cause, EventKind, Judgement, Phase, SecretValue};
use wharf_tests::{Finished, GROUP, Home, Started, USER};

const HOSTILE: &str = env!("WHARF_HOSTILE_POLICY");

/// In the middle of every value here. Whatever is written around it, and however the rest is escaped, this stays as it is.
const NEEDLE: &str = "xK9vQ2mW7zTq";

/// What people and generators take for passwords.
fn passwords() -> BTreeMap<&'static str, String> {
    [
        ("plain", NEEDLE.to_owned()),
        ("quotes", format!("it's \"{NEEDLE}\" `really`")),
        ("escapes", format!("\\n\\\\{NEEDLE}%20&amp;{{}}${{HOME}}$(id)\t;#")),
        ("unicode", format!("pässwörd→{NEEDLE}🔑")),
        ("spaces", format!("  two  {NEEDLE}  spaces  ")),
        ("lines", format!("-----BEGIN KEY-----\n{NEEDLE}A\r\n{NEEDLE}B==\n-----END KEY-----")),
    ]
    .into()
}

/// Proves that it has the values, and tells everybody.
const TELLTALE: &str = "\
import hashlib, os, sys
secrets = {name: value for name, value in os.environ.items() if name.startswith('SECRET_')}
for name, value in sorted(secrets.items()):
    print('proof', name, hashlib.sha256(value.encode()).hexdigest(), flush=True)
    print('the secret is', value, 'indeed', flush=True)
    print(value, file=sys.stderr, flush=True)
";

fn sha256(value: &str) -> String {
    Sha256::digest(value).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A home with all of them, whose activities may use them, and the flags that name them.
fn home() -> (Home, Vec<String>) {
    let home = Home::demo();
    let names: Vec<&str> = passwords().into_keys().collect();
    home.replace("configs/docker-local.toml", "[permissions]\n", &format!("[permissions]\nsecrets = {names:?}\n"));
    let mut flags = Vec::new();
    for (name, value) in passwords() {
        // The newline that every editor leaves.
        home.write_secret(name, &format!("{value}\n"));
        flags.extend(["--secret".to_owned(), format!("SECRET_{}={name}", name.to_uppercase())]);
    }
    (home, flags)
}

fn flags(flags: &[String]) -> Vec<&str> {
    flags.iter().map(String::as_str).collect()
}

/// The recipe had every value as it is, and its log has none of them.
fn assert_used_and_hidden(run: &Finished) {
    let lines: Vec<String> = run.log().into_iter().map(|(_, text)| text).collect();
    for (name, value) in passwords() {
        let proof = format!("proof SECRET_{} {}", name.to_uppercase(), sha256(&value));
        assert!(lines.contains(&proof), "no {proof} in {lines:#?}");
    }
    assert!(lines.contains(&"the secret is *** indeed".to_owned()), "{lines:#?}");
    assert!(lines.contains(&"the secret is   ***   indeed".to_owned()), "{lines:#?}");
    let outcome = run.outcome();
    assert!(matches!(outcome.log, Some(LogState::Complete { .. })), "{outcome:?}");
}

/// No form of a value is in this.
fn assert_clean(what: &str, bytes: &[u8]) {
    let mut forms = vec![NEEDLE.to_owned(), NEEDLE.bytes().map(|byte| format!("{byte:02x}")).collect()];
    forms.extend(passwords().into_values().map(|value| STANDARD.encode(value)));
    for form in forms {
        let found = bytes.windows(form.len()).position(|window| window == form.as_bytes());
        if let Some(at) = found {
            let around = &bytes[at.saturating_sub(200)..bytes.len().min(at + 200)];
            panic!("a secret is in {what}: {}", String::from_utf8_lossy(around));
        }
    }
}

fn assert_clean_json(what: &str, value: &Value) {
    assert_clean(what, value.to_string().as_bytes());
}

/// Searches all that a home has written, but for the secrets themselves. Returns how many files that were.
fn assert_clean_folder(folder: &Path, secrets: &Path) -> usize {
    let mut files = 0;
    for entry in fs::read_dir(folder).expect("a folder of the home") {
        let path = entry.expect("an entry").path();
        if path == secrets {
            continue;
        }
        if path.is_dir() {
            files += assert_clean_folder(&path, secrets);
        } else if let Ok(bytes) = fs::read(&path) {
            // A socket can't be read, and a file may be gone by now.
            assert_clean(&path.display().to_string(), &bytes);
            files += 1;
        }
    }
    files
}

/// Searches the home, and all that it says of a run.
fn assert_clean_home(home: &Home, run: &str) {
    let state = home.path().join("state");
    assert!(state.join("wharf.db").is_file() && state.join(format!("logs/{run}.log")).is_file());
    assert!(assert_clean_folder(&home.path(), &home.path().join("secrets")) > 10);
    assert_clean_folder(&home.data(""), Path::new(""));
    for arguments in [
        vec!["--json", "explain", run],
        vec!["explain", run],
        vec!["--json", "runs"],
        vec!["runs"],
        vec!["--json", "logs", run],
        vec!["logs", run],
        vec!["doctor"],
    ] {
        let said = home.call(&arguments);
        assert!(!said.stdout.is_empty(), "{said}");
        assert_clean(&format!("{arguments:?}"), said.stdout.as_bytes());
        assert_clean(&format!("{arguments:?}"), said.stderr.as_bytes());
    }
}

/// Searches what the daemon knows of a container and of every image that it came from.
fn assert_clean_daemon(home: &Home, container: &Value) {
    let daemon = home.daemon();
    assert_clean_json("inspect", container);
    let mut image = container["Image"].as_str().expect("a container has an image").to_owned();
    let mut images = 0;
    while !image.is_empty() {
        let config = daemon.must("GET", &format!("/images/{image}/json"), None);
        assert_clean_json("an image's configuration", &config);
        assert_clean_json("an image's history", &daemon.must("GET", &format!("/images/{image}/history"), None));
        image = config["Parent"].as_str().unwrap_or_default().to_owned();
        images += 1;
    }
    assert!(images > 0);
}

/// As `wharf` is called by somebody who wants to see everything.
fn start_loud(home: &Home, arguments: &[String]) -> Started {
    let mut command = home.command(arguments);
    command.env("RUST_LOG", "debug");
    Started::new(command)
}

#[test]
#[ignore = "needs docker (runs containers)"]
fn a_secret_is_used_and_is_nowhere_to_be_found() {
    let (home, secrets) = home();
    home.replace(
        "configs/docker-local.toml",
        "[permissions]\n",
        "[secrets]\nSECRET_OF_ALL = \"plain\"\n\n[permissions]\n",
    );
    let code = format!("{TELLTALE}print('up', flush=True)\nimport time\ntime.sleep(600)\n");
    let mut run = start_loud(&home, &home.python(&code, &flags(&secrets)));
    let id = run.until_log("up");

    // While it runs: the container, its log at the daemon, its processes' command lines.
    let [container] = home.containers().try_into().unwrap();
    let inspected = home.daemon().inspect(&container.id);
    let variables = inspected["Config"]["Env"].to_string();
    assert!(!variables.contains("SECRET_"), "{variables}");
    assert_clean_daemon(&home, &inspected);
    let (status, log) = home.daemon().ask("GET", &format!("/containers/{}/logs?stdout=1&stderr=1", container.id), None);
    assert_eq!(status, 200);
    assert_clean("the daemon's log", &log);
    assert_clean_json("top", &home.daemon().must("GET", &format!("/containers/{}/top", container.id), None));
    assert_clean_home(&home, &id);

    let _ = home.call(["stop", &id]).exits(0);
    let run = run.finish().exits(13);
    assert_used_and_hidden(&run);
    let all = format!("proof SECRET_OF_ALL {}", sha256(NEEDLE));
    assert!(run.log().iter().any(|(_, line)| *line == all), "{run}");
    // What the host's process itself had to say: its own words, and those of its libraries.
    assert!(run.stderr.contains("DEBUG"), "{run}");
    assert_clean("the host's own log", run.stderr.as_bytes());
    assert_clean("the events", run.stdout.as_bytes());
    assert_clean_home(&home, &id);

    // Names are no secrets.
    let explained: Explanation = home.call(["--json", "explain", &id]).exits(0).document();
    let plan = explained.plan.unwrap();
    assert_eq!(plan.secrets["SECRET_OF_ALL"], "plain");
    assert_eq!(plan.secrets["SECRET_UNICODE"], "unicode");
    let shown = home.call(["explain", &id]).exits(0).stdout;
    assert!(shown.contains("SECRET_UNICODE gets unicode"), "{shown}");
    home.left_only(&[]);
}

#[test]
#[ignore = "needs docker (runs containers)"]
fn a_failed_run_tells_nothing_either() {
    let (home, secrets) = home();
    let code = format!("{TELLTALE}raise SystemExit('cannot log in with ' + os.environ['SECRET_QUOTES'])\n");
    let run = start_loud(&home, &home.python(&code, &flags(&secrets))).finish().exits(10);
    assert_used_and_hidden(&run);
    let outcome = run.outcome();
    assert_eq!(outcome.error_tail.last().map(String::as_str), Some("cannot log in with ***"), "{outcome:?}");
    assert_clean("the host's own log", run.stderr.as_bytes());
    assert_clean("the events", run.stdout.as_bytes());
    assert_clean_home(&home, &run.run());
    for container in home.created(1) {
        assert_clean_daemon(&home, &container);
    }
    home.left_only(&[]);
}

#[test]
#[ignore = "needs docker (runs containers)"]
fn an_r_recipe_gets_them_too() {
    let home = Home::demo();
    home.replace("configs/docker-local.toml", "[permissions]\n", "[permissions]\nsecrets = [\"db\"]\n");
    home.write_secret("db", NEEDLE);
    let code = "value <- Sys.getenv('TOKEN')\ncat(nchar(value), 'characters:', value, '\\n')\n";
    let run = home.call(home.r(code, &["--secret", "TOKEN=db"])).exits(0);
    let wanted = format!("{} characters: *** ", NEEDLE.len());
    assert!(run.log().iter().any(|(_, line)| *line == wanted), "{run}");
    assert_clean_home(&home, &run.run());
}

#[test]
#[ignore = "needs docker (runs containers)"]
fn the_next_owner_finds_them_again() {
    let (home, secrets) = home();
    // Killed when the container is there and its runner hasn't asked yet, or has just asked: whoever answers needs the values.
    let mut first = start_loud(&home, &home.python(TELLTALE, &flags(&secrets)));
    first.until(|event| matches!(event.kind, EventKind::PhaseStarted { phase: Phase::Run }));
    first.signal(Signal::KILL);
    let first = first.finish();
    assert_clean("the first host's own log", first.stderr.as_bytes());
    let next = start_loud(&home, &["--json", "logs", "-f", "last"].map(str::to_owned)).finish().exits(0);
    assert!(next.events().iter().any(|event| event.kind == EventKind::Recovered), "{next}");
    assert_eq!(next.outcome().cause, Cause::Succeeded, "{next}");
    assert_used_and_hidden(&next);
    assert_clean("the next host's own log", next.stderr.as_bytes());
    assert_clean_home(&home, &next.run());
    home.left_only(&[]);
}

#[test]
#[ignore = "needs docker (runs containers)"]
fn a_recipe_that_has_begun_keeps_its_secrets() {
    let (home, secrets) = home();
    let code = format!(
        "import time\nprint('up', flush=True)\nwhile not __import__('dataiku').Folder('in').list_paths_in_partition():\n    time.sleep(0.1)\n{TELLTALE}"
    );
    fs::create_dir(home.data("in")).unwrap();
    let input = home.bind("in", "in/");
    let more: Vec<&str> = flags(&secrets).into_iter().chain(["--input", input.as_str()]).collect();
    let mut first = home.start(home.python(&code, &more));
    let id = first.until_log("up");
    first.signal(Signal::KILL);
    let _ = first.finish();
    // The next owner can't have them, and needn't: its runner has them, and goes on hiding them.
    fs::remove_dir_all(home.path().join("secrets")).unwrap();
    let mut next = home.start(["--json", "logs", "-f", &id]);
    next.until(|event| event.kind == EventKind::Recovered);
    home.write_data("in/go", "");
    let next = next.finish().exits(0);
    assert_used_and_hidden(&next);
    assert!(next.stderr.contains("can't be had again"), "{next}");
    assert_clean_home(&home, &id);
    home.left_only(&["in/", "in/go"]);
}

#[test]
#[ignore = "needs docker (asks the daemon)"]
fn a_secret_that_cannot_be_had_stops_a_run_before_it_begins() {
    let home = Home::demo();
    home.replace("configs/docker-local.toml", "[permissions]\n", "[permissions]\nsecrets = [\"db\"]\n");
    let check = |secret: &str, code: i32, cause: Cause, parts: &[&str]| {
        let mut arguments = home.python("print(1)", &["--secret", secret]);
        let end = home.call(&arguments).exits(code).outcome();
        assert_eq!(end.cause, cause, "{end:?}");
        let said = format!("{} {}", end.sentence, end.advice.clone().unwrap_or_default());
        for part in parts {
            assert!(said.contains(part), "no {part} in {said}");
        }
        arguments[1] = "explain".to_owned();
        let explained: Explanation = home.call(&arguments).exits(code).document();
        assert_eq!(explained.outcome.map(|outcome| outcome.sentence), Some(end.sentence));
        assert_clean("an explanation", home.call(&arguments).stdout.as_bytes());
    };
    let missing = ["the secret db isn't there", "secrets/db", "chmod 600"];
    check("TOKEN=db", 16, Cause::SecretUnavailable, &missing);
    let doctor = || -> Vec<Finding> { home.call(["--json", "doctor"]).document() };
    let finding = |findings: &[Finding]| findings.iter().find(|finding| finding.name == "secrets").cloned().unwrap();
    let found = finding(&doctor());
    assert_eq!(found.state, FindingState::Warning);
    assert!(found.text.contains("the secret db isn't there (docker-local names it)"), "{found:?}");

    home.write_secret("db", NEEDLE);
    let found = finding(&doctor());
    assert_eq!((found.state, found.text.as_str()), (FindingState::Ok, "1 of the 1 that configurations name are there"));
    let path = home.path().join("secrets/db");
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let readable = ["others than its owner may read", &format!("chmod 600 {}", path.display())];
    check("TOKEN=db", 16, Cause::SecretUnavailable, &readable);

    home.write_secret("db", NEEDLE);
    home.write_secret("other", NEEDLE);
    let refused = ["docker-local may not use the secret \"other\"", "secrets = [\"other\"]", "[permissions]"];
    check("TOKEN=other", 11, Cause::Refused, &refused);
    let twice = ["the variable PYTHONPATH is set by the recipe adapter", "\"db\""];
    check("PYTHONPATH=db", 15, Cause::NotPrepared, &twice);
    home.replace("configs/docker-local.toml", "[permissions]\n", "[env]\nTOKEN = \"x\"\n\n[permissions]\n");
    check("TOKEN=db", 15, Cause::NotPrepared, &["the variable TOKEN is set by [env] of docker-local"]);

    // Those that a configuration gives to all its runs: its test finds that one is missing.
    home.replace("configs/docker-local.toml", "TOKEN = \"x\"\n", "\n[secrets]\nTOKEN = \"licence\"\n");
    let test = home.call(["--json", "config", "test", "docker-local", "--user", USER]).exits(16).outcome();
    assert!(test.sentence.contains("the secret licence isn't there"), "{}", test.sentence);
    assert!(doctor().iter().any(|finding| finding.state == FindingState::Bad && finding.text.contains("licence")));
    home.write_secret("licence", NEEDLE);
    let _ = home.call(["--json", "config", "test", "docker-local", "--user", USER]).exits(0);
    home.left_only(&[]);
    // But for the one that is well, nothing was created.
    assert_eq!(home.created(1).len(), 1);
}

#[test]
#[ignore = "needs docker (runs containers)"]
fn a_policy_may_take_a_secret_away_and_says_so() {
    let home = Home::demo();
    home.replace("configs/docker-local.toml", "[permissions]\n", "[permissions]\nsecrets = [\"db\"]\n");
    home.write_secret("db", NEEDLE);
    let code = "import os\nprint(os.environ.get('TOKEN', 'none'))\n";
    for (what, value, fields) in [
        ("take-secret", "none", vec![("secrets.TOKEN", Some("db"), None)]),
        ("replace-secret", "public", vec![("secrets.TOKEN", Some("db"), None), ("env.TOKEN", None, Some("public"))]),
    ] {
        home.drop_policy("careful", HOSTILE, &format!("[settings]\nrole = \"mutating\"\ndo = \"{what}\"\n"));
        let run = home.run_python(code, &["--secret", "TOKEN=db"]).exits(0);
        assert_eq!(run.log(), [(0, value.to_owned())], "{run}");
        let receipts = run.events().into_iter().find_map(|event| match event.kind {
            EventKind::Decision(decision) if decision.component == "careful" => match decision.judgement {
                Judgement::Accept { changes, .. } => Some(changes),
                _ => None,
            },
            _ => None,
        });
        let receipts = receipts.unwrap();
        let found: Vec<_> = receipts
            .iter()
            .map(|receipt| (receipt.field.as_str(), receipt.before.as_deref(), receipt.after.as_deref()))
            .collect();
        assert_eq!(found, fields);
    }
    home.left_only(&[]);
}

/// An embedder's own: secrets have no files.
struct Vault {
    asked: Mutex<Vec<String>>,
}

#[async_trait]
impl SecretStore for Vault {
    async fn value(&self, name: &str) -> Result<SecretValue, SecretError> {
        self.asked.lock().expect("nobody panics with it").push(name.to_owned());
        match name {
            "db" => Ok(SecretValue::new(NEEDLE)),
            _ => Err(SecretError::Unavailable { name: name.to_owned(), source: "the vault is sealed".into() }),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs docker (runs containers)"]
async fn an_embedder_has_a_vault_of_its_own() {
    let home = tokio::task::block_in_place(Home::demo);
    home.replace("configs/docker-local.toml", "[permissions]\n", "[permissions]\nsecrets = [\"db\", \"sealed\"]\n");
    let vault = Arc::new(Vault { asked: Mutex::default() });
    let options = HostOptions { secrets: Some(vault.clone()), ..HostOptions::default() };
    let access = Access::open(&home.path(), options).await.unwrap();
    let code = "import os, hashlib\nassert hashlib.sha256(os.environ['TOKEN'].encode()).hexdigest() == 'HASH'\n";
    let code = code.replace("HASH", &sha256(NEEDLE));
    let activity = |secret: &str| -> Activity {
        serde_json::from_value(json!({
            "kind": "python", "requester": { "user": USER, "groups": [GROUP] }, "code": code, "secrets": { "TOKEN": secret }
        }))
        .unwrap()
    };
    let run = access.submit(activity("db")).await.unwrap();
    assert_eq!(access.wait(&run).await.unwrap().cause, Cause::Succeeded);
    // Looked for once, and fetched once.
    assert_eq!(*vault.asked.lock().unwrap(), ["db", "db"]);
    let run = access.submit(activity("sealed")).await.unwrap();
    let end = access.wait(&run).await.unwrap();
    assert_eq!((end.cause, end.retry_helps), (Cause::SecretUnavailable, true));
    assert_eq!(end.sentence, "the secret sealed can't be had now: the vault is sealed");
    // Names come from somebody else's program: they are checked, too.
    let fault = access.submit(activity("../db")).await.unwrap_err();
    assert_eq!(fault.code, "activity-invalid");
    access.shutdown().await;
    tokio::task::block_in_place(|| {
        assert_clean_folder(&home.path(), &home.path().join("secrets"));
        home.left_only(&[]);
    });
}
