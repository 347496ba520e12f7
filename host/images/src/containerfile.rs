//! Typed steps as a Containerfile, for builders of any age: no heredocs, no `--chmod`, no mounts.

use std::fmt::Write as _;

use wharf_model::image::{
    CONSTRAINTS, CodeEnvironment, ContentKey, ContextFile, Fragment, ImageRecipe, ImageSpec, REQUIREMENTS, Step,
};

use crate::error::ImageError;
use crate::fragment::instructions;
use crate::{LABEL_GENERATION, LABEL_KEY, LABEL_MADE_BY, LABEL_NAME, LABEL_PARENT};

/// The longest instruction. Docker 20.10 reads a Containerfile by lines of at most 64 KiB.
const MAX_INSTRUCTION: usize = 60_000;
/// How much of a fragment's instruction is shown in progress and errors.
const SHOWN: usize = 60;
/// The folder of the build context with the files that steps copy.
pub(crate) const FILES: &str = "files";
/// The folder of the build context with the run image's own files, as they are below `/`.
pub(crate) const ROOT: &str = "root";

/// The labels that an image of ours gets.
#[derive(Clone, Copy, Debug)]
pub struct Labels<'a> {
    /// Its content key.
    pub key: &'a ContentKey,
    /// The name of the base image or of the code environment.
    pub name: &'a str,
    /// The component that made the recipe: `name@digest`.
    pub made_by: &'a str,
    /// What it starts from.
    pub parent: &'a str,
}

/// A Containerfile and what belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// The Containerfile.
    pub text: String,
    /// What each of its instructions does, in order.
    pub titles: Vec<String>,
    /// The files that it copies: the name in the build context, the contents, the permission bits.
    pub files: Vec<(String, Vec<u8>, u32)>,
}

/// Renders the base image of a recipe over a parent that the engine has under `from`.
///
/// Pure: equal arguments give an equal text.
///
/// # Errors
/// [`ImageError::BadRecipe`]: a step that has no safe rendering, or copies a file that isn't there.
pub fn render(from: &str, spec: &ImageSpec, recipe: &ImageRecipe, labels: Labels<'_>) -> Result<Rendered, ImageError> {
    let mut lines = Lines::start(from);
    // The parent may have ended with another user. By its number: a small image has no names.
    lines.add("build as root", "USER 0");
    let files: Vec<&ContextFile> = recipe.files.iter().chain(&spec.extra_ca).collect();
    lines.fragment(spec, spec.pre_install.as_ref())?;
    lines.steps(recipe, &files, spec, labels)?;
    lines.fragment(spec, spec.post_install.as_ref())?;
    lines.labels(labels);
    if spec.pre_install.is_some() || spec.post_install.is_some() {
        let own = spec.files.iter().map(|file| (file.name.clone(), file.contents.clone(), 0o644));
        lines.rendered.files.extend(own);
    }
    Ok(lines.rendered)
}

/// Renders a code environment over its base image.
///
/// `constraints` are the versions that an earlier build of the same environment got. Pure.
///
/// # Errors
/// As [`render`].
pub fn render_environment(
    base: &str,
    spec: &ImageSpec,
    environment: &CodeEnvironment,
    recipe: &ImageRecipe,
    constraints: &str,
    labels: Labels<'_>,
) -> Result<Rendered, ImageError> {
    let mut lines = Lines::start(base);
    if environment.generation > 0 {
        // Before the steps, so that no builder takes what it made for the generation before.
        let label = format!("LABEL {}=\"{}\"", quoted(LABEL_GENERATION), environment.generation);
        lines.add("look at its packages again", &label);
    }
    lines.add("build as root", "USER 0");
    let given = environment_files(environment, constraints);
    let files: Vec<&ContextFile> = recipe.files.iter().chain(&spec.extra_ca).chain(&given).collect();
    lines.steps(recipe, &files, spec, labels)?;
    lines.labels(labels);
    Ok(lines.rendered)
}

/// The files that a code environment's steps find in the build context.
fn environment_files(environment: &CodeEnvironment, constraints: &str) -> Vec<ContextFile> {
    let file = |name: &str, text: &str| ContextFile { name: name.to_owned(), contents: text.as_bytes().to_vec() };
    let requirements = environment.requirements.iter().map(|text| file(REQUIREMENTS, text));
    requirements.chain([file(CONSTRAINTS, constraints)]).collect()
}

