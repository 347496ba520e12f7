//! The examples of the administrators' guide, put into a home: they must be what a host takes.

use std::path::Path;

use wharf_components::ComponentSettingsFile;
use wharf_model::Identity;

use super::fixture::Fixture;

const GUIDE: &str = include_str!("../../../../docs/administrators.md");

/// The blocks of TOML whose first line is a comment with the path of a file: that path, and the block.
fn examples() -> Vec<(&'static str, &'static str)> {
    GUIDE
        .split("```toml\n")
        .skip(1)
        .map(|rest| {
            let block = rest.split_once("```").expect("a block ends").0;
            let path = block.lines().next().and_then(|line| line.strip_prefix("# ")).expect("a block names its file");
            assert!(
                path.ends_with(".toml") && !path.contains(' '),
                "a block begins with its file, not with \"{path}\""
            );
            (path, block)
        })
        .collect()
}

#[test]
fn the_examples_are_sound() {
    let fixture = Fixture::new();
    fixture.write("certs/corp.pem", &wharf_exchange::TlsIdentity::generate().expect("a certificate").cert_pem);
    fixture.write("certs/krb5.conf", "[libdefaults]\n");
    fixture.write("activities/sales.py", "print(1)\n");
    fixture.write("data/sales.csv", "a\n1\n");
    fixture.write("data/flights.csv", "a\n1\n");
    let examples = examples();
    for (at, (path, block)) in examples.iter().enumerate() {
        assert!(examples[..at].iter().all(|(other, _)| other != path), "two examples of {path}");
        fixture.write(path, block);
    }
    assert_eq!(fixture.home().check(), []);
    for (path, block) in &examples {
        let file = fixture.home().root().join(path);
        if path.starts_with("activities/") {
            fixture.home().load_activity(&file, Identity::default()).expect(path);
        } else if path.starts_with("policies/") || path.starts_with("plugins/") {
            ComponentSettingsFile::read(&file, block).expect(path);
        }
    }
    for folder in ["wharf.toml", "configs/", "base-images/", "code-envs/", "activities/", "policies/"] {
        assert!(examples.iter().any(|(path, _)| path.starts_with(folder)), "no example of {folder}");
    }
}

/// Every key that a schema has stands in the guide.
#[test]
fn the_guide_names_every_key() {
    fn keys(schema: &serde_json::Value, found: &mut Vec<String>) {
        if let Some(properties) = schema.get("properties").and_then(|properties| properties.as_object()) {
            found.extend(properties.keys().cloned());
        }
        match schema {
            serde_json::Value::Object(object) => object.values().for_each(|value| keys(value, found)),
            serde_json::Value::Array(list) => list.iter().for_each(|value| keys(value, found)),
            _ => {}
        }
    }
    for (name, schema) in super::schemas() {
        let mut found = Vec::new();
        keys(schema.as_value(), &mut found);
        assert!(!found.is_empty(), "{name}");
        for key in found {
            assert!(GUIDE.contains(&key), "the guide doesn't name `{key}` of {}", Path::new(name).display());
        }
    }
}
