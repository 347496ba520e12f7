//! Public plugins, unchanged, against what the same recipes gave outside of any container.
//!
//! The plugins aren't in this repository: `WHARF_TEST_PLUGINS` names a folder with one folder for each, named as in
//! `tests/plugins/public/sources.json`, which says where they are from. The examples are, in `tests/plugins/public`:
//! - `PLUGIN/RECIPE/` or `PLUGIN/RECIPE@VARIANT/` with `example.json` ([`Example`]), its inputs, and `expected/` with its outputs as
//!   `tests/plugins/shim/expect.py` made them, or with `failure.txt`, the last line of a recipe that fails by its own fault;
//! - `environments/NAME/` with `requirements.txt` for Python, or `packages.txt` with Debian's packages for R; and
//!   `system-packages.txt` with Debian's packages of the programs that a recipe calls, which `expect.py` finds installed;
//! - `left-out.json`: why a recipe, or all of a plugin (`*`), has no example.
//!
//! Prints a table, which `WHARF_UPDATE=1` writes into `docs/public-plugins.md`. `WHARF_TEST_ONLY` chooses plugins by the beginning of
//! their names; then nothing is written.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{Cursor, Read as _};
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use wharf::message::InstalledPlugin;
use wharf_model::Cause;
use wharf_tests::{GROUP, Home, USER};

/// Where the examples are.
const EXAMPLES: &str = "plugins/public";
/// Where the table is.
const PAGE: &str = "../docs/public-plugins.md";
/// What stands before it.
const HEADER: &str = "\
# Public plugins

Recipes of public DSS plugins, not a line of them changed, run in containers. Each output is compared, value by value, with what the same
recipe gave outside of any container, with the same packages, over a plain local shim (`tests/plugins/shim`: pandas and CSV files).
Seconds are those of the whole run, image and code environment being there. `cargo test --release --workspace --test plugins -- --ignored
--nocapture public` makes this table from a folder of plugins (`WHARF_TEST_PLUGINS`; `tests/tests/plugins/public.rs` says what is in
it) and the examples in `tests/plugins/public`. The plugins are those of `sources.json` there, each at the commit that it names.

A recipe that \"fails as outside\" ends in a container with the very error that it ends with outside of one: most of them were written
for Python 2. What a recipe that isn't available would need is in the table.

";

/// What a recipe is given. Paths are below the example; one that ends in `/` is a folder.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Example {
    /// By role.
    inputs: BTreeMap<String, Vec<String>>,
    /// By role; the files are in `expected/`.
    outputs: BTreeMap<String, Vec<String>>,
    parameters: serde_json::Map<String, serde_json::Value>,
    /// A folder of `environments`; without one, the plugin's own code environment.
    #[serde(default)]
    environment: Option<String>,
    #[serde(default)]
    project: Option<String>,
    /// Files, folders (`x/`) and columns (`x.csv:column`) that are never the same twice.
    #[serde(default)]
    unstable: Vec<String>,
    /// Tables whose rows have no order.
    #[serde(default)]
    unordered: Vec<String>,
}

/// An example and where it is from.
struct Case {
    folder: PathBuf,
    plugin: String,
    recipe: String,
    variant: Option<String>,
    example: Example,
}

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(EXAMPLES)
}

