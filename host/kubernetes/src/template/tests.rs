//! Reading templates, and taking them apart.

use std::collections::BTreeMap;

use serde_json::json;
use wharf_model::configuration::Security;
use wharf_model::{Quantity, Resources};

use super::*;

fn parsed(yaml: &str) -> Value {
    parse("pod.yaml", yaml).unwrap()
}

/// What is left, and what was taken.
fn absorbed(yaml: &str) -> (Value, Security, Resources, BTreeMap<String, String>) {
    let (mut security, mut resources, mut labels) = (Security::default(), Resources::new(), BTreeMap::new());
    let rest = absorb(&parsed(yaml), &mut security, &mut resources, &mut labels).unwrap();
    let (mut same, mut none, mut nothing) = (Security::default(), Resources::new(), BTreeMap::new());
    assert_eq!(
        absorb(&rest, &mut same, &mut none, &mut nothing),
        Ok(rest.clone()),
        "what is left says nothing any more"
    );
    assert_eq!((same, none, nothing), (Security::default(), Resources::new(), BTreeMap::new()));
    (rest, security, resources, labels)
}

#[test]
fn each_way_to_write_a_template_is_read() {
    let expected = json!({"spec": {"containers": [{"name": "wharf", "tty": true}], "hostname": "h"}});
    for yaml in [
        "hostname: h\ncontainers:\n- name: wharf\n  tty: true\n",
        "spec:\n  hostname: h\n  containers:\n  - name: main\n    tty: true\n",
        "apiVersion: v1\nkind: Pod\nspec:\n  hostname: h\n  containers:\n  - tty: true\nstatus: {}\n",
        "kind: PodTemplate\nmetadata: {name: x}\ntemplate: {spec: {hostname: h, containers: [{tty: true}]}}\n",
    ] {
        assert_eq!(parsed(yaml), expected, "{yaml}");
    }
    assert_eq!(parsed("{}"), json!({"spec": {}}));
    assert_eq!(parsed("metadata: {annotations: {a: b}}"), json!({"metadata": {"annotations": {"a": "b"}}}));
}

#[test]
fn ours_is_the_one_of_that_name_or_the_first() {
    let both = parsed("containers: [{name: proxy, image: p}, {name: wharf, tty: true}]");
    assert_eq!(both["spec"]["containers"], json!([{"name": "proxy", "image": "p"}, {"name": "wharf", "tty": true}]));
    let error = parse("pod.yaml", "containers: [{name: proxy, image: p}]").unwrap_err();
    for said in ["pod.yaml: ", "proxy has `image`", "put one with `name: wharf` before it"] {
        assert!(error.contains(said), "{error}");
    }
}

#[test]
fn what_is_wrong_is_said_with_its_path() {
    let large = format!("hostname: {}", "h".repeat(300 << 10));
    for (yaml, said) in [
        ("hostname: [", "isn't YAML"),
        ("a: 1\na: 2", "isn't YAML"),
        ("- a", "expected a pod's template"),
        ("", "expected a pod's template"),
        (&large, "larger than 256 KiB"),
        ("kind: Deployment\nspec: {}", "of the kind \"Deployment\""),
        ("kind: PodTemplate", "no `template`"),
        ("hostnam: h", "spec.hostnam isn't a field"),
        ("containers: [{name: wharf, imag: i}]", "spec.containers[0].imag isn't a field"),
        ("containers: [{name: wharf, ports: [{containerPort: high}]}]", "spec.containers[0].ports[0].containerPort"),
        ("tolerations: {key: a}", "spec.tolerations"),
        (
            "affinity: {nodeAffinity: {requiredDuringScheduling: {}}}",
            "spec.affinity.nodeAffinity.requiredDuringScheduling isn't",
        ),
        ("containers: [{name: wharf, image: i}]", "`image`"),
        ("containers: [{name: wharf, command: [sh]}]", "`command`"),
        ("containers: [{name: wharf, args: [a]}]", "`args`"),
        ("containers: null", "can't take any away"),
        ("containers: [{$patch: replace}, {name: wharf}]", "can't take any away"),
        ("containers: [{name: wharf, $patch: delete}]", "can't take any away"),
        ("containers: [{name: wharf, securityContext: {$patch: replace}}]", "directives such as `$patch`"),
        ("spec: {$patch: replace}", "`$patch` there"),
        ("$retainKeys: [spec]\nspec: {}", "`$retainKeys` there"),
        ("spec: null", "spec isn't a map"),
        ("metadata: null", "metadata isn't a map"),
        ("metadata: {$patch: delete}", "metadata.$patch is wharf's to say"),
        ("metadata: {labels: {$patch: delete}}", "metadata.labels has $patch"),
        ("restartPolicy: Always", "restartPolicy can only be Never"),
        ("activeDeadlineSeconds: 5", "time_limit"),
        ("terminationGracePeriodSeconds: 5", "grace time"),
        ("resources: {limits: {cpu: 1}}", "resources of the container"),
        ("containers: [{name: wharf, env: [{name: WHARF_EXCHANGE, value: x}]}]", "WHARF_EXCHANGE"),
        ("containers: [{name: wharf, volumeMounts: [{name: v, mountPath: /opt/wharf/bin}]}]", "would cover"),
        ("containers: [{name: wharf, volumeMounts: [{name: v, mountPath: /wharf/}]}]", "would cover"),
        ("containers: [{name: wharf, volumeMounts: [{name: v, mountPath: /data/../opt}]}]", "would cover"),
        ("volumes: [{name: wharf-tmp, emptyDir: {}}]", "wharf-tmp"),
        ("metadata: {name: x}", "metadata.name"),
        ("metadata: {labels: {wharf.run: x}}", "wharf.run"),
        ("metadata: {labels: {batch.kubernetes.io/job-name: x}}", "batch.kubernetes.io/job-name"),
        ("ephemeralContainers: [{name: x}]", "ephemeralContainers"),
    ] {
        let error = parse("pod.yaml", yaml).expect_err(yaml);
        assert!(error.starts_with("pod.yaml: ") && error.contains(said), "{yaml}: {error}");
    }
}

