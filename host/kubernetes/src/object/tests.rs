//! What one object says and another doesn't; whole manifests are in `tests/manifests`.

use serde_json::json;

use super::*;

fn spec() -> LaunchSpec {
    serde_json::from_value(json!({
        "host": "home-1", "run": "r1", "attempt": 2,
        "image": format!("registry.example.com/data/run@sha256:{}", "ab".repeat(32)),
        "argv": ["/opt/wharf/bin/wharf-runner", "run"], "env": {"WHARF_EXCHANGE": "10.0.0.1:7000"},
        "secret_env": {"WHARF_TICKET": "s3cret"}, "resources": {}, "security": {}, "labels": {}, "runtime": null,
        "grace_seconds": 10, "kubernetes": {"namespace": "data"}
    }))
    .unwrap()
}

fn with(change: impl FnOnce(&mut LaunchSpec, &mut KubernetesPlace)) -> LaunchSpec {
    let mut spec = spec();
    let mut place = *spec.kubernetes.take().unwrap();
    change(&mut spec, &mut place);
    spec.kubernetes = Some(Box::new(place));
    spec
}

fn made(spec: &LaunchSpec) -> Value {
    serde_json::to_value(job(spec).unwrap()).unwrap()
}

#[track_caller]
fn refuses(spec: &LaunchSpec, said: &str) {
    let error = job(spec).unwrap_err();
    assert!(error.contains(said), "{error}");
}

#[test]
fn a_ticket_is_in_the_secret_alone() {
    let secret = serde_json::to_value(secret(&spec(), Some("uid-1")).unwrap()).unwrap();
    assert_eq!(secret["stringData"], json!({"WHARF_TICKET": "s3cret"}));
    assert_eq!(secret["metadata"]["ownerReferences"][0]["uid"], "uid-1");
    let job = made(&spec());
    assert_eq!(secret["metadata"]["name"], job["metadata"]["name"]);
    assert_eq!(secret["metadata"]["annotations"][ANNOTATION_SPEC], job["metadata"]["annotations"][ANNOTATION_SPEC]);
    for text in [job.to_string(), shown(&spec()).to_string()] {
        assert!(!text.contains("s3cret"), "{text}");
    }
    assert!(shown(&spec()).to_string().contains("***"));
}

#[test]
fn what_is_shown_is_what_is_sent() {
    let shown = shown(&with(|_, place| place.pod.network_policy = wharf_model::kubernetes::NetworkRule::ExchangeOnly));
    let kinds: Vec<&Value> = shown["items"].as_array().unwrap().iter().map(|item| &item["kind"]).collect();
    assert_eq!(kinds, ["Job", "Secret", "NetworkPolicy"]);
    assert_eq!(super::shown(&spec())["items"][0], made(&spec()));
    let nowhere = LaunchSpec { kubernetes: None, ..spec() };
    assert!(super::shown(&nowhere)["error"].as_str().unwrap().contains("no place on a cluster"));
}

#[test]
fn another_specification_has_another_digest() {
    let other = with(|spec, _| spec.secret_env = [("WHARF_TICKET".to_owned(), "another".to_owned())].into());
    assert_ne!(digest(&other), digest(&spec()));
    assert_eq!(digest(&spec()), digest(&spec()));
    assert_eq!(made(&spec())["metadata"]["annotations"][ANNOTATION_SPEC], digest(&spec()));
}

#[test]
fn only_an_image_of_a_registry_can_be_pulled() {
    let digest = format!("@sha256:{}", "0".repeat(64));
    for name in ["registry.example.com/run", "localhost/run", "127.0.0.1:5000/a/b", "localhost:5000/run"] {
        let image = format!("{name}{digest}");
        assert!(job(&with(|spec, _| spec.image.clone_from(&image))).is_ok(), "{image}");
    }
    let short = "registry.example.com/run@sha256:ab".to_owned();
    for image in [
        format!("sha256:{}", "0".repeat(64)),
        format!("wharf/run{digest}"),
        format!("run{digest}"),
        "registry.example.com/run:latest".to_owned(),
        short,
        format!("registry.example.com/{digest}"),
    ] {
        refuses(&with(|spec, _| spec.image = image), "`registry` in the configuration");
    }
    assert!(shown(&with(|spec, _| spec.image = "wharf/run:key".to_owned())).get("items").is_some());
}

