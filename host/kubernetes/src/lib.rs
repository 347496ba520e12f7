//! The Kubernetes backend: jobs and their pods on one cluster.
//!
//! What it would create is made by pure functions, which need no cluster: [`object`], [`namespace`], [`role`].