fn read<T: DeserializeOwned>(file: &Path) -> T {
    let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// Names of the folders in a folder, in order.
fn folders(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

fn cases() -> Vec<Case> {
    let mut found = Vec::new();
    for plugin in folders(&examples()).into_iter().filter(|name| name != "environments") {
        for name in folders(&examples().join(&plugin)) {
            let folder = examples().join(&plugin).join(&name);
            let (recipe, variant) =
                name.split_once('@').map_or((&*name, None), |(recipe, variant)| (recipe, Some(variant)));
            found.push(Case {
                example: read(&folder.join("example.json")),
                folder,
                plugin: plugin.clone(),
                recipe: recipe.to_owned(),
                variant: variant.map(str::to_owned),
            });
        }
    }
    found
}

/// Why recipes have no example: by plugin and recipe, `*` for all of a plugin.
fn left_out() -> BTreeMap<String, BTreeMap<String, String>> {
    read(&examples().join("left-out.json"))
}

#[test]
fn examples_are_whole() {
    let (cases, left_out) = (cases(), left_out());
    let sources: BTreeMap<String, serde_json::Value> = read(&examples().join("sources.json"));
    assert!(!cases.is_empty());
    for case in &cases {
        let name = case.folder.display();
        let example = &case.example;
        for path in example.inputs.values().flatten() {
            assert!(case.folder.join(path).exists(), "{name} has no input {path}");
        }
        let fails = case.folder.join("expected/failure.txt").is_file();
        for path in example.outputs.values().flatten() {
            assert!(fails || case.folder.join("expected").join(path).exists(), "{name} expects no output {path}");
        }
        if let Some(environment) = &example.environment {
            assert!(
                !files(&examples().join("environments"), environment).is_empty(),
                "{name}: no environment {environment}"
            );
        }
        assert!(sources.contains_key(&case.plugin), "sources.json doesn't say where {} is from", case.plugin);
        let reasons = left_out.get(&case.plugin);
        assert!(!reasons.is_some_and(|reasons| reasons.contains_key(&case.recipe)), "{name} is left out, too");
    }
    for plugin in left_out.keys() {
        assert!(sources.contains_key(plugin), "sources.json doesn't say where {plugin} is from");
    }
}

#[test]
#[ignore = "needs docker (runs containers), an index of packages, and public plugins (WHARF_TEST_PLUGINS)"]
fn public_plugins_give_what_they_give_elsewhere() {
    let Some(plugins) = std::env::var_os("WHARF_TEST_PLUGINS").map(PathBuf::from) else {
        println!("left out: WHARF_TEST_PLUGINS names no folder with public plugins");
        return;
    };
    let only = std::env::var("WHARF_TEST_ONLY").ok();
    let chosen = |plugin: &str| only.as_deref().is_none_or(|only| plugin.starts_with(only));
    let home = Home::demo();
    wharf_tests::trust(&home, "python-r");
    let mut table = Table::default();
    let mut built = Vec::new();
    for case in cases().iter().filter(|case| chosen(&case.plugin)) {
        let started = Instant::now();
        let (result, seconds) = run(&home, &plugins, case, &mut built);
        let variant = case.variant.as_ref().map(|variant| format!(" ({variant})")).unwrap_or_default();
        let name = format!("{}{variant}", case.recipe);
        println!("{} {name}: {result} ({:.1} s)", case.plugin, started.elapsed().as_secs_f64());
        table.add(&case.plugin, &case.recipe, name, result, seconds);
    }
    let left_out = left_out();
    for plugin in folders(&plugins).iter().filter(|plugin| chosen(plugin)) {
        for recipe in folders(&plugins.join(plugin).join("custom-recipes")) {
            let there = plugins.join(plugin).join("custom-recipes").join(&recipe).join("recipe.json").is_file();
            if there && !table.has(plugin, &recipe) {
                let reasons = left_out.get(plugin);
                let why = reasons.and_then(|reasons| reasons.get(&recipe).or_else(|| reasons.get("*")));
                let result = why.map_or_else(|| "no example".to_owned(), |why| format!("not available: {why}"));
                table.add(plugin, &recipe, recipe.clone(), result, None);
            }
        }
    }
    let text = table.text();
    println!("{text}");
    if std::env::var_os("WHARF_UPDATE").is_some() && only.is_none() {
        fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE), format!("{HEADER}{text}")).unwrap();
    }
    let bad = table.rows.values().flatten().filter(|row| !row.is_as_expected()).count();
    assert!(bad == 0 && table.count("equal") > 0, "{bad} examples didn't give what they give elsewhere");
}

/// The table of the page: rows by plugin and recipe.
#[derive(Default)]
struct Table {
    rows: BTreeMap<(String, String), Vec<Row>>,
}

struct Row {
    name: String,
    result: String,
    seconds: Option<f64>,
}

impl Row {
    fn is_as_expected(&self) -> bool {
        ["equal", "fails as outside", "not available", "no example"].iter().any(|word| self.result.starts_with(word))
    }
}

impl Table {
    fn add(&mut self, plugin: &str, recipe: &str, name: String, result: String, seconds: Option<f64>) {
        self.rows.entry((plugin.to_owned(), recipe.to_owned())).or_default().push(Row { name, result, seconds });
    }

    fn has(&self, plugin: &str, recipe: &str) -> bool {
        self.rows.contains_key(&(plugin.to_owned(), recipe.to_owned()))
    }

    /// How many recipes have only rows that begin so.
    fn count(&self, word: &str) -> usize {
        self.rows.values().filter(|rows| rows.iter().all(|row| row.result.starts_with(word))).count()
    }

