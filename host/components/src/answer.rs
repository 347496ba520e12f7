//! What components answered, checked and in the host's types.
//!
//! Nothing of a component is believed: every text, key, path and amount is checked here, and an error names the field.

use wharf_model::decision::{Limit, Reason, WhenFull};
use wharf_model::image::{CONSTRAINTS, ContextFile, ImageRecipe, ImageSpec, Language, REQUIREMENTS, Step};
use wharf_model::plan::{Change, Edit};
use wharf_model::quantity::{DOCKER_KEYS, Quantity, Unit};
use wharf_model::{BindingKind, Plugin, PluginNote, PluginRecipe, RecipeParameter, RecipeRole};

use crate::bindings::{image_recipe_generation as image, policy_evaluation as policy, recipe_adaptation, types};
use crate::call_error::{CallError, cut};

type Checked<T> = Result<T, CallError>;

/// The most entries in any list of an answer.
const MAX_ENTRIES: usize = 2_000;
/// The most sentences of a refusal that are shown.
const MAX_PROBLEMS: usize = 50;
/// The longest time limit: ten years.
const MAX_SECONDS: u64 = 10 * 366 * 24 * 60 * 60;
/// The most bytes and the most billionths of a CPU that engines can be told: they count with a sign.
const MAX_AMOUNT: u64 = i64::MAX as u64;
/// The longest name, key or path.
const MAX_NAME: usize = 1_024;

pub(crate) fn reasons(reasons: Vec<types::Reason>) -> Checked<Vec<Reason>> {
    if reasons.is_empty() {
        return Err(CallError::invalid("reasons", "a refusal needs at least one"));
    }
    list("reasons", reasons, |at, reason| {
        Ok(Reason {
            rule: rule(&format!("{at}.rule"), reason.rule)?,
            message: sentence(&format!("{at}.message"), &reason.message)?,
            field: reason.field.map(|field| name(&format!("{at}.field"), field)).transpose()?,
        })
    })
}

pub(crate) fn limits(limits: Vec<types::Limit>) -> Checked<Vec<Limit>> {
    list("limits", limits, |at, limit| {
        if !["running", "cpus", "memory", "gpus"].contains(&limit.counter.as_str()) {
            return Err(CallError::invalid(
                format!("{at}.counter"),
                format!("\"{}\" isn't counted; running, cpus, memory and gpus are", cut(&limit.counter)),
            ));
        }
        Ok(Limit {
            scope: name(&format!("{at}.scope"), limit.scope)?,
            counter: limit.counter,
            maximum: limit.maximum,
            when_full: match limit.when_full {
                types::WhenFull::Wait => WhenFull::Wait,
                types::WhenFull::Reject => WhenFull::Reject,
            },
        })
    })
}

pub(crate) fn warnings(warnings: Vec<String>) -> Checked<Vec<String>> {
    list("warnings", warnings, |at, warning| sentence(at, &warning))
}

pub(crate) fn changes(changes: Vec<policy::Change>) -> Checked<Vec<Change>> {
    list("changes", changes, |at, change| {
        Ok(Change {
            edit: edit(&format!("{at}.edit"), change.edit)?,
            rule: rule(&format!("{at}.rule"), change.rule)?,
            reason: sentence(&format!("{at}.reason"), &change.reason)?,
        })
    })
}

