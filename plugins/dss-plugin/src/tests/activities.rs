//! What activities give recipes.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};

use super::MemoryFiles;
use crate::check::{Binding, BindingKind, Checked, Given, Presets, check, check_preset, check_settings};
use crate::plugin::Plugin;

const RECIPE: &str = r#"{
    "kind": "PYTHON",
    "inputRoles": [
        {"name": "main", "arity": "UNARY", "required": true},
        {"name": "more", "arity": "NARY", "acceptsManagedFolder": true},
        {"name": "files", "acceptsDataset": false, "acceptsManagedFolder": true},
        {"name": "model", "acceptsDataset": false, "acceptsSavedModel": true},
        {"name": "sql", "mustBeSQL": true},
        {"name": "s3", "mustBeStrictlyType": "S3"}
    ],
    "outputRoles": [{"name": "out", "required": true, "acceptsManagedFolder": true}],
    "params": [
        {"name": "heading", "type": "SEPARATOR"},
        {"name": "string", "type": "STRING", "mandatory": true, "label": "Some text"},
        {"name": "textarea", "type": "TEXTAREA", "defaultValue": "a\nb"},
        {"name": "strings", "type": "STRINGS"},
        {"name": "int", "type": "INT", "minI": 1, "maxI": 10, "defaultValue": "5"},
        {"name": "double", "type": "DOUBLE", "minD": 0.5},
        {"name": "doubles", "type": "DOUBLES", "maxD": 1},
        {"name": "boolean", "type": "BOOLEAN", "defaultValue": false},
        {"name": "select", "type": "SELECT", "selectChoices": [{"value": "one"}, {"value": 2}, {"value": null}]},
        {"name": "dynamic", "type": "SELECT", "getChoicesFromPython": true, "selectChoices": [{"value": "known"}]},
        {"name": "multiselect", "type": "MULTISELECT", "selectChoices": [{"value": "a"}, {"value": "b"}], "defaultValue": ["a"]},
        {"name": "column", "type": "COLUMN", "columnRole": "main", "allowedColumnTypes": ["string"]},
        {"name": "columns", "type": "COLUMNS", "columnRole": "main"},
        {"name": "map", "type": "MAP", "defaultValue": {"k": 1}},
        {"name": "pairs", "type": "KEY_VALUE_LIST"},
        {"name": "date", "type": "DATE"},
        {"name": "list", "type": "OBJECT_LIST", "subParams": [
            {"name": "dataset", "type": "DATASET", "mandatory": true},
            {"name": "rows", "type": "INT", "defaultValue": 3},
            {"name": "key", "type": "PASSWORD"}
        ]},
        {"name": "array", "type": "ARRAY"},
        {"name": "dataset", "type": "DATASET"},
        {"name": "datasets", "type": "DATASETS"},
        {"name": "folder", "type": "MANAGED_FOLDER"},
        {"name": "saved", "type": "SAVED_MODEL"},
        {"name": "password", "type": "PASSWORD"},
        {"name": "preset", "type": "PRESET", "parameterSetId": "account"},
        {"name": "basic", "type": "CREDENTIAL_REQUEST", "credentialRequestSettings": {"type": "BASIC"}},
        {"name": "oauth", "type": "CREDENTIAL_REQUEST", "credentialRequestSettings": {"type": "OAUTH2"}},
        {"name": "odd", "type": "TELEPHONE"},
        {"name": "hidden", "type": "STRING", "mandatory": true, "visibilityCondition": "model.boolean"},
        {"name": "twice", "type": "INT", "visibilityCondition": "!model.boolean"},
        {"name": "twice", "type": "STRING", "visibilityCondition": "model.boolean"}
    ]
}"#;

const ACCOUNT: &str = r#"{"meta": {}, "params": [
    {"name": "user", "type": "STRING", "mandatory": true},
    {"name": "token", "type": "PASSWORD", "mandatory": true},
    {"name": "retries", "type": "INT", "defaultValue": 3}
]}"#;

