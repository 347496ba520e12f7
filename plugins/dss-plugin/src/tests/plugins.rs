//! Plugins as they are read and described.

use std::path::Path;

use serde_json::json;

use super::MemoryFiles;
use crate::describe::{Description, ParameterDescription, RoleDescription};
use crate::files::Files;
use crate::plugin::Plugin;

/// A plugin with something of everything.
pub(super) fn weather() -> MemoryFiles {
    MemoryFiles::new(&[
        (
            "plugin.json",
            r#"{"id": "weather", "version": "1.2.0", "meta": {"label": "Weather", "description": "Rain and shine", "author": "Ana",
                "icon": "icon-sun", "tags": [], "colour": "blue"}, "params": [{"name": "endpoint", "type": "STRING", "label": "Endpoint"},],}"#,
        ),
        (
            "custom-recipes/smooth/recipe.json",
            "// How it is smoothed
{
    'meta': {'label': 'Smooth', 'description': 'A moving mean', 'icon': 'icon-leaf'},
    kind: 'PYTHON',
    selectableFromDataset: 'stations',
    inputRoles: [
        {name: 'stations', label: 'Stations', description: 'One row a station', arity: 'NARY', required: true},
        {name: 'maps', arity: 'UNARY', acceptsDataset: false, acceptsManagedFolder: true, 'shown': 'always'}
    ],
    outputRoles: [{name: 'smoothed', arity: 'UNARY', required: true, mustBeSQL: false}],
    params: [
        {type: 'SEPARATOR', label: 'Window'},
        {name: 'window', label: 'Window', description: 'In days', type: 'INT', defaultValue: 7, minI: 1, maxI: 366, mandatory: true},
        {name: 'method', type: 'SELECT', mandatory: true, selectChoices: [{value: 'mean', label: 'Mean'}, {value: 'median', label: 'Median'}]},
        {name: 'token', type: 'PASSWORD', mandatory: true, visibilityCondition: \"model.method == 'median'\"},
    ],
    resourceKeys: []
}
",
        ),
        ("custom-recipes/smooth/recipe.py", "pass"),
        (
            "custom-recipes/sort/recipe.json",
            r#"{"kind": "R", "inputRoles": [{"name": "in"}], "outputRoles": [{"name": "out"}]}"#,
        ),
        ("custom-recipes/sort/recipe.R", ""),
        ("code-env/python/desc.json", r#"{"acceptedPythonInterpreters": ["PYTHON39"], "forceConda": false, "corePackagesSet": "AUTO"}"#),
        ("code-env/python/spec/requirements.txt", "numpy"),
        ("code-env/R/desc.json", r#"{"installCorePackages": true, "deploymentMode": "DESIGN_MANAGED"}"#),
        ("code-env/R/spec/rPackages.txt", "\"forecast\",\"8.5\""),
        ("python-lib/weather.py", ""),
        ("resource/stations.csv", ""),
        (
            "parameter-sets/account/parameter-set.json",
            r#"{"meta": {"label": "Account"}, "defaultDefinableInline": true, "params": [{"name": "user", "type": "STRING", "label": "User"}],
                "pluginParams": [{"name": "key", "type": "PASSWORD", "mandatory": true}]}"#,
        ),
    ])
}

fn faults(files: &dyn Files) -> Vec<String> {
    Description::new(&Plugin::read(files)).faults
}

