//! Data in and out, with the functions that recipes of DSS call.

use std::fs;

use wharf_model::{Cause, EventKind};
use wharf_tests::Home;

const PEOPLE: &str = "name,age,joined,score\n\
                      \"Ána \"\"A\"\", Ltd\",41,2024-01-02T03:04:05.000Z,1.5\n\
                      Bo,39,2024-02-03T00:00:00.000Z,\n\
                      \"two\nlines\",7,2024-02-04T00:00:00.000Z,-2.25\n";

#[test]
#[ignore = "needs docker (runs containers)"]
fn csv_and_folders_go_in_and_out() {
    let home = Home::demo();
    home.write_data("people.csv", PEOPLE);
    home.write_data("notes/a/eins.txt", "eins");
    let code = r#"
import dataiku
people = dataiku.Dataset("people").get_dataframe()
assert list(people["name"]) == ['Ána "A", Ltd', "Bo", "two\nlines"], list(people["name"])
people["older"] = people["age"] + 1
dataiku.Dataset("older").write_with_schema(people[["name", "older", "score"]])
notes = dataiku.Folder("notes")
assert notes.list_paths_in_partition() == ["/a/eins.txt"], notes.list_paths_in_partition()
with notes.get_download_stream("/a/eins.txt") as stream:
    text = stream.read()
report = dataiku.Folder("report")
report.upload_data("/sub/zwei.bin", text + b"\x00\xff")
with report.get_writer("drei.txt") as writer:
    writer.write("drei ü".encode())
"#;
    let bindings = [
        "--input",
        &home.bind("people", "people.csv"),
        "--input",
        &home.bind("notes", "notes/"),
        "--output",
        &home.bind("older", "older.csv"),
        "--output",
        &home.bind("report", "report/"),
    ];
    let run = home.run_python(code, &bindings).exits(0);
    assert_eq!(run.outcome().cause, Cause::Succeeded);
    let older = home.read_data("older.csv");
    assert!(older.starts_with("name,older,score\n\"Ána \"\"A\"\", Ltd\",42,1.5\nBo,40,\n"), "{older}");
    assert!(older.contains("two\nlines\",8,-2.25"), "{older}");
    assert_eq!(fs::read(home.data("report/sub/zwei.bin")).unwrap(), b"eins\x00\xff");
    assert_eq!(home.read_data("report/drei.txt"), "drei ü");
    let all = [
        "notes/",
        "notes/a/",
        "notes/a/eins.txt",
        "older.csv",
        "older.csv.schema.json",
        "people.csv",
        "report/",
        "report/drei.txt",
        "report/sub/",
        "report/sub/zwei.bin",
    ];
    home.left_only(&all);

    // Another run replaces the dataset as a whole, with or without rows, and leaves the folder that it doesn't touch.
    let code = r#"
import dataiku
people = dataiku.Dataset("people").get_dataframe()
dataiku.Dataset("older").write_with_schema(people[["name"]].head(0))
"#;
    let _ = home.run_python(code, &bindings).exits(0);
    assert_eq!(home.read_data("older.csv"), "name\n");
    home.left_only(&all);
}

#[test]
#[ignore = "needs docker (runs containers)"]
fn parquet_goes_in_and_out() {
    let home = Home::demo();
    let rows: String = (0..50_000).map(|row| format!("{row},{}.5,name {row},true\n", row * 2)).collect();
    home.write_data("numbers.csv", format!("id,half,name,flag\n{rows}"));
    let copy = r#"
import dataiku
frame = dataiku.Dataset("in").get_dataframe()
dataiku.Dataset("out").write_with_schema(frame)
print(frame.dtypes.to_dict())
"#;
    let ways =
        [("numbers.csv", "numbers.parquet"), ("numbers.parquet", "again.parquet"), ("again.parquet", "back.csv")];
    for (from, to) in ways {
        let bindings = ["--input", &home.bind("in", from), "--output", &home.bind("out", to)];
        let run = home.run_python(copy, &bindings).exits(0);
        let types = &run.log()[0].1;
        assert!(
            types.contains("'id': dtype('int64')") && types.contains("'half': dtype('float64')"),
            "{from}: {types}"
        );
    }
    let parquet = fs::read(home.data("numbers.parquet")).unwrap();
    assert_eq!((&parquet[..4], &parquet[parquet.len() - 4..]), (b"PAR1".as_slice(), b"PAR1".as_slice()));
    let back = home.read_data("back.csv");
    assert_eq!(back.lines().count(), 50_001);
    assert_eq!(back.lines().nth(1), Some("0,0.5,name 0,true"));
    assert_eq!(back.lines().last(), Some("49999,99998.5,name 49999,true"));
}