fn plugin() -> Plugin {
    let plugin = Plugin::read(&MemoryFiles::new(&[
        (
            "plugin.json",
            r#"{"id": "p", "params": [{"name": "endpoint", "type": "STRING", "mandatory": true}, {"name": "key", "type": "PASSWORD"}]}"#,
        ),
        ("parameter-sets/account/parameter-set.json", ACCOUNT),
        ("custom-recipes/all/recipe.json", RECIPE),
        ("custom-recipes/all/recipe.py", ""),
        ("custom-recipes/small/recipe.py", ""),
        (
            "custom-recipes/small/recipe.json",
            r#"{"kind": "PYTHON", "outputRoles": [{"name": "out"}],
            "params": [{"name": "text", "type": "STRING", "mandatory": true, "defaultValue": ""}]}"#,
        ),
    ]));
    assert_eq!(plugin.recipes.len(), 2, "{:?}", plugin.findings);
    plugin
}

fn binding(name: &str, role: &str, kind: BindingKind) -> Binding {
    Binding { name: name.to_owned(), role: Some(role.to_owned()), kind }
}

fn object(value: Json) -> Map<String, Json> {
    let Json::Object(map) = value else { panic!("no object") };
    map
}

fn presets() -> Presets {
    let work = object(json!({"user": "ana", "token": {"secret": "WORK_TOKEN"}}));
    let broken = object(json!({"user": "ana", "token": "hunter2", "retires": 1}));
    let account = BTreeMap::from([("work".to_owned(), work), ("broken".to_owned(), broken)]);
    BTreeMap::from([("account".to_owned(), account)])
}

/// Checks parameters, with roles that are right.
fn with_parameters(parameters: Json) -> Result<Checked, Vec<String>> {
    let plugin = plugin();
    let given = object(parameters);
    let inputs = [binding("sales", "main", BindingKind::Dataset)];
    let outputs = [binding("totals", "out", BindingKind::Dataset)];
    let given = Given { inputs: &inputs, outputs: &outputs, parameters: &given };
    check(&plugin, &plugin.recipes["all"], given, &presets())
}

/// Checks roles, with parameters that are right.
fn with_roles(inputs: &[Binding], outputs: &[Binding]) -> Result<Checked, Vec<String>> {
    let plugin = plugin();
    let given = object(json!({"string": "x"}));
    check(&plugin, &plugin.recipes["all"], Given { inputs, outputs, parameters: &given }, &presets())
}

