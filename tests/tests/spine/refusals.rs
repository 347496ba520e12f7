//! What a daemon refuses: each with whose doing it is and what to do, and nothing left behind.

use wharf_model::outcome::Whose;
use wharf_model::{Cause, Outcome};
use wharf_tests::Home;

use crate::corpus::is_recorded;

const CONFIGURATION: &str = "configs/docker-local.toml";

/// The end of a run under the demo's configuration with one text changed.
fn refused(old: &str, new: &str, more: &[&str]) -> (Home, Outcome) {
    let home = Home::demo();
    home.replace(CONFIGURATION, old, new);
    let end = home.run_python("print(1)", more).exits(23).outcome();
    assert_eq!((end.cause, end.retry_helps), (Cause::EngineRefused, false));
    home.left_only(&[]);
    (home, end)
}

fn says(end: &Outcome, whose: Whose, advice: &str) {
    assert_eq!(end.whose, whose, "{}", end.sentence);
    assert!(end.advice.as_ref().is_some_and(|text| text.contains(advice)), "{end:?}");
}

#[test]
#[ignore = "needs docker (creates containers)"]
fn a_runtime_that_the_daemon_does_not_have() {
    let (home, end) = refused("time_limit", "runtime = \"nope\"\ntime_limit", &[]);
    says(&end, Whose::Configuration, "`runtime`");
    is_recorded(&home, "runtime-unknown", "`runtime` names none of the daemon's", &end);
}

#[test]
#[ignore = "needs docker (creates containers) without a GPU driver"]
fn gpus_without_a_driver() {
    let (home, end) = refused("[resources]", "[resources]\ngpus = \"all\"", &[]);
    home.opens_containers();
    says(&end, Whose::Configuration, "`gpus`");
    is_recorded(&home, "gpus-without-a-driver", "`gpus` at a daemon that knows no GPU driver", &end);
}

#[test]
#[ignore = "needs docker (asks for a network)"]
fn a_network_that_the_daemon_does_not_have() {
    let (home, end) = refused("[resources]", "[security]\nnetwork = \"nope\"\n[resources]", &[]);
    says(&end, Whose::Configuration, "`network`");
    is_recorded(&home, "network-unknown", "`network` names none of the daemon's", &end);
}

#[test]
#[ignore = "needs docker (creates containers)"]
fn a_network_that_is_missed_only_at_the_start() {
    let network = "[security]\nnetwork = \"nope\"\n[exchange]\nadvertise = \"192.0.2.1\"\n[resources]";
    let (home, end) = refused("[resources]", network, &[]);
    says(&end, Whose::Configuration, "`network`");
    assert!(end.sentence.contains("start the container"), "{}", end.sentence);
    is_recorded(&home, "network-unknown-at-start", "The same, where `advertise` is set: the start fails", &end);
}

#[test]
#[ignore = "needs docker (creates containers)"]
fn a_mount_whose_folder_is_not_there() {
    let mounts = "[security]\nhost_mounts = [\"/no/such/folder:/data:ro\"]\n[resources]";
    let (home, end) = refused("[resources]", mounts, &[]);
    says(&end, Whose::Configuration, "`host_mounts`");
    is_recorded(&home, "mount-missing", "A folder of `host_mounts` isn't on the daemon's machine", &end);
    // Nor is it made, as root's.
    assert!(!std::path::Path::new("/no").exists());
}

#[test]
#[ignore = "needs docker (creates containers)"]
fn cpus_that_the_machine_does_not_have() {
    let (home, end) = refused("[resources]", "[resources]\ncpuset-cpus = \"1000\"", &[]);
    says(&end, Whose::Capacity, "`cpuset-cpus`");
    is_recorded(&home, "cpuset-unknown", "`cpuset-cpus` names a CPU that the machine lacks", &end);
}
