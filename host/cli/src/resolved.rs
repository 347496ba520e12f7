//! What the arguments mean: a home, a requester, an activity.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use wharf::settings::{Direction, Home, binding, load_task, resource_argument, role_binding, secret_argument};
use wharf_model::{Activity, ActivityKind, Binding, Fault, Identity, Resources};

use crate::arguments::{ActivityArguments, MlWork};
use crate::identity::login;

/// The home that is meant, which need not be there yet.
pub(crate) fn home(argument: Option<&Path>) -> Result<Home, Fault> {
    if let Some(home) = given(argument) {
        return Ok(home);
    }
    let here = current_folder()?;
    if let Some(home) = here.ancestors().map(Home::at).find(|home| home.site_file().is_file()) {
        return Ok(home);
    }
    own_home().map(Home::at)
}

/// The home that `init` makes: never one that happens to be above the current folder.
pub(crate) fn new_home(argument: Option<&Path>) -> Result<Home, Fault> {
    given(argument).map_or_else(|| own_home().map(Home::at), Ok)
}

/// The home that is meant, which must be there.
pub(crate) fn existing_home(argument: Option<&Path>) -> Result<Home, Fault> {
    let home = home(argument)?;
    // Where one was named, the library's own error says all; where none was, it is worth saying where it was looked for.
    if given(argument).is_none() && !home.site_file().is_file() {
        let message = format!("no wharf.toml in this folder or above it, and no home at {}", home.root().display());
        return Err(Fault::new("home-not-found", message).hint(
            "name one with --home DIR or WHARF_HOME, or make one: wharf init --home DIR (with --demo, to try things)",
        ));
    }
    home.check_exists().map(|()| home)
}

/// The home that the argument or the variable names.
fn given(argument: Option<&Path>) -> Option<Home> {
    named(argument, env::var_os("WHARF_HOME"))
}

/// A variable that is empty names nothing.
fn named(argument: Option<&Path>, variable: Option<OsString>) -> Option<Home> {
    argument.map(Home::at).or_else(|| variable.filter(|path| !path.is_empty()).map(Home::at))
}

fn own_home() -> Result<PathBuf, Fault> {
    env::home_dir().filter(|home| !home.as_os_str().is_empty()).map(|home| home.join(".wharf")).ok_or_else(|| {
        Fault::new("home-not-found", "this user has no home folder, so there is no ~/.wharf")
            .hint("name the home with --home DIR or WHARF_HOME")
    })
}

/// The folder that relative paths start from.
fn current_folder() -> Result<PathBuf, Fault> {
    env::current_dir().map_err(|error| {
        Fault::new("usage", format!("the current folder can't be found: {error}"))
            .hint("change to a folder that exists")
    })
}

/// Who asks.
pub(crate) fn requester(user: Option<&str>, groups: &[String]) -> Result<Identity, Fault> {
    let user = user.map_or_else(login, str::to_owned);
    if user.trim().is_empty() || groups.iter().any(|group| group.trim().is_empty()) {
        return Err(Fault::new("usage", "a user or a group has an empty name").hint("name it, or leave the flag out"));
    }
    Ok(Identity { user, groups: groups.to_vec() })
}

/// What to run: the file's activity with what flags say instead.
pub(crate) fn activity(home: &Home, file: Option<&Path>, flags: &ActivityArguments) -> Result<Activity, Fault> {
    let requester = requester(flags.user.as_deref(), &flags.group)?;
    let mut activity = match file {
        Some(file) => home.load_activity(file, requester)?,
        None if flags.python.is_none() && flags.r.is_none() && flags.plugin.is_none() && flags.ml.is_none() => {
            return Err(Fault::new("usage", "there is nothing to run")
                .hint("give an activity file, --python FILE, --r FILE, --plugin PLUGIN --recipe NAME, or --ml train --task FILE"));
        }
        None => bare(requester),
    };
    apply(&mut activity, flags, &current_folder()?)?;
    Ok(activity)
}

/// The activity of `wharf config test`.
pub(crate) fn test_activity(configuration: &str, requester: Identity) -> Activity {
    Activity { kind: ActivityKind::Test, configuration: Some(configuration.to_owned()), ..bare(requester) }
}

