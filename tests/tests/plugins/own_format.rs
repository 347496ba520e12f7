//! A site's own format of plugins, read by the adapter of the guide for plugin developers.

use std::fs;
use std::path::Path;

use serde_json::Value;
use wharf::message::InstalledPlugin;
use wharf_model::Cause;
use wharf_tests::{GROUP, Home, USER};

const ADAPTER: &str = env!("WHARF_SCRIPT_PLUGIN");

const DOUBLE: &str = "\
python3 - <<'EOF'
import dataiku
frame = dataiku.Dataset('numbers').get_dataframe()
frame['n'] *= int(open('/opt/plugin/doubling/factor').read())
dataiku.Dataset('doubled').write_with_schema(frame)
EOF
";

#[test]
fn the_guide_shows_the_adapter_that_is_tested() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let source = fs::read_to_string(here.join("script-plugin/src/lib.rs")).unwrap();
    let (_, code) = source.split_once("\n\n").unwrap();
    let guide = fs::read_to_string(here.join("../docs/plugin-developers.md")).unwrap();
    assert!(guide.contains(&format!("```rust\n{code}```\n")), "docs/plugin-developers.md shows another adapter");
}

#[test]
#[ignore = "needs docker (runs containers)"]
fn an_adapter_that_is_dropped_in_brings_a_format_of_its_own() {
    let home = Home::demo();
    fs::create_dir(home.path().join("script-plugins")).unwrap();
    home.write("plugins/script-plugin.toml", "grants.folder = \"script-plugins\"\n");
    fs::copy(ADAPTER, home.path().join("plugins/script-plugin.wasm")).unwrap();
    let plugin = home.data("doubling");
    fs::create_dir(&plugin).unwrap();
    fs::write(plugin.join("spec.json"), r#"{"id": "doubling", "scripts": ["double"]}"#).unwrap();
    fs::write(plugin.join("double.sh"), DOUBLE).unwrap();
    fs::write(plugin.join("factor"), "2").unwrap();
    let source = plugin.display().to_string();
    let installed: InstalledPlugin = home.call(["--json", "plugin", "install", &source]).exits(0).document();
    assert_eq!(installed.adapter.as_deref(), Some("script-plugin"));
    assert!(installed.folder.ends_with("script-plugins/doubling"), "{}", installed.folder.display());

    home.write_data("numbers.csv", "n\n1\n2\n");
    let run = |recipe: &str| {
        let (input, output) = (home.bind("in", "numbers.csv"), home.bind("out", "doubled.csv"));
        let arguments = ["--json", "run", "--plugin", "doubling", "--recipe", recipe];
        let more = ["--input", &input, "--output", &output, "--user", USER, "--group", GROUP];
        home.call(arguments.iter().chain(&more))
    };
    let _ = run("double").exits(0);
    assert_eq!(home.read_data("doubled.csv"), "n\n2\n4\n");
    let end = run("triple").outcome();
    assert_eq!(end.cause, Cause::NotPrepared);
    assert!(end.sentence.contains("doubling has no script triple; it has double"), "{}", end.sentence);
    let listed: Value = home.call(["--json", "plugin", "list"]).exits(0).document();
    assert_eq!(listed.as_array().map(Vec::len), Some(1));
}
