//! What somebody who decides about a file has to know, without running anything of it.

use std::path::Path;

use wharf_model::Fault;

use crate::engine::Engine;
use crate::evidence::Evidence;
use crate::load;
use crate::needs::{imports_of, needs_of};
use crate::source::{self, Source};
use crate::trust::{NotSigned, Trust, Voucher};
use crate::world::World;

/// What a component file is, from its own bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reviewed {
    /// What kind it is.
    pub world: World,
    /// All that it imports.
    pub imports: Vec<String>,
    /// All that it exports.
    pub exports: Vec<String>,
    /// The imports that need a grant.
    pub needs: Vec<String>,
    /// SHA-256 of the file, in hex.
    pub digest: String,
    /// Bytes.
    pub size: u64,
    /// Why it would be trusted.
    pub voucher: Voucher,
}

/// Looks at a file behind the engine's gate: trust first, then its shape; it is compiled and not started.
///
/// # Errors
/// It isn't trusted, or isn't a component.
pub fn review(engine: &Engine, file: &Path) -> Result<Reviewed, Fault> {
    let source = Source::read(file);
    let bytes = source.bytes()?;
    source::check_shape(file, bytes)?;
    let digest = source.print.wasm.clone().unwrap_or_default();
    let voucher = engine.gate().admit(&source, &digest, bytes)?;
    let compiled = load::compile(engine, file, bytes, &digest)?;
    let imports = imports_of(engine, &compiled);
    let exports = compiled.component_type().exports(engine.wasmtime()).map(|(name, _)| name.to_owned()).collect();
    Ok(Reviewed {
        world: load::world(engine, file, &compiled)?.0,
        needs: needs_of(&imports),
        imports,
        exports,
        digest,
        size: bytes.len() as u64,
        voucher,
    })
}

/// Who signed a component file, of those whose keys are listed; `None` when nothing is beside it.
///
/// # Errors
/// The file can't be read. The inner one: the signature doesn't count, and why.
pub fn signature_of(file: &Path, trust: &Trust) -> Result<Option<Result<Voucher, NotSigned>>, Fault> {
    let source = Source::read(file);
    let bytes = source.bytes()?;
    if source.evidence == Evidence::default() {
        return Ok(None);
    }
    Ok(Some(trust.signed_by(source.print.wasm.as_deref().unwrap_or_default(), bytes, &source.evidence)))
}
