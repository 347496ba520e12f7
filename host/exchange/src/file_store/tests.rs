use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, TimestampNanosecondArray};
use arrow_ipc::writer::StreamWriter;
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use tempfile::TempDir;
use wharf_model::protocol::{Column, Schema};
use wharf_model::{Binding, BindingKind, Place};

use super::FileStore;
use super::commit::{Manifest, manifest_path};
use super::stage::Stage;
use crate::arrow_stream::ArrowReader;
use crate::store::{Access, ByteStream, DatasetStore, Format, ReadRequest, StoreError, Token, TokenStatus};
use crate::{Committed, FolderPath};

struct Site {
    folder: TempDir,
    store: FileStore,
    token: Token,
}

impl Site {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = FileStore::open(folder.path().join("state")).unwrap();
        fs::create_dir(folder.path().join("data")).unwrap();
        Self { folder, store, token: Token::new("run-1", 1) }
    }

    /// The host is started again: nothing but the disk remembers.
    fn restart(&mut self) {
        self.store = FileStore::open(self.folder.path().join("state")).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("data").join(name)
    }

    fn dataset(&self, file: &str) -> Binding {
        self.binding(file, BindingKind::Dataset)
    }

    fn folder(&self, name: &str) -> Binding {
        self.binding(name, BindingKind::Folder)
    }

    fn binding(&self, name: &str, kind: BindingKind) -> Binding {
        Binding { name: name.to_owned(), role: "main".to_owned(), kind, place: Place { path: self.path(name) } }
    }

    async fn read(&self, binding: &Binding, format: Format) -> Vec<u8> {
        self.read_some(binding, format, None, None).await.unwrap()
    }

    async fn read_some(
        &self,
        binding: &Binding,
        format: Format,
        columns: Option<&[&str]>,
        limit: Option<u64>,
    ) -> Result<Vec<u8>, StoreError> {
        let columns = columns.map(|names| names.iter().map(|&name| name.to_owned()).collect());
        let stream = self.store.read(binding, ReadRequest { format, columns, limit }, None).await?;
        let pieces: Vec<Bytes> = stream.try_collect().await?;
        Ok(pieces.concat())
    }

    async fn text(&self, binding: &Binding) -> String {
        String::from_utf8(self.read(binding, Format::Csv).await).unwrap()
    }

    async fn put(&self, binding: &Binding, format: Format, rows: impl Into<Vec<u8>>) -> Result<u64, StoreError> {
        Ok(self.store.stage_rows(&self.token, binding, format, bytes(rows)).await?.rows)
    }

    async fn put_file(&self, binding: &Binding, path: &str, contents: &str) -> Result<(), StoreError> {
        let path = FolderPath::new(path).unwrap();
        self.store.stage_file(&self.token, binding, &path, bytes(contents)).await
    }

    async fn files(&self, binding: &Binding) -> Vec<String> {
        let files = self.store.list(binding, Some(&self.token)).await.unwrap();
        files.into_iter().map(|file| file.path).collect()
    }

    async fn commit(&self) -> Result<Committed, StoreError> {
        self.store.commit(&self.token).await
    }

    async fn status(&self) -> TokenStatus {
        self.store.status(&self.token).await.unwrap()
    }

    /// Everything below the data folder, hidden files too.
    fn everything(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut folders = vec![self.path("")];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    found.push(path.strip_prefix(self.path("")).unwrap().to_str().unwrap().to_owned());
                }
            }
        }
        found.sort();
        found
    }
}

fn bytes(bytes: impl Into<Vec<u8>>) -> ByteStream {
    let pieces: Vec<_> = bytes.into().chunks(1000).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    futures_util::stream::iter(pieces).boxed()
}

fn broken(start: &str) -> ByteStream {
    let error = StoreError::Broken { object: "x".to_owned(), source: std::io::Error::other("cut") };
    bytes(start).chain(futures_util::stream::iter([Err(error)])).boxed()
}

fn schema(columns: &[(&str, &str)]) -> Schema {
    let columns = columns.iter().map(|(name, kind)| Column { name: (*name).to_owned(), kind: (*kind).to_owned() });
    Schema { columns: columns.collect() }
}

