//! Whole manifests, compared with the files in `tests/manifests`: `WHARF_UPDATE=1` writes them anew.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};
use wharf_kubernetes::{object, template};
use wharf_model::launch::LaunchSpec;

/// The specification that each case changes.
fn base() -> Value {
    json!({
        "host": "4f1c2a", "run": "0190c0ffee", "attempt": 1,
        "image": format!("registry.example.com/data/python@sha256:{}", "ab".repeat(32)),
        "argv": ["/opt/wharf/bin/wharf-runner", "run"],
        "env": {"WHARF_EXCHANGE": "10.0.0.1:7411", "WHARF_FINGERPRINT": "aa"},
        "secret_env": {"WHARF_TICKET": "must-not-be-shown"},
        "resources": {}, "security": {}, "labels": {}, "runtime": null, "grace_seconds": 10,
        "kubernetes": {"namespace": "data"}
    })
}

/// Merges maps; all else is replaced.
fn change(value: &mut Value, by: Value) {
    match (value, by) {
        (Value::Object(value), Value::Object(by)) => {
            for (name, by) in by {
                change(value.entry(name).or_insert(Value::Null), by);
            }
        }
        (value, by) => *value = by,
    }
}

fn spec(changes: Value, pod_template: Option<&str>) -> LaunchSpec {
    let mut value = base();
    change(&mut value, changes);
    let mut spec: LaunchSpec = serde_json::from_value(value).unwrap();
    if let Some(yaml) = pod_template {
        let read = template::parse("pod.yaml", yaml).unwrap();
        let rest = template::absorb(&read, &mut spec.security, &mut spec.resources, &mut spec.labels).unwrap();
        spec.kubernetes.as_mut().unwrap().template = Some(rest);
    }
    spec
}

const GPU: &str = r#"
metadata:
  labels: {team: vision}
  annotations: {sidecar.istio.io/inject: "false"}
spec:
  hostname: trainer
  hostAliases:
  - {ip: 10.0.0.9, hostnames: [licence]}
  topologySpreadConstraints:
  - {topologyKey: zone, whenUnsatisfiable: ScheduleAnyway, maxSkew: 1, labelSelector: {matchLabels: {team: vision}}}
  initContainers:
  - {name: fetch, image: "registry.example.com/fetch:1", volumeMounts: [{name: models, mountPath: /models}]}
  containers:
  - name: wharf
    resources:
      limits: {nvidia.com/gpu: 2, memory: 16Gi}
      requests: {memory: 16Gi, cpu: 500m}
    env:
    - {name: NODE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}
    securityContext: {readOnlyRootFilesystem: true}
    volumeMounts:
    - {name: models, mountPath: /models, readOnly: true}
    - {name: cache, mountPath: /cache}
    - {name: work, mountPath: /wharf/work}
  volumes:
  - {name: models, emptyDir: {sizeLimit: 20Gi}}
  - {name: cache, hostPath: {path: /srv/cache, type: Directory}}
  - {name: work, persistentVolumeClaim: {claimName: work}}
"#;

fn cases() -> BTreeMap<&'static str, LaunchSpec> {
    let kubernetes = |value: Value| json!({"kubernetes": value});
    let pod = |value: Value| kubernetes(json!({"pod": value}));
    BTreeMap::from([
        ("least", spec(json!({}), None)),
        (
            "resources",
            spec(
                json!({
                    "resources": {
                        "limits.cpu": {"cpus": 1_500_000_000_u64}, "limits.memory": {"bytes": 4_294_967_296_u64},
                        "requests.memory": {"bytes": 1_073_741_824_u64}, "requests.ephemeral-storage": {"bytes": 1_000_u64},
                        "limits.nvidia.com/gpu": {"count": 1}, "shm-size": {"bytes": 268_435_456_u64}
                    },
                    "deadline_seconds": 7200
                }),
                None,
            ),
        ),
        (
            "read-only-root",
            spec(
                json!({
                    "security": {"read-only-root": true},
                    "kubernetes": {"pod": {"scratch": {
                        "work": 10_737_418_240_u64, "home": 1_048_576_u64, "shm": 67_108_864_u64
                    }}}
                }),
                None,
            ),
        ),
        (
            "opened-by-an-administrator",
            spec(
                json!({"security": {
                    "user": "0:0", "privileged": true, "no-new-privileges": false, "drop-capabilities": [],
                    "add-capabilities": ["NET_ADMIN"], "host-mounts": ["/srv/data:/data:ro", "/srv/out:/out"],
                    "network": "host"
                }}),
                None,
            ),
        ),
        (
            "placed",
            spec(
                pod(json!({
                    "node-selector": {"disk": "ssd"},
                    "tolerations": [{"key": "dedicated", "operator": "Equal", "value": "data", "effect": "NoSchedule"}],
                    "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
                        {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a", "b"]}]}
                    ]}}},
                    "annotations": {"example.com/cost-centre": "42"},
                    "service-account": "runs", "image-pull-secrets": ["registry"], "priority-class": "batch",
                    "runtime-class": "gvisor", "security-context": {"fsGroup": 2000, "supplementalGroups": [3000]},
                    "ttl-seconds": 60, "namespace-policy": {"pull-secret": {"namespace": "images", "name": "mirror"}}
                })),
                None,
            ),
        ),
        ("queued", spec(pod(json!({"queue": "data-queue"})), None)),
        ("exchange-only", spec(pod(json!({"network-policy": "exchange-only"})), None)),
        (
            "attached",
            spec(
                json!({
                    "env": {"WHARF_EXCHANGE": "attach-port:7411"},
                    "kubernetes": {"pod": {"network-policy": "exchange-only"}}
                }),
                None,
            ),
        ),
        (
            "odd-labels",
            spec(
                json!({"labels": {"who": "Ana Müller", "a b": "c", "wharf.run": "forged"}, "env": {"PRICE": "$(A)$$5"}}),
                None,
            ),
        ),
        ("template", spec(json!({"labels": {"owner": "ana"}}), Some(GPU))),
        ("refused", spec(json!({"security": {"network": "none"}}), None)),
    ])
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/manifests")
}