fn bare(requester: Identity) -> Activity {
    Activity {
        kind: ActivityKind::Python,
        requester,
        project: None,
        configuration: None,
        code_env: None,
        code: None,
        code_name: None,
        plugin: None,
        recipe: None,
        parameters: serde_json::Map::new(),
        inputs: Vec::new(),
        outputs: Vec::new(),
        resources: Resources::new(),
        priority: 0,
        time_limit: None,
        variables: BTreeMap::new(),
        secrets: BTreeMap::new(),
        labels: BTreeMap::new(),
    }
}

fn apply(activity: &mut Activity, flags: &ActivityArguments, base: &Path) -> Result<(), Fault> {
    let code = flags.python.as_deref().map(|file| (ActivityKind::Python, file));
    if let Some((kind, file)) = code.or(flags.r.as_deref().map(|file| (ActivityKind::R, file))) {
        let text = std::fs::read_to_string(file).map_err(|error| {
            Fault::new("usage", format!("the recipe {} can't be read: {error}", file.display()))
                .hint("name a file with the recipe's code, in UTF-8")
        })?;
        if text.trim().is_empty() {
            return Err(Fault::new("usage", format!("the recipe {} has nothing to run in it", file.display())));
        }
        activity.kind = kind;
        activity.code = Some(text);
        activity.code_name = file.file_name().map(|name| name.to_string_lossy().into_owned());
        (activity.plugin, activity.recipe) = (None, None);
    }
    if let (Some(plugin), Some(recipe)) = (&flags.plugin, &flags.recipe) {
        activity.kind = ActivityKind::Plugin;
        (activity.code, activity.code_name) = (None, None);
        activity.plugin = Some(plugin.clone());
        activity.recipe = Some(recipe.clone());
    }
    if let Some(work) = flags.ml {
        activity.kind = match work {
            MlWork::Train => ActivityKind::MlTrain,
            MlWork::Retrain => ActivityKind::MlRetrain,
            MlWork::Score => ActivityKind::MlScore,
        };
        (activity.code, activity.code_name) = (None, None);
        (activity.plugin, activity.recipe) = (None, None);
    }
    if let Some(file) = &flags.params {
        activity.parameters = parameters(file)?;
    }
    if let Some(file) = &flags.task {
        activity.parameters = load_task(&base.join(file))?;
    }
    for argument in &flags.param {
        let (name, value) = pair("parameter", argument)?;
        activity.parameters.insert(name, parameter(value));
    }
    if let Some(code_env) = &flags.code_env {
        activity.code_env = Some(code_env.clone());
    }
    if let Some(configuration) = &flags.config {
        activity.configuration = Some(configuration.clone());
    }
    if let Some(project) = &flags.project {
        activity.project = Some(project.clone());
    }
    if let Some(priority) = flags.priority {
        activity.priority = priority;
    }
    if let Some(timeout) = flags.timeout {
        activity.time_limit = Some(timeout.seconds());
    }
    for argument in &flags.input {
        let bound = bound(Direction::Input, activity.kind, argument, base)?;
        put(&mut activity.inputs, bound);
    }
    for argument in &flags.output {
        let bound = bound(Direction::Output, activity.kind, argument, base)?;
        put(&mut activity.outputs, bound);
    }
    check_places(activity)?;
    for argument in &flags.resource {
        let (key, quantity) = resource_argument(argument)?;
        activity.resources.insert(key, quantity);
    }
    for argument in &flags.variable {
        let (key, value) = pair("variable", argument)?;
        activity.variables.insert(key, value);
    }
    for argument in &flags.secret {
        let (variable, name) = secret_argument(argument)?;
        activity.secrets.insert(variable, name);
    }
    for argument in &flags.label {
        let (key, value) = pair("label", argument)?;
        if key == "wharf" || key.starts_with("wharf.") {
            return Err(Fault::new("usage", format!("the label `{key}` is wharf's own"))
                .hint("labels that begin with `wharf.` say which home and which run an object belongs to; choose another name"));
        }
        activity.labels.insert(key, value);
    }
    Ok(())
}

/// The parameters of a file.
fn parameters(file: &Path) -> Result<serde_json::Map<String, serde_json::Value>, Fault> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| Fault::new("usage", format!("the parameters in {} can't be read: {error}", file.display())))?;
    serde_json::from_str(&text).map_err(|error| {
        Fault::new("usage", format!("the parameters aren't a JSON object: {error}"))
            .at(file, u32::try_from(error.line()).ok())
    })
}