fn arrow(batch: &RecordBatch) -> Vec<u8> {
    let mut writer = StreamWriter::try_new(Vec::new(), batch.schema_ref()).unwrap();
    writer.write(batch).unwrap();
    writer.into_inner().unwrap()
}

const ODD: &str = "id,\"a \"\"b\"\", c\",größe ✓,when,ok,x\n\
    9223372036854775807,\"\",ü,2024-02-29T23:59:59.999Z,true,0.1\n\
    -9223372036854775808,,,,,\n\
    0,\"two\nlines, \"\"quoted\"\"\",日本,1900-01-01T00:00:00.000Z,false,-1e300\n";

fn odd_schema() -> Schema {
    schema(&[
        ("id", "bigint"),
        ("a \"b\", c", "string"),
        ("größe ✓", "string"),
        ("when", "date"),
        ("ok", "boolean"),
        ("x", "double"),
    ])
}

#[tokio::test]
async fn rows_survive_every_way_through() {
    for target in ["out.csv", "out.parquet"] {
        for format in [Format::Csv, Format::Arrow] {
            let place = Site::new();
            fs::write(place.path("in.csv"), ODD).unwrap();
            let (input, output) = (place.dataset("in.csv"), place.dataset(target));
            place.store.check(&input, Access::Read).await.unwrap();
            place.store.check(&output, Access::Write).await.unwrap();
            assert_eq!(place.store.schema(&input, None).await.unwrap(), odd_schema());
            place.store.stage_schema(&place.token, &output, &odd_schema()).await.unwrap();
            let rows = place.read(&input, format).await;
            assert_eq!(place.put(&output, format, rows).await.unwrap(), 3);
            place.commit().await.unwrap();
            assert_eq!(place.text(&output).await, ODD, "{target} {format:?}");
            assert_eq!(place.store.schema(&output, None).await.unwrap(), odd_schema());
            let arrow = place.read(&output, Format::Arrow).await;
            let batch = ArrowReader::new(arrow.as_slice(), Arc::default()).unwrap().read().unwrap().unwrap();
            assert_eq!(batch.column(0).as_primitive::<Int64Type>().values()[..2], [i64::MAX, i64::MIN]);
            assert_eq!(batch.column(1).as_string::<i32>().value(0), "");
            assert!(batch.column(1).is_null(1));
            assert_eq!(batch.column(3).as_primitive::<TimestampMicrosecondType>().value(0), 1_709_251_199_999_000);
        }
    }
}

#[tokio::test]
async fn columns_and_limits_are_kept_to() {
    let place = Site::new();
    fs::write(place.path("in.csv"), "a,b,c\n1,01,\"\"\n2,02,\n3,03,z\n").unwrap();
    let csv = place.dataset("in.csv");
    let parquet = place.dataset("in.parquet");
    place.put(&parquet, Format::Csv, place.read(&csv, Format::Csv).await).await.unwrap();
    place.commit().await.unwrap();
    for input in [&csv, &parquet] {
        let some = place.read_some(input, Format::Csv, Some(&["c", "a", "c"]), Some(2)).await.unwrap();
        assert_eq!(String::from_utf8(some).unwrap(), "c,a,c\n\"\",1,\"\"\n,2,\n", "{}", input.name);
        let none = place.read_some(input, Format::Csv, None, Some(0)).await.unwrap();
        assert_eq!(String::from_utf8(none).unwrap(), "a,b,c\n");
        let error = place.read_some(input, Format::Arrow, Some(&["d"]), None).await.unwrap_err();
        assert!(error.to_string().contains("has no column \"d\"; it has a, b, c"));
    }
}

