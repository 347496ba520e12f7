//! What Kubernetes' documents and API types say of merging, case by case.

use serde_json::json;

use super::*;

fn pod(original: Value, patch: Value) -> Result<Value, String> {
    let mut merged = original;
    merge(Kind::Pod, &mut merged, patch, "spec").map(|()| merged)
}

#[track_caller]
fn merges(original: Value, patch: Value, expected: &Value) {
    assert_eq!(pod(original, patch).as_ref(), Ok(expected));
}

#[test]
fn a_container_is_added_in_front() {
    merges(
        json!({"containers": [{"name": "patch-demo-ctr", "image": "nginx"}]}),
        json!({"containers": [{"name": "patch-demo-ctr-2", "image": "redis"}]}),
        &json!({"containers": [
            {"name": "patch-demo-ctr-2", "image": "redis"}, {"name": "patch-demo-ctr", "image": "nginx"}
        ]}),
    );
}

#[test]
fn a_container_of_the_same_name_is_merged() {
    merges(
        json!({"containers": [{"name": "a", "image": "i", "args": ["x"], "env": [{"name": "K", "value": "1"}]}]}),
        json!({"containers": [{"name": "a", "args": ["y"], "env": [{"name": "K", "value": "2"}]}]}),
        &json!({"containers": [{"name": "a", "image": "i", "args": ["y"], "env": [{"name": "K", "value": "2"}]}]}),
    );
}

#[test]
fn tolerations_are_replaced() {
    merges(
        json!({"tolerations": [{"effect": "NoSchedule", "key": "dedicated", "value": "test-team"}]}),
        json!({"tolerations": [{"effect": "NoSchedule", "key": "disktype", "value": "ssd"}]}),
        &json!({"tolerations": [{"effect": "NoSchedule", "key": "disktype", "value": "ssd"}]}),
    );
}

#[test]
fn each_keyed_list_merges_by_its_key() {
    let cases = [
        ("volumes", json!({"name": "a", "emptyDir": {}}), json!({"name": "a", "emptyDir": {"medium": "Memory"}})),
        ("imagePullSecrets", json!({"name": "a"}), json!({"name": "a"})),
        ("hostAliases", json!({"ip": "1", "hostnames": ["a", "b"]}), json!({"ip": "1", "hostnames": ["c"]})),
        ("initContainers", json!({"name": "a", "image": "i"}), json!({"name": "a", "image": "j"})),
        ("schedulingGates", json!({"name": "a"}), json!({"name": "a"})),
        ("resourceClaims", json!({"name": "a"}), json!({"name": "a", "resourceClaimName": "c"})),
        (
            "topologySpreadConstraints",
            json!({"topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule", "maxSkew": 1}),
            json!({"topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule", "maxSkew": 2}),
        ),
    ];
    for (list, before, after) in cases {
        let mut other = before.clone();
        for name in ["name", "ip", "topologyKey"] {
            if other.get(name).is_some() {
                other[name] = json!("another");
            }
        }
        merges(json!({list: [before, other]}), json!({list: [after.clone()]}), &json!({list: [after, other]}));
    }
    for (list, before, after, other) in [
        (
            "env",
            json!({"name": "A", "value": "1"}),
            json!({"name": "A", "value": "2"}),
            json!({"name": "B", "value": "1"}),
        ),
        (
            "volumeMounts",
            json!({"mountPath": "/a", "name": "v"}),
            json!({"mountPath": "/a", "name": "w"}),
            json!({"mountPath": "/b", "name": "v"}),
        ),
        (
            "volumeDevices",
            json!({"devicePath": "/a", "name": "v"}),
            json!({"devicePath": "/a", "name": "w"}),
            json!({"devicePath": "/b", "name": "v"}),
        ),
        (
            "ports",
            json!({"containerPort": 53, "name": "a"}),
            json!({"containerPort": 53, "protocol": "TCP", "name": "b"}),
            json!({"containerPort": 53, "protocol": "UDP"}),
        ),
    ] {
        merges(
            json!({"containers": [{"name": "c", list: [before, other]}]}),
            json!({"containers": [{"name": "c", list: [after.clone()]}]}),
            &json!({"containers": [{"name": "c", list: [after, other]}]}),
        );
    }
}