/// Renders folders over what they belong to: the build context's `root` folder, which nobody but root can change.
///
/// Pure.
#[must_use]
pub fn render_folders(under: &str, labels: Labels<'_>) -> Rendered {
    let mut lines = Lines::start(under);
    lines.add("add the folders", &format!("COPY [\"{ROOT}/\",\"/\"]"));
    lines.labels(labels);
    lines.rendered
}

/// Renders a run image over a base image: the build context's `root` folder, and nothing of the base image's own start.
///
/// Pure.
#[must_use]
pub fn render_run(base: &str, labels: Labels<'_>) -> Rendered {
    let mut lines = Lines::start(base);
    lines.add("add the runner and its libraries", &format!("COPY [\"{ROOT}/\",\"/\"]"));
    lines.add("set the working folder", "WORKDIR /wharf/work");
    // What a base image starts or probes by itself must not come between the engine and the runner. An entry point
    // takes the command with it.
    lines.add("clear the entry point", "ENTRYPOINT []");
    lines.add("clear the health check", "HEALTHCHECK NONE");
    lines.labels(labels);
    lines.rendered
}

/// The label instruction for an imported image.
pub(crate) fn label_instruction(labels: Labels<'_>) -> String {
    let mut text = "LABEL".to_owned();
    for (key, value) in [
        (LABEL_KEY, labels.key.as_str()),
        (LABEL_NAME, labels.name),
        (LABEL_MADE_BY, labels.made_by),
        (LABEL_PARENT, labels.parent),
    ] {
        // Our own texts may hold a file's name, never a line break.
        let value: String = value.chars().filter(|c| !c.is_control()).collect();
        let _ = write!(text, " {}={}", quoted(key), quoted(&value));
    }
    text
}

struct Lines {
    rendered: Rendered,
}

impl Lines {
    fn start(from: &str) -> Self {
        let mut lines = Self { rendered: Rendered { text: String::new(), titles: Vec::new(), files: Vec::new() } };
        lines.add("start from the parent image", &format!("FROM {from}"));
        lines
    }

    fn add(&mut self, title: &str, instruction: &str) {
        let title: String = title.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        self.rendered.text.push_str(instruction);
        self.rendered.text.push('\n');
        self.rendered.titles.push(title);
    }

    fn labels(&mut self, labels: Labels<'_>) {
        self.add("label the image", &label_instruction(labels));
    }

    /// What a person wrote, line by line.
    fn fragment(&mut self, spec: &ImageSpec, fragment: Option<&Fragment>) -> Result<(), ImageError> {
        let Some(fragment) = fragment else { return Ok(()) };
        let found = instructions(fragment, &spec.files).map_err(|problem| ImageError::BadSpec {
            image: spec.name.clone(),
            reason: format!("{}:{}: {}", fragment.file, problem.line, problem.message),
        })?;
        for one in &found {
            let first = one.text.lines().next().unwrap_or_default().trim_end_matches('\\').trim_end();
            let shown: String = first.chars().take(SHOWN).collect();
            self.add(&format!("{}:{}: {shown}", fragment.file, one.line), one.text);
        }
        if found.iter().any(|one| one.word == "USER") {
            self.add("build as root", "USER 0");
        }
        Ok(())
    }

    fn steps(
        &mut self,
        recipe: &ImageRecipe,
        files: &[&ContextFile],
        spec: &ImageSpec,
        labels: Labels<'_>,
    ) -> Result<(), ImageError> {
        for step in &recipe.steps {
            self.step(step, files).map_err(|reason| ImageError::BadRecipe {
                made_by: if labels.made_by.is_empty() { spec.made_by.clone() } else { labels.made_by.to_owned() },
                reason,
            })?;
        }
        Ok(())
    }

