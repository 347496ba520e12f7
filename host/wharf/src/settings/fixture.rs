//! A home for tests.

use wharf_model::Fault;

use super::Home;

/// A home in a temporary folder.
pub(crate) struct Fixture {
    folder: tempfile::TempDir,
}

impl Fixture {
    /// A home with an empty `wharf.toml` and the base image `python-r`.
    pub(crate) fn new() -> Self {
        let fixture = Self { folder: tempfile::tempdir().expect("a temporary folder") };
        fixture.write("wharf.toml", "");
        fixture.write("base-images/python-r.toml", "from = \"debian:bookworm-slim\"\n");
        fixture
    }

    pub(crate) fn home(&self) -> Home {
        Home::at(self.folder.path())
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        let file = self.folder.path().join(path);
        std::fs::create_dir_all(file.parent().expect("a file has a folder")).expect("the folder can be made");
        std::fs::write(file, text).expect("the file can be written");
    }

    /// An error as a person reads it, with paths relative to the home.
    pub(crate) fn spell(&self, fault: &Fault) -> String {
        fault.to_string().replace(&format!("{}/", self.folder.path().display()), "")
    }
}
