//! What the host carries in itself, so that one file is a whole installation: the runner, the libraries that recipes
//! import, and the components that ship with it.
//!
//! Everything here was built from this workspace by the crate's build script, for its own target.

include!(concat!(env!("OUT_DIR"), "/bundle.rs"));

/// A component that ships with the host.
#[derive(Clone, Copy, Debug)]
pub struct ShippedComponent {
    /// The folder of a home that it belongs in: `plugins` or `policies`.
    pub folder: &'static str,
    /// The component's name, which is the name of its file without `.wasm`.
    pub name: &'static str,
    /// The component itself.
    pub wasm: &'static [u8],
    /// The TOML file to put beside it, with its settings explained; none when it takes no settings.
    pub toml: Option<&'static str>,
}

/// Policies that every home has. All others are for sites that want them.
const STANDARD_POLICIES: [&str; 3] = ["allowed-groups", "defaults-and-labels", "resource-ceiling"];

impl ShippedComponent {
    /// The folder of a new home that it is put in: `plugins`, `policies`, or `policies/available`, from where nothing is loaded.
    #[must_use]
    pub fn home_folder(&self) -> &'static str {
        match self.folder {
            "policies" if !STANDARD_POLICIES.contains(&self.name) => "policies/available",
            folder => folder,
        }
    }
}

/// The runner for a platform as Docker spells it, e.g. `linux/amd64`: a static Linux executable.
///
/// `None` when this build carries no runner for it. A variant, as in `linux/arm64/v8`, doesn't matter.
#[must_use]
pub fn runner(platform: &str) -> Option<&'static [u8]> {
    let same = |known: &str| platform.strip_prefix(known).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    RUNNERS.iter().find(|(known, _)| same(known)).map(|(_, bytes)| *bytes)
}

/// The platforms that [`runner`] knows.
pub fn platforms() -> impl Iterator<Item = &'static str> {
    RUNNERS.iter().map(|(platform, _)| *platform)
}

/// The libraries that recipes import: paths below `/opt/wharf` and contents, sorted by path.
#[must_use]
pub fn in_container() -> &'static [(&'static str, &'static [u8])] {
    IN_CONTAINER
}

/// The components that ship with the host, sorted by folder and name.
#[must_use]
pub fn components() -> &'static [ShippedComponent] {
    COMPONENTS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_runner_is_a_static_linux_executable() {
        let platform = platforms().next().expect("a platform");
        let bytes = runner(platform).expect("its runner");
        assert_eq!(&bytes[..4], b"\x7fELF");
        // A dynamic executable names its interpreter.
        let interpreter = b"/lib64/ld-linux";
        assert!(!bytes.windows(interpreter.len()).any(|part| part == interpreter));
        assert_eq!(runner(&format!("{platform}/v8")).map(<[u8]>::len), Some(bytes.len()));
        assert!(runner(&format!("{platform}64")).is_none());
        assert!(runner("plan9/amd64").is_none());
    }

    #[test]
    fn policies_that_nobody_asked_for_are_not_loaded() {
        let folder = |name: &str| components().iter().find(|c| c.name == name).map(ShippedComponent::home_folder);
        assert!(STANDARD_POLICIES.iter().all(|name| folder(name) == Some("policies")));
        assert_eq!(folder("time-windows"), Some("policies/available"));
        assert_eq!(folder("recipe-python"), Some("plugins"));
    }

    #[test]
    fn every_component_is_one() {
        assert!(components().iter().any(|c| c.folder == "policies" && c.name == "allowed-groups"));
        assert!(components().iter().any(|c| c.folder == "plugins" && c.name == "recipe-python"));
        for component in components() {
            // The preamble of a component: version 13, layer 1. A core module would be 01 00 00 00.
            assert_eq!(&component.wasm[..8], b"\0asm\x0d\0\x01\0", "{}", component.name);
        }
    }

    #[test]
    fn libraries_are_sorted_and_without_leftovers() {
        let names: Vec<&str> = in_container().iter().map(|(name, _)| *name).collect();
        assert!(names.is_sorted());
        assert!(names.contains(&"python/dataiku/__init__.py"), "{names:?}");
        assert!(names.contains(&"r/dataiku.R"), "{names:?}");
        assert!(names.iter().all(|name| !name.contains("__pycache__") && !name.contains("tests/")));
    }
}
