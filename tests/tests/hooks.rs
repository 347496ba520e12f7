//! Registry hooks and the HTTP import: what a component may ask, and what an attacker can't get by it.

#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::fs;
use std::path::Path;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use wharf_components::{CallError, ComponentSet, Credentials, Engine, EngineOptions, Push, World};
use wharf_tests::{Reply, Web};

const HOSTILE: &str = env!("WHARF_HOSTILE_HOOK");
const HOOK: &str = env!("WHARF_REGISTRY_HOOK");

static ENGINE: LazyLock<Engine> = LazyLock::new(|| {
    let cache_dir = Some(Path::new(env!("CARGO_TARGET_TMPDIR")).join("hooks-cache"));
    Engine::new(EngineOptions { cache_dir, ..EngineOptions::default() }).unwrap()
});

struct Home(tempfile::TempDir);

impl Home {
    fn with(guest: &str, toml: &str) -> Self {
        let home = Self(tempfile::tempdir().unwrap());
        let folder = home.0.path().join("plugins");
        fs::create_dir(&folder).unwrap();
        fs::copy(guest, folder.join("hook.wasm")).unwrap();
        fs::write(folder.join("hook.toml"), toml).unwrap();
        home
    }

    fn load(&self) -> ComponentSet {
        ComponentSet::load(&ENGINE, &[self.0.path().join("plugins")])
    }
}

fn push() -> Push {
    Push {
        registry: "registry.example.com".to_owned(),
        repository: "data/wharf-run/python-r".to_owned(),
        tag: "0123456789abcdef".to_owned(),
    }
}

async fn prepared(home: &Home) -> Result<Option<Credentials>, CallError> {
    let set = home.load();
    assert_eq!(set.failures(), []);
    assert_eq!(set.components()[0].world, World::RegistryHook);
    set.registry_hooks()[0].before_push(&push()).await.answer
}

/// What came of a request of the hostile hook, in its words.
async fn tried(grants: &[&str], what: &str, url: &str) -> String {
    tried_within("time_ms = 20000", grants, what, url).await
}

async fn tried_within(limits: &str, grants: &[&str], what: &str, url: &str) -> String {
    let toml = format!("[limits]\n{limits}\n[grants]\nhttp = {grants:?}\n[settings]\ndo = {what:?}\nurl = {url:?}\n");
    match prepared(&Home::with(HOSTILE, &toml)).await {
        Err(CallError::Refused { message }) => message,
        other => panic!("{what} {url}: {other:?}"),
    }
}

/// A server on which everything is fine, or what its path says.
fn web() -> Web {
    Web::start(|asked| match asked.line.split(' ').nth(1).unwrap_or_default() {
        "/metadata" => redirect("http://169.254.169.254/latest/meta-data/iam"),
        "/elsewhere" => redirect("http://localhost:1/secret"),
        "/endless" => Reply::Endless,
        "/drip" => Reply::Drip,
        "/head" => Reply::EndlessHead,
        "/silence" => Reply::Silence,
        _ => Reply::text(200, "fine"),
    })
}