fn edit(at: &str, edit: policy::Edit) -> Checked<Edit> {
    use policy::Edit as Asked;
    Ok(match edit {
        Asked::SetResource(resource) => {
            let at = format!("{at}.set-resource");
            let unit = resource_unit(&format!("{at}.key"), &resource.key)?;
            let value = quantity(&format!("{at}.value"), &resource.key, unit, resource.value)?;
            Edit::SetResource(resource.key, value)
        }
        Asked::RemoveResource(key) => {
            resource_unit(&format!("{at}.remove-resource"), &key)?;
            Edit::RemoveResource(key)
        }
        Asked::SetEnv(pair) => {
            let (key, value) = variable(&format!("{at}.set-env"), pair)?;
            Edit::SetEnv(key, value)
        }
        Asked::RemoveEnv(key) => Edit::RemoveEnv(variable_name(&format!("{at}.remove-env"), key)?),
        Asked::SetLabel(pair) => {
            let (key, value) = label(&format!("{at}.set-label"), pair)?;
            Edit::SetLabel(key, value)
        }
        Asked::RemoveLabel(key) => Edit::RemoveLabel(label_name(&format!("{at}.remove-label"), key)?),
        Asked::SetTimeLimit(Some(0)) => {
            return Err(CallError::invalid(format!("{at}.set-time-limit"), "no run ends in 0 seconds"));
        }
        Asked::SetTimeLimit(Some(seconds)) if seconds > MAX_SECONDS => {
            let problem = format!("{seconds} seconds is more than ten years; none is no limit");
            return Err(CallError::invalid(format!("{at}.set-time-limit"), problem));
        }
        Asked::SetTimeLimit(seconds) => Edit::SetTimeLimit(seconds),
        Asked::SetUser(user) => Edit::SetUser(user_and_group(&format!("{at}.set-user"), user)?),
        Asked::SetPrivileged(on) => Edit::SetPrivileged(on),
        Asked::SetNoNewPrivileges(on) => Edit::SetNoNewPrivileges(on),
        Asked::SetReadOnlyRoot(on) => Edit::SetReadOnlyRoot(on),
        Asked::SetDropCapabilities(names) => {
            Edit::SetDropCapabilities(list(&format!("{at}.set-drop-capabilities"), names, capability)?)
        }
        Asked::SetAddCapabilities(names) => {
            Edit::SetAddCapabilities(list(&format!("{at}.set-add-capabilities"), names, capability)?)
        }
        Asked::SetHostMounts(mounts) => Edit::SetHostMounts(list(&format!("{at}.set-host-mounts"), mounts, mount)?),
        Asked::SetNetwork(network) => Edit::SetNetwork(word(&format!("{at}.set-network"), network, ":")?),
        Asked::SetBaseImage(image) => Edit::SetBaseImage(word(&format!("{at}.set-base-image"), image, "")?),
        Asked::AddSystemPackage(package) => {
            Edit::AddSystemPackage(word(&format!("{at}.add-system-package"), package, "+:=~")?)
        }
        Asked::SetParameter(pair) => {
            let at = format!("{at}.set-parameter");
            let value = serde_json::from_str(&pair.value)
                .map_err(|error| CallError::invalid(format!("{at}.value"), format!("it isn't JSON: {error}")))?;
            Edit::SetParameter(name(&format!("{at}.key"), pair.key)?, value)
        }
        Asked::RemoveParameter(key) => Edit::RemoveParameter(name(&format!("{at}.remove-parameter"), key)?),
        Asked::SetExecutionConfiguration(name) => {
            Edit::SetExecutionConfiguration(word(&format!("{at}.set-execution-configuration"), name, "")?)
        }
    })
}

/// The unit of a resource key; for Kubernetes' keys, which the host doesn't know one by one, none.
fn resource_unit(at: &str, key: &str) -> Checked<Option<Unit>> {
    if let Some((_, unit)) = DOCKER_KEYS.iter().find(|(known, _)| *known == key) {
        return Ok(Some(*unit));
    }
    let kubernetes = key.strip_prefix("requests.").or_else(|| key.strip_prefix("limits."));
    match kubernetes {
        Some(rest) => word(at, rest.to_owned(), "/").map(|_| None),
        None => Err(CallError::invalid(at, format!("no resource key is called \"{}\"", cut(key)))),
    }
}

fn quantity(at: &str, key: &str, unit: Option<Unit>, quantity: types::Quantity) -> Checked<Quantity> {
    let quantity = match quantity {
        types::Quantity::Bytes(bytes) => Quantity::Bytes(bytes),
        types::Quantity::Cpus(cpus) => Quantity::Cpus(cpus),
        types::Quantity::Count(count) => Quantity::Count(count),
        types::Quantity::Text(text) => Quantity::Text(name(at, text)?),
        types::Quantity::Texts(texts) => Quantity::Texts(list(at, texts, name)?),
    };
    let (fits, expected) = match (unit, &quantity) {
        (None, _) => (true, ""),
        (Some(Unit::Bytes), Quantity::Count(-1)) if key == "memory-swap" => (true, ""),
        (Some(Unit::Bytes), found) => (matches!(found, Quantity::Bytes(_)), "bytes"),
        (Some(Unit::Cpus), found) => (matches!(found, Quantity::Cpus(1..)), "cpus, more than none"),
        (Some(Unit::Count), found) => (matches!(found, Quantity::Count(_)), "a count"),
        (Some(Unit::Text), found) => (matches!(found, Quantity::Text(_)), "a text"),
        (Some(Unit::Texts), found) => {
            (matches!(found, Quantity::Texts(texts) if !texts.is_empty()), "texts, at least one")
        }
    };
    if let Quantity::Bytes(amount) | Quantity::Cpus(amount) = quantity
        && amount > MAX_AMOUNT
    {
        return Err(CallError::invalid(at, format!("`{key}` is {amount}, more than any engine can be told")));
    }
    if fits { Ok(quantity) } else { Err(CallError::invalid(at, format!("`{key}` takes {expected}"))) }
}

