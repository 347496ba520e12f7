use super::*;

fn pair(key: &str, value: &str) -> types::KeyValue {
    types::KeyValue { key: key.to_owned(), value: value.to_owned() }
}

fn field(error: CallError) -> String {
    match error {
        CallError::Invalid { field, .. } => field,
        other => panic!("{other}"),
    }
}

fn change(edit: policy::Edit) -> policy::Change {
    policy::Change { edit, rule: "a-rule".to_owned(), reason: "Because.".to_owned() }
}

fn resource(key: &str, value: types::Quantity) -> policy::Edit {
    policy::Edit::SetResource(types::Resource { key: key.to_owned(), value })
}

#[test]
fn good_edits_pass() {
    use policy::Edit as E;
    let edits = vec![
        resource("memory", types::Quantity::Bytes(4 << 30)),
        resource("memory-swap", types::Quantity::Count(-1)),
        resource("cpus", types::Quantity::Cpus(1)),
        resource("ulimit", types::Quantity::Texts(vec!["nofile=1:2".to_owned()])),
        resource("limits.nvidia.com/gpu", types::Quantity::Count(1)),
        E::RemoveResource("gpus".to_owned()),
        E::SetEnv(pair("A_1", "two\nlines")),
        E::SetLabel(pair("org.example/team", "")),
        E::SetTimeLimit(None),
        E::SetUser("1000:0".to_owned()),
        E::SetDropCapabilities(vec!["ALL".to_owned()]),
        E::SetHostMounts(vec!["/data:/data:ro".to_owned()]),
        E::SetNetwork("container:x".to_owned()),
        E::SetBaseImage("python-r".to_owned()),
        E::AddSystemPackage("libstdc++6".to_owned()),
        E::SetExecutionConfiguration("docker_local.2".to_owned()),
    ];
    let count = edits.len();
    assert_eq!(changes(edits.into_iter().map(change).collect()).unwrap().len(), count);
}

#[test]
fn bad_edits_name_their_field() {
    use policy::Edit as E;
    for (edit, at) in [
        (resource("memmory", types::Quantity::Bytes(1)), "set-resource.key"),
        (resource("memory", types::Quantity::Text("4g".to_owned())), "set-resource.value"),
        (resource("memory", types::Quantity::Count(-1)), "set-resource.value"),
        (resource("cpus", types::Quantity::Cpus(0)), "set-resource.value"),
        (resource("cpus", types::Quantity::Cpus(u64::MAX)), "set-resource.value"),
        (resource("memory", types::Quantity::Bytes(1 << 63)), "set-resource.value"),
        (resource("limits.memory", types::Quantity::Bytes(1 << 63)), "set-resource.value"),
        (resource("limits.a b", types::Quantity::Count(1)), "set-resource.key"),
        (resource("ulimit", types::Quantity::Texts(vec!["a".to_owned(), "b\n".to_owned()])), "set-resource.value[1]"),
        (resource("gpus", types::Quantity::Text(String::new())), "set-resource.value"),
        (resource("ulimit", types::Quantity::Texts(vec![])), "set-resource.value"),
        (E::RemoveResource("all".to_owned()), "remove-resource"),
        (E::SetEnv(pair("A=B", "x")), "set-env.key"),
        (E::SetEnv(pair("", "x")), "set-env.key"),
        (E::SetEnv(pair("A", "x\0")), "set-env.value"),
        (E::SetLabel(pair("wharf.run", "x")), "set-label.key"),
        (E::SetLabel(pair("a", "x\ny")), "set-label.value"),
        (E::RemoveLabel("wharf.host".to_owned()), "remove-label"),
        (E::SetTimeLimit(Some(0)), "set-time-limit"),
        (E::SetTimeLimit(Some(u64::MAX)), "set-time-limit"),
        (E::RemoveEnv("1A".to_owned()), "remove-env"),
        (E::SetParameter(pair("", "1")), "set-parameter.key"),
        (E::SetParameter(pair("a", "{")), "set-parameter.value"),
        (E::RemoveParameter("a\n".to_owned()), "remove-parameter"),
        (E::SetDropCapabilities(vec!["ALL".to_owned(), String::new()]), "set-drop-capabilities[1]"),
        (E::SetAddCapabilities(vec!["A".to_owned(); MAX_ENTRIES + 1]), "set-add-capabilities"),
        (E::SetUser("root".to_owned()), "set-user"),
        (E::SetUser("1000".to_owned()), "set-user"),
        (E::SetUser("+1:1".to_owned()), "set-user"),
        (E::SetAddCapabilities(vec!["net_admin".to_owned()]), "set-add-capabilities[0]"),
        (E::SetHostMounts(vec!["/a:/b".to_owned(), "a:/b".to_owned()]), "set-host-mounts[1]"),
        (E::SetHostMounts(vec!["/a/../..:/b".to_owned()]), "set-host-mounts[0]"),
        (E::SetNetwork("-x".to_owned()), "set-network"),
        (E::SetBaseImage("../x".to_owned()), "set-base-image"),
        (E::SetBaseImage("..".to_owned()), "set-base-image"),
        (E::AddSystemPackage("vim; rm -rf /".to_owned()), "add-system-package"),
        (E::SetExecutionConfiguration(String::new()), "set-execution-configuration"),
    ] {
        assert_eq!(field(changes(vec![change(edit)]).unwrap_err()), format!("changes[0].edit.{at}"));
    }
}