    fn text(&self) -> String {
        let mut plugins: Vec<&str> = self.rows.keys().map(|(plugin, _)| plugin.as_str()).collect();
        plugins.dedup();
        let mut text = format!(
            "{} recipes of {} plugins: {} gave what they give outside, {} fail as outside, {} are not available.\n\n",
            self.rows.len(),
            plugins.len(),
            self.count("equal"),
            self.count("fails as outside"),
            self.count("not available"),
        );
        text.push_str("| plugin | recipe | result | seconds |\n| --- | --- | --- | ---: |\n");
        for ((plugin, _), rows) in &self.rows {
            for Row { name, result, seconds } in rows {
                let seconds = seconds.map(|seconds| format!("{seconds:.1}")).unwrap_or_default();
                writeln!(text, "| {plugin} | {name} | {result} | {seconds} |").unwrap();
            }
        }
        text
    }
}

/// Runs one example: what came of it, in words, and how long the run took.
fn run(home: &Home, plugins: &Path, case: &Case, built: &mut Vec<String>) -> (String, Option<f64>) {
    let source = plugins.join(&case.plugin).display().to_string();
    let installed = home.call(["--json", "plugin", "install", "--replace", &source]);
    let Ok(plugin) = serde_json::from_str::<InstalledPlugin>(&installed.stdout) else {
        return (format!("not installed: {}", fault(&installed.stdout)), None);
    };
    let example = &case.example;
    let out = home.data("out");
    let parameters = home.write_data("parameters.json", serde_json::to_string(&example.parameters).unwrap());
    let mut arguments: Vec<String> = [
        "--json",
        "run",
        "--plugin",
        &plugin.name,
        "--recipe",
        &case.recipe,
        "--user",
        USER,
        "--group",
        GROUP,
        "--params",
    ]
    .map(str::to_owned)
    .into();
    arguments.push(parameters.display().to_string());
    if let Some(environment) = &example.environment {
        build(home, environment, built);
        arguments.extend(["--code-env".to_owned(), environment.clone()]);
        if system_packages(environment).is_some() {
            arguments.extend(["--config".to_owned(), environment.clone()]);
        }
    }
    if let Some(project) = &example.project {
        arguments.extend(["--project".to_owned(), project.clone()]);
    }
    for (flag, roles, base) in
        [("--input", &example.inputs, case.folder.as_path()), ("--output", &example.outputs, out.as_path())]
    {
        for (role, paths) in roles {
            for path in paths {
                arguments.extend([flag.to_owned(), format!("{role}={}", base.join(path).display())]);
            }
        }
    }
    let failure = fs::read_to_string(case.folder.join("expected/failure.txt")).ok();
    let mut seconds = None;
    let mut end = None;
    // The first one has an image to make.
    for _ in 0..2 {
        let _ = fs::remove_dir_all(&out);
        fs::create_dir(&out).unwrap();
        let started = Instant::now();
        let run = home.call(&arguments);
        seconds = Some(started.elapsed().as_secs_f64());
        let succeeded = run.outcome().cause == Cause::Succeeded;
        end = Some(run);
        if !succeeded {
            break;
        }
    }
    let Some(run) = end else { return ("didn't run".to_owned(), None) };
    let outcome = run.outcome();
    if outcome.cause == Cause::Succeeded {
        return match failure {
            Some(failure) => (format!("different: succeeded, and outside it ends with {}", plain(&failure)), seconds),
            None => (differences(case, &out), seconds),
        };
    }
    let lines: Vec<String> =
        run.log().into_iter().map(|(_, line)| line).filter(|line| !line.trim().is_empty()).collect();
    if let Some(failure) = failure.filter(|failure| lines.iter().any(|line| line.trim() == failure.trim())) {
        return (format!("fails as outside: {}", plain(&failure)), seconds);
    }
    let last = lines.last().map_or("", String::as_str);
    (plain(&format!("{:?}: {}; {last}", outcome.cause, outcome.sentence)), None)
}

/// A text that fits into a table's cell.
fn plain(text: &str) -> String {
    text.trim().replace('\n', " ").replace('|', "\\|").replace('<', "&lt;")
}

fn fault(stdout: &str) -> String {
    let answer: serde_json::Value = serde_json::from_str(stdout).unwrap_or_default();
    answer["fault"]["message"].as_str().unwrap_or("no answer").replace(['\n', '|'], " ")
}

