//! What is kept in a namespace besides runs, and what its own containers get.

use serde_json::Value;
use wharf_model::EventKind;
use wharf_tests::Cluster;

use crate::{home, there};

/// An object of a namespace, or an object without one.
fn object(cluster: &Cluster, namespace: &str, kind: &str, name: &str) -> Value {
    let all = Cluster { namespace: namespace.to_owned(), ..cluster.clone() };
    serde_json::from_str(&all.admin(&["get", kind, name, "-o", "json"])).expect("kubectl answers JSON")
}

#[test]
#[ignore = "needs kubernetes (runs pods)"]
fn a_namespace_is_made_and_kept_as_the_configuration_says() {
    let (cluster, home) = home();
    home.opens_containers();
    let namespace = format!("wharf-tests-{}", std::process::id());
    let file = "configs/k8s-local.toml";
    let admin = std::env::var("WHARF_TEST_ADMIN_CONTEXT").unwrap_or_else(|_| "admin".to_owned());
    home.replace(file, "context = ", &format!("context = \"{admin}\" # "));
    home.replace(file, "namespace = ", &format!("namespace = \"{namespace}\" # "));
    home.replace(file, "base_image", "network_policy = \"exchange-only\"\nbase_image");
    home.replace(
        file,
        "[permissions]",
        &format!(
            "[security]\nuser = \"0:0\"\n\n[namespace_policy]\ncreate = true\n\
             labels = {{ \"pod-security.kubernetes.io/warn\" = \"restricted\" }}\n\
             resource_quota = {{ pods = \"7\" }}\n\
             limit_range = [{{ type = \"Container\", default = {{ memory = \"300Mi\" }} }}]\n\
             pull_secret = \"{}/wharf-tests-login\"\n\n[permissions]",
            cluster.namespace
        ),
    );
    let login = "apiVersion: v1\nkind: Secret\nmetadata: {name: wharf-tests-login}\n\
                 type: kubernetes.io/dockerconfigjson\nstringData: {.dockerconfigjson: '{\"auths\":{}}'}\n";
    cluster.apply(login);
    let kept = |what: &str| {
        let quota = object(&cluster, &namespace, "resourcequota", "wharf");
        assert_eq!(quota["spec"]["hard"], serde_json::json!({ "pods": "7" }), "{what}");
        let range = object(&cluster, &namespace, "limitrange", "wharf");
        assert_eq!(range["spec"]["limits"][0]["default"]["memory"], "300Mi", "{what}");
        let labels = &object(&cluster, &namespace, "namespace", &namespace)["metadata"]["labels"];
        assert_eq!(labels["pod-security.kubernetes.io/warn"], "restricted", "{what}");
        let copy = object(&cluster, &namespace, "secret", "wharf-tests-login");
        assert_eq!(copy["type"], "kubernetes.io/dockerconfigjson", "{what}");
    };
    let run = home.run_python("print('in')", &there(&[])).exits(0);
    kept("made");
    let warned = run.events().into_iter().any(|event| {
        matches!(&event.kind, EventKind::Progress { text, .. } if text.contains("warns of the Job") && text.contains("restricted"))
    });
    assert!(warned, "the API server's warning is in the record: {run}");
    // As applied: whether pods are really held is the cluster's network's affair.
    let policies = Cluster { namespace: namespace.clone(), ..cluster.clone() }.objects("networkpolicies", &home);
    assert_eq!(policies.len(), 1, "{policies:?}");
    let spec = &policies[0]["spec"];
    assert_eq!(spec["policyTypes"], serde_json::json!(["Ingress", "Egress"]));
    assert_eq!(spec["egress"][0]["to"][0]["ipBlock"]["cidr"], format!("{}/32", cluster.advertise));
    assert!(spec["ingress"].as_array().is_none_or(Vec::is_empty), "{spec}");

    // Somebody changes it; the next host sets it right, and leaves what it says nothing of.
    let there_ = Cluster { namespace: namespace.clone(), ..cluster.clone() };
    let patch = "{\"spec\":{\"hard\":{\"pods\":\"1\"}}}";
    let _ = there_.admin(&["patch", "resourcequota", "wharf", "--type=merge", "-p", patch]);
    let _ = there_.admin(&["delete", "limitrange", "wharf"]);
    let _ = there_.admin(&["label", "namespace", &namespace, "team=data", "pod-security.kubernetes.io/warn-"]);
    let _ = home.run_python("print('again')", &there(&[])).exits(0);
    kept("set right");
    assert_eq!(object(&cluster, &namespace, "namespace", &namespace)["metadata"]["labels"]["team"], "data");
    let _ = cluster.admin(&["delete", "secret", "wharf-tests-login"]);
    let _ = cluster.admin(&["delete", "namespace", &namespace, "--wait=false"]);
}
