//! The table of faults in the docs names tests: they must be there.

use std::path::Path;

#[test]
fn every_test_in_the_table_of_faults_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let table = std::fs::read_to_string(root.join("docs/faults.md")).unwrap();
    let rows: Vec<&str> = table.lines().filter(|line| line.starts_with("| ") && line.contains("::")).collect();
    let mut named = 0;
    for row in &rows {
        // `binary::module::name`, in backticks.
        for test in row.split('`').filter(|piece| piece.contains("::") && !piece.contains(' ')) {
            let [binary, module, name] =
                test.split("::").collect::<Vec<_>>().try_into().unwrap_or_else(|_| panic!("{test}"));
            let folder = match binary {
                "daemon" => root.join("host/docker/tests/daemon"),
                "cluster" | "api" => root.join("host/kubernetes/tests").join(binary),
                binary => root.join("tests/tests").join(binary),
            };
            let file = folder.join(module).with_extension("rs");
            let source =
                std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{test}: {}: {error}", file.display()));
            let is_test = source.split_once(&format!("fn {name}(")).is_some_and(|(before, _)| {
                let mut attributes = before.lines().rev().skip(1).take_while(|line| line.starts_with("#["));
                attributes.any(|line| line == "#[test]" || line.starts_with("#[tokio::test"))
            });
            assert!(is_test, "{}: there is no test {name}", file.display());
            named += 1;
        }
    }
    assert!(rows.len() >= 26 && named >= rows.len(), "{} rows, {named} tests", rows.len());
}