    fn step(&mut self, step: &Step, files: &[&ContextFile]) -> Result<(), String> {
        match step {
            Step::Run { title, script } => {
                if script.contains('\0') {
                    return Err(format!("the script of the step \"{title}\" has a null character"));
                }
                // The exec form is JSON: whatever the script has in it, it is one argument.
                let argv = serde_json::json!(["/bin/sh", "-ec", script]).to_string();
                if argv.len() > MAX_INSTRUCTION {
                    return Err(format!(
                        "the script of the step \"{title}\" has {} bytes; at most {MAX_INSTRUCTION} are possible: split it, \
                         or copy it as a file",
                        argv.len()
                    ));
                }
                self.add(title, &format!("RUN {argv}"));
            }
            Step::Copy { source, target, mode } => {
                let file = files
                    .iter()
                    .find(|file| file.name == *source)
                    .ok_or_else(|| format!("it copies the file \"{source}\", which it doesn't have"))?;
                check_path("copies a file to", target)?;
                if target.ends_with('/') {
                    return Err(format!("it copies a file to \"{target}\", which isn't a file's path"));
                }
                if *mode > 0o7777 {
                    return Err(format!("it copies the file \"{source}\" with the mode {mode:o}, which isn't one"));
                }
                // A name of ours: the file's own could be a pattern, or hidden by an ignore file.
                let name = format!("{FILES}/{}", self.rendered.files.len());
                let paths = serde_json::json!([name, escaped(target)]).to_string();
                self.add(&format!("copy {source} to {target}"), &format!("COPY {paths}"));
                self.rendered.files.push((name, file.contents.clone(), *mode));
            }
            Step::Env { key, value } => {
                let name = |c: char| c.is_ascii_alphanumeric() || c == '_';
                if key.is_empty() || !key.chars().all(name) || key.starts_with(|c: char| c.is_ascii_digit()) {
                    return Err(format!("\"{key}\" isn't the name of a variable"));
                }
                check_value(&format!("the variable {key}"), value)?;
                self.add(&format!("set {key}"), &format!("ENV {key}={}", quoted(value)));
            }
            Step::Label { key, value } => {
                if key.starts_with("wharf.") {
                    return Err(format!("it sets the label \"{key}\"; labels under \"wharf.\" are the host's own"));
                }
                let name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '/');
                if key.is_empty() || !key.chars().all(name) {
                    return Err(format!("\"{key}\" isn't the name of a label"));
                }
                check_value(&format!("the label {key}"), value)?;
                self.add(&format!("label {key}"), &format!("LABEL {}={}", quoted(key), quoted(value)));
            }
            Step::Path { path } => {
                check_path("puts into PATH", path)?;
                if path.contains(':') {
                    return Err(format!("it puts \"{path}\" into PATH, which would be two folders"));
                }
                self.add(&format!("put {path} into PATH"), &format!("ENV PATH=\"{}:$PATH\"", escaped(path)));
            }
            Step::Workdir { path } => {
                check_path("sets the working folder", path)?;
                self.add(&format!("set the working folder {path}"), &format!("WORKDIR {}", escaped(path)));
            }
        }
        Ok(())
    }
}

fn check_path(what: &str, path: &str) -> Result<(), String> {
    if !path.starts_with('/') {
        return Err(format!("it {what} \"{path}\", which isn't an absolute path"));
    }
    if path.split('/').any(|part| part == "..")
        || path.contains(|c: char| c.is_control() || c == '\\')
        || path.trim() != path
    {
        return Err(format!("it {what} \"{}\", which isn't a plain path", path.escape_debug()));
    }
    Ok(())
}

fn check_value(what: &str, value: &str) -> Result<(), String> {
    if value.chars().any(char::is_control) {
        return Err(format!("{what} has a line break or another control character in its value"));
    }
    if value.len() > MAX_INSTRUCTION / 2 {
        return Err(format!("{what} has {} bytes; at most {} are possible", value.len(), MAX_INSTRUCTION / 2));
    }
    Ok(())
}

/// A path in which nothing is a variable or a quote.
fn escaped(path: &str) -> String {
    with_backslashes(path, &['$', '"', '\''])
}

/// A value within double quotes, in which nothing is a variable or the end.
fn quoted(value: &str) -> String {
    format!("\"{}\"", with_backslashes(value, &['$', '"', '\\']))
}