#[test]
fn each_manifest_is_as_it_was_and_none_is_left_over() {
    let update = std::env::var_os("WHARF_UPDATE").is_some_and(|value| value == "1");
    let mut different = Vec::new();
    let cases = cases();
    for (name, spec) in &cases {
        let shown = serde_json::to_string_pretty(&object::shown(spec)).unwrap() + "\n";
        let file = folder().join(format!("{name}.json"));
        if update {
            fs::write(&file, &shown).unwrap();
        }
        let kept = fs::read_to_string(&file).unwrap_or_default();
        if kept != shown {
            different.push(format!("{}:\n{shown}", file.display()));
        }
    }
    assert!(different.is_empty(), "WHARF_UPDATE=1 writes these anew:\n{}", different.join("\n"));
    let mut files = 0;
    for entry in fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        assert!(
            path.extension().is_some_and(|end| end == "json") && cases.contains_key(name.as_str()),
            "{}",
            path.display()
        );
        files += 1;
    }
    assert_eq!(files, cases.len());
}

#[test]
fn no_manifest_shows_a_secret() {
    for (name, spec) in cases() {
        assert!(!object::shown(&spec).to_string().contains("must-not-be-shown"), "{name}");
    }
}

/// What the "restricted" level of the Pod Security Standards asks of a pod, as its document lists it.
fn restricted(pod: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut want = |holds: bool, what: &str| {
        if !holds {
            wrong.push(what.to_owned());
        }
    };
    let volumes = pod["volumes"].as_array().cloned().unwrap_or_default();
    let kinds =
        ["configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"];
    for volume in &volumes {
        let kind = volume.as_object().unwrap().keys().find(|name| *name != "name").unwrap();
        want(kinds.contains(&kind.as_str()), &format!("volume type {kind}"));
    }
    for field in ["hostNetwork", "hostPID", "hostIPC"] {
        want(pod[field] != true, field);
    }
    let of_pod = &pod["securityContext"];
    for container in pod["containers"].as_array().unwrap() {
        let context = &container["securityContext"];
        let either =
            |field: &str| if context[field].is_null() { of_pod[field].clone() } else { context[field].clone() };
        want(context["allowPrivilegeEscalation"] == false, "allowPrivilegeEscalation");
        want(context["privileged"] != true, "privileged");
        want(either("runAsNonRoot") == true, "runAsNonRoot");
        want(either("runAsUser") != 0, "runAsUser");
        want(
            ["RuntimeDefault", "Localhost"].iter().any(|kind| either("seccompProfile")["type"] == *kind),
            "seccompProfile",
        );
        let drops = context["capabilities"]["drop"].as_array().cloned().unwrap_or_default();
        want(drops.contains(&json!("ALL")), "capabilities.drop");
        let adds = context["capabilities"]["add"].as_array().cloned().unwrap_or_default();
        want(adds.iter().all(|name| name == "NET_BIND_SERVICE"), "capabilities.add");
    }
    wrong
}

#[test]
fn pod_security_is_restricted_unless_an_administrator_opens_it() {
    for (name, spec) in cases() {
        let shown = object::shown(&spec);
        if shown.get("error").is_some() || name == "template" {
            continue;
        }
        let wrong = restricted(&shown["items"][0]["spec"]["template"]["spec"]);
        if name == "opened-by-an-administrator" {
            let all = [
                "volume type hostPath",
                "volume type hostPath",
                "hostNetwork",
                "allowPrivilegeEscalation",
                "privileged",
                "runAsNonRoot",
                "runAsUser",
                "capabilities.drop",
                "capabilities.add",
            ];
            assert_eq!(wrong, all);
        } else {
            assert!(wrong.is_empty(), "{name}: {wrong:?}");
        }
    }
}
