//! Public plugins, unchanged, against what the same recipes gave outside of any container.
//!
//! The plugins aren't in this repository. `WHARF_TEST_PLUGINS` names a folder with one folder for each, and `EXAMPLES/NAME/` with:
//! - `recipe_ref.json`: `plugin` (its folder) and `recipe`;
//! - `bindings.json`: `inputs` and `outputs`, for each role a list of paths below the example; a path that ends in `/` is a folder;
//! - `params.json`, and `requirements.txt` for the code environment that it runs in;
//! - `expected/`: what each output must be. `unstable.json` lists files, folders (`x/`) and columns (`x.csv:column`) that are never the
//!   same twice, `unordered.json` tables whose rows have no order.
//!
//! Prints a table, which `WHARF_UPDATE=1` writes into `docs/public-plugins.md`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use wharf::message::InstalledPlugin;
use wharf_model::Cause;
use wharf_tests::{GROUP, Home, USER};

/// Where the table is.
const PAGE: &str = "../docs/public-plugins.md";
/// What stands before it.
const HEADER: &str = "\
# Public plugins

Recipes of public DSS plugins, not a line of them changed, run in containers. Each output is compared, value by value, with what the same
recipe gave outside of any container, with the same packages. Seconds are those of the whole run, image and code environment being
there. `cargo test --release --workspace --test plugins -- --ignored --nocapture public` makes this table from a folder of plugins and
examples (`WHARF_TEST_PLUGINS`; `tests/tests/plugins/public.rs` says what is in it).

";

#[derive(Deserialize)]
struct Reference {
    plugin: String,
    recipe: String,
}

#[derive(Deserialize)]
struct Bindings {
    #[serde(default)]
    inputs: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    outputs: BTreeMap<String, Vec<String>>,
}

fn read<T: DeserializeOwned>(file: &Path) -> Option<T> {
    Some(
        serde_json::from_str(&fs::read_to_string(file).ok()?)
            .unwrap_or_else(|error| panic!("{}: {error}", file.display())),
    )
}

#[test]
#[ignore = "needs docker (runs containers), an index of packages, and public plugins (WHARF_TEST_PLUGINS)"]
fn public_plugins_give_what_they_give_elsewhere() {
    let Some(folder) = std::env::var_os("WHARF_TEST_PLUGINS").map(PathBuf::from) else {
        println!("left out: WHARF_TEST_PLUGINS names no folder with public plugins");
        return;
    };
    let mut examples: Vec<PathBuf> =
        fs::read_dir(folder.join("EXAMPLES")).unwrap().map(|entry| entry.unwrap().path()).collect();
    examples.sort();
    let home = Home::demo();
    wharf_tests::trust(&home, "python-r");
    let mut table = String::from("| plugin | recipe | result | seconds |\n| --- | --- | --- | ---: |\n");
    let (mut good, mut all) = (0, 0);
    let mut asked = Vec::new();
    for example in examples {
        let Some(reference) = read::<Reference>(&example.join("recipe_ref.json")) else { continue };
        let started = Instant::now();
        let (result, seconds) = run(&home, &folder, &example, &reference, &mut asked);
        println!("{} {}: {result} ({:.1} s)", reference.plugin, reference.recipe, started.elapsed().as_secs_f64());
        let name = example.file_name().unwrap().to_string_lossy().into_owned();
        let variant = name.strip_prefix(&format!("{}.{}.", reference.plugin, reference.recipe));
        let variant = variant.map(|variant| format!(" ({variant})")).unwrap_or_default();
        let seconds = seconds.map(|seconds| format!("{seconds:.1}")).unwrap_or_default();
        writeln!(table, "| {} | {}{variant} | {result} | {seconds} |", reference.plugin, reference.recipe).unwrap();
        all += 1;
        good += usize::from(result.starts_with("equal"));
    }
    writeln!(table, "\n{good} of {all} gave what they give elsewhere.").unwrap();
    println!("{table}");
    if std::env::var_os("WHARF_UPDATE").is_some() {
        fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE), format!("{HEADER}{table}")).unwrap();
    }
    assert!(good > 0, "none of {all}");
}