#[tokio::test]
async fn a_written_schema_decides_and_must_fit() {
    let place = Site::new();
    let input = place.dataset("in.csv");
    fs::write(place.path("in.csv"), "zip,n\n01,1\n").unwrap();
    let written = place.path("in.csv.schema.json");
    let text =
        |kind: &str| format!(r#"{{"columns":[{{"name":"zip","type":"string"}},{{"name":"n","type":"{kind}"}}]}}"#);
    fs::write(&written, text("double")).unwrap();
    let found = place.store.schema(&input, None).await.unwrap();
    assert_eq!(found, schema(&[("zip", "string"), ("n", "double")]));
    fs::write(&written, text("number")).unwrap();
    let error = place.store.check(&input, Access::Read).await.unwrap_err().to_string();
    assert!(error.contains("\"number\", which does not exist"), "{error}");
    fs::write(&written, r#"{"columns":[{"name":"zip","type":"string"}]}"#).unwrap();
    assert!(place.store.schema(&input, None).await.unwrap_err().to_string().contains("the file has"));
    fs::remove_file(&written).unwrap();
    assert_eq!(place.store.schema(&input, None).await.unwrap(), schema(&[("zip", "string"), ("n", "bigint")]));
    // A file that changed is looked at again.
    fs::write(place.path("in.csv"), "zip,n\n01,text\n").unwrap();
    assert_eq!(place.store.schema(&input, None).await.unwrap(), schema(&[("zip", "string"), ("n", "string")]));
}

#[tokio::test]
async fn what_cannot_be_used_is_said_before_the_run() {
    let place = Site::new();
    fs::write(place.path("file"), "").unwrap();
    fs::write(place.path("bad.parquet"), "no").unwrap();
    let error = |access, binding: Binding| {
        let store = place.store.clone();
        async move { store.check(&binding, access).await.unwrap_err().to_string() }
    };
    assert!(error(Access::Write, place.dataset("x.xlsx")).await.contains("ends neither in .csv nor in .parquet"));
    assert!(error(Access::Write, place.dataset("none/x.csv")).await.contains("does not exist; create it"));
    assert!(error(Access::Write, place.folder("file")).await.contains("is a file, not a folder"));
    assert!(error(Access::Read, place.dataset("none.csv")).await.contains("does not exist"));
    assert!(error(Access::Read, place.dataset("bad.parquet")).await.contains("not readable as Parquet"));
    assert!(error(Access::Read, place.folder("none")).await.contains("does not exist"));
    place.store.check(&place.folder("new"), Access::Write).await.unwrap();
}

#[tokio::test]
async fn arrow_rows_bring_their_schema_or_follow_the_set_one() {
    let place = Site::new();
    let output = place.dataset("out.csv");
    let batch = RecordBatch::try_from_iter_with_nullable([
        ("n", Arc::new(Float64Array::from(vec![Some(1.0), None])) as ArrayRef, true),
        ("t", Arc::new(TimestampNanosecondArray::from(vec![Some(0), None])) as ArrayRef, true),
    ])
    .unwrap();
    place.put(&output, Format::Arrow, arrow(&batch)).await.unwrap();
    let own = place.store.schema(&output, Some(&place.token)).await.unwrap();
    assert_eq!(own, schema(&[("n", "double"), ("t", "date")]));
    // Rows that brought their own don't bind later ones.
    place.put(&output, Format::Csv, "other\nx\n").await.unwrap();
    let set = schema(&[("n", "bigint"), ("t", "string")]);
    place.store.stage_schema(&place.token, &output, &set).await.unwrap();
    assert_eq!(place.store.schema(&output, Some(&place.token)).await.unwrap(), set);
    place.put(&output, Format::Arrow, arrow(&batch)).await.unwrap();
    let odd = RecordBatch::try_from_iter([
        ("n", Arc::new(Float64Array::from(vec![1.5])) as ArrayRef),
        ("t", Arc::new(StringArray::from(vec!["x"])) as ArrayRef),
    ]);
    let error = place.put(&output, Format::Arrow, arrow(&odd.unwrap())).await.unwrap_err().to_string();
    assert!(error.contains("1.5 is not an integer"), "{error}");
    let other = RecordBatch::try_from_iter([("m", Arc::new(Int64Array::from(vec![1])) as ArrayRef)]).unwrap();
    let error = place.put(&output, Format::Arrow, arrow(&other)).await.unwrap_err().to_string();
    assert!(error.contains("the schema has [\"n\", \"t\"]"), "{error}");
    place.commit().await.unwrap();
    assert_eq!(fs::read_to_string(place.path("out.csv")).unwrap(), "n,t\n1,1970-01-01T00:00:00\n,\n");
    assert_eq!(place.everything(), ["out.csv", "out.csv.schema.json"]);
}

#[tokio::test]
async fn the_same_schema_again_keeps_the_rows() {
    let place = Site::new();
    let output = place.dataset("out.csv");
    let set = schema(&[("n", "bigint")]);
    place.store.stage_schema(&place.token, &output, &set).await.unwrap();
    place.put(&output, Format::Csv, "n\n1\n").await.unwrap();
    place.store.stage_schema(&place.token, &output, &set).await.unwrap();
    place.commit().await.unwrap();
    assert_eq!(fs::read_to_string(place.path("out.csv")).unwrap(), "n\n1\n");
}

#[tokio::test]
async fn another_schema_begins_anew() {
    let place = Site::new();
    let output = place.dataset("out.csv");
    place.store.stage_schema(&place.token, &output, &schema(&[("n", "bigint")])).await.unwrap();
    place.put(&output, Format::Csv, "n\n1\n").await.unwrap();
    place.store.stage_schema(&place.token, &output, &schema(&[("m", "string")])).await.unwrap();
    place.commit().await.unwrap();
    assert_eq!(fs::read_to_string(place.path("out.csv")).unwrap(), "m\n");
}

#[tokio::test]
async fn a_schema_alone_makes_an_empty_dataset() {
    for target in ["out.csv", "out.parquet"] {
        let place = Site::new();
        let output = place.dataset(target);
        place.store.stage_schema(&place.token, &output, &odd_schema()).await.unwrap();
        place.commit().await.unwrap();
        assert_eq!(place.text(&output).await, format!("{}\n", ODD.split_once('\n').unwrap().0));
        assert_eq!(place.store.schema(&output, None).await.unwrap(), odd_schema());
    }
}

#[tokio::test]
async fn outputs_are_in_place_together_and_not_before() {
    let place = Site::new();
    let (rows, files) = (place.dataset("out.csv"), place.folder("made"));
    fs::write(place.path("out.csv"), "old\n1\n").unwrap();
    place.put(&rows, Format::Csv, "first\n1\n").await.unwrap();
    place.put(&rows, Format::Csv, "new\n2\n").await.unwrap();
    place.put_file(&files, "a/b", "1").await.unwrap();
    place.put_file(&files, "c", "2").await.unwrap();
    assert_eq!(place.files(&files).await, ["a/b", "c"]);
    assert_eq!(fs::read_to_string(place.path("out.csv")).unwrap(), "old\n1\n");
    assert!(!place.path("made").exists());
    assert_eq!(place.status().await, TokenStatus::Staged);
    let committed = place.commit().await.unwrap();
    assert_eq!(committed.bindings, ["made", "out.csv"]);
    assert_eq!(place.everything(), ["made/a/b", "made/c", "out.csv", "out.csv.schema.json"]);
    assert_eq!(fs::read_to_string(place.path("out.csv")).unwrap(), "new\n2\n");
    assert_eq!(place.status().await, TokenStatus::Committed);
    assert_eq!(place.commit().await.unwrap(), committed);
    assert!(matches!(place.store.abort(&place.token).await, Err(StoreError::Closed { .. })));
    assert!(matches!(place.put(&rows, Format::Csv, "n\n").await, Err(StoreError::Closed { .. })));
    place.store.forget(&place.token).await.unwrap();
    assert_eq!(place.status().await, TokenStatus::Unknown);
    assert_eq!(fs::read_dir(place.folder.path().join("state")).unwrap().count(), 0);
}

#[tokio::test]
async fn commits_of_runs_that_have_ended_are_forgotten() {
    let place = Site::new();
    let rows = place.dataset("out.csv");
    place.put(&rows, Format::Csv, "new\n2\n").await.unwrap();
    place.store.forget_ended(|_| false).unwrap();
    assert_eq!(place.status().await, TokenStatus::Staged, "only what is carried out is forgotten");
    place.commit().await.unwrap();
    let asked = std::cell::RefCell::new(Vec::new());
    let is_open = |run: &str| {
        asked.borrow_mut().push(run.to_owned());
        true
    };
    place.store.forget_ended(is_open).unwrap();
    assert_eq!(place.status().await, TokenStatus::Committed);
    assert_eq!(asked.take(), ["run-1"]);
    place.store.forget_ended(|_| false).unwrap();
    assert_eq!(place.status().await, TokenStatus::Unknown);
    assert_eq!(place.everything(), ["out.csv", "out.csv.schema.json"]);
}

#[tokio::test]
async fn a_folder_keeps_what_the_run_does_not_touch() {
    let place = Site::new();
    let files = place.folder("made");
    fs::create_dir_all(place.path("made/sub")).unwrap();
    for name in ["keep", "old", "sub/x"] {
        fs::write(place.path("made").join(name), "there").unwrap();
    }
    place.put_file(&files, "old", "new").await.unwrap();
    place.put_file(&files, "temporary", "new").await.unwrap();
    let path = |path: &str| FolderPath::new(path).unwrap();
    for gone in ["sub/x", "temporary"] {
        place.store.stage_delete(&place.token, &files, &path(gone)).await.unwrap();
        let again = place.store.stage_delete(&place.token, &files, &path(gone)).await;
        assert!(matches!(again, Err(StoreError::NotFound { .. })));
    }
    assert_eq!(place.files(&files).await, ["keep", "old"]);
    assert_eq!(place.store.list(&files, None).await.unwrap().len(), 3);
    let read = |name: &'static str| {
        let (store, files, token) = (place.store.clone(), files.clone(), place.token.clone());
        async move {
            let stream = store.read_file(&files, &FolderPath::new(name).unwrap(), Some(&token)).await?;
            Ok::<_, StoreError>(stream.try_collect::<Vec<Bytes>>().await?.concat())
        }
    };
    assert_eq!(read("old").await.unwrap(), b"new");
    assert_eq!(read("keep").await.unwrap(), b"there");
    assert!(matches!(read("sub/x").await, Err(StoreError::NotFound { .. })));
    // The name that was removed is free, for a folder too.
    place.put_file(&files, "sub/X", "case").await.unwrap();
    assert!(matches!(place.put_file(&files, "KEEP", "").await, Err(StoreError::NameTaken { .. })));
    assert!(matches!(place.put_file(&files, "keep/x", "").await, Err(StoreError::NameTaken { .. })));
    place.commit().await.unwrap();
    assert_eq!(place.everything(), ["made/keep", "made/old", "made/sub/X"]);
}

#[tokio::test]
async fn an_abort_leaves_nothing_and_neither_does_a_broken_upload() {
    let mut place = Site::new();
    let (rows, files) = (place.dataset("out.parquet"), place.folder("made"));
    place.put(&rows, Format::Csv, "n\n1\n").await.unwrap();
    place.put_file(&files, "a", "1").await.unwrap();
    let cut = place.store.stage_rows(&place.token, &rows, Format::Csv, broken("n\n1\n2\n")).await;
    assert!(matches!(cut, Err(StoreError::Broken { .. })));
    let path = FolderPath::new("b").unwrap();
    assert!(place.store.stage_file(&place.token, &files, &path, broken("xx")).await.is_err());
    assert_eq!(place.files(&files).await, ["a"]);
    assert_eq!(place.everything().len(), 2);
    place.restart();
    assert_eq!(place.files(&files).await, ["a"]);
    place.store.abort(&place.token).await.unwrap();
    place.store.abort(&place.token).await.unwrap();
    assert_eq!(place.everything(), [""; 0]);
    assert_eq!(fs::read_dir(place.path("")).unwrap().count(), 0);
    assert_eq!(place.status().await, TokenStatus::Unknown);
}

#[tokio::test]
async fn another_process_commits_what_was_staged() {
    let mut place = Site::new();
    let (rows, files) = (place.dataset("out.csv"), place.folder("made"));
    place.put(&rows, Format::Csv, "n\n1\n").await.unwrap();
    place.put_file(&files, "a", "1").await.unwrap();
    // A line of the journal that was cut off by the crash.
    let journal = place.folder.path().join("state/run-1.1.staged");
    let mut text = fs::read(&journal).unwrap();
    text.extend_from_slice(b"{\"line\":\"ready\",\"bin");
    fs::write(&journal, text).unwrap();
    place.restart();
    place.put_file(&files, "b", "2").await.unwrap();
    place.restart();
    assert_eq!(place.files(&files).await, ["a", "b"]);
    place.commit().await.unwrap();
    assert_eq!(place.everything(), ["made/a", "made/b", "out.csv", "out.csv.schema.json"]);
}

#[tokio::test]
async fn a_commit_that_was_cut_off_anywhere_is_finished() {
    for done in 0..=4 {
        let mut place = Site::new();
        let (rows, files) = (place.dataset("out.csv"), place.folder("made"));
        fs::write(place.path("out.csv"), "old\n1\n").unwrap();
        fs::create_dir(place.path("made")).unwrap();
        fs::write(place.path("made/old"), "old").unwrap();
        place.put(&rows, Format::Csv, "new\n2\n").await.unwrap();
        place.put_file(&files, "a/b", "1").await.unwrap();
        place.store.stage_delete(&place.token, &files, &FolderPath::new("old").unwrap()).await.unwrap();
        // As far as a host got that was killed: the intent is written, and so many steps are done.
        let state = place.folder.path().join("state");
        let manifest = Manifest::of(&Stage::open(&state, &place.token, None).unwrap()).unwrap();
        manifest.write(&manifest_path(&state, &place.token)).unwrap();
        manifest.carry_out_first(done).unwrap();
        place.restart();
        assert_eq!(place.status().await, TokenStatus::Committing);
        assert!(matches!(place.store.abort(&place.token).await, Err(StoreError::Closed { .. })));
        assert!(matches!(place.put_file(&files, "late", "").await, Err(StoreError::Closed { .. })));
        let committed = place.commit().await.unwrap();
        assert_eq!(committed, Committed { bindings: vec!["made".to_owned(), "out.csv".to_owned()], changes: 4 });
        assert_eq!(place.everything(), ["made/a/b", "out.csv", "out.csv.schema.json"], "after {done} steps");
        assert_eq!(fs::read_to_string(place.path("out.csv")).unwrap(), "new\n2\n");
        assert_eq!(place.commit().await.unwrap(), committed);
    }
}

#[tokio::test]
async fn what_cannot_be_put_in_place_keeps_all_from_it() {
    let place = Site::new();
    let (rows, files) = (place.dataset("out.csv"), place.folder("made"));
    place.put(&rows, Format::Csv, "n\n1\n").await.unwrap();
    place.put_file(&files, "a", "1").await.unwrap();
    // Somebody else makes a folder where the file goes.
    fs::create_dir_all(place.path("made/a")).unwrap();
    let error = place.commit().await.unwrap_err().to_string();
    assert!(error.contains("made/a cannot be used: it is a folder"), "{error}");
    assert!(!place.path("out.csv").exists());
    assert_eq!(place.status().await, TokenStatus::Staged);
    fs::remove_dir(place.path("made/a")).unwrap();
    place.commit().await.unwrap();
    assert_eq!(place.everything(), ["made/a", "out.csv", "out.csv.schema.json"]);
}

#[tokio::test]
async fn a_link_is_written_through_only_where_the_administrator_set_it() {
    let place = Site::new();
    fs::create_dir(place.path("real")).unwrap();
    fs::write(place.path("real/data.csv"), "old\n").unwrap();
    std::os::unix::fs::symlink("real/data.csv", place.path("out.csv")).unwrap();
    let rows = place.dataset("out.csv");
    place.put(&rows, Format::Csv, "n\n1\n").await.unwrap();
    // Inside an output folder a link leads nowhere.
    let files = place.folder("made");
    fs::create_dir(place.path("made")).unwrap();
    std::os::unix::fs::symlink("../real", place.path("made/link")).unwrap();
    place.commit().await.unwrap();
    assert_eq!(fs::read_to_string(place.path("real/data.csv")).unwrap(), "n\n1\n");
    assert!(fs::symlink_metadata(place.path("out.csv")).unwrap().is_symlink());
    let second = Token::new("run-2", 1);
    let path = FolderPath::new("link/evil").unwrap();
    place.store.stage_file(&second, &files, &path, bytes("x")).await.unwrap();
    assert!(place.store.commit(&second).await.is_err());
    assert!(!place.path("real/evil").exists());
}