#[test]
fn labels_are_made_valid_and_ours_go_last() {
    let spec = with(|spec, _| {
        for (name, value) in [("team", "data"), ("who am i", "Ana Müller"), ("wharf.run", "another")] {
            spec.labels.insert(name.to_owned(), value.to_owned());
        }
    });
    let job = made(&spec);
    let key = names::label_key("who am i");
    let labels = json!({
        "team": "data", key: "Ana-M-ller", "wharf.host": "home-1", "wharf.run": "r1", "wharf.attempt": "2"
    });
    assert_eq!(job["metadata"]["labels"], labels);
    assert_eq!(job["spec"]["template"]["metadata"]["labels"], labels);
    let original: Value =
        serde_json::from_str(job["metadata"]["annotations"][ANNOTATION_LABELS].as_str().unwrap()).unwrap();
    assert_eq!(original, json!({"who am i": "Ana Müller"}));
    refuses(&with(|spec, _| drop(spec.labels.insert("job-name".to_owned(), "x".to_owned()))), "Kubernetes' own");
    refuses(&with(|spec, _| spec.host = "home 1".to_owned()), "wharf.host");
}

#[test]
fn what_a_cluster_has_nothing_for_is_refused() {
    refuses(&with(|spec, _| spec.security.network = "none".to_owned()), "exchange-only");
    refuses(&with(|spec, _| spec.security.network = "backend".to_owned()), "\"bridge\"");
    refuses(&with(|spec, _| spec.security.user = "root".to_owned()), "1000:1000");
    refuses(&with(|spec, _| spec.security.host_mounts = vec!["data:/data".to_owned()]), "begin with /");
    let memory = ("memory".to_owned(), wharf_model::Quantity::Bytes(1));
    refuses(&with(|spec, _| spec.resources.extend([memory])), "memory");
    refuses(&with(|spec, _| drop(spec.secret_env.insert("A B".to_owned(), String::new()))), "kept in a secret");
}

#[test]
fn a_network_policy_needs_an_address() {
    use wharf_model::kubernetes::NetworkRule::ExchangeOnly;
    let at = |address: &str| {
        with(|spec, place| {
            place.pod.network_policy = ExchangeOnly;
            spec.env.insert("WHARF_EXCHANGE".to_owned(), address.to_owned());
        })
    };
    let egress = |address: &str| {
        serde_json::to_value(network::policy(&at(address)).unwrap().unwrap()).unwrap()["spec"]["egress"].clone()
    };
    let to = |cidr: &str| json!([{"to": [{"ipBlock": {"cidr": cidr}}], "ports": [{"port": 7000, "protocol": "TCP"}]}]);
    assert_eq!(egress("10.0.0.1:7000"), to("10.0.0.1/32"));
    assert_eq!(egress("[fd00::1]:7000"), to("fd00::1/128"));
    assert_eq!(egress("attach:r1-2"), json!([]));
    assert!(network::policy(&at("wharf.example.com:7000")).unwrap_err().contains("IP address"));
    // One for all runs that reach it the same way.
    let name = |address: &str| network::policy(&at(address)).unwrap().unwrap().metadata.name;
    assert_eq!(name("attach:r1-2"), name("attach:r2-1"));
    assert_ne!(name("10.0.0.1:7000"), name("10.0.0.2:7000"));
    let pod = made(&at("10.0.0.1:7000"));
    let policy = serde_json::to_value(network::policy(&at("10.0.0.1:7000")).unwrap()).unwrap();
    for (name, value) in policy["spec"]["podSelector"]["matchLabels"].as_object().unwrap() {
        assert_eq!(pod["spec"]["template"]["metadata"]["labels"][name], *value);
    }
    assert_eq!(network::policy(&spec()), Ok(None));
    let on_host = with(|spec, place| {
        place.pod.network_policy = ExchangeOnly;
        spec.security.network = "host".to_owned();
    });
    refuses(&on_host, "doesn't hold");
}

