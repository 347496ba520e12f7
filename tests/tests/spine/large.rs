//! Data far larger than the memory that may be used for it, in and out.
//!
//! With `WHARF_TEST_LONG` in the environment, as `./wharf-test --long` sets it, the sizes are ten times as large and more.

#![expect(clippy::print_stderr, reason = "the numbers are what --nocapture is for")]
#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Instant;

use sha2::{Digest, Sha256};
use wharf_model::Cause;
use wharf_tests::{Finished, Home};

/// What the owner's process and the runner may take at the most, each.
const MEMORY: u64 = 200_000_000;

fn is_long() -> bool {
    std::env::var_os("WHARF_TEST_LONG").is_some_and(|value| !value.is_empty())
}

/// Said by a recipe at its end: what the runner, the first process of the container, took at the most.
const RUNNER_PEAK: &str = "
status = dict(line.split(':', 1) for line in open('/proc/1/status'))
print('runner', int(status['VmHWM'].split()[0]) * 1024)
";

/// Copies a dataset as it crosses, in a form.
fn copy(form: &str) -> String {
    format!(
        "from dataiku.core.connection import Upload, open_body\n\
         source = open_body('/v1/datasets/in/data?format={form}', 'the input')\n\
         target = Upload('/v1/datasets/out/data?format={form}', 'the output')\n\
         while True:\n    piece = source.read(1 << 20)\n    if not piece:\n        break\n    target.write(piece)\n\
         target.finish()\n{RUNNER_PEAK}"
    )
}

/// Runs it, and checks how much memory it took.
fn run(home: &Home, what: &str, code: &str, bindings: &[&str]) -> Finished {
    let began = Instant::now();
    let mut call = home.start(home.python(code, bindings));
    let mut owner = 0;
    // At least one event a second.
    while call.line().is_some() {
        owner = owner.max(call.peak_memory().unwrap_or_default());
    }
    let done = call.finish().exits(0);
    let outcome = done.outcome();
    assert_eq!(outcome.cause, Cause::Succeeded, "{}", outcome.sentence);
    let runner = done.log().iter().find_map(|(_, text)| text.strip_prefix("runner ")?.parse::<u64>().ok()).unwrap();
    let seconds = began.elapsed().as_secs_f64();
    // Shown with --nocapture.
    eprintln!("{what}: {seconds:.1} s, owner {} MB, runner {} MB", owner / 1_000_000, runner / 1_000_000);
    assert!(owner > 0 && owner < MEMORY, "{what}: the owner took {owner} bytes");
    assert!(runner < MEMORY, "{what}: the runner took {runner} bytes");
    done
}

fn sha256(path: &Path) -> String {
    let mut hash = Sha256::new();
    let mut file = File::open(path).unwrap();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer).unwrap() {
            0 => return hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect(),
            len => hash.update(&buffer[..len]),
        }
    }
}

/// A table whose texts no compression makes smaller.
fn write_table(path: &Path, size: u64) -> u64 {
    let mut out = BufWriter::with_capacity(1 << 20, File::create(path).unwrap());
    writeln!(out, "id,half,text").unwrap();
    let (mut written, mut rows, mut state) = (0, 0_u64, 1_u64);
    while written < size {
        let mut text = String::with_capacity(130);
        for _ in 0..8 {
            // Xorshift.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            text.push_str(&format!("{state:016x}"));
        }
        let line = format!("{rows},{rows}.5,{text}\n");
        out.write_all(line.as_bytes()).unwrap();
        written += line.len() as u64;
        rows += 1;
    }
    out.flush().unwrap();
    rows
}

#[test]
#[ignore = "needs docker (runs containers)"]
fn a_large_csv_and_a_large_parquet_file_in_bounded_memory() {
    let size = if is_long() { 2_400_000_000 } else { 200_000_000 };
    let home = Home::demo();
    let rows = write_table(&home.data("table.csv"), size);
    for (form, from, to) in [
        ("csv", "table.csv", "copy.csv"),
        ("arrow", "table.csv", "table.parquet"),
        ("arrow", "table.parquet", "again.parquet"),
        ("csv", "again.parquet", "back.csv"),
    ] {
        let bindings = ["--input", &home.bind("in", from), "--output", &home.bind("out", to)];
        let _ = run(&home, &format!("{from} as {form} to {to}"), &copy(form), &bindings);
    }
    let parquet = fs::metadata(home.data("again.parquet")).unwrap().len();
    assert!(parquet > size / 5 * 4, "{rows} rows are {parquet} bytes of Parquet");
    let whole = sha256(&home.data("table.csv"));
    assert_eq!(sha256(&home.data("copy.csv")), whole);
    assert_eq!(sha256(&home.data("back.csv")), whole);
}

#[test]
#[ignore = "needs docker (runs containers)"]
fn a_folder_of_many_files_and_a_large_one_in_bounded_memory() {
    let (files, size) = if is_long() { (10_000, 5_000_000_000) } else { (1_000, 300_000_000) };
    let home = Home::demo();
    for n in 0..files {
        home.write_data(&format!("in/{}/{n}.txt", n % 100), format!("file {n}"));
    }
    let marks: [u64; 3] = [0, size / 2, size - 10];
    let mut large = File::create(home.data("in/large.bin")).unwrap();
    large.set_len(size).unwrap();
    for mark in marks {
        large.seek(SeekFrom::Start(mark)).unwrap();
        write!(large, "{mark:010}").unwrap();
    }
    drop(large);
    // Moved, not copied: the container has each byte once.
    let code = format!(
        "import dataiku, os\n\
         source, target = dataiku.Folder('in').get_path(), dataiku.Folder('out').get_path()\n\
         for folder, _, names in os.walk(source):\n    \
         to = os.path.join(target, os.path.relpath(folder, source))\n    os.makedirs(to, exist_ok=True)\n    \
         for name in names:\n        os.rename(os.path.join(folder, name), os.path.join(to, name))\n\
         dataiku.Folder('out').flush()\n{RUNNER_PEAK}"
    );
    let bindings = ["--input", &home.bind("in", "in/"), "--output", &home.bind("out", "out/")];
    let _ = run(&home, &format!("{files} files and one of {size} bytes"), &code, &bindings);
    for n in 0..files {
        assert_eq!(home.read_data(&format!("out/{}/{n}.txt", n % 100)), format!("file {n}"));
    }
    let mut large = BufReader::new(File::open(home.data("out/large.bin")).unwrap());
    assert_eq!(large.get_ref().metadata().unwrap().len(), size);
    for mark in marks {
        let mut text = String::new();
        large.seek(SeekFrom::Start(mark)).unwrap();
        io::Read::by_ref(&mut large).take(10).read_to_string(&mut text).unwrap();
        assert_eq!(text, format!("{mark:010}"));
    }
}
