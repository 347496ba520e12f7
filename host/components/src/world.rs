//! The kinds of component, and what each may import.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The package that all contracts are in.
pub(crate) const PACKAGE: &str = "wharf:plugin";
/// The version of the contracts that this host speaks.
pub(crate) const VERSION: &str = "0.1.0";

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

    /// Whether it is of a version of our package that this host speaks: 0.1 and anything compatible with it.
    pub(crate) fn is_ours(&self) -> bool {
        self.package == PACKAGE && self.version.starts_with("0.1.")
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
        assert!(!InterfaceName::of("wharf:plugin/clock@0.2.0").is_ours());
        assert!(InterfaceName::of("wasi:io/poll@0.2.6").is_standard());
        assert!(!InterfaceName::of("wasi:http/types@0.2.6").is_standard());
        assert!(!InterfaceName::of("wasi:io/poll@0.3.0").is_standard());
        assert_eq!(InterfaceName::of("run").package, "");
    }
}
