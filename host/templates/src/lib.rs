//! The projects that `wharf component new` makes: a component of one kind, in one language, that builds as it is.
//!
//! A project is self-contained: it has its own copy of the contracts in `wit/`, and in Rust of the SDK. So it builds with the
//! toolchain of its language and what that fetches from the language's own registry, and nothing of this repository.

mod name;

use std::collections::BTreeMap;

pub use name::{Name, NameError};

include!(concat!(env!("OUT_DIR"), "/projects.rs"));

/// What the component is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Answers permission checks.
    Permission,
    /// Judges or changes plans.
    Policy,
    /// Knows how images of one kind are made.
    ImageRecipe,
    /// Turns activities into commands.
    RecipeAdapter,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Permission, Self::Policy, Self::ImageRecipe, Self::RecipeAdapter];

    /// The world as `wit/` spells it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Permission => "permission",
            Self::Policy => "policy",
            Self::ImageRecipe => "image-recipe",
            Self::RecipeAdapter => "recipe-adapter",
        }
    }

    /// The folder of a home that components of this kind belong in.
    #[must_use]
    pub fn folder(self) -> &'static str {
        match self {
            Self::Permission | Self::Policy => "policies",
            Self::ImageRecipe | Self::RecipeAdapter => "plugins",
        }
    }

    fn interface(self) -> &'static str {
        match self {
            Self::Permission => "permission-check",
            Self::Policy => "policy-evaluation",
            Self::ImageRecipe => "image-recipe-generation",
            Self::RecipeAdapter => "recipe-adaptation",
        }
    }

    /// What the template does, as its metadata say.
    fn description(self) -> &'static str {
        match self {
            Self::Permission => "Lets only the groups of a project run its recipes",
            Self::Policy => "Rejects privileged runs, except of some groups",
            Self::ImageRecipe => "Makes images of Alpine Linux",
            Self::RecipeAdapter => "Runs Python recipes in Python's development mode",
        }
    }
}

/// What the component is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// Rust, with the SDK.
    Rust,
    /// Python, by componentize-py.
    Python,
    /// JavaScript, by componentize-qjs.
    JavaScript,
}

impl Language {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Rust, Self::Python, Self::JavaScript];

    /// The folder of its templates.
    fn folder(self) -> &'static str {
        match self {
            Self::Rust => "rust",
            Self::Python => "python",
            Self::JavaScript => "js",
        }
    }

    /// How the template's file for a kind ends, and where that file is in a project.
    fn source(self) -> (&'static str, &'static str) {
        match self {
            Self::Rust => (".rs", "src/lib.rs"),
            Self::Python => (".py", "src/component.py"),
            Self::JavaScript => (".js", "src/component.js"),
        }
    }

    /// The commands that build a project, as its README has them.
    #[must_use]
    pub fn build(self, name: &Name) -> Vec<String> {
        let lines: &[&str] = match self {
            Self::Rust => &["cargo build --release --target wasm32-wasip2"],
            Self::Python => &[
                "python3 -m venv .venv",
                ".venv/bin/pip install --require-hashes -r requirements.txt",
                ".venv/bin/componentize-py --wit-path wit --world component componentize --python-path src component -o {{name}}.wasm",
            ],
            Self::JavaScript => &["npm ci", "npm run build"],
        };
        lines.iter().map(|line| line.replace("{{name}}", name.as_str())).collect()
    }

    /// Where the build leaves the component, below the project's folder.
    #[must_use]
    pub fn output(self, name: &Name) -> String {
        match self {
            Self::Rust => format!("target/wasm32-wasip2/release/{}.wasm", name.snake()),
            Self::Python | Self::JavaScript => format!("{name}.wasm"),
        }
    }
}

/// The files of a project, by their paths below its folder.
#[must_use]
pub fn project(kind: Kind, language: Language, name: &Name) -> BTreeMap<String, String> {
    let values = [
        ("name", name.as_str().to_owned()),
        ("snake", name.snake()),
        ("description", kind.description().to_owned()),
        ("kind", kind.as_str().to_owned()),
        ("folder", kind.folder().to_owned()),
        ("interface", kind.interface().to_owned()),
        ("wit", WIT_VERSION.to_owned()),
        ("serde", SERDE.to_owned()),
        ("schemars", SCHEMARS.to_owned()),
    ];
    let mut files = BTreeMap::new();
    for (path, text) in TEMPLATES {
        if let Some(path) = place(path, kind, language, name) {
            files.insert(path, filled(text, &values));
        }
    }
    let contracts = match language {
        Language::Rust => "sdk/wit",
        Language::Python | Language::JavaScript => "wit/deps/wharf-plugin",
    };
    files.extend(WIT.iter().map(|(path, text)| (format!("{contracts}/{path}"), (*text).to_owned())));
    if language == Language::Rust {
        files.extend(SDK.iter().map(|(path, text)| (format!("sdk/{path}"), (*text).to_owned())));
        files.insert("sdk/Cargo.toml".to_owned(), SDK_WORKSPACE.to_owned());
        files.insert("Cargo.lock".to_owned(), SDK_LOCK.to_owned());
    }
    files
}