/// A text as it is, since only the recipe's declaration says what it means; JSON where it can't be but that.
fn parameter(value: String) -> serde_json::Value {
    let structured = value.starts_with(['{', '[']).then(|| serde_json::from_str(&value).ok()).flatten();
    structured.unwrap_or(serde_json::Value::String(value))
}

fn bound(direction: Direction, kind: ActivityKind, argument: &str, base: &Path) -> Result<Binding, Fault> {
    let word = if direction == Direction::Input { "input" } else { "output" };
    let (name, path) = pair(word, argument)?;
    if kind.has_roles() {
        let (role, name) = name.split_once(':').map_or((name.as_str(), None), |(role, name)| (role, Some(name)));
        return role_binding(direction, role, name, &path, base);
    }
    binding(direction, &name, &path, base)
}

/// A binding of a name that is there already takes its place.
fn put(bindings: &mut Vec<Binding>, binding: Binding) {
    match bindings.iter_mut().find(|other| other.name == binding.name) {
        Some(other) => *other = binding,
        None => bindings.push(binding),
    }
}

/// Nothing is written twice, and nothing that is read is written.
fn check_places(activity: &Activity) -> Result<(), Fault> {
    for (at, output) in activity.outputs.iter().enumerate() {
        let others = activity.inputs.iter().chain(&activity.outputs[..at]);
        for other in others {
            if other.name == output.name || other.place == output.place {
                return Err(Fault::new(
                    "usage",
                    format!("`{}` and `{}` are the same, and one of them is written", other.name, output.name),
                )
                .hint("give each output a name and a path of its own"));
            }
        }
    }
    Ok(())
}

