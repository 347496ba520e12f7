//! The kinds of component, and what each may import.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The package that all contracts are in.
pub(crate) const PACKAGE: &str = "wharf:plugin";
/// The newest version of the contracts that this host speaks.
pub(crate) const VERSION: &str = "0.1.0";

/// A released version of the contracts. Each stays as it is for ever, and has its own bindings; what a component of an older
/// one is asked and answers is translated from and to the newest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Contract {
    /// 0.1.0, the newest.
    V0_1,
    /// A made-up one, with which the tests try how a second version comes beside the first.
    #[cfg(test)]
    Next,
}

impl Contract {
    /// All of them, oldest first.
    pub(crate) const ALL: &[Self] = &[
        Self::V0_1,
        #[cfg(test)]
        Self::Next,
    ];

    pub(crate) fn version(self) -> &'static str {
        match self {
            Self::V0_1 => VERSION,
            #[cfg(test)]
            Self::Next => crate::next::VERSION,
        }
    }

    /// The one that a version is compatible with: before 1.0, the one of the same second number.
    pub(crate) fn of(version: &str) -> Option<Self> {
        let line = |version: &str| version.rsplit_once('.').map(|(line, _)| format!("{line}."));
        Self::ALL.iter().copied().find(|known| line(known.version()).is_some_and(|line| version.starts_with(&line)))
    }

    /// Their versions, for an error.
    pub(crate) fn known() -> String {
        Self::ALL.iter().map(|contract| contract.version()).collect::<Vec<_>>().join(", ")
    }
}

/// The kind of a component: the world of `wharf:plugin` that it was built for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum World {
    /// Answers permission checks.
    Permission,
    /// Judges or changes plans.
    Policy,
    /// Knows how images of one kind are made.
    ImageRecipe,
    /// Turns activities into commands.
    RecipeAdapter,
    /// Prepares pushes to registries.
    RegistryHook,
}

impl World {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Permission, Self::Policy, Self::ImageRecipe, Self::RecipeAdapter, Self::RegistryHook];

    /// The world as `wit/` spells it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Permission => "permission",
            Self::Policy => "policy",
            Self::ImageRecipe => "image-recipe",
            Self::RecipeAdapter => "recipe-adapter",
            Self::RegistryHook => "registry-hook",
        }
    }

    /// The interface whose export makes a component one of this world.
    pub(crate) fn interface(self) -> &'static str {
        match self {
            Self::Permission => "permission-check",
            Self::Policy => "policy-evaluation",
            Self::ImageRecipe => "image-recipe-generation",
            Self::RecipeAdapter => "recipe-adaptation",
            Self::RegistryHook => "registry-preparation",
        }
    }

    /// Whether components of this world can be granted anything. Image recipes are pure.
    pub(crate) fn takes_grants(self) -> bool {
        self != Self::ImageRecipe
    }
}

impl fmt::Display for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The name of an import or export: `package/interface@version`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct InterfaceName<'a> {
    pub(crate) package: &'a str,
    pub(crate) interface: &'a str,
    pub(crate) version: &'a str,
}

impl<'a> InterfaceName<'a> {
    /// Reads a name; what isn't one has an empty package or an empty version.
    pub(crate) fn of(name: &'a str) -> Self {
        let (path, version) = name.split_once('@').unwrap_or((name, ""));
        let (package, interface) = path.split_once('/').unwrap_or(("", path));
        Self { package, interface, version }
    }

    /// The version of our package that it is of, when this host speaks it.
    pub(crate) fn contract(&self) -> Option<Contract> {
        Some(self.version).filter(|_| self.package == PACKAGE).and_then(Contract::of)
    }

    /// Whether it is of a version of our package that this host speaks.
    pub(crate) fn is_ours(&self) -> bool {
        self.contract().is_some()
    }

    /// Whether it is one of the standard interfaces that are linked for every component, inert.
    pub(crate) fn is_standard(&self) -> bool {
        const PACKAGES: [&str; 6] =
            ["wasi:cli", "wasi:clocks", "wasi:filesystem", "wasi:io", "wasi:random", "wasi:sockets"];
        PACKAGES.contains(&self.package) && self.version.starts_with("0.2.")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_apart() {
        let name = InterfaceName::of("wharf:plugin/clock@0.1.0");
        assert_eq!((name.package, name.interface, name.version), ("wharf:plugin", "clock", "0.1.0"));
        assert!(name.is_ours() && !name.is_standard());
        assert_eq!(InterfaceName::of("wharf:plugin/clock@0.1.7").contract(), Some(Contract::V0_1));
        assert!(!InterfaceName::of("wharf:plugin/clock@0.10.0").is_ours());
        assert!(!InterfaceName::of("other:plugin/clock@0.1.0").is_ours());
        assert!(InterfaceName::of("wasi:io/poll@0.2.6").is_standard());
        assert!(!InterfaceName::of("wasi:http/types@0.2.6").is_standard());
        assert!(!InterfaceName::of("wasi:io/poll@0.3.0").is_standard());
        assert_eq!(InterfaceName::of("run").package, "");
    }
}