#[test]
fn other_lists_are_replaced() {
    merges(
        json!({"containers": [{"name": "c", "command": ["a", "b"], "envFrom": [{"configMapRef": {"name": "x"}}]}],
               "affinity": {"nodeAffinity": {"preferred": [1, 2]}}, "dnsConfig": {"nameservers": ["1.1.1.1"]}}),
        json!({"containers": [{"name": "c", "command": ["c"], "envFrom": []}],
               "affinity": {"nodeAffinity": {"preferred": [3]}}, "dnsConfig": {"nameservers": ["8.8.8.8"]}}),
        &json!({"containers": [{"name": "c", "command": ["c"], "envFrom": []}],
               "affinity": {"nodeAffinity": {"preferred": [3]}}, "dnsConfig": {"nameservers": ["8.8.8.8"]}}),
    );
}

#[test]
fn maps_merge_and_null_deletes() {
    merges(
        json!({"nodeSelector": {"a": "1", "b": "2"}, "hostname": "h", "volumes": [{"name": "v", "emptyDir": {}}]}),
        json!({"nodeSelector": {"b": null, "c": "3"}, "hostname": null, "gone": null,
               "volumes": [{"name": "v", "emptyDir": null, "configMap": {"name": "m", "items": null}}]}),
        &json!({"nodeSelector": {"a": "1", "c": "3"}, "volumes": [{"name": "v", "configMap": {"name": "m"}}]}),
    );
}

#[test]
fn patch_delete_takes_an_element_out() {
    merges(
        json!({"containers": [{"name": "a"}, {"name": "b"}]}),
        json!({"containers": [{"name": "a", "$patch": "delete"}, {"name": "none", "$patch": "delete"}]}),
        &json!({"containers": [{"name": "b"}]}),
    );
    let constraint = |when: &str| json!({"topologyKey": "zone", "whenUnsatisfiable": when});
    merges(
        json!({"topologySpreadConstraints": [constraint("DoNotSchedule"), constraint("ScheduleAnyway")]}),
        json!({"topologySpreadConstraints": [{"topologyKey": "zone", "$patch": "delete"}]}),
        &json!({"topologySpreadConstraints": []}),
    );
}

#[test]
fn patch_replace_replaces_lists_and_maps() {
    merges(
        json!({"containers": [{"name": "a"}, {"name": "b"}]}),
        json!({"containers": [{"$patch": "replace"}, {"name": "c"}]}),
        &json!({"containers": [{"name": "c"}]}),
    );
    merges(
        json!({"securityContext": {"runAsUser": 1, "fsGroup": 2}}),
        json!({"securityContext": {"$patch": "replace", "fsGroup": 3}}),
        &json!({"securityContext": {"fsGroup": 3}}),
    );
    merges(
        json!({"securityContext": {"runAsUser": 1}}),
        json!({"securityContext": {"$patch": "delete"}}),
        &json!({"securityContext": {}}),
    );
    merges(
        json!({"containers": [{"name": "a", "image": "i"}, {"name": "b"}]}),
        json!({"containers": [{"name": "a", "$patch": "merge", "tty": true}]}),
        &json!({"containers": [{"name": "a", "image": "i", "tty": true}, {"name": "b"}]}),
    );
}

#[test]
fn retained_keys_take_the_others_out() {
    merges(
        json!({"volumes": [{"name": "v", "emptyDir": {}}]}),
        json!({"volumes": [{"name": "v", "$retainKeys": ["name", "configMap"], "configMap": {"name": "m"}}]}),
        &json!({"volumes": [{"name": "v", "configMap": {"name": "m"}}]}),
    );
    let error =
        pod(json!({}), json!({"volumes": [{"name": "v", "$retainKeys": ["name"], "emptyDir": {}}]})).unwrap_err();
    assert!(error.contains("emptyDir") && error.contains("spec.volumes[v]"), "{error}");
}