pub(crate) fn variables(at: &str, pairs: Vec<types::KeyValue>) -> Checked<Vec<(String, String)>> {
    list(at, pairs, variable)
}

pub(crate) fn languages(at: &str, languages: Vec<types::Language>) -> Checked<Vec<Language>> {
    list(at, languages, |at, language| {
        Ok(Language {
            name: word(&format!("{at}.name"), language.name, "")?,
            version: language.version.map(|version| name(&format!("{at}.version"), version)).transpose()?,
            packages: list(&format!("{at}.packages"), language.packages, name)?,
        })
    })
}

/// All that is wrong with an activity, as one text.
pub(crate) fn problems(problems: &[String]) -> Checked<String> {
    match problems {
        [] => Err(CallError::invalid("problems", "a refusal needs at least one")),
        [one] => Ok(cut(one.trim())),
        _ => {
            let shown: Vec<String> = problems.iter().take(MAX_PROBLEMS).map(|problem| cut(problem.trim())).collect();
            let more = match problems.len() - shown.len() {
                0 => String::new(),
                more => format!("; and {more} more"),
            };
            Ok(format!("{} things are wrong: {}{more}", problems.len(), shown.join("; ")))
        }
    }
}

/// A JSON object.
pub(crate) fn object(at: &str, json: &str) -> Checked<serde_json::Map<String, serde_json::Value>> {
    serde_json::from_str(json).map_err(|error| CallError::invalid(at, format!("it isn't a JSON object: {error}")))
}

/// What is installed by its name: it must not be read as an option there.
pub(crate) fn package(at: &str, package: String) -> Checked<String> {
    let package = name(at, package)?;
    if package.starts_with('-') || package.trim().is_empty() {
        return Err(CallError::invalid(at, format!("\"{package}\" can't be the name of a package")));
    }
    Ok(package)
}

pub(crate) fn plugin(plugin: recipe_adaptation::Plugin) -> Checked<Plugin> {
    Ok(Plugin {
        id: name("id", plugin.id)?,
        version: plugin.version.map(|version| name("version", version)).transpose()?,
        label: cut(&plugin.label),
        description: cut(&plugin.description),
        recipes: list("recipes", plugin.recipes, plugin_recipe)?,
        faults: list("faults", plugin.faults, plugin_note)?,
        unknown: list("unknown", plugin.unknown, plugin_note)?,
    })
}

fn plugin_note(at: &str, note: recipe_adaptation::PluginNote) -> Checked<PluginNote> {
    Ok(PluginNote {
        file: name(&format!("{at}.file"), note.file)?,
        line: note.line,
        message: sentence(&format!("{at}.message"), &note.message)?,
    })
}

fn plugin_recipe(at: &str, recipe: recipe_adaptation::PluginRecipe) -> Checked<PluginRecipe> {
    Ok(PluginRecipe {
        name: name(&format!("{at}.name"), recipe.name)?,
        label: cut(&recipe.label),
        description: cut(&recipe.description),
        language: name(&format!("{at}.language"), recipe.language)?,
        inputs: list(&format!("{at}.inputs"), recipe.inputs, role)?,
        outputs: list(&format!("{at}.outputs"), recipe.outputs, role)?,
        parameters: list(&format!("{at}.parameters"), recipe.parameters, |at, parameter| {
            let default = parameter.default.map(|json| {
                serde_json::from_str(&json)
                    .map_err(|error| CallError::invalid(format!("{at}.default"), format!("it isn't JSON: {error}")))
            });
            Ok(RecipeParameter {
                name: name(&format!("{at}.name"), parameter.name)?,
                label: cut(&parameter.label),
                kind: name(&format!("{at}.kind"), parameter.kind)?,
                required: parameter.required,
                default: default.transpose()?,
                choices: list(&format!("{at}.choices"), parameter.choices, |_, choice| Ok(cut(&choice)))?,
                secret: parameter.secret,
            })
        })?,
    })
}

fn role(at: &str, role: recipe_adaptation::RecipeRole) -> Checked<RecipeRole> {
    Ok(RecipeRole {
        name: name(&format!("{at}.name"), role.name)?,
        label: cut(&role.label),
        required: role.required,
        many: role.many,
        accepts: role
            .accepts
            .into_iter()
            .map(|kind| match kind {
                types::BindingKind::Dataset => BindingKind::Dataset,
                types::BindingKind::Folder => BindingKind::Folder,
            })
            .collect(),
    })
}