#[test]
fn a_plugin_is_described() {
    let plugin = Plugin::read(&weather());
    let description = Description::new(&plugin);
    assert_eq!(description.faults, Vec::<String>::new());
    let head = (
        description.id.as_str(),
        description.version.as_str(),
        description.label.as_str(),
        description.description.as_str(),
    );
    assert_eq!(head, ("weather", "1.2.0", "Weather", "Rain and shine"));
    assert_eq!(description.code_environments, ["code-env/python", "code-env/R"]);
    assert_eq!((description.python_lib, description.r_lib, description.resource), (true, false, true));
    assert_eq!(
        description.unknown_keys,
        ["plugin.json:2: $.meta.colour", "custom-recipes/smooth/recipe.json:8: $.inputRoles[1].shown"]
    );
    assert_eq!(description.parameters.iter().map(|p| p.name.as_str()).collect::<Vec<_>>(), ["endpoint"]);
    let [smooth, sort] = description.recipes.as_slice() else { panic!("not two recipes") };
    assert_eq!((smooth.name.as_str(), smooth.label.as_str(), smooth.language.as_str()), ("smooth", "Smooth", "PYTHON"));
    assert_eq!((sort.name.as_str(), sort.language.as_str()), ("sort", "R"));
    let role = |name: &str, label: &str, description: &str, required, many, accepts: &[&'static str]| RoleDescription {
        name: name.to_owned(),
        label: label.to_owned(),
        description: description.to_owned(),
        required,
        many,
        accepts: accepts.to_vec(),
        only: None,
    };
    assert_eq!(
        smooth.inputs,
        [
            role("stations", "Stations", "One row a station", true, true, &["dataset"]),
            role("maps", "", "", false, false, &["folder"])
        ]
    );
    assert_eq!(smooth.outputs, [role("smoothed", "", "", true, false, &["dataset"])]);
    let blank = ParameterDescription {
        name: String::new(),
        label: String::new(),
        description: String::new(),
        kind: String::new(),
        required: false,
        default: None,
        choices: Vec::new(),
        secret: false,
        condition: None,
        parameter_set: None,
        parameters: Vec::new(),
    };
    assert_eq!(
        smooth.parameters,
        [
            ParameterDescription {
                name: "window".to_owned(),
                label: "Window".to_owned(),
                description: "In days".to_owned(),
                kind: "INT".to_owned(),
                default: Some(json!(7)),
                ..blank.clone()
            },
            ParameterDescription {
                name: "method".to_owned(),
                kind: "SELECT".to_owned(),
                required: true,
                choices: vec![json!("mean"), json!("median")],
                ..blank.clone()
            },
            ParameterDescription {
                name: "token".to_owned(),
                kind: "PASSWORD".to_owned(),
                required: true,
                secret: true,
                condition: Some("model.method == 'median'".to_owned()),
                ..blank
            },
        ]
    );
    let [set] = description.parameter_sets.as_slice() else { panic!("not one parameter set") };
    assert_eq!((set.id.as_str(), set.label.as_str()), ("account", "Account"));
    assert_eq!(
        set.parameters.iter().map(|p| (p.name.as_str(), p.secret)).collect::<Vec<_>>(),
        [("user", false), ("key", true)]
    );
    let [python, r] = plugin.environments.as_slice() else { panic!("not two environments") };
    assert_eq!(python.interpreters, ["PYTHON39"]);
    assert_eq!(python.spec, ["code-env/python/spec/requirements.txt"]);
    assert_eq!(r.spec, ["code-env/R/spec/rPackages.txt"]);
    assert_eq!(plugin.recipes["sort"].code, "custom-recipes/sort/recipe.R");
    assert_eq!(plugin.recipes["smooth"].from_dataset, ["stations"]);
}