#[test]
fn a_bomb_of_aliases_is_refused() {
    let mut yaml = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for at in 1..12 {
        let list = vec![format!("*a{}", at - 1); 10].join(", ");
        yaml.push_str(&format!("a{at}: &a{at} [{list}]\n"));
    }
    assert!(parse("pod.yaml", &yaml).is_err());
    assert!(parse("pod.yaml", &format!("affinity: {}", "[".repeat(100_000))).is_err());
}

#[test]
fn what_a_plan_has_fields_for_moves_there() {
    let (rest, security, resources, labels) = absorbed(
        "
metadata:
  labels: {team: data}
  annotations: {a: b}
spec:
  hostNetwork: true
  hostPID: true
  securityContext: {runAsGroup: 3000, fsGroup: 5}
  containers:
  - name: wharf
    env: [{name: A, value: b}]
    securityContext:
      privileged: true
      allowPrivilegeEscalation: true
      readOnlyRootFilesystem: true
      runAsUser: 2000
      capabilities: {add: [CAP_NET_ADMIN], drop: [CHOWN]}
      procMount: Default
    resources:
      limits: {memory: 4Gi, cpu: 1.5, nvidia.com/gpu: 1}
      requests: {memory: 1Gi}
      claims: [{name: c}]
",
    );
    let expected = json!({
        "metadata": {"annotations": {"a": "b"}},
        "spec": {
            "hostPID": true,
            "securityContext": {"fsGroup": 5},
            "containers": [{
                "name": "wharf",
                "env": [{"name": "A", "value": "b"}],
                "securityContext": {"procMount": "Default"},
                "resources": {"claims": [{"name": "c"}]}
            }]
        }
    });
    assert_eq!(rest, expected);
    let expected = Security {
        user: "2000:3000".to_owned(),
        privileged: true,
        no_new_privileges: false,
        read_only_root: true,
        drop_capabilities: vec!["CHOWN".to_owned()],
        add_capabilities: vec!["NET_ADMIN".to_owned()],
        host_mounts: Vec::new(),
        network: "host".to_owned(),
    };
    assert_eq!(security, expected);
    let expected = [
        ("limits.cpu", Quantity::Cpus(1_500_000_000)),
        ("limits.memory", Quantity::Bytes(4 << 30)),
        ("limits.nvidia.com/gpu", Quantity::Count(1)),
        ("requests.memory", Quantity::Bytes(1 << 30)),
    ];
    assert_eq!(resources, expected.map(|(key, amount)| (key.to_owned(), amount)).into());
    assert_eq!(labels, [("team".to_owned(), "data".to_owned())].into());
}

#[test]
fn a_template_that_says_only_that_is_empty_then() {
    let (rest, security, _, _) =
        absorbed("{securityContext: {runAsUser: 5}, containers: [{name: wharf, resources: null}]}");
    assert_eq!(rest, json!({}));
    assert_eq!(security.user, "5:1000");
    // Nothing of the run's own can be deleted with it.
    let (rest, security, _, _) = absorbed(
        "{securityContext: null, containers: [{name: wharf, securityContext: {privileged: null, capabilities: null}}]}",
    );
    assert_eq!((rest, security), (json!({}), Security::default()));
}