/// Runs one example: what came of it, in words, and how long the run took.
fn run(
    home: &Home,
    plugins: &Path,
    example: &Path,
    reference: &Reference,
    asked: &mut Vec<String>,
) -> (String, Option<f64>) {
    let source = plugins.join(&reference.plugin).display().to_string();
    let installed = home.call(["--json", "plugin", "install", "--replace", &source]);
    let Ok(plugin) = serde_json::from_str::<InstalledPlugin>(&installed.stdout) else {
        return (format!("not installed: {}", fault(&installed.stdout)), None);
    };
    let environment = environment(home, example, asked);
    let bindings: Bindings = read(&example.join("bindings.json")).unwrap();
    let out = home.data("out");
    let _ = fs::remove_dir_all(&out);
    fs::create_dir(&out).unwrap();
    let mut arguments: Vec<String> =
        ["--json", "run", "--plugin", &plugin.name, "--recipe", &reference.recipe, "--user", USER, "--group", GROUP]
            .map(str::to_owned)
            .into();
    if let Some(environment) = environment {
        arguments.extend(["--code-env".to_owned(), environment]);
    }
    for (flag, roles, base) in [("--input", &bindings.inputs, example), ("--output", &bindings.outputs, out.as_path())]
    {
        for (role, paths) in roles {
            for path in paths {
                arguments.extend([flag.to_owned(), format!("{role}={}", base.join(path).display())]);
            }
        }
    }
    let parameters = example.join("params.json");
    if parameters.is_file() {
        arguments.extend(["--params".to_owned(), parameters.display().to_string()]);
    }
    let mut run = home.call(&arguments);
    // The first one may have built a code environment.
    if run.outcome().cause == Cause::Succeeded {
        let _ = fs::remove_dir_all(&out);
        fs::create_dir(&out).unwrap();
        let started = Instant::now();
        run = home.call(&arguments);
        let seconds = started.elapsed().as_secs_f64();
        if run.outcome().cause == Cause::Succeeded {
            return (differences(example, &out, &bindings), Some(seconds));
        }
    }
    let end = run.outcome();
    let said = run.log().into_iter().map(|(_, line)| line);
    let last = said.rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
    (format!("{:?}: {}; {last}", end.cause, end.sentence).replace(['\n', '|'], " "), None)
}

fn fault(stdout: &str) -> String {
    let answer: serde_json::Value = serde_json::from_str(stdout).unwrap_or_default();
    answer["fault"]["message"].as_str().unwrap_or("no answer").replace(['\n', '|'], " ")
}

/// A code environment with what the example asks for; examples that ask for the same share it. R's packages are the
/// distribution's, named in a comment.
fn environment(home: &Home, example: &Path, asked: &mut Vec<String>) -> Option<String> {
    let wanted = fs::read_to_string(example.join("requirements.txt")).ok().filter(|text| !text.trim().is_empty())?;
    let is_r = wanted.starts_with("# R");
    let r_packages: Vec<&str> = wanted.split_whitespace().filter(|word| word.starts_with("r-cran-")).collect();
    if is_r && r_packages.is_empty() {
        return None;
    }
    let at = asked.iter().position(|text| *text == wanted).unwrap_or(asked.len());
    let name = format!("example-{at}");
    if at == asked.len() {
        let language = if is_r {
            format!("language = \"r\"\npackages = {r_packages:?}\n")
        } else {
            "language = \"python\"\n".to_owned()
        };
        home.write(&format!("code-envs/{name}/env.toml"), language);
        if !is_r {
            home.write(&format!("code-envs/{name}/requirements.txt"), &wanted);
        }
        asked.push(wanted);
        // Without the limit that other calls have: R's packages come from afar. The run says what went wrong.
        let _ = home.command(["env", "build", &name]).output();
    }
    Some(name)
}

