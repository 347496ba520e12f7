//! Content keys of images.

use std::fmt;

use wharf_model::image::{CodeEnvironment, ContentKey, ImageRecipe, ImageSpec, Origin};

use crate::folders::ImageFolder;

/// What a base image starts from, locked: as much of it as goes into the content key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parent(String);

impl Parent {
    /// An image of somebody else's, by a digest (or, where no registry ever had it, by its id).
    #[must_use]
    pub fn image(digest: &str, platform: &str) -> Self {
        Self(format!("{digest} {platform}"))
    }

    /// A bootstrap: its suite, its mirror, its packages. `None` for another origin.
    #[must_use]
    pub fn bootstrap(spec: &ImageSpec, recipe: &ImageRecipe, platform: &str) -> Option<Self> {
        let Origin::Bootstrap { suite, mirror } = &spec.origin else { return None };
        let packages = sorted(&recipe.bootstrap_packages).join(",");
        Some(Self(format!("bootstrap {suite} {mirror} {platform} {packages}")))
    }

    /// The text that is hashed.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The key of the bootstrapped image alone.
    pub(crate) fn key(&self) -> ContentKey {
        ContentKey::of([("wharf bootstrap", b"1".as_slice()), ("parent", self.0.as_bytes())])
    }
}

impl fmt::Display for Parent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

pub(crate) fn sorted(packages: &[String]) -> Vec<&str> {
    let mut packages: Vec<&str> = packages.iter().map(String::as_str).collect();
    packages.sort_unstable();
    packages.dedup();
    packages
}

/// The content key of a base image: its steps, their files, and what it starts from.
///
/// The base image's name isn't part of it: two names for the same contents share an image.
#[must_use]
pub fn key(spec: &ImageSpec, recipe: &ImageRecipe, parent: &Parent) -> ContentKey {
    // A step is an enum of texts and numbers, and an enum of those always has JSON.
    let steps: Vec<Vec<u8>> = recipe.steps.iter().map(|step| serde_json::to_vec(step).unwrap_or_default()).collect();
    let mut parts: Vec<(&str, &[u8])> = vec![("wharf base image", b"1"), ("parent", parent.0.as_bytes())];
    parts.extend(steps.iter().map(|step| ("step", step.as_slice())));
    for file in recipe.files.iter().chain(&spec.extra_ca) {
        parts.push(("file name", file.name.as_bytes()));
        parts.push(("file", &file.contents));
    }
    for (when, fragment) in [("pre-install", &spec.pre_install), ("post-install", &spec.post_install)] {
        if let Some(fragment) = fragment {
            parts.push((when, fragment.text.as_bytes()));
            for file in &spec.files {
                parts.push(("file name", file.name.as_bytes()));
                parts.push(("file", &file.contents));
            }
        }
    }
    ContentKey::of(parts)
}

/// The content key of a code environment: its steps, its requirements, its generation, and its base image's key.
///
/// The versions that an earlier build of the same environment got aren't part of it: they are what came of the key.
#[must_use]
pub fn environment_key(environment: &CodeEnvironment, recipe: &ImageRecipe, base: &ContentKey) -> ContentKey {
    let steps: Vec<Vec<u8>> = recipe.steps.iter().map(|step| serde_json::to_vec(step).unwrap_or_default()).collect();
    let generation = environment.generation.to_string();
    let mut parts: Vec<(&str, &[u8])> = vec![
        ("wharf code environment", b"1"),
        ("base", base.as_str().as_bytes()),
        ("generation", generation.as_bytes()),
    ];
    parts.extend(steps.iter().map(|step| ("step", step.as_slice())));
    if let Some(text) = &environment.requirements {
        parts.push(("requirements", text.as_bytes()));
    }
    for file in &recipe.files {
        parts.push(("file name", file.name.as_bytes()));
        parts.push(("file", &file.contents));
    }
    ContentKey::of(parts)
}

/// The content key of folders over a code environment or a base image. Their order doesn't matter.
#[must_use]
pub fn folders_key(content: &ContentKey, folders: &[ImageFolder]) -> ContentKey {
    let mut folders: Vec<(&str, &str)> = folders.iter().map(|folder| (&*folder.target, &*folder.digest)).collect();
    folders.sort_unstable();
    let mut parts: Vec<(&str, &[u8])> = vec![("wharf folders", b"1"), ("base", content.as_str().as_bytes())];
    for (target, digest) in folders {
        parts.push(("target", target.as_bytes()));
        parts.push(("digest", digest.as_bytes()));
    }
    ContentKey::of(parts)
}

/// The content key of a run image: a base image with the runner and the libraries that recipes import.
///
/// `in_container` has each file's path below `/opt/wharf`, and its contents. Their order doesn't matter.
#[must_use]
pub fn runner_layer_key(base: &ContentKey, runner: &[u8], in_container: &[(&str, &[u8])]) -> ContentKey {
    let mut files = in_container.to_vec();
    files.sort_unstable();
    let mut parts: Vec<(&str, &[u8])> =
        vec![("wharf run image", b"1"), ("base", base.as_str().as_bytes()), ("runner", runner)];
    for (path, contents) in files {
        parts.push(("path", path.as_bytes()));
        parts.push(("file", contents));
    }
    ContentKey::of(parts)
}