#[test]
fn parameters_of_a_form_of_the_plugins_own_are_taken_as_they_are() {
    let recipe = |form: &str| {
        let text = format!(r#"{{"kind": "PYTHON", {form} "params": [{{"name": "n", "type": "INT"}}]}}"#);
        let plugin = Plugin::read(&MemoryFiles::new(&[
            ("plugin.json", r#"{"id": "p"}"#),
            ("custom-recipes/own/recipe.py", ""),
            ("custom-recipes/own/recipe.json", &text),
        ]));
        let parameters = object(json!({"n": "3", "code": ["x"]}));
        let given = Given { inputs: &[], outputs: &[], parameters: &parameters };
        check(&plugin, &plugin.recipes["own"], given, &Presets::new())
    };
    let checked = recipe(r#""paramsTemplate": "form.html","#).expect("all is right");
    assert_eq!(Json::Object(checked.parameters), json!({"n": 3, "code": ["x"]}));
    let errors = recipe("").expect_err("nothing says that there is a form");
    assert_eq!(errors, ["parameter \"code\" isn't known; there are \"n\""]);
}

#[test]
fn every_type_is_taken_and_defaults_are_filled_in() {
    let checked = with_parameters(json!({
        "string": "text", "strings": ["a"], "double": 2, "doubles": [0.5, -1], "boolean": true, "select": 2,
        "dynamic": "made by code", "multiselect": ["b", "a"], "column": "age", "columns": ["age", "name"],
        "pairs": [{"from": "a", "to": "b"}], "date": "2024-02-29T12:00:00.000Z",
        "list": [{"dataset": "sales", "key": {"secret": "KEY"}}, {"dataset": "more", "rows": 1}],
        "array": [1, "a"], "dataset": "sales", "datasets": ["sales"], "folder": "f", "saved": "m",
        "password": {"secret": "PASSWORD"}, "preset": "work",
        "basic": {"user": "ana", "password": {"secret": "BASIC"}}, "oauth": {"secret": "OAUTH"},
        "odd": {"any": "thing"}, "hidden": "seen", "twice": "text"
    }))
    .expect("all is right");
    assert_eq!(
        Json::Object(checked.parameters),
        json!({
            "string": "text", "textarea": "a\nb", "strings": ["a"], "int": 5, "double": 2, "doubles": [0.5, -1],
            "boolean": true, "select": 2, "dynamic": "made by code", "multiselect": ["b", "a"], "column": "age",
            "columns": ["age", "name"], "map": {"k": 1}, "pairs": [{"from": "a", "to": "b"}],
            "date": "2024-02-29T12:00:00.000Z",
            "list": [{"dataset": "sales", "rows": 3, "key": null}, {"dataset": "more", "rows": 1}],
            "array": [1, "a"], "dataset": "sales", "datasets": ["sales"], "folder": "f", "saved": "m",
            "password": null, "preset": {"user": "ana", "token": null, "retries": 3},
            "basic": {"user": "ana", "password": null}, "oauth": null, "odd": {"any": "thing"}, "hidden": "seen", "twice": "text"
        })
    );
    let secrets: Vec<(&str, &str)> = checked.secrets.iter().map(|(at, name)| (at.as_str(), name.as_str())).collect();
    assert_eq!(
        secrets,
        [
            ("/basic/password", "BASIC"),
            ("/list/0/key", "KEY"),
            ("/oauth", "OAUTH"),
            ("/password", "PASSWORD"),
            ("/preset/token", "WORK_TOKEN")
        ]
    );
}

#[test]
fn pointers_of_secrets_find_their_places() {
    let files = MemoryFiles::new(&[
        ("custom-recipes/r/recipe.py", ""),
        ("custom-recipes/r/recipe.json", r#"{"kind": "PYTHON", "params": [{"name": "a/b~c.d", "type": "PASSWORD"}]}"#),
    ]);
    let plugin = Plugin::read(&files);
    let parameters = object(json!({"a/b~c.d": {"secret": "S"}}));
    let given = Given { inputs: &[], outputs: &[], parameters: &parameters };
    let checked = check(&plugin, &plugin.recipes["r"], given, &Presets::new()).expect("all is right");
    let pointer = checked.secrets.keys().next().expect("a secret");
    assert_eq!(Json::Object(checked.parameters).pointer(pointer), Some(&Json::Null));
}

#[test]
fn text_of_a_command_line_becomes_what_is_declared() {
    let checked = with_parameters(json!({
        "string": "5", "strings": "[\"a,b\"]", "int": " 7 ", "double": "1e1", "doubles": "[1]", "boolean": "True", "select": "2",
        "multiselect": "[\"a\"]", "columns": "[\"a\"]", "map": "{\"a\": [1]}", "pairs": "{\"a\": \"b\"}",
        "list": "[{\"dataset\": \"d\", \"rows\": \"4\"}]", "array": "[]", "password": "{\"secret\": \"S\"}",
        "preset": "{\"mode\": \"PRESET\", \"name\": \"work\"}", "hidden": "x", "column": "[a]"
    }))
    .expect("all is right");
    assert_eq!(
        Json::Object(checked.parameters),
        json!({
            "textarea": "a\nb",
            "string": "5", "strings": ["a,b"], "int": 7, "double": 1e1, "doubles": [1], "boolean": true, "select": "2",
            "multiselect": ["a"], "columns": ["a"], "map": {"a": [1]}, "pairs": [{"from": "a", "to": "b"}],
            "list": [{"dataset": "d", "rows": 4}], "array": [], "password": null,
            "preset": {"user": "ana", "token": null, "retries": 3}, "hidden": "x", "column": "[a]"
        })
    );
}

#[test]
fn all_wrong_values_are_said() {
    let errors = with_parameters(json!({
        "strings": "a,b", "int": 11, "double": 0.25, "doubles": [2], "boolean": "yes", "select": "three", "multiselect": ["c"],
        "column": 1, "columns": ["a", 2], "map": [], "pairs": [{"from": "a"}], "date": "2024-13-01",
        "list": [{"rows": 1.5, "key": "hunter2"}, {"dataset": "d", "row": 1}], "array": {}, "dataset": [],
        "datasets": "sales", "folder": false, "saved": 0, "textarea": 1, "heading": "x", "colum": "a", "zzzzz": 1
    }))
    .expect_err("all is wrong");
    assert_eq!(
        errors,
        [
            "parameter \"colum\" isn't known; did you mean \"column\"?",
            "parameter \"heading\" isn't known; there are \"array\", \"basic\", \"boolean\", \"column\", \"columns\", \"dataset\", \
             \"datasets\", \"date\", \"double\", \"doubles\", \"dynamic\", \"folder\", \"hidden\", \"int\", \"list\", \"map\", \
             \"multiselect\", \"oauth\", \"odd\", \"pairs\", 8 more",
            "parameter \"zzzzz\" isn't known; there are \"array\", \"basic\", \"boolean\", \"column\", \"columns\", \"dataset\", \
             \"datasets\", \"date\", \"double\", \"doubles\", \"dynamic\", \"folder\", \"hidden\", \"int\", \"list\", \"map\", \
             \"multiselect\", \"oauth\", \"odd\", \"pairs\", 8 more",
            "parameter \"array\" is ARRAY: an object was given, not a list",
            "parameter \"boolean\" is BOOLEAN: \"yes\" was given, not true or false",
            "parameter \"column\" is COLUMN: 1 was given, not the name of a column",
            "parameter \"columns\" is COLUMNS: a list with 2 in it was given, not a list of names of columns",
            "parameter \"dataset\" is DATASET: a list was given, not the name of a DATASET",
            "parameter \"datasets\" is DATASETS: \"sales\" was given, not a list of names of DATASETS; as text it is JSON, e.g. [\"a\", \"b\"]",
            "parameter \"date\" is DATE: \"2024-13-01\" was given, not a date such as 2024-01-31",
            "parameter \"double\" is DOUBLE: 0.25 was given, not a number, at least 0.5",
            "parameter \"doubles\" is DOUBLES: a list with 2 in it was given, not a list of numbers, at most 1",
            "parameter \"folder\" is MANAGED_FOLDER: false was given, not the name of a MANAGED_FOLDER",
            "parameter \"hidden\" is required; it is STRING",
            "parameter \"int\" is INT: 11 was given, not a whole number from 1 to 10",
            "parameter \"list[0].dataset\" is required; it is DATASET",
            "parameter \"list[0].key\" is PASSWORD: give the name of a secret, {\"secret\": \"NAME\"}, and never the secret itself",
            "parameter \"list[0].rows\" is INT: 1.5 was given, not a whole number",
            "parameter \"list[1].row\" isn't known; did you mean \"rows\"?",
            "parameter \"map\" is MAP: a list was given, not an object",
            "parameter \"multiselect\" is MULTISELECT: a list with \"c\" in it was given, not a list of some of \"a\", \"b\"",
            "parameter \"pairs\" is KEY_VALUE_LIST: a list with an object in it was given, not a list of pairs",
            "parameter \"saved\" is SAVED_MODEL: 0 was given, not the name of a SAVED_MODEL",
            "parameter \"select\" is SELECT: \"three\" was given, not one of \"one\", 2, null",
            "parameter \"string\" (\"Some text\") is required; it is STRING",
            "parameter \"strings\" is STRINGS: \"a,b\" was given, not a list of texts; as text it is JSON, e.g. [\"a\", \"b\"]",
            "parameter \"textarea\" is TEXTAREA: 1 was given, not text",
        ]
    );
}

#[test]
fn what_is_hidden_is_not_required() {
    assert!(with_parameters(json!({"string": "x"})).is_ok());
    assert!(with_parameters(json!({"string": "x", "boolean": true, "hidden": ""})).is_err());
    // The declaration that is visible checks the value.
    let value = |parameters| with_parameters(parameters).map(|checked| checked.parameters["twice"].clone());
    assert_eq!(value(json!({"string": "x", "twice": "3"})), Ok(json!(3)));
    assert_eq!(value(json!({"string": "x", "twice": "3", "boolean": true, "hidden": "h"})), Ok(json!("3")));
    // Null is no value, but where it is a choice.
    let checked = with_parameters(json!({"string": "x", "int": null, "select": null})).expect("all is right");
    assert_eq!((&checked.parameters["int"], &checked.parameters["select"]), (&json!(5), &Json::Null));
}

#[test]
fn secrets_are_never_repeated() {
    for secret in ["hunter2", "{\"secret\": \"\"}", "{\"secret\": 1}", "{\"secret\": \"a\", \"b\": 1}"] {
        for parameters in [
            json!({"string": "x", "password": secret}),
            json!({"string": "x", "password": {"secret": secret, "hunter2": "hunter2"}}),
            json!({"string": "x", "oauth": secret}),
            json!({"string": "x", "basic": {"user": "ana", "password": secret}}),
            json!({"string": "x", "basic": {"user": "hunter2"}}),
            json!({"string": "x", "preset": {"user": "ana", "token": secret}}),
            json!({"string": "x", "preset": {"mode": "INLINE", "inlinedConfig": {"user": "ana", "token": secret}}}),
            json!({"string": "x", "preset": "hunter2"}),
            json!({"string": "x", "preset": {"mode": "hunter2"}}),
            json!({"string": "x", "preset": "broken"}),
            json!({"string": "x", "preset": ["hunter2"]}),
        ] {
            let errors = with_parameters(parameters.clone()).expect_err("a literal secret");
            assert!(!errors.iter().any(|error| error.contains("hunter2")), "{parameters}: {errors:?}");
        }
    }
}

#[test]
fn presets_have_a_name_or_their_values() {
    let preset = |value: Json| {
        with_parameters(json!({"string": "x", "preset": value})).map(|checked| checked.parameters["preset"].clone())
    };
    let work = json!({"user": "ana", "token": null, "retries": 3});
    assert_eq!(preset(json!("work")), Ok(work.clone()));
    assert_eq!(preset(json!({"mode": "PRESET", "name": "work"})), Ok(work.clone()));
    let values = json!({"user": "ana", "token": {"secret": "T"}});
    assert_eq!(preset(values.clone()), Ok(work.clone()));
    assert_eq!(
        preset(json!({"mode": "INLINE", "name": "x", "inlinedConfig": values, "inlinedPluginConfig": {}})),
        Ok(work)
    );
    for (given, expected) in [
        (
            json!("wrok"),
            "parameter \"preset\": the parameter set \"account\" has no preset of \"wrok\"; did you mean \"work\"?",
        ),
        (
            json!("other"),
            "parameter \"preset\": the parameter set \"account\" has no preset of the given name; there are \"broken\", \"work\"",
        ),
        (
            json!({"mode": "PRESET"}),
            "parameter \"preset\" has the mode \"PRESET\" and no name of a preset; add \"name\"",
        ),
        (json!({"mode": "NEW"}), "parameter \"preset\" has a mode that isn't known; PRESET or INLINE"),
        (json!(7), "parameter \"preset\" is PRESET: 7 was given, not the name of a preset or an object"),
        (json!({"user": "", "token": {"secret": "T"}}), "parameter \"preset.user\" is required; it is STRING"),
        (json!({"user": "a"}), "parameter \"preset.token\" is required; it is PASSWORD"),
    ] {
        assert_eq!(preset(given), Err(vec![expected.to_owned()]));
    }
    assert_eq!(
        preset(json!("broken")),
        Err(vec![
            "parameter \"preset.retires\" isn't known; did you mean \"retries\"?".to_owned(),
            "parameter \"preset.token\" is PASSWORD: give the name of a secret, {\"secret\": \"NAME\"}, and never the secret itself".to_owned(),
        ])
    );
    let plugin = plugin();
    let set = &plugin.parameter_sets["account"];
    assert_eq!(check_preset(&plugin, set, &presets()["account"]["work"]), Ok(()));
    assert!(check_preset(&plugin, set, &presets()["account"]["broken"]).is_err());
}

#[test]
fn the_plugins_own_parameters_are_checked_as_well() {
    let plugin = plugin();
    let settings = |given: Json| check_settings(&plugin, &object(given), &Presets::new());
    let values = settings(json!({"endpoint": "e", "key": {"secret": "K"}})).expect("all is right");
    assert_eq!(Json::Object(values.parameters), json!({"endpoint": "e", "key": null}));
    assert_eq!(values.secrets["/key"], "K");
    assert_eq!(settings(json!({})), Err(vec!["parameter \"endpoint\" is required; it is STRING".to_owned()]));
}

#[test]
fn roles_get_their_names_in_order() {
    let inputs = [
        binding("b", "more", BindingKind::Folder),
        binding("sales", "main", BindingKind::Dataset),
        binding("a", "more", BindingKind::Dataset),
        binding("m", "model", BindingKind::Folder),
        binding("sales", "more", BindingKind::Dataset),
    ];
    // An output needs no role where there is one alone.
    let outputs = [Binding { name: "totals".to_owned(), role: None, kind: BindingKind::Folder }];
    let checked = with_roles(&inputs, &outputs).expect("all is right");
    let expected = [
        ("files", vec![]),
        ("main", vec!["sales"]),
        ("model", vec!["m"]),
        ("more", vec!["b", "a", "sales"]),
        ("s3", vec![]),
        ("sql", vec![]),
    ];
    let as_text = |roles: &BTreeMap<String, Vec<String>>| format!("{roles:?}");
    assert_eq!(as_text(&checked.inputs), format!("{:?}", BTreeMap::from(expected)));
    assert_eq!(as_text(&checked.outputs), "{\"out\": [\"totals\"]}");
}

#[test]
fn all_wrong_roles_are_said() {
    let inputs = [
        binding("a", "mian", BindingKind::Dataset),
        binding("b", "files", BindingKind::Dataset),
        binding("c", "model", BindingKind::Dataset),
        binding("d", "sql", BindingKind::Dataset),
        binding("e", "s3", BindingKind::Dataset),
        Binding { name: "f".to_owned(), role: None, kind: BindingKind::Dataset },
        binding("g", "more", BindingKind::Dataset),
        binding("g", "more", BindingKind::Dataset),
    ];
    let outputs = [binding("x", "out", BindingKind::Dataset), binding("y", "out", BindingKind::Dataset)];
    assert_eq!(
        with_roles(&inputs, &outputs).expect_err("all is wrong"),
        [
            "input \"a\" has the role \"mian\", and the recipe's input roles are \"main\", \"more\", \"files\", \"model\", \"sql\", \"s3\"; did you mean \"main\"?",
            "input \"b\" can't have the role \"files\": it is a dataset, and the role takes a folder",
            "input \"c\" can't have the role \"model\": it is a dataset, and the role takes a saved model (its folder)",
            "input \"d\" can't have the role \"sql\": the role takes only datasets in an SQL database",
            "input \"e\" can't have the role \"s3\": the role takes only datasets of the type \"S3\"",
            "input \"f\" has no role; the recipe's input roles are \"main\", \"more\", \"files\", \"model\", \"sql\", \"s3\"",
            "input \"g\" has the role \"more\" twice",
            "the role \"main\" is required, and no input has it; give it a dataset",
            "the role \"out\" takes one output; 2 have it: \"x\", \"y\"",
        ]
    );
    let plugin = plugin();
    let given = Given { inputs: &inputs[..1], outputs: &[], parameters: &object(json!({"text": ""})) };
    assert_eq!(
        check(&plugin, &plugin.recipes["small"], given, &Presets::new()).expect_err("all is wrong"),
        ["input \"a\" has no place: the recipe has no input roles", "parameter \"text\" is required; it is STRING"]
    );
}