#[test]
fn reasons_and_limits_are_checked() {
    use policy::Edit as E;
    let reason =
        |rule: &str, message: &str| types::Reason { rule: rule.to_owned(), message: message.to_owned(), field: None };
    assert_eq!(field(reasons(vec![]).unwrap_err()), "reasons");
    assert_eq!(field(reasons(vec![reason("Bad Rule", "x")]).unwrap_err()), "reasons[0].rule");
    assert_eq!(field(reasons(vec![reason("ok", "x"), reason("ok", " ")]).unwrap_err()), "reasons[1].message");
    assert_eq!(reasons(vec![reason("ok", "a\x1b[2Jb")]).unwrap()[0].message, "a [2Jb");
    let limit = |scope: &str, counter: &str| types::Limit {
        scope: scope.to_owned(),
        counter: counter.to_owned(),
        maximum: 1,
        when_full: types::WhenFull::Wait,
    };
    assert!(limits(vec![limit("user:ana", "memory")]).is_ok());
    assert_eq!(field(limits(vec![limit("", "memory")]).unwrap_err()), "limits[0].scope");
    assert_eq!(field(limits(vec![limit("x", "sheep")]).unwrap_err()), "limits[0].counter");
    assert_eq!(field(changes(vec![change(E::SetTimeLimit(None)); MAX_ENTRIES + 1]).unwrap_err()), "changes");
    let odd = policy::Change { rule: "Odd".to_owned(), ..change(E::SetTimeLimit(None)) };
    assert_eq!(field(changes(vec![change(E::SetTimeLimit(None)), odd]).unwrap_err()), "changes[1].rule");
    let silent = policy::Change { reason: "\n".to_owned(), ..change(E::SetTimeLimit(None)) };
    assert_eq!(field(changes(vec![silent]).unwrap_err()), "changes[0].reason");
    let named = types::Reason { field: Some("a\nb".to_owned()), ..reason("ok", "x") };
    assert_eq!(field(reasons(vec![named]).unwrap_err()), "reasons[0].field");
    assert_eq!(field(reasons(vec![reason("ok", "x"); MAX_ENTRIES + 1]).unwrap_err()), "reasons");
    assert_eq!(field(warnings(vec!["a".to_owned(), " ".to_owned()]).unwrap_err()), "warnings[1]");
    assert_eq!(field(warnings(vec!["x".to_owned(); MAX_ENTRIES + 1]).unwrap_err()), "warnings");
}

#[test]
fn paths_stay_inside() {
    for path in ["recipe.py", "a/b.txt", ".hidden", "a/..b"] {
        assert!(relative_path("p", path.to_owned()).is_ok(), "{path}");
    }
    for path in ["", "/a", "../a", "a/../b", "a//b", "./a", "a/", "a\0b", "a\nb", ".."] {
        assert!(relative_path("p", path.to_owned()).is_err(), "{path:?}");
    }
}

#[test]
fn image_recipes_are_checked() {
    let spec: ImageSpec = serde_json::from_value(serde_json::json!({
        "name": "base", "origin": { "from": "debian" }, "languages": [], "system_packages": [],
        "mirrors": {}, "extra_ca": [{ "name": "corp.crt", "contents": "" }], "labels": {}, "made_by": "x"
    }))
    .unwrap();
    let file = |name: &str| image::ContextFile { name: name.to_owned(), contents: vec![1] };
    let copy = |source: &str, target: &str, mode| {
        image::Step::Copy(image::CopyStep { source: source.to_owned(), target: target.to_owned(), mode })
    };
    let check = |steps: Vec<image::Step>, files: Vec<image::ContextFile>| {
        let recipe = image::ImageRecipe { steps, files, bootstrap_packages: vec!["python3".to_owned()] };
        image_recipe(recipe, &spec).map_err(field)
    };
    assert!(check(vec![copy("corp.crt", "/etc/x", 0o644), copy("a", "/a", 0o755)], vec![file("a")]).is_ok());
    for (steps, files, at) in [
        (vec![copy("b", "/a", 0o644)], vec![file("a")], "steps[0].copy.source"),
        (vec![copy("a", "a", 0o644)], vec![file("a")], "steps[0].copy.target"),
        (vec![copy("a", "/a", 0o4755)], vec![file("a")], "steps[0].copy.mode"),
        (vec![image::Step::Label(pair("wharf.host", "x"))], vec![], "steps[0].label.key"),
        (vec![image::Step::Workdir("x\nUSER root".to_owned())], vec![], "steps[0].workdir"),
        (vec![], vec![file("a"), file("a")], "files[1].name"),
        (vec![], vec![file("corp.crt")], "files[0].name"),
        (vec![], vec![file("../a")], "files[0].name"),
    ] {
        assert_eq!(check(steps, files).unwrap_err(), at);
    }
}