#[test]
#[ignore = "needs docker (runs containers)"]
fn functions_of_dss_are_there() {
    let home = Home::demo();
    home.write_data("people.csv", PEOPLE);
    let code = r#"
import dataiku
import pandas as pd
from dataiku import pandasutils as pdu

people = dataiku.Dataset("people")
schema = people.read_schema()
assert [column["name"] for column in schema] == ["name", "age", "joined", "score"], schema
assert {column["name"]: column["type"] for column in schema}["age"] == "bigint", schema
chunks = list(people.iter_dataframes(chunksize=2))
assert [len(chunk) for chunk in chunks] == [2, 1], chunks
assert [row["age"] for row in people.iter_rows()] == [41, 39, 7]
assert len(people.get_dataframe(columns=["name"], limit=1)) == 1
assert dataiku.get_custom_variables()["greeting"] == "hello"
assert dataiku.default_project_key() == "SALES"

written = dataiku.Dataset("written")
written.write_schema([{"name": "name", "type": "string"}, {"name": "n", "type": "bigint"}])
with written.get_writer() as writer:
    for number in range(3):
        writer.write_row_dict({"name": "row %d" % number, "n": number})

typed = dataiku.Dataset("typed")
frame = pd.DataFrame({"when": pd.to_datetime(["2024-05-06 07:08:09"]), "flag": [True], "text": [""]})
typed.write_schema_from_dataframe(frame)
typed.write_dataframe(frame)
"#;
    let bindings = [
        "--input",
        &home.bind("people", "people.csv"),
        "--output",
        &home.bind("written", "written.csv"),
        "--output",
        &home.bind("typed", "typed.csv"),
        "--project",
        "SALES",
        "--variable",
        "greeting=hello",
    ];
    let _ = home.run_python(code, &bindings).exits(0);
    assert_eq!(home.read_data("written.csv"), "name,n\nrow 0,0\nrow 1,1\nrow 2,2\n");
    assert_eq!(home.read_data("typed.csv"), "when,flag,text\n2024-05-06T07:08:09.000Z,true,\"\"\n");
}

#[test]
#[ignore = "needs docker (runs containers)"]
fn an_r_recipe_reads_and_writes() {
    let home = Home::demo();
    home.write_data("people.csv", PEOPLE);
    let code = r#"
library(dataiku)
people <- dkuReadDataset("people")
stopifnot(nrow(people) == 3)
people$older <- people$age + 1L
dkuWriteDataset(people[, c("name", "older")], "older")
cat("mean age", mean(people$age), "\n")
"#;
    let bindings = ["--input", &home.bind("people", "people.csv"), "--output", &home.bind("older", "older.csv")];
    let run = home.call(home.r(code, &bindings)).exits(0);
    assert!(run.log().iter().any(|(_, text)| text.starts_with("mean age 29")), "{run}");
    let older = home.read_data("older.csv");
    assert!(older.starts_with("name,older\n\"Ána \"\"A\"\", Ltd\",42\nBo,40\n"), "{older}");
}

#[test]
#[ignore = "needs docker (runs containers)"]
fn a_recipe_that_imports_nothing_of_ours_works() {
    let home = Home::demo();
    let run = home.run_python("print('only', 1 + 1)", &[]).exits(0);
    assert_eq!(run.log(), [(0, "only 2".to_owned())]);
    home.left_only(&[]);
}

#[test]
#[ignore = "needs docker (runs containers)"]
fn a_name_that_was_not_declared_is_named() {
    let home = Home::demo();
    let bindings = ["--output", &home.bind("customers", "customers.csv")];
    let write = "import dataiku, pandas\n\
                 dataiku.Dataset('costumers').write_with_schema(pandas.DataFrame({'a': [1]}))\n";
    let end = home.run_python(write, &bindings).exits(10).outcome();
    assert_eq!(end.cause, Cause::RecipeFailed);
    assert!(end.sentence.contains("costumers") && end.sentence.contains("customers"), "{}", end.sentence);
    home.left_only(&[]);
}

#[test]
#[ignore = "needs docker (runs containers)"]
fn a_failed_recipe_leaves_its_outputs_as_they_were() {
    let home = Home::demo();
    home.write_data("kept.csv", "a\nbefore\n");
    home.write_data("kept/file.txt", "before");
    let code = r#"
import dataiku, pandas
dataiku.Dataset("kept").write_with_schema(pandas.DataFrame({"a": ["after"] * 100000}))
dataiku.Folder("folder").upload_data("file.txt", b"after")
dataiku.Folder("folder").upload_data("more.txt", b"after")
raise ValueError("no good")
"#;
    let bindings = ["--output", &home.bind("kept", "kept.csv"), "--output", &home.bind("folder", "kept/")];
    let _ = home.run_python(code, &bindings).exits(10);
    home.left_only(&["kept.csv", "kept/", "kept/file.txt"]);
    assert_eq!(home.read_data("kept.csv"), "a\nbefore\n");
    assert_eq!(home.read_data("kept/file.txt"), "before");
}

#[test]
#[ignore = "needs docker (runs containers)"]
fn how_far_a_recipe_has_come_is_an_event() {
    let home = Home::demo();
    let code = "from dataiku.core.connection import DataikuException, request_json\n\
                request_json('POST', '/v1/progress', {'text': 'one \\x1b[2J', 'done': 1, 'total': 3})\n\
                for n in range(500): request_json('POST', '/v1/progress', {'text': 'fast', 'done': 2, 'total': 3})\n\
                request_json('POST', '/v1/progress', {'text': 'last', 'done': 3, 'total': 3})\n\
                for bad in ({'text': 1}, {'text': 'x' * 100_000, 'done': 1}):\n    \
                try: request_json('POST', '/v1/progress', bad)\n    \
                except DataikuException as error: print('refused')\n";
    let run = home.run_python(code, &[]).exits(0);
    let told: Vec<_> = run
        .events()
        .into_iter()
        .filter_map(|event| match event.kind {
            EventKind::Advanced(advance) => Some((advance.text, advance.done, advance.total)),
            _ => None,
        })
        .collect();
    assert_eq!(told.first(), Some(&("one  [2J".to_owned(), 1, Some(3))));
    assert_eq!(told.last(), Some(&("last".to_owned(), 3, Some(3))));
    assert!(told.len() < 20, "a record isn't filled with it: {}", told.len());
    assert_eq!(run.log(), [(0, "refused".to_owned()), (1, "refused".to_owned())]);
}
