//! Files and activities of somebody who wants harm.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};

use super::MemoryFiles;
use super::plugins::weather;
use crate::check::{Binding, BindingKind, Given, Presets, check};
use crate::describe::Description;
use crate::fault::Severity;
use crate::files::Files;
use crate::plugin::Plugin;

fn with_recipe(recipe: impl Into<Vec<u8>>) -> Plugin {
    let files =
        weather().with("custom-recipes/hostile/recipe.py", "").with("custom-recipes/hostile/recipe.json", recipe);
    Plugin::read(&files)
}

fn first_error(plugin: &Plugin) -> String {
    let faults = plugin.findings.faults.iter();
    faults.filter(|fault| fault.severity == Severity::Error).map(ToString::to_string).next().unwrap_or_default()
}

#[test]
fn each_hostile_file_costs_only_its_own_recipe() {
    for (recipe, expected) in [
        ("[".repeat(100_000), "hostile/recipe.json:1: values are nested too deep"),
        ("{\"params\":[".repeat(100_000), "hostile/recipe.json:1: values are nested too deep"),
        ("{\"kind\": \"PYTHON\", \"params\": [{\"type\": \"INT\", \"name\": \"a\\u0000b\"}]}".to_owned(), "hostile/recipe.json:1: a parameter has a control character in its name, \"a\\0b\""),
        ("{\"kind\": \"PYTHON\",\n \"inputRoles\": [{\"name\": \"a\\nb\"}]}".to_owned(), "hostile/recipe.json:2: a role has a control character in its name, \"a\\nb\""),
        ("{\"kind\": \"\\ud800\"}".to_owned(), "hostile/recipe.json:1: not JSON: invalid unicode escape sequence. 'd800 (unpaired high surrogate)' is not a valid UTF8 character"),
        ("{\"kind\": \"PYTHON\", \"params\": [{\"name\": \"n\", \"type\": \"INT\", \"minI\": 1e400}]}".to_owned(), "hostile/recipe.json:1: minI is 1e400; a number is expected"),
        ("{\"kind\": \"PYTHON\", \"params\": [{\"name\": \"n\", \"type\": \"MAP\", \"defaultValue\": {\"a\": [1e999]}}]}".to_owned(), "hostile/recipe.json:1: the number 1e999 is out of range"),
        (format!("{{\"kind\": \"{}\"}}", "x".repeat(8 << 20)), "hostile/recipe.json: the file has 8388620 bytes; at most 8388608 are read"),
        (format!("{{\"kind\": \"{}\"}}", "x".repeat((8 << 20) - 12)), "hostile/recipe.json:1: kind is \"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…\"; PYTHON or R"),
        (format!("{{\"kind\": \"PYTHON\", \"params\": [{}]}}", "{},".repeat(10_001)), "hostile/recipe.json:1: params has 10001 parameters; at most 10000 are read"),
        (format!("{{\"kind\": \"PYTHON\", \"inputRoles\": [{}]}}", "{},".repeat(1001)), "hostile/recipe.json:1: inputRoles has 1001 roles; at most 1000 are read"),
    ] {
        let plugin = with_recipe(recipe);
        assert_eq!(first_error(&plugin), format!("custom-recipes/{expected}"));
        assert_eq!(plugin.recipes.keys().collect::<Vec<_>>(), ["smooth", "sort"]);
        assert_eq!(plugin.unusable, ["hostile"]);
        assert!(!plugin.recipe("hostile").expect_err("it can't be used").is_empty());
    }
}

#[test]
fn the_last_of_two_equal_keys_counts() {
    let plugin = with_recipe(
        "{\"kind\": \"R\",\n\"kind\": \"PYTHON\", \"params\": [{\"name\": \"a\", \"name\": \"b\", \"type\": \"INT\"}]}",
    );
    let recipe = plugin.recipe("hostile").expect("it can be used");
    assert_eq!(recipe.params[0].name, "b");
    let faults: Vec<String> = plugin.findings.faults.iter().map(ToString::to_string).collect();
    assert_eq!(
        faults,
        [
            "custom-recipes/hostile/recipe.json:2: the key \"kind\" is there twice; the last one counts",
            "custom-recipes/hostile/recipe.json:2: the key \"name\" is there twice; the last one counts",
        ]
    );
}

#[test]
fn what_is_listed_of_one_file_has_an_end() {
    let keys: String = (0..100_000).map(|n| format!("\"k{n}\": 0,")).collect();
    let twice = "\"kind\": \"PYTHON\",".repeat(1000);
    let plugin = with_recipe(format!("{{{keys}{twice}}}"));
    assert!(plugin.findings.faults.len() < 110 && plugin.findings.unknown.len() < 110);
    let said = Description::new(&plugin).faults;
    assert!(
        said.iter().any(|fault| fault.ends_with("there are 100000 keys that aren't known; the first 100 are listed")),
        "{said:?}"
    );
    // A fault that matters isn't hidden behind those that don't.
    let plugin = with_recipe(format!("{{{twice} \"params\": 1}}"));
    assert_eq!(first_error(&plugin), "custom-recipes/hostile/recipe.json:1: params is a number; a list is expected");
}