fn redirect(to: &str) -> Reply {
    Reply::Answer { status: 302, headers: vec![format!("location: {to}")], body: String::new() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_listed_places_are_asked() {
    let web = web();
    let here = web.address();
    let port = web.port();
    let get = |grants: &[&str], url: String| {
        let grants: Vec<String> = grants.iter().map(|&grant| grant.to_owned()).collect();
        async move {
            let grants: Vec<&str> = grants.iter().map(String::as_str).collect();
            tried(&grants, "get", &url).await
        }
    };
    assert_eq!(get(&[&here], format!("http://{here}/x")).await, "200 with 4 bytes");
    assert_eq!(get(&[&format!("http://{here}/v1")], format!("http://{here}/v1/x")).await, "200 with 4 bytes");
    let asked = web.asked().len();
    for (grants, url, words) in [
        (vec![here.clone()], format!("http://127.0.0.1:{}/", port ^ 1), "isn't granted"),
        (vec![here.clone()], "http://169.254.169.254/latest/meta-data".to_owned(), "isn't granted"),
        (vec![format!("http://{here}/v1")], format!("http://{here}/v2"), "isn't granted"),
        (vec![format!("http://{here}/v1")], format!("http://{here}/v1/../v2"), "invalid"),
        // A name that leads to this machine, which only its address may be listed for.
        (vec![format!("localhost:{port}")], format!("http://localhost:{port}/"), "which isn't allowed"),
        (vec![format!("localhost:{port}")], format!("http://127.0.0.1:{port}/"), "isn't granted"),
        // Other ways to write it.
        (vec![format!("2130706433:{port}")], format!("http://2130706433:{port}/"), "allowed"),
        (vec![format!("[::ffff:127.0.0.1]:{port}")], format!("http://[::ffff:7f00:1]:{port}/"), "isn't granted"),
        (vec![format!("0:{port}")], format!("http://0:{port}/"), "allowed"),
    ] {
        let grants: Vec<&str> = grants.iter().map(String::as_str).collect();
        let answer = tried(&grants, "get", &url).await;
        assert!(answer.contains(words), "{grants:?} {url}: {answer}");
    }
    assert_eq!(web.asked().len(), asked, "{:?}", web.asked());
    // The name and the address together are what an administrator means.
    let both = [format!("localhost:{port}"), here.clone()];
    let both: Vec<&str> = both.iter().map(String::as_str).collect();
    assert_eq!(tried(&both, "get", &format!("http://localhost:{port}/")).await, "200 with 4 bytes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redirects_are_answers_and_lead_nowhere_else() {
    let web = web();
    let here = web.address();
    for (path, words) in [
        ("metadata", "169.254.169.254/latest/meta-data/iam isn't granted"),
        ("elsewhere", "localhost:1/secret isn't granted"),
    ] {
        let answer = tried(&[&here], "follow", &format!("http://{here}/{path}")).await;
        assert!(answer.starts_with("302 with 0 bytes; then not allowed: ") && answer.contains(words), "{answer}");
    }
    assert_eq!(web.asked().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_and_servers_without_an_end_are_ended() {
    let web = web();
    let here = web.address();
    let get = |path: &str| format!("http://{here}/{path}");
    let answer = tried(&[&here], "get", &get("endless")).await;
    assert_eq!(answer, "too large: the answer is longer than 1048576 bytes");
    let answer = tried(&[&here], "get", &get("head")).await;
    assert!(answer.starts_with("failed: "), "{answer}");
    for path in ["silence", "drip"] {
        let begun = Instant::now();
        assert_eq!(tried(&[&here], "hurry", &get(path)).await, "timed out", "{path}");
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        // A hook that waits is ended with its call.
        let toml = format!(
            "[limits]\ntime_ms = 300\n[grants]\nhttp = [{here:?}]\n[settings]\ndo = \"get\"\nurl = {:?}\n",
            get(path)
        );
        let begun = Instant::now();
        let error = prepared(&Home::with(HOSTILE, &toml)).await.unwrap_err();
        assert_eq!(error, CallError::TimeLimit { limit: Duration::from_millis(300) }, "{path}");
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    }
    assert_eq!(tried(&[&here], "many", &get("x")).await, "32 requests; then not allowed: a call may send 32 requests");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_smuggled_into_a_request() {
    let web = web();
    let here = web.address();
    let url = format!("http://{here}/");
    for what in ["inject-value", "inject-name", "inject-method", "inject-url", "smuggle", "other-host"] {
        let answer = tried(&[&here], what, &url).await;
        assert!(answer.starts_with("invalid: ") && !answer.contains(['\r', '\n']), "{what}: {answer}");
        // A header's value may be a secret.
        assert!(what != "inject-value" || !answer.contains("yes"), "{answer}");
    }
    let answer = tried(&[&here], "many-headers", &url).await;
    assert!(answer.starts_with("too large: "), "{answer}");
    let answer = tried_within("answer_kb = 8192", &[&here], "large-body", &url).await;
    assert_eq!(answer, "too large: the body is longer than 1048576 bytes");
    // By default it can't even hand that much over.
    let toml = format!("[grants]\nhttp = [{here:?}]\n[settings]\ndo = \"large-body\"\nurl = {url:?}\n");
    let error = prepared(&Home::with(HOSTILE, &toml)).await.unwrap_err();
    assert_eq!(error, CallError::AnswerTooLarge { limit_kb: 1_024 });
    assert!(web.asked().is_empty(), "{:?}", web.asked());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_asked_without_the_grant_or_while_it_is_loaded() {
    let web = web();
    let failure = |toml: &str| {
        let set = Home::with(HOSTILE, toml).load();
        assert_eq!(set.failures().len(), 1, "{:?}", set.failures());
        set.failures()[0].clone()
    };
    let without = failure("");
    assert_eq!(
        (without.fault.code.as_str(), without.world),
        ("component-import-not-granted", Some(World::RegistryHook))
    );
    assert!(without.fault.hint.is_some_and(|hint| hint.contains("`http = [\"HOST:PORT\"]`")));
    let metadata = failure("[grants]\nhttp = [\"169.254.169.254:80\"]");
    assert_eq!(metadata.fault.code, "component-toml-invalid");
    let loading = failure(&format!(
        "[grants]\nhttp = [{:?}]\n[settings]\nvalidate = \"ask\"\nurl = \"http://{}/\"\n",
        web.address(),
        web.address()
    ));
    assert!(loading.fault.message.contains("nothing can be asked while a component is loaded"), "{}", loading.fault);
    assert!(web.asked().is_empty(), "{:?}", web.asked());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credentials_are_checked_and_not_shown() {
    let does =
        |what: &str| Home::with(HOSTILE, &format!("[grants]\nhttp = [\"a.example:443\"]\n[settings]\ndo = {what:?}\n"));
    let odd = prepared(&does("odd-secret")).await.unwrap_err().to_string();
    assert!(odd.contains("credentials.secret") && !odd.contains("hunter22"), "{odd}");
    let good = prepared(&does("secret")).await.unwrap().unwrap();
    assert_eq!((good.user.as_str(), good.secret.expose()), ("a", "hunter22"));
    assert!(!format!("{good:?}").contains("hunter22"));
    assert_eq!(prepared(&does("no-secret")).await, Ok(None));
    let panic = prepared(&does("panic")).await.unwrap_err();
    assert!(matches!(panic, CallError::Panic { .. }), "{panic:?}");
}

/// The guide's hook, at a service that answers so.
async fn guided(registry: &str, answer: fn(&str) -> Reply) -> (Result<Option<Credentials>, CallError>, Vec<String>) {
    let web = Web::start(move |asked| answer(&asked.line));
    let here = web.address();
    let home = Home::with(
        HOOK,
        &format!(
            "[limits]\ntime_ms = 20000\n[grants]\nhttp = [\"http://{here}/v1\"]\nfolder = \"cloud\"\n\
             [settings]\nregistry = {registry:?}\nservice = \"http://{here}/v1\"\n"
        ),
    );
    fs::create_dir(home.0.path().join("cloud")).unwrap();
    fs::write(home.0.path().join("cloud/key"), "k1\n").unwrap();
    let answer = prepared(&home).await;
    let asked = web.asked();
    assert!(asked.iter().all(|asked| asked.head.contains(&"authorization: Bearer k1".to_owned())), "{asked:?}");
    (answer, asked.into_iter().map(|asked| asked.line).collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_guides_hook_creates_a_repository_and_gets_credentials() {
    let fine = |line: &str| match line {
        "POST /v1/login" => Reply::text(200, "{\"user\": \"AWS\", \"token\": \"hunter22\"}"),
        _ => Reply::text(409, "it is there"),
    };
    let (answer, asked) = guided("registry.example.com", fine).await;
    assert_eq!(
        answer.unwrap().map(|found| (found.user, found.secret.expose().to_owned())),
        Some(("AWS".to_owned(), "hunter22".to_owned()))
    );
    assert_eq!(asked, ["PUT /v1/repositories/data/wharf-run/python-r", "POST /v1/login"]);
    let (answer, asked) = guided("other.example.com", fine).await;
    assert_eq!((answer, asked.len()), (Ok(None), 0));
    let (answer, _) =
        guided("registry.example.com", |_| Reply::text(403, "the quota of repositories is used up")).await;
    let error = answer.unwrap_err().to_string();
    assert!(error.ends_with("answers 403: the quota of repositories is used up"), "{error}");
}

#[test]
fn the_guide_shows_the_hook_that_is_tested() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let source = fs::read_to_string(here.join("registry-hook/src/lib.rs")).unwrap();
    let guide = fs::read_to_string(here.join("../docs/plugin-developers.md")).unwrap();
    let (_, shown) = source.split_once("\n\n").unwrap();
    assert!(guide.contains(shown.trim()), "docs/plugin-developers.md doesn't have tests/registry-hook/src/lib.rs");
}