pub(crate) fn image_recipe(recipe: image::ImageRecipe, spec: &ImageSpec) -> Checked<ImageRecipe> {
    recipe_with(recipe, &spec.extra_ca, &[])
}

/// A code environment's steps: those may copy its own files, too.
pub(crate) fn environment_recipe(recipe: image::ImageRecipe, base: &ImageSpec) -> Checked<ImageRecipe> {
    let recipe = recipe_with(recipe, &base.extra_ca, &[REQUIREMENTS, CONSTRAINTS])?;
    if !recipe.bootstrap_packages.is_empty() {
        let problem = "a code environment is made over a base image that is there already";
        return Err(CallError::invalid("bootstrap-packages", problem));
    }
    Ok(recipe)
}

/// Checks a recipe whose build context has these certificates and files already.
fn recipe_with(recipe: image::ImageRecipe, extra_ca: &[ContextFile], given: &[&str]) -> Checked<ImageRecipe> {
    let files = list("files", recipe.files, |at, file| {
        Ok(ContextFile { name: file_name(&format!("{at}.name"), file.name)?, contents: file.contents })
    })?;
    for (number, file) in files.iter().enumerate() {
        let taken = files[..number].iter().chain(extra_ca).any(|other| other.name == file.name);
        if taken || given.contains(&file.name.as_str()) {
            let at = format!("files[{number}].name");
            return Err(CallError::invalid(at, format!("there is another file called \"{}\"", file.name)));
        }
    }
    let present = |name: &str| given.contains(&name) || files.iter().chain(extra_ca).any(|file| file.name == name);
    let steps = list("steps", recipe.steps, |at, step| {
        Ok(match step {
            image::Step::Run(run) => Step::Run {
                title: sentence(&format!("{at}.run.title"), &run.title)?,
                script: text(&format!("{at}.run.script"), run.script)?,
            },
            image::Step::Copy(copy) => {
                if !present(&copy.source) {
                    let problem = format!("the recipe has no file called \"{}\"", cut(&copy.source));
                    return Err(CallError::invalid(format!("{at}.copy.source"), problem));
                }
                if copy.mode > 0o777 {
                    let problem = format!("0o{:o} isn't permission bits, such as 0o644", copy.mode);
                    return Err(CallError::invalid(format!("{at}.copy.mode"), problem));
                }
                let target = absolute_path(&format!("{at}.copy.target"), copy.target)?;
                Step::Copy { source: copy.source, target, mode: copy.mode }
            }
            image::Step::Env(pair) => {
                let (key, value) = variable(&format!("{at}.env"), pair)?;
                Step::Env { key, value }
            }
            image::Step::Label(pair) => {
                let (key, value) = label(&format!("{at}.label"), pair)?;
                Step::Label { key, value }
            }
            image::Step::Path(path) => Step::Path { path: absolute_path(&format!("{at}.path"), path)? },
            image::Step::Workdir(path) => Step::Workdir { path: absolute_path(&format!("{at}.workdir"), path)? },
        })
    })?;
    let bootstrap_packages =
        list("bootstrap-packages", recipe.bootstrap_packages, |at, package| word(at, package, "+:=~"))?;
    Ok(ImageRecipe { steps, files, bootstrap_packages })
}

/// Checks each entry of a list; the check is given the entry's place, `changes[3]`.
pub(crate) fn list<A, B>(at: &str, list: Vec<A>, check: impl Fn(&str, A) -> Checked<B>) -> Checked<Vec<B>> {
    if list.len() > MAX_ENTRIES {
        return Err(CallError::invalid(at, format!("it has more than {MAX_ENTRIES} entries")));
    }
    list.into_iter().enumerate().map(|(number, entry)| check(&format!("{at}[{number}]"), entry)).collect()
}

/// A path that stays below the folder that it is relative to.
pub(crate) fn relative_path(at: &str, path: String) -> Checked<String> {
    let path = name(at, path)?;
    if path.split('/').all(|part| !matches!(part, "" | "." | "..")) {
        Ok(path)
    } else {
        Err(CallError::invalid(at, format!("\"{path}\" isn't a plain path below the folder")))
    }
}

fn absolute_path(at: &str, path: String) -> Checked<String> {
    let path = name(at, path)?;
    match path.strip_prefix('/') {
        Some(rest) if rest.split('/').all(|part| !matches!(part, "." | "..")) => Ok(path),
        _ => Err(CallError::invalid(at, format!("\"{path}\" isn't an absolute path"))),
    }
}