/// What the outputs are, in words: equal, or the first difference.
fn differences(example: &Path, out: &Path, bindings: &Bindings) -> String {
    let unstable: Vec<String> = read(&example.join("unstable.json")).unwrap_or_default();
    let unordered: Vec<String> = read(&example.join("unordered.json")).unwrap_or_default();
    let is_stable =
        |file: &str| !unstable.iter().any(|name| name == file || (name.ends_with('/') && file.starts_with(name)));
    let mut compared = 0;
    for path in bindings.outputs.values().flatten() {
        let (expected, given) = (example.join("expected").join(path), out.join(path));
        if path.ends_with('/') {
            for file in files(&expected, "") {
                let (one, other) = (fs::read(expected.join(&file)).unwrap(), fs::read(given.join(&file)));
                let Ok(other) = other else { return format!("different: {path}{file} isn't there") };
                if is_stable(&format!("{path}{file}")) && one != other && String::from_utf8(one).is_ok() {
                    return format!("different: {path}{file}");
                }
                compared += 1;
            }
            continue;
        }
        let Ok(expected) = fs::read_to_string(&expected) else { continue };
        let Ok(given) = fs::read_to_string(&given) else { return format!("different: {path} isn't there") };
        let (expected, given) =
            if unordered.contains(path) { (sorted(&expected), sorted(&given)) } else { (expected, given) };
        let left_out: Vec<&str> = unstable.iter().filter_map(|name| name.strip_prefix(&format!("{path}:"))).collect();
        if let Some(difference) = table_difference(&expected, &given, &left_out).filter(|_| is_stable(path)) {
            return format!("different: {path}, {difference}").replace('|', " ");
        }
        compared += 1;
    }
    if compared == 0 { "ran; nothing to compare with".to_owned() } else { "equal".to_owned() }
}

fn files(folder: &Path, below: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder.join(below)).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = if below.is_empty() { name } else { format!("{below}/{name}") };
        if entry.path().is_dir() { found.extend(files(folder, &path)) } else { found.push(path) }
    }
    found
}

/// A table with its rows in the order of their text, the header first.
fn sorted(text: &str) -> String {
    let (header, rows) = text.split_once('\n').unwrap_or((text, ""));
    let mut rows: Vec<&str> = rows.lines().collect();
    rows.sort_unstable();
    format!("{header}\n{}\n", rows.join("\n"))
}

/// The first cell that is another value; numbers may differ in what binary fractions can't say.
fn table_difference(expected: &str, given: &str, left_out: &[&str]) -> Option<String> {
    let (expected, given) = (rows(expected), rows(given));
    let header = expected.first().cloned().unwrap_or_default();
    for (at, (one, other)) in expected.iter().zip(&given).enumerate() {
        if one.len() != other.len() {
            return Some(format!("row {at} has {} cells and not {}", other.len(), one.len()));
        }
        for (column, (one, other)) in one.iter().zip(other).enumerate() {
            let counts = header.get(column).is_none_or(|name| !left_out.contains(&name.as_str()));
            if counts && !same(one, other) {
                return Some(format!("row {at}: `{other}` and not `{one}`"));
            }
        }
    }
    (expected.len() != given.len()).then(|| format!("{} rows and not {}", given.len(), expected.len()))
}

fn same(one: &str, other: &str) -> bool {
    if one == other || one.eq_ignore_ascii_case(other) {
        return true;
    }
    match (one.parse::<f64>(), other.parse::<f64>()) {
        (Ok(one), Ok(other)) => (one - other).abs() <= 1e-9 * one.abs().max(other.abs()).max(1.0),
        _ => instant(one).is_some_and(|instant_of_one| Some(instant_of_one) == instant(other)),
    }
}

/// A date in one spelling of several: `2024-01-31`, `2024-01-31T00:00:00.000Z`, `2024-01-31 00:00:00+00:00`.
fn instant(text: &str) -> Option<String> {
    let day = text.get(..10)?;
    let is_day = day.bytes().enumerate().all(|(at, c)| if at == 4 || at == 7 { c == b'-' } else { c.is_ascii_digit() });
    let time = text[10..].trim_start_matches(['T', ' ']).trim_end_matches('Z');
    let time = time.strip_suffix("+00:00").or_else(|| time.strip_suffix("+0000")).unwrap_or(time);
    let time = if time.contains('.') { time.trim_end_matches('0').trim_end_matches('.') } else { time };
    is_day.then(|| format!("{day} {}", if time.is_empty() { "00:00:00" } else { time }))
}

/// The cells of a CSV text.
fn rows(text: &str) -> Vec<Vec<String>> {
    let (mut rows, mut row, mut cell, mut quoted) = (Vec::new(), Vec::new(), String::new(), false);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                cell.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => row.push(std::mem::take(&mut cell)),
            '\r' if !quoted => {}
            '\n' if !quoted => {
                row.push(std::mem::take(&mut cell));
                rows.push(std::mem::take(&mut row));
            }
            c => cell.push(c),
        }
    }
    if !cell.is_empty() || !row.is_empty() {
        row.push(cell);
        rows.push(row);
    }
    rows
}