#[test]
fn all_faults_are_said_and_leave_the_other_recipes_usable() {
    let files = weather().with("custom-recipes/broken/recipe.py", "").with(
        "custom-recipes/broken/recipe.json",
        r#"{
    "kind": "PYTHON",
    "selectableFromDataset": "nothing",
    "inputRoles": [
        {"name": "a", "arity": "MANY"},
        {"name": "a"},
        {"arity": "NARY"},
        "b",
        {"name": "c", "required": 1}
    ],
    "outputRoles": {},
    "params": [
        {"name": "n", "type": "INT", "minI": "few"},
        {"name": "m", "type": "TELEPHONE"},
        {"name": "p", "type": "PRESET"},
        {"name": "q", "type": "PRESET", "parameterSetId": "absent"},
        {"name": "d", "type": "DOUBLE", "defaultValue": "much"},
        {"name": "d", "type": "DOUBLE", "label": []},
        {"name": "s", "type": "PASSWORD", "defaultValue": "letmein"},
        {"name": "v", "type": "STRING", "visibilityCondition": "model.n % 2"},
        {"name": "c", "type": "COLUMN", "columnRole": "z"},
        {"name": "x", "type": "SELECT", "selectChoices": [{"value": []}]},
        {"type": "STRING"}
    ]
}"#,
    );
    let file = "custom-recipes/broken/recipe.json";
    let expected: Vec<String> = [
        ":3: selectableFromDataset names \"nothing\", which is no input role",
        ":5: arity is \"MANY\"; UNARY or NARY",
        ":6: the role \"a\" is declared twice in inputRoles",
        ":7: a role has an empty name",
        ":8: the role is text; an object is expected",
        ":9: required is a number; true or false is expected",
        ":11: outputRoles is an object; a list is expected",
        ":13: minI is few; a number is expected",
        ":14: the type \"TELEPHONE\" isn't known; values of \"m\" aren't checked",
        ":15: the PRESET \"p\" has no parameterSetId",
        ":17: defaultValue of \"d\" is \"much\", not a number; recipes get it as it is",
        ":18: label is a list; text is expected, and nothing is shown",
        ":18: the parameter \"d\" is declared twice; a value is checked by the visible one",
        ":19: the secret \"s\" has a defaultValue; it isn't used",
        ":20: visibilityCondition isn't understood, and the parameter counts as visible: \"%\" isn't known, at character 9",
        ":21: columnRole of \"c\" is \"z\", which is no role",
        ":22: the value of a choice is neither text nor a number",
        ":23: a parameter has an empty name",
    ]
    .iter()
    .map(|text| format!("{file}{text}"))
    .collect();
    assert_eq!(faults(&files), expected);
    let plugin = Plugin::read(&files);
    assert_eq!(plugin.recipes.keys().collect::<Vec<_>>(), ["smooth", "sort"]);
    assert_eq!(plugin.unusable, ["broken"]);
    assert!(plugin.recipe("smooth").is_ok());
    let errors = plugin.recipe("broken").expect_err("it can't be used");
    assert_eq!(errors.len(), 10, "{errors:#?}");
    assert!(errors.contains(&format!("{file}:5: arity is \"MANY\"; UNARY or NARY")));
    assert_eq!(
        plugin.recipe("smoth").expect_err("there is none"),
        ["plugin weather has no recipe \"smoth\"; there are \"smooth\", \"sort\", did you mean \"smooth\"?"]
    );
}

#[test]
fn files_that_are_missing_or_can_not_be_read_are_said() {
    assert_eq!(faults(&MemoryFiles::default()), ["plugin.json: the file is missing"]);
    let files = MemoryFiles::new(&[
        ("plugin.json", "{\"id\": \"a/b\", \"version\": 2}"),
        ("custom-recipes/one/recipe.json", "{\"kind\": \"R\"}"),
        ("custom-recipes/two/recipe.py", ""),
        ("custom-recipes/three/recipe.json", "{\"kind\": \"SCALA\"}"),
        ("custom-recipes/four/recipe.json", "{}"),
        ("custom-recipes/four/recipe.py", ""),
        ("custom-recipes/.git/x", ""),
        ("parameter-sets/set/parameter-set.json", "[]"),
        ("code-env/python/spec/requirements.txt", ""),
    ]);
    assert_eq!(
        faults(&files),
        [
            "plugin.json:1: the id \"a/b\" can't be the name of a file",
            "parameter-sets/set/parameter-set.json:1: the parameter set is a list; an object is expected",
            "custom-recipes/four/recipe.json:1: kind is missing, PYTHON or R; it counts as PYTHON, by the file of the code",
            "custom-recipes/one/recipe.json:1: kind is R, and there is no recipe.r or recipe.R beside recipe.json",
            "custom-recipes/three/recipe.json:1: kind is \"SCALA\"; PYTHON or R",
            "custom-recipes/two/recipe.json: the file is missing",
            "code-env/python/desc.json: the file is missing",
        ]
    );

    struct Broken;
    impl Files for Broken {
        fn read(&self, path: &str) -> Result<Option<Vec<u8>>, String> {
            Err(format!("{} can't be read", Path::new(path).display()))
        }
        fn entries(&self, _: &str) -> Result<Option<Vec<String>>, String> {
            Err("the folder can't be read".to_owned())
        }
    }
    let said = faults(&Broken);
    assert_eq!(said[0], "plugin.json: plugin.json can't be read");
    assert!(said.contains(&"custom-recipes: the folder can't be read".to_owned()), "{said:?}");
}