#[test]
fn a_folder_of_the_node_is_a_host_mount() {
    let (rest, security, _, _) = absorbed(
        "
volumes:
- {name: data, hostPath: {path: /srv/data, type: Directory}}
- {name: shared, hostPath: {path: /srv/shared/}}
- {name: other, emptyDir: {}}
containers:
- name: wharf
  volumeMounts:
  - {name: data, mountPath: /data, readOnly: true}
  - {name: shared, mountPath: /shared, subPath: of/it}
  - {name: other, mountPath: /other}
- name: proxy
  image: p
  volumeMounts: [{name: shared, mountPath: /s}]
",
    );
    assert_eq!(security.host_mounts, ["/srv/data:/data:ro", "/srv/shared/of/it:/shared"]);
    let expected = json!([{"name": "shared", "hostPath": {"path": "/srv/shared/"}}, {"name": "other", "emptyDir": {}}]);
    assert_eq!(rest["spec"]["volumes"], expected);
    assert_eq!(rest["spec"]["containers"][0]["volumeMounts"], json!([{"name": "other", "mountPath": "/other"}]));
}

#[test]
fn what_is_said_twice_or_unseen_is_refused() {
    let volume = "volumes: [{name: v, hostPath: {path: /srv}}]\n";
    let mount = |text: &str| {
        format!("{volume}containers: [{{name: wharf, volumeMounts: [{{name: v, mountPath: /in, {text}}}]}}]")
    };
    let configured = || -> (Security, Resources, BTreeMap<String, String>) {
        let security = Security { user: "7:7".to_owned(), network: "host".to_owned(), ..Security::default() };
        let resources = [("limits.memory".to_owned(), Quantity::Bytes(1 << 30))].into();
        (security, resources, [("team".to_owned(), "data".to_owned())].into())
    };
    let said_of = |yaml: &str| {
        let (mut security, mut resources, mut labels) = configured();
        let answer = absorb(&parsed(yaml), &mut security, &mut resources, &mut labels);
        if answer.is_err() {
            assert_eq!(
                (security, resources, labels),
                configured(),
                "a template that is refused changes nothing: {yaml}"
            );
        }
        answer
    };
    for (yaml, said) in [
        ("securityContext: {runAsUser: 8}".to_owned(), "the user is 8:7, and the configuration 7:7"),
        (
            "securityContext: {runAsUser: 7}\ncontainers: [{securityContext: {runAsUser: 8}}]".to_owned(),
            "7 for the pod and 8 for the run",
        ),
        (
            "containers: [{resources: {limits: {memory: 2Gi}}}]".to_owned(),
            "limits.memory is 2Gi, and the configuration 1Gi",
        ),
        ("containers: [{resources: {limits: {memory: 400m}}}]".to_owned(), "\"Mi\" for MiB"),
        ("metadata: {labels: {team: web}}".to_owned(), "the label team is \"web\", and the configuration \"data\""),
        (mount("mountPropagation: Bidirectional"), "`mountPropagation`"),
        (mount("subPathExpr: $(A)"), "`subPathExpr`"),
        (mount("subPath: ../etc"), "expected a path"),
        (mount("readOnly: true").replace("/srv", "/srv, type: DirectoryOrCreate"), "DirectoryOrCreate"),
    ] {
        let error = said_of(&yaml).expect_err(&yaml);
        assert!(error.contains(said), "{yaml}: {error}");
    }
    let same =
        "{hostNetwork: true, securityContext: {runAsUser: 7}, containers: [{resources: {limits: {memory: 1024Mi}}}]}";
    assert_eq!(said_of(same), Ok(json!({})));
    let mut root = Security { user: "0:0".to_owned(), ..Security::default() };
    let non_root = parsed("securityContext: {runAsNonRoot: true}");
    let error = absorb(&non_root, &mut root, &mut Resources::new(), &mut BTreeMap::new()).unwrap_err();
    assert!(error.contains("which is root"), "{error}");
}

#[test]
fn two_sources_of_a_volume_are_told() {
    let mut base = json!({"spec": {"volumes": [{"name": "v", "emptyDir": {}}]}});
    let error =
        merge(&mut base, json!({"spec": {"volumes": [{"name": "v", "configMap": {"name": "m"}}]}})).unwrap_err();
    assert!(error.contains("`null`") && error.contains("emptyDir"), "{error}");
}
