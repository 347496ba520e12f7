//! Two daemons at once, one of them far.

use wharf_model::{Cause, EventKind};
use wharf_tests::{Far, Home};

use crate::trial::{advertise, bindings, configure_far, within};

/// Says that it is up, waits until the test has looked around, then makes outputs of its input.
const RECIPE: &str = r#"
import dataiku, time
print("up", flush=True)
gate = dataiku.Folder("gate")
while "/open" not in gate.list_paths_in_partition():
    time.sleep(0.1)
frame = dataiku.Dataset("in").get_dataframe()
frame["n"] = frame["n"] * 2
dataiku.Dataset("out").write_with_schema(frame)
dataiku.Dataset("table").write_with_schema(frame)
dataiku.Folder("files").upload_data("a/b.bin", bytes(range(256)) * 1000)
for n in range(1000):
    print(f"line {n}")
"#;

#[test]
#[ignore = "needs docker (runs containers) and root (makes a machine)"]
fn the_same_recipe_on_two_daemons_at_once() {
    within(180, || {
        let far = Far::shared();
        let home = Home::portable();
        configure_far(&home, &far, &advertise(&far));
        home.write_data("gate/shut", "");
        let start = |configuration: &str| {
            let folder = format!("{configuration}/");
            let mut more = bindings(&home, &folder);
            more.extend(["--input".to_owned(), home.bind("gate", "gate/")]);
            more.extend(["--output".to_owned(), home.bind("table", &format!("{folder}table.parquet"))]);
            more.extend(["--config".to_owned(), configuration.to_owned()]);
            let more: Vec<&str> = more.iter().map(String::as_str).collect();
            let mut run = home.start(home.python(RECIPE, &more));
            let id = run.until_log("up");
            (run, id)
        };
        let (here, here_id) = start("docker-local");
        let (there, there_id) = start("far");

        // Each daemon has its own run's container, and nothing of the other's.
        for (daemon, id) in [(home.daemon(), here_id), (far.daemon(), there_id)] {
            let [container] = home.containers_at(daemon).try_into().unwrap();
            assert_eq!((container.run, container.state), (id, "running".to_owned()));
        }
        home.write_data("gate/open", "");
        for run in [here.finish().exits(0), there.finish().exits(0)] {
            assert_eq!(run.outcome().cause, Cause::Succeeded);
            let log: Vec<String> = run.log().into_iter().map(|(_, text)| text).collect();
            assert_eq!((log.len(), log[1].as_str(), log[1000].as_str()), (1001, "line 0", "line 999"));
            assert!(!run.events().iter().any(|event| matches!(event.kind, EventKind::Recovered)));
        }
        let made = ["out.csv", "out.csv.schema.json", "table.parquet", "table.parquet.schema.json", "files/a/b.bin"];
        let of = |folder: &str, name: &str| std::fs::read(home.data(&format!("{folder}/{name}"))).ok();
        for name in made {
            assert!(of("docker-local", name) == of("far", name), "{name} differs");
        }
        for name in ["out.csv", "table.parquet", "files/a/b.bin"] {
            assert!(of("far", name).is_some_and(|bytes| bytes.len() > 1000), "{name}");
        }
        assert!(home.containers().is_empty() && home.containers_at(far.daemon()).is_empty());
        assert_eq!(home.runs().len(), 2);
    });
}
