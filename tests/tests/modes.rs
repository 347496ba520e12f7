//! Modes, conditions and groups by the real way of a run: what isn't enforced is recorded, and in doubt the host is closed.

#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::fs;
use std::path::PathBuf;

use serde_json::json;
use wharf::init::{DemoOptions, ImageSource, init};
use wharf::message::{ComponentReport, Explanation};
use wharf::{Access, HostOptions};
use wharf_model::{Activity, Cause, Decision, Judgement, Mode};

const POLICY: &str = env!("WHARF_HOSTILE_POLICY");
const PERMISSION: &str = env!("WHARF_HOSTILE_PERMISSION");

/// A demo home whose daemon isn't there: nothing is created, so nobody needs it.
struct House {
    dir: tempfile::TempDir,
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
        init(&dir.path().join("home"), Some(&options)).unwrap();
        Self { dir }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join("home").join(name)
    }

    fn put(&self, name: &str, guest: &str, toml: &str) {
        fs::copy(guest, self.file(&format!("policies/{name}.wasm"))).unwrap();
        self.toml(name, toml);
    }

    fn toml(&self, name: &str, toml: &str) {
        fs::write(self.file(&format!("policies/{name}.toml")), toml).unwrap();
    }

    fn replace(&self, file: &str, old: &str, new: &str) {
        let text = fs::read_to_string(self.file(file)).unwrap();
        assert!(text.contains(old), "{file}: {text}");
        fs::write(self.file(file), text.replacen(old, new, 1)).unwrap();
    }

    fn checks(&self, names: &str) {
        self.replace("configs/docker-local.toml", "[permissions]\n", &format!("[permissions]\nchecks = [{names}]\n"));
    }

    async fn open(&self) -> Access {
        Access::open(&self.file(""), HostOptions::default()).await.unwrap()
    }

    async fn explain(&self) -> Explanation {
        let access = self.open().await;
        let explanation = access.explain(activity("SALES")).await.unwrap();
        access.shutdown().await;
        explanation
    }

    async fn components(&self) -> ComponentReport {
        let access = self.open().await;
        let report = access.components().await.unwrap();
        access.shutdown().await;
        report
    }
}

fn activity(project: &str) -> Activity {
    serde_json::from_value(json!({
        "kind": "python", "requester": { "user": "ana", "groups": ["analysts"] }, "code": "print(1)", "code_name": "a.py",
        "configuration": "docker-local", "project": project
    }))
    .unwrap()
}

fn of<'a>(explanation: &'a Explanation, component: &str) -> Option<&'a Decision> {
    explanation.decisions.iter().find(|decision| decision.component == component)
}