#[test]
fn folders_with_odd_names_are_not_entered() {
    struct Odd(MemoryFiles);
    impl Files for Odd {
        fn read(&self, path: &str) -> Result<Option<Vec<u8>>, String> {
            assert!(!path.contains("..") && !path.contains('\0') && !path.contains("//"), "{path:?}");
            self.0.read(path)
        }
        fn entries(&self, path: &str) -> Result<Option<Vec<String>>, String> {
            assert!(!path.contains(".."), "{path:?}");
            if path != "custom-recipes" {
                return self.0.entries(path);
            }
            Ok(Some(
                ["../", "../../etc/", "/", "a\0b/", "a\\b/", "smooth/", "smooth/", "smooth", "sort/"]
                    .map(str::to_owned)
                    .to_vec(),
            ))
        }
    }
    let plugin = Plugin::read(&Odd(weather()));
    assert_eq!(plugin.recipes.keys().collect::<Vec<_>>(), ["smooth", "sort"]);
    assert_eq!(plugin.findings.faults.len(), 5, "{:?}", plugin.findings.faults);
}

#[test]
fn a_preset_that_names_itself_is_an_error() {
    let files = MemoryFiles::new(&[
        ("parameter-sets/s/parameter-set.json", "{params: [{name: 's', type: 'PRESET', parameterSetId: 's'}]}"),
        (
            "custom-recipes/r/recipe.json",
            "{kind: 'PYTHON', params: [{name: 's', type: 'PRESET', parameterSetId: 's'}]}",
        ),
        ("custom-recipes/r/recipe.py", ""),
    ]);
    let plugin = Plugin::read(&files);
    let Json::Object(itself) = json!({"s": "again"}) else { panic!("no object") };
    let presets = Presets::from([("s".to_owned(), BTreeMap::from([("again".to_owned(), itself.clone())]))]);
    let given = Given { inputs: &[], outputs: &[], parameters: &itself };
    let errors = check(&plugin, &plugin.recipes["r"], given, &presets).expect_err("it has no end");
    assert_eq!(errors, ["parameter \"s.s.s.s.s.s.s.s.s\" is nested too deep"]);
}

#[test]
fn what_is_said_of_one_activity_has_an_end() {
    let plugin = Plugin::read(&weather());
    let parameters: Map<String, Json> =
        (0..10_000).map(|n| (format!("parameter{n}"), json!("x".repeat(1000)))).collect();
    let inputs: Vec<Binding> = (0..10_000)
        .map(|n| Binding { name: format!("\0{n}"), role: Some("r".repeat(10_000)), kind: BindingKind::Dataset })
        .collect();
    let given = Given { inputs: &inputs, outputs: &[], parameters: &parameters };
    let errors = check(&plugin, &plugin.recipes["smooth"], given, &Presets::new()).expect_err("all is wrong");
    assert_eq!(errors.len(), 101);
    assert!(errors.iter().all(|error| error.len() < 1000 && !error.contains('\0')));
}

/// A small generator of numbers, the same ones on every run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % end as u64).expect("it is small")
    }
}

#[test]
fn no_broken_file_makes_it_panic() {
    let parts: [&[u8]; 24] = [
        b"{",
        b"}",
        b"[",
        b"]",
        b"\"",
        b"'",
        b",",
        b":",
        b"\\",
        b"\\u",
        b"//",
        b"/*",
        b"*/",
        b"\n",
        b"null",
        b"-",
        b"1e9",
        b"0x",
        b"\xff",
        b"\xc3\xa9",
        b"\0",
        b"true",
        b"name",
        b"\xef\xbb\xbf",
    ];
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let files = weather();
    let paths: Vec<String> = files.0.keys().filter(|path| path.ends_with(".json")).cloned().collect();
    for _ in 0..3000 {
        let path = &paths[random.below(paths.len())];
        let mut bytes = files.0[path].clone();
        for _ in 0..=random.below(4) {
            let at = random.below(bytes.len() + 1);
            match random.below(3) {
                0 => drop(bytes.splice(at..at, parts[random.below(parts.len())].iter().copied())),
                1 => bytes.truncate(at),
                _ => drop(bytes.drain(at..(at + random.below(20)).min(bytes.len()))),
            }
        }
        let plugin = Plugin::read(&files.clone().with(path, bytes));
        let description = Description::new(&plugin);
        for recipe in plugin.recipes.values() {
            let mut parameters = Map::new();
            for param in &recipe.params {
                let value = [json!("x"), json!(1), json!(null), json!([1]), json!({"secret": "S"}), json!("{")]
                    [random.below(6)]
                .clone();
                parameters.insert(param.name.clone(), value);
            }
            let inputs = [Binding { name: "a".to_owned(), role: None, kind: BindingKind::Folder }];
            let given = Given { inputs: &inputs, outputs: &[], parameters: &parameters };
            let _ = check(&plugin, recipe, given, &Presets::new());
        }
        assert!(description.recipes.len() + description.unusable.len() == 2, "a recipe was lost");
    }
}
