//! Runs on a real Kubernetes cluster: the same as on a daemon, and every way in which a pod can end.
//!
//! `WHARF_TEST_KUBECONFIG` names the cluster (`tests/cluster/up` brings one up); a Docker daemon makes the images. Tests that stop
//! parts of the cluster need `WHARF_TEST_CLUSTER_PART`, the script that does so.

mod commands;
mod conformance;
mod ends;
mod faults;
mod namespaces;
mod parts;
mod recovery;
mod same;
mod webhook;

use wharf_tests::{Cluster, Home};

/// A home for a cluster, and the arguments that run there.
fn home() -> (Cluster, Home) {
    let cluster = Cluster::of_environment();
    let home = Home::on_cluster(&cluster);
    (cluster, home)
}

/// The flags that send a run to the cluster, and more.
fn there<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&["--config", "k8s-local"], more].concat()
}
