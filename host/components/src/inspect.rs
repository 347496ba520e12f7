//! What a component's file says, without any grant and without its settings.

use std::path::{Path, PathBuf};

use serde::Serialize;
use wasmparser::{KnownCustom, Parser, Payload};
use wharf_model::Fault;

use crate::call_error::cut;
use crate::engine::Engine;
use crate::load;
use crate::source::{self, Source};
use crate::world::{InterfaceName, PACKAGE, World};

/// The most entries of producers that are read.
const MAX_PRODUCERS: usize = 100;

/// What a component's file says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Inspection {
    /// The file.
    pub file: PathBuf,
    /// Its size in bytes.
    pub size: u64,
    /// Its SHA-256.
    pub digest: String,
    /// What kind it is.
    pub world: Option<World>,
    /// The version of `wharf:plugin` that it was built for.
    pub wit_version: Option<String>,
    /// What it imports, and what each lets it do.
    pub imports: Vec<Import>,
    /// What it exports.
    pub exports: Vec<String>,
    /// What it says of itself; none when it can't be asked.
    pub metadata: Option<Metadata>,
    /// With what it was made: `language`, `processed-by`, `sdk`, each with a name and perhaps a version.
    pub producers: Vec<Producer>,
    /// Who signed it; none when nothing says so.
    pub signature: Option<String>,
    /// Why a host would not load it, whatever it were granted.
    pub fault: Option<Fault>,
}

/// Something that a component imports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Import {
    /// Its name.
    pub name: String,
    /// What it lets the component do.
    pub meaning: &'static str,
    /// What its TOML file must say for it to be there.
    pub grant: Option<&'static str>,
}

/// What a component says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Metadata {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// One sentence.
    pub description: String,
    /// A JSON schema of its settings; none when it takes none.
    pub settings_schema: Option<String>,
}

/// An entry of a producers section.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Producer {
    /// `language`, `processed-by` or `sdk`.
    pub field: String,
    /// E.g. `Rust`.
    pub name: String,
    /// May be empty.
    pub version: String,
}

/// Looks into a component's file. Blocks: it compiles.
///
/// # Errors
/// It can't be read, or isn't a component at all. What would keep a host from loading it is in the answer.
pub fn inspect(engine: &Engine, file: &Path) -> Result<Inspection, Fault> {
    // Its TOML file is somebody's decision about it, and no part of it.
    let source = Source { toml: Ok(None), ..Source::read(file) };
    let bytes = source.wasm.as_ref().map_err(Clone::clone)?;
    source::check_shape(file, bytes)?;
    let mut inspection = Inspection {
        file: file.to_owned(),
        size: bytes.len() as u64,
        digest: source::digest(bytes),
        world: None,
        wit_version: None,
        imports: Vec::new(),
        exports: Vec::new(),
        metadata: None,
        producers: producers(bytes),
        signature: None,
        fault: None,
    };
    load::look(engine, &source, &mut inspection);
    Ok(inspection)
}

impl Inspection {
    /// Notes what the component's type says.
    pub(crate) fn note_names<'a>(
        &mut self,
        imports: impl Iterator<Item = &'a str>,
        exports: impl Iterator<Item = &'a str>,
    ) {
        self.exports = exports.map(cut).collect();
        self.imports = imports.map(import).collect();
        let ours = self.exports.iter().map(|name| InterfaceName::of(name)).find(|name| name.package == PACKAGE);
        self.wit_version = ours.map(|name| name.version.to_owned());
    }
}

/// What an import lets a component do.
fn import(name: &str) -> Import {
    let parts = InterfaceName::of(name);
    let (meaning, grant) = match (parts.package, parts.interface) {
        (PACKAGE, "types") => ("the words that all kinds share; it does nothing", None),
        (PACKAGE, "log") => ("write lines to the host's log", None),
        (PACKAGE, "settings") => ("read its own settings", None),
        (PACKAGE, "clock") => ("know the real time", Some("clock = true")),
        (PACKAGE, "random") => ("get real random numbers", Some("random = true")),
        (PACKAGE, "folder") => ("read the files of one folder", Some("folder = \"PATH\"")),
        _ if !parts.is_standard() => ("nothing: this host doesn't have it", None),
        ("wasi:cli", "environment") => ("see an environment, which is empty", None),
        ("wasi:cli", "exit") => ("end its own call", None),
        ("wasi:cli", "stdin") => ("read an input that is empty", None),
        ("wasi:cli", "stdout" | "stderr") => ("write to the host's log at level debug", None),
        ("wasi:cli", _) => ("ask whether it has a terminal; it hasn't", None),
        ("wasi:clocks", _) => ("ask for the time of a clock that stands still", None),
        ("wasi:filesystem", _) => ("look for folders; there are none", None),
        ("wasi:random", _) => ("get random numbers that are the same at every call", None),
        ("wasi:sockets", _) => ("ask for a network, which is refused", None),
        (_, "poll") => ("wait for its own streams", None),
        (_, "error") => ("say what went wrong with its own streams", None),
        _ => ("read and write its own streams", None),
    };
    Import { name: cut(name), meaning, grant }
}

/// With what a component and the modules in it were made.
fn producers(bytes: &[u8]) -> Vec<Producer> {
    let mut found = Vec::new();
    for payload in Parser::new(0).parse_all(bytes) {
        // What isn't valid after here is told by the compiler, in better words.
        let Ok(payload) = payload else { break };
        let Payload::CustomSection(section) = payload else { continue };
        let KnownCustom::Producers(fields) = section.as_known() else { continue };
        for field in fields.into_iter().map_while(Result::ok) {
            for value in field.values.into_iter().map_while(Result::ok) {
                let producer = Producer { field: cut(field.name), name: cut(value.name), version: cut(value.version) };
                if !found.contains(&producer) && found.len() < MAX_PRODUCERS {
                    found.push(producer);
                }
            }
        }
    }
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn imports_have_a_meaning() {
        assert_eq!(import("wharf:plugin/clock@0.1.0").grant, Some("clock = true"));
        assert!(import("wasi:http/types@0.2.6").meaning.starts_with("nothing"));
        assert_eq!(import("wasi:sockets/tcp@0.2.6").meaning, "ask for a network, which is refused");
    }

    #[test]
    fn rubbish_has_no_producers() {
        assert_eq!(producers(b"\0asm\x0d\0\x01\0\x00\x0bproducersxxx"), []);
        assert_eq!(producers(b""), []);
    }
}