/// Why the run wouldn't begin.
fn refused(explanation: &Explanation, cause: Cause, words: &str) {
    let end = explanation.outcome.as_ref().unwrap_or_else(|| panic!("it would run; wanted: {words}"));
    assert_eq!(end.cause, cause, "{}", end.sentence);
    assert!(end.sentence.contains(words), "{}, not {words}", end.sentence);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_audited_policy_is_recorded_and_changes_nothing() {
    let house = House::new();
    house.put("no", POLICY, "mode = \"audit\"\n[settings]\ndo = \"reject\"");
    house.put("fails", POLICY, "mode = \"audit\"\n[settings]\ndo = \"panic\"");
    house.put("labels", POLICY, "mode = \"audit\"\n[settings]\nrole = \"mutating\"\ndo = \"change\"");
    house.put("opens", POLICY, "mode = \"audit\"\norder = 1\n[settings]\nrole = \"mutating\"\ndo = \"open\"");
    house.put("sends", POLICY, "mode = \"audit\"\norder = 2\n[settings]\nrole = \"mutating\"\ndo = \"nowhere\"");
    let explained = house.explain().await;
    assert_eq!(explained.outcome, None);
    let audited = |name: &str| {
        let decision = of(&explained, name).unwrap_or_else(|| panic!("{name} isn't recorded"));
        assert_eq!(decision.mode, Mode::Audit, "{name}");
        &decision.judgement
    };
    assert!(matches!(audited("no"), Judgement::Reject { reasons } if reasons.len() == 1));
    assert!(matches!(audited("fails"), Judgement::Error { ignored: true, message } if message.contains("no patience")));
    let Judgement::Accept { changes, .. } = audited("labels") else { panic!() };
    assert_eq!((changes[0].field.as_str(), changes[0].after.as_deref()), ("labels.team", Some("a")));
    assert!(matches!(audited("opens"), Judgement::Accept { changes, .. } if changes.len() > 5));
    assert!(matches!(audited("sends"), Judgement::Accept { changes, .. } if changes.len() == 1));
    let plan = explained.plan.as_ref().unwrap();
    assert!(!plan.labels.contains_key("team") && !plan.security.privileged && plan.security.network != "host");
    assert_eq!(plan.configuration.name, "docker-local");
    assert!(
        explained.differences.iter().all(|difference| difference.key != "privileged"),
        "{:?}",
        explained.differences
    );

    // The same, enforced.
    house.toml("no", "[settings]\ndo = \"reject\"");
    refused(&house.explain().await, Cause::Rejected, "rejected by no");
    house.toml("no", "mode = \"off\"\n[settings]\ndo = \"reject\"");
    house.toml("labels", "[settings]\nrole = \"mutating\"\ndo = \"change\"");
    let explained = house.explain().await;
    assert_eq!((explained.outcome.as_ref(), of(&explained, "no")), (None, None));
    assert_eq!(explained.plan.unwrap().labels["team"], "a");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_of_an_audited_check_do_not_hold() {
    let house = House::new();
    house.checks("\"allowed-groups\", \"quota\"");
    house.put("quota", PERMISSION, "");
    let enforced = house.explain().await;
    assert_eq!(enforced.outcome, None);
    house.toml("quota", "mode = \"audit\"");
    let audited = house.explain().await;
    assert_eq!(audited.limits.len() + 1, enforced.limits.len());
    assert!(matches!(&of(&audited, "quota").unwrap().judgement, Judgement::Accept { limits, .. } if limits.len() == 1));
}

/// A check that doesn't count is no permission.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_must_decide() {
    let house = House::new();
    house.checks("\"mine\"");
    house.put("mine", PERMISSION, "");
    assert_eq!(house.explain().await.outcome, None);
    for toml in [
        "mode = \"audit\"",
        "mode = \"off\"",
        "[when]\nconfigurations = [\"other-*\"]",
        "[when]\nusers = [\"bob\"]",
        "[[mode_for]]\ngroups = [\"ana*\"]\nmode = \"audit\"",
    ] {
        house.toml("mine", toml);
        refused(&house.explain().await, Cause::Refused, "none decides about this run, so nobody allowed it");
    }
    // Another one that decides is enough; and an audited no is none.
    house.replace("configs/docker-local.toml", "[\"mine\"]", "[\"mine\", \"allowed-groups\"]");
    house.toml("mine", "mode = \"audit\"\n[settings]\ndo = \"deny\"");
    let explained = house.explain().await;
    assert_eq!(explained.outcome, None);
    assert!(matches!(of(&explained, "mine").unwrap().judgement, Judgement::Reject { .. }));
    house.toml("mine", "[settings]\ndo = \"deny\"");
    refused(&house.explain().await, Cause::Refused, "refused by mine");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conditions_choose_runs_and_settings_choose_configurations() {
    let house = House::new();
    let no = "[settings]\ndo = \"reject\"\n";
    for (toml, is_refused) in [
        (format!("{no}[when]\nprojects = [\"SALES\"]\nkinds = [\"python\"]"), true),
        (format!("{no}[when]\nprojects = [\"SALES\"]\nkinds = [\"r\"]"), false),
        (format!("{no}[when]\nprojects = [\"HR*\"]"), false),
        (format!("{no}[when]\ngroups = [\"*lysts\"]\nconfigurations = [\"docker-*\"]"), true),
        (format!("mode = \"off\"\n{no}[[mode_for]]\nusers = [\"ana\"]\nmode = \"enforce\""), true),
        (format!("mode = \"enforce\"\n{no}[[mode_for]]\nprojects = [\"S*\"]\nmode = \"audit\""), false),
        ("[settings_for.docker-local]\ndo = \"reject\"".to_owned(), true),
        ("[settings_for.other]\ndo = \"reject\"".to_owned(), false),
        (format!("{no}[settings_for.docker-local]\ndo = \"nothing\""), false),
    ] {
        house.put("rule", POLICY, &toml);
        let explained = house.explain().await;
        assert_eq!(explained.outcome.is_some(), is_refused, "{toml}: {:?}", explained.outcome);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_required_policy_must_enforce() {
    let house = House::new();
    house.replace("wharf.toml", "[\"resource-ceiling\"]", "[\"resource-ceiling\", \"must\"]");
    house.put("must", POLICY, "[when]\nusers = [\"nobody\"]");
    assert_eq!(house.explain().await.outcome, None);
    for toml in ["mode = \"audit\"", "mode = \"off\"", "[[mode_for]]\nusers = [\"somebody-else\"]\nmode = \"off\""] {
        house.toml("must", toml);
        refused(&house.explain().await, Cause::Rejected, "the required policy must doesn't always enforce");
        let report = house.components().await;
        assert_eq!(report.missing, [""; 0]);
        assert!(report.closed[0].advice.contains("must.toml"), "{:?}", report.closed);
    }
    // As a member it no longer decides by itself.
    house.toml("must", "");
    house.toml("either", "[group]\nlogic = \"any\"\nmembers = [\"must\"]");
    refused(&house.explain().await, Cause::Rejected, "it only answers as a member of the group either");
    house.replace("wharf.toml", "\"must\"", "\"either\"");
    assert_eq!(house.explain().await.outcome, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn groups_answer_as_one_and_show_their_members() {
    let house = House::new();
    house.checks("\"who\"");
    let does = |what: &str| format!("[settings]\ndo = \"{what}\"");
    for (guest, name) in [(PERMISSION, "check"), (POLICY, "judge")] {
        for what in ["yes", "no", "error"] {
            let misdeed = match (what, name) {
                ("no", "check") => "deny",
                ("no", _) => "reject",
                ("error", _) => "panic",
                _ => "nothing",
            };
            house.put(&format!("{name}-{what}"), guest, &does(misdeed));
        }
    }
    let group = |name: &str, logic: &str, kind: &str, members: &[&str]| {
        let members: Vec<String> = members.iter().map(|member| format!("\"{kind}-{member}\"")).collect();
        house.toml(name, &format!("[group]\nlogic = \"{logic}\"\nmembers = [{}]", members.join(", ")));
    };
    // Those that would say no on their own are in a group that makes a yes of it.
    group("rest", "any", "judge", &["no", "error", "yes"]);
    for (logic, members, yes) in [
        ("any", ["no", "yes"], true),
        ("any", ["error", "yes"], true),
        ("any", ["no", "error"], false),
        ("all", ["yes", "no"], false),
        ("all", ["yes", "error"], false),
        ("none", ["no", "yes"], false),
        ("none", ["no", "error"], false),
    ] {
        group("who", logic, "check", &members);
        let explained = house.explain().await;
        match yes {
            true => assert_eq!(explained.outcome, None, "{logic} {members:?}"),
            false => refused(&explained, Cause::Refused, "refused by who"),
        }
        let votes = of(&explained, "who").unwrap().votes.as_ref().unwrap();
        let names: Vec<&str> = votes.members.iter().map(|member| member.component.as_str()).collect();
        assert_eq!(names, members.map(|member| format!("check-{member}")), "{logic}");
        assert!(of(&explained, "check-no").is_none(), "a member stands only in its group");
    }
    group("who", "none", "check", &["no"]);
    let explained = house.explain().await;
    assert_eq!(explained.outcome, None);
    let votes = of(&explained, "rest").unwrap().votes.as_ref().unwrap();
    assert_eq!(votes.members.len(), 3);
    assert!(matches!(votes.members[1].judgement, Judgement::Error { .. }), "{votes:?}");
    group("rest", "none", "judge", &["no", "error", "yes"]);
    let explained = house.explain().await;
    refused(&explained, Cause::Rejected, "judge-yes says yes, and none of the group may; judge-error failed");
    // A group has a mode, too.
    house.toml(
        "rest",
        "mode = \"audit\"\n[group]\nlogic = \"none\"\nmembers = [\"judge-no\", \"judge-error\", \"judge-yes\"]",
    );
    let explained = house.explain().await;
    assert_eq!((explained.outcome.as_ref(), of(&explained, "rest").unwrap().mode), (None, Mode::Audit));
}

/// There is nothing before it that could go on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_group_closes_what_it_judges() {
    let house = House::new();
    house.put("one", POLICY, "");
    for toml in
        ["[group]\nlogic = \"none\"\nmembers = [\"one\", \"two\"]", "[group]\nlogic = \"nnoe\"\nmembers = [\"one\"]"]
    {
        house.toml("group", toml);
        refused(&house.explain().await, Cause::Rejected, "the group group of policies can't be used");
        assert!(house.components().await.closed[0].reason.contains("group"), "it is shown");
    }
    // One of permission components closes who names it, and nobody else.
    house.put("check", PERMISSION, "");
    house.toml("group", "[group]\nlogic = \"all\"\nmembers = [\"check\", \"two\"]");
    assert_eq!(house.explain().await.outcome, None);
    house.checks("\"allowed-groups\", \"group\"");
    refused(&house.explain().await, Cause::Refused, "the permission check group that docker-local names isn't loaded");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_held_back_is_shown() {
    let house = House::new();
    house.put("rule", POLICY, "[settings]\ndo = \"nothing\"");
    let access = house.open().await;
    let explain = async || access.explain(activity("SALES")).await.unwrap();
    assert_eq!(explain().await.outcome, None);
    // A rule that would refuse every run comes with one that can't be loaded: neither is taken.
    house.put("strict", POLICY, "[settings]\ndo = \"reject\"");
    house.toml("rule", "orderr = 3");
    assert_eq!(explain().await.outcome, None);
    let report = access.components().await.unwrap();
    let held = report.held_back.unwrap();
    assert_eq!(held.changes.iter().map(|change| change.change.as_str()).collect::<Vec<_>>(), ["changed", "added"]);
    assert!(report.failed[0].older_works && report.failed[0].fault.message.contains("orderr"));
    let findings = access.diagnose().await.unwrap();
    let text: Vec<&str> = findings.iter().map(|finding| finding.text.as_str()).collect();
    assert!(
        text.iter().any(|text| text.starts_with("changes on disk aren't taken") && text.contains("strict.wasm")),
        "{text:#?}"
    );
    // The record of a run says it, too.
    let run = access.submit(activity("SALES")).await.unwrap();
    access.wait(&run).await.unwrap();
    let mut events = access.follow(&run, 0, false);
    let mut told = false;
    while let Some(event) = futures_util::StreamExt::next(&mut events).await {
        told |= format!("{:?}", event.unwrap().kind).contains("those of before judge this run");
    }
    assert!(told);
    house.toml("rule", "order = 3");
    refused(&explain().await, Cause::Rejected, "rejected by strict");
    access.shutdown().await;
}
