//! An ordinary run: what a case doesn't say.

use serde_json::{Value, json};

/// An ordinary activity.
pub(super) fn activity() -> Value {
    json!({
        "kind": "python",
        "requester": { "user": "ana", "groups": ["analysts"] },
        "project": "FLIGHTS",
        "code": "print(1)\n",
    })
}

/// An ordinary execution configuration.
pub(super) fn configuration() -> Value {
    json!({
        "name": "docker-local",
        "base_image": "python-r",
        "registry": null,
        "resources": {},
        "allowed_groups": ["analysts"],
        "checks": ["allowed-groups"],
        "workload_types": [],
        "security": {},
        "exchange": { "mode": "dial-back", "advertise": null },
        "env": {},
        "labels": {},
        "time_limit": null,
        "engine": { "type": "docker", "host": "unix:///var/run/docker.sock", "runtime": null },
    })
}

/// An ordinary base image, but for what it starts from.
pub(super) fn image() -> Value {
    json!({
        "name": "python-r",
        "languages": [],
        "system_packages": [],
        "mirrors": {},
        "extra_ca": [],
        "labels": {},
        "made_by": "image-debian",
    })
}