#[test]
fn an_order_is_kept() {
    let list =
        |names: &[&str]| json!({"containers": names.iter().map(|name| json!({"name": name})).collect::<Vec<_>>()});
    let order = |names: &[&str], patch: &[&str]| {
        let mut value = list(patch);
        value["$setElementOrder/containers"] = list(names)["containers"].clone();
        value
    };
    merges(list(&["a", "b", "c"]), order(&["c", "b", "a"], &[]), &list(&["c", "b", "a"]));
    merges(list(&["a", "b"]), order(&["b", "new", "a"], &["new"]), &list(&["b", "new", "a"]));
    // What the order doesn't name goes before the first named one that it was before.
    merges(list(&["a", "x", "b", "y"]), order(&["a", "b"], &[]), &list(&["a", "x", "b", "y"]));
    merges(list(&["a", "x", "b"]), order(&["b", "a"], &[]), &list(&["x", "b", "a"]));
    // Without an order, the patch's own is one.
    merges(list(&["a", "b", "c"]), list(&["c", "a"]), &list(&["b", "c", "a"]));
    let without = json!({"$setElementOrder/containers": [{"name": "c"}, {"name": "a"}]});
    merges(list(&["a", "b", "c"]), without, &list(&["b", "c", "a"]));
    let error = pod(list(&["a"]), order(&["a", "b"], &["b", "a"])).unwrap_err();
    assert!(error.contains("isn't in the order"), "{error}");
    let error = pod(list(&["a"]), order(&["a"], &["new"])).unwrap_err();
    assert!(error.contains("new"), "{error}");
    assert!(pod(json!({}), json!({"$setElementOrder/tolerations": []})).unwrap_err().contains("tolerations"));
}

#[test]
fn values_are_taken_out_of_primitive_lists() {
    let mut merged = json!({"metadata": {"finalizers": ["a", "b"]}});
    let patch = json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"], "finalizers": ["c", "b"]}});
    merge(Kind::Template, &mut merged, patch, "").unwrap();
    assert_eq!(merged, json!({"metadata": {"finalizers": ["b", "c"]}}));
    merges(
        json!({"containers": [{"name": "c", "args": ["a", "b", "a"]}]}),
        json!({"containers": [{"name": "c", "$deleteFromPrimitiveList/args": ["a"]}]}),
        &json!({"containers": [{"name": "c", "args": ["b"]}]}),
    );
    let error = pod(json!({}), json!({"$deleteFromPrimitiveList/args": [{"a": 1}]})).unwrap_err();
    assert!(error.contains("args"), "{error}");
}

#[test]
fn directives_work_where_nothing_was() {
    merges(
        json!({}),
        json!({"volumes": [{"name": "v", "$retainKeys": ["name", "emptyDir"], "emptyDir": {"sizeLimit": null}}],
               "containers": [{"$patch": "replace"}, {"name": "a"}], "securityContext": {"$patch": "replace", "fsGroup": 1}}),
        &json!({"volumes": [{"name": "v", "emptyDir": {}}], "containers": [{"name": "a"}], "securityContext": {"fsGroup": 1}}),
    );
}

#[test]
fn what_cannot_be_merged_says_where() {
    for (patch, said) in [
        (json!({"containers": [{"image": "i"}]}), "spec.containers has an element without `name`"),
        (
            json!({"containers": [{"name": "c", "ports": [{"name": "x"}]}]}),
            "spec.containers[c].ports has an element without `containerPort`",
        ),
        (json!({"containers": ["c"]}), "isn't a map"),
        (json!({"securityContext": {"$patch": "remove"}}), "spec.securityContext has `$patch: \"remove\"`"),
        (json!({"$retain": []}), "`$retain`, which isn't one"),
    ] {
        let error = pod(json!({}), patch.clone()).unwrap_err();
        assert!(error.contains(said), "{patch}: {error}");
    }
}

#[test]
fn a_patch_without_its_directives_is_what_it_says() {
    let patch = json!({"containers": [{"$patch": "replace"}, {"name": "a", "$patch": "delete"}], "hostname": null,
                       "$setElementOrder/containers": [], "nodeSelector": {"a": null}});
    assert_eq!(plain(&patch), json!({"containers": [{"name": "a"}], "nodeSelector": {}}));
}
