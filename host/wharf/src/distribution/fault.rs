//! What goes wrong on the way of a component, in a person's words.

use wharf_model::Fault;
use wharf_registry::RegistryError;

use crate::conclude::sentence_of;

/// An error of a registry or a download, with what can be done.
pub(super) fn of(error: &RegistryError) -> Fault {
    let (code, hint) = match error {
        RegistryError::Invalid { .. } => {
            ("component-source-invalid", "name a file, an https:// URL, or oci://HOST/NAME:VERSION")
        }
        RegistryError::NotAComponent { .. } => {
            ("component-source-invalid", "`wharf component push` and `wkg oci push` make what can be installed")
        }
        RegistryError::Unreachable { .. } => {
            ("component-source-unreachable", "see whether the name is right, and whether this machine may go there")
        }
        RegistryError::TimedOut { .. } => {
            ("component-source-unreachable", "try again; or download it by other means and install the file")
        }
        RegistryError::Refused { .. } => ("component-source-unreachable", "its own log says more"),
        RegistryError::NotFound { .. } => ("component-source-missing", "see whether name and version are right"),
        RegistryError::Denied { .. } => (
            "component-source-denied",
            "log in with `docker login`, or write registries.json; an account may also lack the right",
        ),
        RegistryError::TooLarge { .. } => ("component-too-large", "build it for size, without debugging information"),
        RegistryError::Altered { .. } => (
            "component-altered",
            "nothing was installed; try again, and if it stays so, don't trust that registry or what is in between",
        ),
        RegistryError::Io { .. } => ("component-folder-unusable", "see whether the disk has room"),
    };
    Fault::new(code, sentence_of(error)).hint(hint)
}