#[test]
fn a_template_cannot_undo_what_policies_judged() {
    let container = |value: Value| {
        let mut fields = json!({"name": "wharf"});
        fields.as_object_mut().unwrap().extend(value.as_object().unwrap().clone());
        json!({"spec": {"containers": [fields]}})
    };
    for (template, said) in [
        (json!({"spec": {"containers": [{"name": "wharf", "$patch": "delete"}]}}), "own container"),
        (json!({"spec": {"containers": [{"$patch": "replace"}, {"name": "wharf", "tty": true}]}}), "`image`"),
        (json!({"spec": {"securityContext": {"$patch": "replace"}}}), "securityContext.runAs"),
        (json!({"spec": {"$patch": "replace", "hostname": "h"}}), "spec.restartPolicy"),
        (json!({"metadata": {"labels": {"$patch": "delete"}}}), ""),
        (json!({"spec": {"securityContext": {"runAsUser": 0}}}), "still says"),
        (container(json!({"securityContext": {"privileged": true}})), "still says"),
        (container(json!({"securityContext": {"$patch": "delete"}})), "the run's securityContext."),
        (container(json!({"resources": {"limits": {"memory": "1Ti"}}})), "still says"),
        (container(json!({"image": "evil"})), "`image`"),
        (container(json!({"args": ["x"]})), "`args`"),
        (container(json!({"env": [{"name": "WHARF_EXCHANGE", "value": "evil"}]})), "WHARF_EXCHANGE"),
        (container(json!({"env": [{"name": "WHARF_TICKET", "$patch": "delete"}]})), "WHARF_TICKET"),
    ] {
        let text = template.to_string();
        let error = job(&with(|_, place| place.template = Some(template))).expect_err(&text);
        assert!(error.contains(said), "{text}: {error}");
    }
    let resources = with(|spec, place| {
        spec.resources.insert("limits.memory".to_owned(), wharf_model::Quantity::Bytes(1 << 30));
        place.template = Some(json!({"spec": {"containers": [{"name": "wharf", "resources": {"$patch": "delete"}}]}}));
    });
    refuses(&resources, "resources.limits");
}

#[test]
fn settings_are_checked_before_there_is_a_run() {
    let check = |value: Value| check_settings(&serde_json::from_value(value).unwrap());
    let good = json!({
        "tolerations": [{"key": "gpu", "operator": "Exists", "tolerationSeconds": 5}],
        "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []}}},
        "security-context": {"fsGroup": 5}, "node-selector": {"disk": "ssd"}, "annotations": {"a.example/b": "any text"},
        "service-account": "data", "queue": "data", "image-pull-secrets": ["registry"],
        "namespace-policy": {"resource-quota": {"pods": "10"}, "pull-secret": {"namespace": "a", "name": "b"}}
    });
    assert_eq!(check(good), Ok(()));
    for (value, setting, said) in [
        (json!({"tolerations": [{"kye": "gpu"}]}), "tolerations", "tolerations[0].kye isn't a field"),
        (json!({"tolerations": [{"tolerationSeconds": "5"}]}), "tolerations", "tolerations[0].tolerationSeconds"),
        (json!({"affinity": {"node": {}}}), "affinity", "affinity.node isn't"),
        (json!({"security-context": {"runAsUser": 0}}), "security_context", "[security]"),
        (json!({"security-context": {"fsgroup": 0}}), "security_context", "securityContext.fsgroup"),
        (json!({"node-selector": {"a b": "c"}}), "node_selector", "a b"),
        (json!({"annotations": {"wharf.spec": "x"}}), "annotations", "wharf.spec"),
        (json!({"service-account": "Data"}), "service_account", "\"Data\""),
        (json!({"image-pull-secrets": [""]}), "image_pull_secrets", "\"\""),
        (json!({"queue": "a/b"}), "queue", "a/b"),
        (json!({"namespace-policy": {"resource-quota": {"pods": "ten"}}}), "namespace_policy", "pods"),
        (json!({"namespace-policy": {"limit-range": [{"type": "Node"}]}}), "namespace_policy", "Container"),
        (json!({"namespace-policy": {"labels": {"a": "b c"}}}), "namespace_policy", "b c"),
        (json!({"namespace-policy": {"pull-secret": {"namespace": "", "name": "b"}}}), "namespace_policy", "/b"),
    ] {
        let (at, error) = check(value.clone()).unwrap_err();
        assert!(at == setting && error.contains(said), "{value}: {at}: {error}");
    }
}
