//! A host that is killed in the middle.

use rustix::process::Signal;
use serde_json::Value;
use wharf_model::EventKind;
use wharf_tests::{Home, Registry, Started};

use crate::built::{done, environment, home, images, log, never_before};

/// The images of a repository at the daemon.
fn tagged(home: &Home, repository: &str) -> Vec<String> {
    let filter = format!("%7B%22reference%22%3A%5B%22{}%22%5D%7D", repository.replace('/', "%2F"));
    let found = home.daemon().must("GET", &format!("/images/json?filters={filter}"), None);
    found.as_array().unwrap().iter().map(|image| image["Id"].to_string()).collect()
}

/// Reads lines until one has this text in it.
fn until(started: &mut Started, text: &str) {
    while let Some(line) = started.line() {
        if line.contains(text) {
            return;
        }
    }
    panic!("it ended before it said {text:?}");
}

#[test]
#[ignore = "needs docker (builds images) and an index of packages"]
fn a_build_is_done_again_from_where_it_was() {
    let home = home();
    environment(&home, "slow", &format!("pandas\n{}", never_before()));
    let before = tagged(&home, "wharf-env/slow");
    let arguments = home.python("import pandas\nprint(pandas.__name__)", &["--code-env", "slow"]);
    let mut first = home.start(&arguments);
    first.until(|event| matches!(&event.kind, EventKind::Progress { text, .. } if text.contains("(install packages)")));
    first.signal(Signal::KILL);
    let _ = first.finish();
    assert_eq!(tagged(&home, "wharf-env/slow"), before);
    let again = home.call(&arguments).exits(0);
    assert_eq!(log(&again), ["pandas"]);
    assert_eq!(tagged(&home, "wharf-env/slow").len(), before.len() + 1);
    // The killed one has an end.
    for run in home.runs() {
        assert!(run.outcome.is_some() && run.ended_at.is_some(), "{run:?}");
    }
}

#[test]
#[ignore = "needs docker (builds images) and docker-registry"]
fn a_push_is_finished_by_the_next_one() {
    let home = home();
    let registry = Registry::start();
    environment(&home, "pushed", &format!("six==1.16.0\n{}", never_before()));
    home.replace(
        "configs/docker-local.toml",
        "base_image",
        &format!("registry = {:?}\nbase_image", registry.address()),
    );
    let mut first = home.start(["--json", "env", "build", "pushed"]);
    until(&mut first, "pushing ");
    first.signal(Signal::KILL);
    let _ = first.finish();
    let [built] = images(&home.call(["--json", "env", "build", "pushed"]).exits(0)).try_into().unwrap();
    println!("{built:?}");
    assert_eq!(built.fault, None);
    assert!(done(&built).iter().filter(|what| **what == "pushed").count() >= 1);
    // All of it is there: it comes back from there alone.
    let tag = built.image.unwrap();
    let key = built.key.unwrap();
    for image in [tag.clone(), format!("wharf-env/pushed:{}", &key[..16])] {
        let there = format!("{}/{image}", registry.address());
        let _ = home.daemon().must("DELETE", &format!("/images/{image}?force=1"), None);
        let _ = home.daemon().ask("DELETE", &format!("/images/{there}?force=1"), None);
    }
    let again = home.call(["--json", "env", "build", "pushed"]).exits(0);
    let [pulled] = images(&again).try_into().unwrap();
    assert_eq!(done(&pulled), ["pulled"]);
    let listed: Value = home.call(["--json", "image", "list"]).exits(0).document();
    assert!(listed.to_string().contains(&tag), "{listed}");
}