/// The packages of the programs that an environment's recipes call.
fn system_packages(environment: &str) -> Option<Vec<String>> {
    let listed = fs::read_to_string(examples().join("environments").join(environment).join("system-packages.txt"));
    Some(listed.ok()?.lines().map(str::to_owned).collect())
}

/// Makes a code environment of one in `environments`, once. One that needs programs gets a base image that has them, and a
/// configuration with that base image.
fn build(home: &Home, name: &str, built: &mut Vec<String>) {
    if built.iter().any(|other| other == name) {
        return;
    }
    built.push(name.to_owned());
    if let Some(packages) = system_packages(name) {
        let here = |file: &str| fs::read_to_string(home.path().join(file)).unwrap();
        let base = here("base-images/python-r.toml");
        home.write(&format!("base-images/{name}.toml"), format!("system_packages = {packages:?}\n{base}"));
        let configuration = here("configs/docker-local.toml").replace("\"python-r\"", &format!("{name:?}"));
        home.write(&format!("configs/{name}.toml"), configuration);
    }
    let folder = examples().join("environments").join(name);
    if let Ok(packages) = fs::read_to_string(folder.join("packages.txt")) {
        let packages: Vec<&str> = packages.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
        home.write(&format!("code-envs/{name}/env.toml"), format!("language = \"r\"\npackages = {packages:?}\n"));
    } else {
        home.write(&format!("code-envs/{name}/env.toml"), "language = \"python\"\n");
        let requirements = fs::read(folder.join("requirements.txt")).unwrap();
        home.write(&format!("code-envs/{name}/requirements.txt"), requirements);
    }
    // Without the limit that other calls have: packages come from afar. The run says what went wrong.
    let _ = home.command(["env", "build", name]).output();
}

/// What the outputs are, in words: equal, or the first difference.
fn differences(case: &Case, out: &Path) -> String {
    let Example { unstable, unordered, outputs, .. } = &case.example;
    let is_stable =
        |file: &str| !unstable.iter().any(|name| name == file || (name.ends_with('/') && file.starts_with(name)));
    for path in outputs.values().flatten() {
        let (expected, given) = (case.folder.join("expected").join(path), out.join(path));
        if path.ends_with('/') {
            let (wanted, found) = (files(&expected, ""), files(&given, ""));
            if !is_stable(path) {
                // Not even the names of its files.
                if wanted.len() != found.len() {
                    return format!("different: {} files in {path} and not {}", found.len(), wanted.len());
                }
                continue;
            }
            if let Some(file) = wanted.iter().find(|file| !found.contains(file)) {
                return format!("different: {path}{file} isn't there");
            }
            if let Some(file) = found.iter().find(|file| !wanted.contains(file)) {
                return format!("different: {path}{file} is there");
            }
            for file in wanted.iter().filter(|file| is_stable(&format!("{path}{file}"))) {
                if contents(&expected.join(file)) != contents(&given.join(file)) {
                    return format!("different: {path}{file}");
                }
            }
            continue;
        }
        let expected = fs::read_to_string(&expected).unwrap();
        let Ok(given) = fs::read_to_string(&given) else { return format!("different: {path} isn't there") };
        let (expected, given) =
            if unordered.contains(path) { (sorted(&expected), sorted(&given)) } else { (expected, given) };
        let left_out: Vec<&str> = unstable.iter().filter_map(|name| name.strip_prefix(&format!("{path}:"))).collect();
        if let Some(difference) = table_difference(&expected, &given, &left_out).filter(|_| is_stable(path)) {
            return plain(&format!("different: {path}, {difference}"));
        }
    }
    if outputs.is_empty() { "equal: it writes nothing".to_owned() } else { "equal".to_owned() }
}

/// What is in a file. A workbook is an archive with the time of its making in it: of that, its parts.
fn contents(file: &Path) -> BTreeMap<String, Vec<u8>> {
    let bytes = fs::read(file).unwrap_or_default();
    let mut parts = BTreeMap::new();
    if file.extension().is_some_and(|extension| extension == "xlsx") {
        let mut archive = zip::ZipArchive::new(Cursor::new(&bytes)).unwrap();
        for at in 0..archive.len() {
            let mut part = archive.by_index(at).unwrap();
            let mut inside = Vec::new();
            part.read_to_end(&mut inside).unwrap();
            let name = part.name().unwrap().into_owned();
            if name != "docProps/core.xml" {
                parts.insert(name, inside);
            }
        }
        return parts;
    }
    parts.insert(String::new(), bytes);
    parts
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
