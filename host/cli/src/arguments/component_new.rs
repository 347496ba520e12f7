//! Arguments of `component new`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use wharf_templates::{Kind, Language};

/// What to make a project of.
#[derive(Debug, Args)]
pub(crate) struct ComponentNewArguments {
    /// The component's name, in kebab-case: what its file is called in a home.
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// What it is to do.
    #[arg(long, value_name = "KIND")]
    pub(crate) kind: KindArgument,
    /// What it is written in.
    #[arg(long, value_name = "LANGUAGE", default_value = "rust")]
    pub(crate) lang: LanguageArgument,
    /// The project's folder, which must be empty or not there. Without it, one of the component's name.
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
}

/// The kinds of component.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum KindArgument {
    /// May this user use this execution configuration for this?
    Permission,
    /// What must a run look like?
    Policy,
    /// How is an image made?
    ImageRecipe,
    /// How does a recipe become a command?
    RecipeAdapter,
}

impl From<KindArgument> for Kind {
    fn from(kind: KindArgument) -> Self {
        match kind {
            KindArgument::Permission => Self::Permission,
            KindArgument::Policy => Self::Policy,
            KindArgument::ImageRecipe => Self::ImageRecipe,
            KindArgument::RecipeAdapter => Self::RecipeAdapter,
        }
    }
}

/// The languages that there are templates in.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum LanguageArgument {
    /// Rust; the smallest and fastest components.
    Rust,
    /// Python.
    Python,
    /// JavaScript.
    Js,
}

impl From<LanguageArgument> for Language {
    fn from(language: LanguageArgument) -> Self {
        match language {
            LanguageArgument::Rust => Self::Rust,
            LanguageArgument::Python => Self::Python,
            LanguageArgument::Js => Self::JavaScript,
        }
    }
}