fn pair(what: &str, argument: &str) -> Result<(String, String), Fault> {
    match argument.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(Fault::new("usage", format!("the {what} \"{argument}\" isn't of the form NAME=VALUE"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wharf_model::{BindingKind, Quantity};

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.csv"), "x\n1\n").unwrap();
        std::fs::write(folder.path().join("b.csv"), "x\n2\n").unwrap();
        std::fs::write(folder.path().join("recipe.py"), "print(1)\n").unwrap();
        std::fs::write(
            folder.path().join("activity.toml"),
            "kind = \"python\"\nscript = \"print(0)\"\nconfiguration = \"one\"\n[inputs]\ndata = \"a.csv\"\n[outputs]\nout = \"o.csv\"\n",
        )
        .unwrap();
        folder
    }

    fn ana() -> ActivityArguments {
        ActivityArguments { user: Some("ana".to_owned()), group: vec!["analysts".to_owned()], ..Default::default() }
    }

    #[test]
    fn flags_go_before_the_file() {
        let folder = folder();
        let at = |name: &str| folder.path().join(name).display().to_string();
        let flags = ActivityArguments {
            config: Some("two".to_owned()),
            python: Some(folder.path().join("recipe.py")),
            input: vec![format!("data={}", at("b.csv")), format!("files={}/", at(""))],
            resource: vec!["memory=4g".to_owned()],
            timeout: Some("30m".parse().unwrap()),
            variable: vec!["a=b=c".to_owned()],
            secret: vec!["TOKEN=warehouse".to_owned()],
            label: vec!["team=x".to_owned()],
            ..ana()
        };
        let activity = activity(&Home::at(folder.path()), Some(&folder.path().join("activity.toml")), &flags).unwrap();
        assert_eq!(activity.requester, Identity { user: "ana".to_owned(), groups: vec!["analysts".to_owned()] });
        assert_eq!(activity.configuration.as_deref(), Some("two"));
        assert_eq!(activity.code.as_deref(), Some("print(1)\n"));
        assert_eq!(activity.code_name.as_deref(), Some("recipe.py"));
        assert_eq!(activity.inputs.len(), 2);
        assert_eq!(activity.inputs[0].place.path, folder.path().join("b.csv"));
        assert_eq!(activity.inputs[1].kind, BindingKind::Folder);
        assert_eq!(activity.outputs[0].place.path, folder.path().join("o.csv"));
        assert_eq!(activity.resources.get("memory"), Some(&Quantity::Bytes(4 << 30)));
        assert_eq!(activity.time_limit, Some(1_800));
        assert_eq!(activity.variables.get("a").map(String::as_str), Some("b=c"));
        assert_eq!(activity.secrets.get("TOKEN").map(String::as_str), Some("warehouse"));
    }

    #[test]
    fn a_plugins_recipe_has_roles_and_parameters() {
        let folder = folder();
        let at = |name: &str| folder.path().join(name).display().to_string();
        std::fs::write(folder.path().join("p.json"), r#"{"distance": 3, "unit": "km"}"#).unwrap();
        let flags = ActivityArguments {
            plugin: Some("geo".to_owned()),
            recipe: Some("buffer".to_owned()),
            input: vec![format!("places={}", at("a.csv")), format!("places:more={}", at("b.csv"))],
            output: vec![format!("areas={}", at("o.csv"))],
            params: Some(folder.path().join("p.json")),
            param: vec!["unit=m".to_owned(), "columns=[\"x\"]".to_owned(), "text={x".to_owned()],
            ..ana()
        };
        let activity = activity(&Home::at(folder.path()), None, &flags).unwrap();
        assert_eq!(activity.kind, ActivityKind::Plugin);
        assert_eq!((activity.plugin.as_deref(), activity.recipe.as_deref()), (Some("geo"), Some("buffer")));
        let inputs: Vec<_> = activity.inputs.iter().map(|b| (b.role.as_str(), b.name.as_str())).collect();
        assert_eq!(inputs, [("places", "a"), ("places", "more")]);
        assert_eq!((activity.outputs[0].role.as_str(), activity.outputs[0].name.as_str()), ("areas", "o"));
        let expected = serde_json::json!({ "distance": 3, "unit": "m", "columns": ["x"], "text": "{x" });
        assert_eq!(serde_json::Value::Object(activity.parameters), expected);
    }

    #[test]
    fn nothing_to_run_is_a_usage_error() {
        let fault = activity(&Home::at("/nowhere"), None, &ana()).unwrap_err();
        assert_eq!((fault.code.as_str(), fault.message.as_str()), ("usage", "there is nothing to run"));
    }

    #[test]
    fn bad_flags_name_what_is_wrong() {
        let folder = folder();
        let recipe = Some(folder.path().join("recipe.py"));
        let csv = folder.path().join("a.csv").display().to_string();
        let check = |change: fn(&mut ActivityArguments, &str), word: &str| {
            let mut flags = ActivityArguments { python: recipe.clone(), ..ana() };
            change(&mut flags, &csv);
            let fault = activity(&Home::at(folder.path()), None, &flags).unwrap_err();
            assert!(fault.message.contains(word), "{fault:?}");
            assert_eq!(crate::exit_code::of_fault(&fault), crate::exit_code::USAGE, "{fault:?}");
        };
        check(|flags, _| flags.input.push("data".to_owned()), "\"data\"");
        check(|flags, _| flags.input.push("data=missing.csv".to_owned()), "isn't there");
        check(|flags, _| flags.output.push("data=out.xlsx".to_owned()), "neither a dataset nor a folder");
        check(|flags, _| flags.resource.push("memmory=4g".to_owned()), "did you mean `memory`?");
        check(|flags, _| flags.label.push("wharf.run=x".to_owned()), "wharf's own");
        check(|flags, _| flags.secret.push("TOKEN".to_owned()), "VARIABLE=NAME");
        check(|flags, _| flags.user = Some(String::new()), "empty name");
        check(
            |flags, csv| {
                flags.input.push(format!("in={csv}"));
                flags.output.push(format!("out={csv}"));
            },
            "the same",
        );
        check(|flags, _| flags.python = Some("missing.py".into()), "can't be read");
    }

    #[test]
    fn the_argument_goes_before_the_variable() {
        let root = |argument: Option<&str>, variable: Option<&str>| {
            named(argument.map(Path::new), variable.map(OsString::from)).map(|home| home.root().display().to_string())
        };
        assert_eq!(root(Some("/a"), Some("/b")).as_deref(), Some("/a"));
        assert_eq!(root(None, Some("/b")).as_deref(), Some("/b"));
        assert_eq!(root(None, Some("")), None);
    }
}