fn file_name(at: &str, file: String) -> Checked<String> {
    let file = word(at, file, "+@")?;
    if file.starts_with('.') { Err(CallError::invalid(at, "it begins with a dot")) } else { Ok(file) }
}

/// The name of a rule: `memory-ceiling`.
fn rule(at: &str, rule: String) -> Checked<String> {
    let kebab = rule.len() <= 64
        && rule.split('-').all(|part| {
            !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        });
    if kebab { Ok(rule) } else { Err(CallError::invalid(at, format!("\"{}\" isn't in kebab-case", cut(&rule)))) }
}

/// A sentence for a person: not empty, not endless, and without control characters.
fn sentence(at: &str, sentence: &str) -> Checked<String> {
    let sentence = cut(sentence.trim());
    if sentence.is_empty() { Err(CallError::invalid(at, "it is empty")) } else { Ok(sentence) }
}

/// A name or a path: one line, not empty.
pub(crate) fn name(at: &str, name: String) -> Checked<String> {
    let problem = if name.is_empty() {
        "it is empty"
    } else if name.len() > MAX_NAME {
        "it is too long"
    } else if name.chars().any(char::is_control) {
        "it has control characters"
    } else {
        return Ok(name);
    };
    Err(CallError::invalid(at, problem))
}

/// A name of letters, digits, `.`, `_`, `-` and a few more, that begins with a letter or a digit.
pub(crate) fn word(at: &str, word: String, more: &str) -> Checked<String> {
    let word = name(at, word)?;
    let good = word.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '.' || c == '_')
        && word != "."
        && word != ".."
        && word.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c) || more.contains(c));
    if good { Ok(word) } else { Err(CallError::invalid(at, format!("\"{word}\" isn't a name"))) }
}

/// A text of several lines.
pub(crate) fn text(at: &str, text: String) -> Checked<String> {
    if text.contains('\0') { Err(CallError::invalid(at, "it has a zero byte")) } else { Ok(text) }
}

fn variable(at: &str, pair: types::KeyValue) -> Checked<(String, String)> {
    Ok((variable_name(&format!("{at}.key"), pair.key)?, text(&format!("{at}.value"), pair.value)?))
}

fn variable_name(at: &str, key: String) -> Checked<String> {
    let key = name(at, key)?;
    let good =
        !key.starts_with(|c: char| c.is_ascii_digit()) && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if good { Ok(key) } else { Err(CallError::invalid(at, format!("\"{key}\" isn't the name of a variable"))) }
}

fn label(at: &str, pair: types::KeyValue) -> Checked<(String, String)> {
    let value = if pair.value.is_empty() { pair.value } else { name(&format!("{at}.value"), pair.value)? };
    Ok((label_name(&format!("{at}.key"), pair.key)?, value))
}

fn label_name(at: &str, key: String) -> Checked<String> {
    let key = word(at, key, "/")?;
    if key.starts_with("wharf.") {
        Err(CallError::invalid(at, format!("\"{key}\": labels under `wharf.` are the host's own")))
    } else {
        Ok(key)
    }
}

/// `1000:1000`; names would mean something else in every image.
fn user_and_group(at: &str, user: String) -> Checked<String> {
    let id = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) && text.parse::<u32>().is_ok();
    if user.split_once(':').is_some_and(|(user, group)| id(user) && id(group)) {
        Ok(user)
    } else {
        Err(CallError::invalid(at, format!("\"{}\" isn't a user id and a group id, such as 1000:1000", cut(&user))))
    }
}

fn capability(at: &str, capability: String) -> Checked<String> {
    let good = !capability.is_empty() && capability.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
    if good && capability.len() <= MAX_NAME {
        Ok(capability)
    } else {
        Err(CallError::invalid(at, format!("\"{}\" isn't a capability, such as NET_ADMIN or ALL", cut(&capability))))
    }
}

/// `/path:/inside`, perhaps with `:ro`.
fn mount(at: &str, mount: String) -> Checked<String> {
    let mount = name(at, mount)?;
    let parts: Vec<&str> = mount.split(':').collect();
    match parts.as_slice() {
        [from, to] | [from, to, _] => {
            absolute_path(at, (*from).to_owned())?;
            absolute_path(at, (*to).to_owned())?;
            Ok(mount)
        }
        _ => Err(CallError::invalid(at, format!("\"{mount}\" isn't a mount, such as /path:/inside:ro"))),
    }
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