fn with_backslashes(text: &str, before: &[char]) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if before.contains(&c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::images::testing::{recipe, spec};

    fn with(step: Step) -> Result<Rendered, String> {
        let recipe = ImageRecipe { steps: vec![step], ..recipe() };
        let key = ContentKey::of([("k", b"1".as_slice())]);
        let labels =
            Labels { key: &key, name: "python-r", made_by: "image-debian@12ab", parent: "sha256:77 linux/amd64" };
        render("sha256:77", &spec(), &recipe, labels).map_err(|error| error.to_string())
    }

    #[test]
    fn a_recipe_becomes_a_containerfile() {
        let key = ContentKey::of([("k", b"1".as_slice())]);
        let labels =
            Labels { key: &key, name: "python-r", made_by: "image-debian@12ab", parent: "sha256:77 linux/amd64" };
        let rendered = render("sha256:77", &spec(), &recipe(), labels).unwrap();
        assert_eq!(
            rendered.text,
            r#"FROM sha256:77
USER 0
COPY ["files/0","/usr/local/share/ca-certificates/corp.crt"]
RUN ["/bin/sh","-ec","apt-get update\napt-get install -y \"r-base-core\" $EXTRA\n"]
ENV LANG="C.UTF-8"
ENV GREETING="say \"hello\" for \$5 \\ day"
LABEL "org.example.team"="data's"
WORKDIR /srv/data
"#
            .to_owned()
                + &format!(
                    "LABEL \"wharf.image.key\"=\"{key}\" \"wharf.image.name\"=\"python-r\" \
                     \"wharf.image.made-by\"=\"image-debian@12ab\" \"wharf.image.parent\"=\"sha256:77 linux/amd64\"\n"
                )
        );
        assert_eq!(rendered.titles.len(), rendered.text.lines().count());
        assert_eq!(rendered.titles[3], "install R");
        assert_eq!(rendered.files, [("files/0".to_owned(), b"certificate".to_vec(), 0o644)]);
    }

    #[test]
    fn a_run_image_keeps_nothing_of_the_base_images_start() {
        let key = ContentKey::of([("k", b"1".as_slice())]);
        let rendered = render_run("sha256:88", Labels { key: &key, name: "n", made_by: "m@1", parent: "p" });
        assert_eq!(
            rendered.text,
            format!(
                "FROM sha256:88\nCOPY [\"root/\",\"/\"]\nWORKDIR /wharf/work\nENTRYPOINT []\n\
                 HEALTHCHECK NONE\nLABEL \"wharf.image.key\"=\"{key}\" \"wharf.image.name\"=\"n\" \
                 \"wharf.image.made-by\"=\"m@1\" \"wharf.image.parent\"=\"p\"\n"
            )
        );
        assert_eq!(rendered.titles.len(), rendered.text.lines().count());
    }

    #[test]
    fn a_script_stays_one_argument() {
        let script = "echo 'a' \"b\" \\\nUSER nobody\n\tFROM x # \u{2028}".to_owned();
        let rendered = with(Step::Run { title: "two\nlines".to_owned(), script: script.clone() }).unwrap();
        let line = rendered.text.lines().nth(2).unwrap();
        let argv: Vec<String> = serde_json::from_str(line.strip_prefix("RUN ").unwrap()).unwrap();
        assert_eq!(argv, ["/bin/sh", "-ec", &script]);
        assert_eq!(rendered.titles[2], "two lines");
    }

    #[test]
    fn what_cannot_be_rendered_is_refused() {
        let env = |key: &str, value: &str| Step::Env { key: key.to_owned(), value: value.to_owned() };
        let copy = |source: &str, target: &str, mode| Step::Copy {
            source: source.to_owned(),
            target: target.to_owned(),
            mode,
        };
        for (step, reason) in [
            (env("A B", "x"), "isn't the name of a variable"),
            (env("1A", "x"), "isn't the name of a variable"),
            (env("A", "x\nUSER nobody"), "line break"),
            (copy("nothing", "/x", 0o644), "which it doesn't have"),
            (copy("corp.pem", "x", 0o644), "absolute"),
            (copy("corp.pem", "/x/../y", 0o644), "plain path"),
            (copy("corp.pem", "/x\\", 0o644), "plain path"),
            (copy("corp.pem", "/x/", 0o644), "isn't a file's path"),
            (copy("corp.pem", "/x", 0o100_644), "mode"),
            (Step::Label { key: "wharf.image.key".to_owned(), value: "x".to_owned() }, "host's own"),
            (Step::Workdir { path: "/a\nUSER nobody".to_owned() }, "plain path"),
            (Step::Run { title: "long".to_owned(), script: "x".repeat(70_000) }, "split it"),
        ] {
            let shown = format!("{step:?}");
            let error = with(step).unwrap_err();
            assert!(error.contains(reason), "{shown:.80}: {error}");
            assert!(error.contains("image-debian"), "{error}");
        }
    }
}