/// The key of the runner and its libraries alone.
pub(crate) fn runner_key(runner: &[u8], in_container: &[(&str, &[u8])]) -> ContentKey {
    runner_layer_key(&ContentKey::of([("no base", b"".as_slice())]), runner, in_container)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::images::testing::{recipe, spec};
    use wharf_model::image::{ContextFile, Fragment, Step};

    #[test]
    fn a_key_is_the_same_tomorrow() {
        // When this changes, every site builds its images anew: change the version in `key` on purpose, or not at all.
        let parent = Parent::image("sha256:1234", "linux/amd64");
        assert_eq!(
            key(&spec(), &recipe(), &parent).as_str(),
            "2e0df6aa672a068c4f304907485ebde318b26d5801d30802032f7aea2f367a38"
        );
    }

    #[test]
    fn a_key_knows_every_part() {
        let parent = Parent::image("sha256:1234", "linux/amd64");
        let first = key(&spec(), &recipe(), &parent);
        let mut renamed = spec();
        renamed.name = "another".to_owned();
        assert_eq!(key(&renamed, &recipe(), &parent), first);

        let mut changed = recipe();
        changed.steps.push(Step::Workdir { path: "/x".to_owned() });
        assert_ne!(key(&spec(), &changed, &parent), first);
        let mut changed = recipe();
        changed.files[0].contents.push(b'x');
        assert_ne!(key(&spec(), &changed, &parent), first);
        let mut changed = spec();
        changed.extra_ca.push(ContextFile { name: "corp.pem".to_owned(), contents: b"x".to_vec() });
        assert_ne!(key(&changed, &recipe(), &parent), first);
        assert_ne!(key(&spec(), &recipe(), &Parent::image("sha256:1234", "linux/arm64")), first);
    }

    #[test]
    fn an_environment_knows_every_letter_and_not_what_came_of_it() {
        let environment = |requirements: &str, generation| CodeEnvironment {
            name: "ml".to_owned(),
            language: "python".to_owned(),
            interpreters: Vec::new(),
            packages: Vec::new(),
            requirements: Some(requirements.to_owned()),
            generation,
        };
        let base = ContentKey::of([("base", b"1".as_slice())]);
        let first = environment_key(&environment("pandas\n", 0), &recipe(), &base);
        assert_ne!(environment_key(&environment("pandaS\n", 0), &recipe(), &base), first);
        assert_ne!(environment_key(&environment("pandas\n", 1), &recipe(), &base), first);
        let other = ContentKey::of([("base", b"2".as_slice())]);
        assert_ne!(environment_key(&environment("pandas\n", 0), &recipe(), &other), first);
        let renamed = CodeEnvironment { name: "other".to_owned(), ..environment("pandas\n", 0) };
        assert_eq!(environment_key(&renamed, &recipe(), &base), first);
    }

    #[test]
    fn a_fragment_and_its_files_are_part_of_the_key() {
        let parent = Parent::image("sha256:1234", "linux/amd64");
        let with = |file: &str, line, text: &str, contents: &[u8]| {
            let mut spec = spec();
            spec.post_install = Some(Fragment { file: file.to_owned(), line, text: text.to_owned() });
            spec.files = vec![ContextFile { name: "a".to_owned(), contents: contents.to_vec() }];
            key(&spec, &recipe(), &parent)
        };
        let first = with("a.toml", 1, "RUN true", b"1");
        assert_ne!(first, key(&spec(), &recipe(), &parent));
        assert_eq!(with("b.toml", 2, "RUN true", b"1"), first);
        assert_ne!(with("a.toml", 1, "RUN false", b"1"), first);
        assert_ne!(with("a.toml", 1, "RUN true", b"2"), first);
    }

    #[test]
    fn a_bootstrap_is_locked_by_its_packages() {
        let mut spec = spec();
        spec.origin =
            Origin::Bootstrap { suite: "bookworm".to_owned(), mirror: "http://deb.debian.org/debian".to_owned() };
        let mut recipe = recipe();
        recipe.bootstrap_packages = vec!["python3".to_owned(), "curl".to_owned(), "curl".to_owned()];
        let parent = Parent::bootstrap(&spec, &recipe, "linux/amd64").unwrap();
        assert_eq!(parent.as_str(), "bootstrap bookworm http://deb.debian.org/debian linux/amd64 curl,python3");
        recipe.bootstrap_packages.reverse();
        assert_eq!(Parent::bootstrap(&spec, &recipe, "linux/amd64"), Some(parent));
    }

    #[test]
    fn a_run_image_changes_with_the_runner_and_the_libraries() {
        let base = ContentKey::of([("base", b"1".as_slice())]);
        let files: [(&str, &[u8]); 2] = [("python/a.py", b"1"), ("r/b.R", b"2")];
        let first = runner_layer_key(&base, b"runner", &files);
        let turned: [(&str, &[u8]); 2] = [files[1], files[0]];
        assert_eq!(runner_layer_key(&base, b"runner", &turned), first);
        assert_ne!(runner_layer_key(&base, b"runner 2", &files), first);
        assert_ne!(runner_layer_key(&base, b"runner", &files[..1]), first);
    }
}