/// Where a template's file belongs in a project; nowhere when it is of another kind or language.
fn place(template: &str, kind: Kind, language: Language, name: &Name) -> Option<String> {
    if template == "component.wit" {
        return (language != Language::Rust).then(|| "wit/component.wit".to_owned());
    }
    let (folder, rest) = template.split_once('/')?;
    match folder {
        "cases" => rest.strip_prefix(kind.as_str())?.strip_prefix('/').map(|case| format!("cases/{case}")),
        "settings" => (rest.strip_suffix(".toml")? == kind.as_str()).then(|| format!("{name}.toml")),
        _ if folder != language.folder() => None,
        _ => {
            let (ending, place) = language.source();
            match (rest, rest.strip_suffix(ending)) {
                (_, Some(of)) => (of == kind.as_str()).then(|| place.to_owned()),
                ("gitignore", _) => Some(".gitignore".to_owned()),
                // Under its own name Cargo would take it for a package of this workspace.
                ("Cargo.toml.in", _) => Some("Cargo.toml".to_owned()),
                _ => Some(rest.to_owned()),
            }
        }
    }
}

fn filled(text: &str, values: &[(&str, String)]) -> String {
    values.iter().fold(text.to_owned(), |text, (key, value)| text.replace(&format!("{{{{{key}}}}}"), value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name() -> Name {
        Name::parse("site-memory").unwrap()
    }

    #[test]
    fn every_project_is_whole() {
        for kind in Kind::ALL {
            for language in Language::ALL {
                let files = project(kind, language, &name());
                let has = |file: &str| assert!(files.contains_key(file), "{kind:?} {language:?} lacks {file}");
                for file in ["README.md", ".gitignore", "site-memory.toml", language.source().1] {
                    has(file);
                }
                has(if language == Language::Rust { "sdk/wit/policy.wit" } else { "wit/deps/wharf-plugin/policy.wit" });
                let cases = files.keys().filter(|file| file.starts_with("cases/") && file.ends_with("/request.json"));
                assert_eq!(cases.count(), 3, "{kind:?} {language:?}");
                for (file, text) in &files {
                    assert!(file.starts_with("sdk/") || !text.contains("{{"), "{kind:?} {language:?}: {file}: {text}");
                }
            }
        }
    }

    #[test]
    fn one_page_is_enough_for_the_code() {
        for kind in Kind::ALL {
            for language in Language::ALL {
                let files = project(kind, language, &name());
                let lines = files[language.source().1].lines().count();
                assert!(lines <= 90, "{kind:?} {language:?}: {lines} lines");
            }
        }
    }

    #[test]
    fn the_readme_says_how_it_is_built() {
        for language in Language::ALL {
            let files = project(Kind::Policy, language, &name());
            for line in language.build(&name()) {
                assert!(files["README.md"].contains(&line), "{language:?}: {line}");
            }
            assert!(files["README.md"].contains(&language.output(&name())), "{language:?}");
        }
    }

    #[test]
    fn the_sdk_brings_what_it_inherits() {
        let files = project(Kind::Policy, Language::Rust, &name());
        let workspace = &files["sdk/Cargo.toml"];
        for part in ["edition = ", "rust-version = ", "wit-bindgen = ", "wharf-model = { path = \"host/model\" }"] {
            assert!(workspace.contains(part), "{workspace}");
        }
        assert!(!workspace.contains("wasmtime"), "{workspace}");
        let lock = &files["Cargo.lock"];
        assert!(lock.starts_with("# This file is automatically @generated by Cargo."), "{lock}");
        for part in ["name = \"wit-bindgen\"", "name = \"serde_json\"", "name = \"wharf-model\""] {
            assert!(lock.contains(part), "{part}");
        }
        assert!(!lock.contains("name = \"wasmtime\""));
    }
}
