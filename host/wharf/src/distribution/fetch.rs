//! A component on its way: in a folder of its own, not yet in its place.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use wharf_components::{CosignEvidence, Evidence, NotSigned, Trust, signature_of};
use wharf_model::Fault;
use wharf_registry::Reference;

use super::{Distribution, fault, place};
use crate::settings::is_name;

/// The largest component that is fetched.
const LARGEST: u64 = 64 << 20;
/// The largest signature.
const SIGNATURE: u64 = 64 << 10;

/// A component that was fetched, and that nobody has looked at yet. It is gone when this is dropped.
#[derive(Debug)]
pub struct Fetched {
    pub(super) stage: TempDir,
    pub(super) name: String,
    /// Where it came from, as exactly as it can be said.
    pub(super) source: String,
}

impl Fetched {
    pub(super) fn file(&self) -> PathBuf {
        self.stage.path().join(format!("{}.wasm", self.name))
    }
}

impl Distribution {
    /// Fetches a component from a file, a URL or a registry. `name` is what it will be called; else what its source calls it.
    /// `digest` is what its file must have.
    ///
    /// Dropping the future leaves nothing behind.
    ///
    /// # Errors
    /// It isn't there, it can't be reached, it is too large, or isn't what its digest says.
    pub async fn fetch(&self, source: &str, name: Option<&str>, digest: Option<&str>) -> Result<Fetched, Fault> {
        let name = match name {
            Some(name) => name.to_owned(),
            None => name_of(source)?,
        };
        if !is_name(&name) {
            return Err(Fault::new("component-source-invalid", format!("\"{name}\" can't be the name of a component"))
                .hint("`--name NAME` gives it another: letters, digits, `.`, `_` and `-`"));
        }
        let stage = place::stage(&self.home)?;
        let mut fetched = Fetched { stage, name, source: source.to_owned() };
        let file = fetched.file();
        if Reference::is_one(source) {
            fetched.source = self.pull(source, &file).await?;
        } else if source.contains("://") {
            self.download(source, &file).await?;
        } else {
            fetched.source = take(Path::new(source), &file)?;
        }
        if let Some(expected) = digest {
            let got = format!("sha256:{}", digest_of(&file)?);
            if got != expected {
                return Err(Fault::new(
                    "component-altered",
                    format!("{source} isn't what was named: expected {expected}, got {got}"),
                )
                .hint("nothing was installed; ask whoever gave you the digest"));
            }
        }
        Ok(fetched)
    }

    async fn pull(&self, source: &str, file: &Path) -> Result<String, Fault> {
        let reference = Reference::parse(source).map_err(|error| fault::of(&error))?;
        let credentials = self.credentials(&reference.registry).await?;
        let pulled = self.client.pull(&reference, credentials, file).await.map_err(|error| fault::of(&error))?;
        let failed = |error: io::Error| place::unusable(file, &error);
        if let Some(minisig) = &pulled.minisig {
            fs::write(Evidence::minisig_file(file), minisig).map_err(failed)?;
        }
        let trust = self.gate()?.trust;
        for (at, signature) in pulled.signatures.iter().enumerate() {
            let evidence = CosignEvidence::new(&pulled.manifest, &signature.payload, &signature.signature);
            let text = serde_json::to_vec_pretty(&evidence).map_err(|error| failed(error.into()))?;
            // The first that counts; when none does, one of a stranger, who is named then.
            if at == 0 || !is_signed(file, &trust)? {
                fs::write(Evidence::cosign_file(file), text).map_err(failed)?;
            }
        }
        Ok(pulled.reference.to_string())
    }

    async fn download(&self, source: &str, file: &Path) -> Result<(), Fault> {
        let get = async |url: &str, to: &Path, limit| {
            self.client.download(url, to, limit).await.map_err(|error| fault::of(&error))
        };
        if get(source, file, LARGEST).await?.is_none() {
            return Err(Fault::new("component-source-missing", format!("{source} isn't there"))
                .hint("see whether the address is right"));
        }
        // The signature is where the file is; what comes after a `?` isn't part of its name.
        let mut url = url::Url::parse(source)
            .map_err(|error| Fault::new("component-source-invalid", format!("{source}: {error}")))?;
        url.set_path(&format!("{}.minisig", url.path()));
        get(url.as_str(), &Evidence::minisig_file(file), SIGNATURE).await.map(|_| ())
    }
}

fn is_signed(file: &Path, trust: &Trust) -> Result<bool, Fault> {
    let found: Option<Result<_, NotSigned>> = signature_of(file, trust)?;
    Ok(matches!(found, Some(Ok(_))))
}

/// Copies a file, and the signatures beside it.
fn take(source: &Path, file: &Path) -> Result<String, Fault> {
    let unreadable = |error: &io::Error| {
        Fault::new("component-source-missing", format!("it can't be read: {error}"))
            .at(source, None)
            .hint("name a file, an https:// URL, or oci://HOST/NAME:VERSION")
    };
    let about = fs::metadata(source).map_err(|error| unreadable(&error))?;
    if !about.is_file() {
        return Err(unreadable(&io::Error::other("it isn't a file")));
    }
    if about.len() > LARGEST {
        return Err(
            Fault::new("component-too-large", format!("it is larger than {} MiB", LARGEST >> 20)).at(source, None)
        );
    }
    place::copy(source, file).map_err(|error| unreadable(&error))?;
    Ok(fs::canonicalize(source).unwrap_or_else(|_| source.to_owned()).display().to_string())
}

/// What a source calls a component.
fn name_of(source: &str) -> Result<String, Fault> {
    if Reference::is_one(source) {
        let reference = Reference::parse(source).map_err(|error| fault::of(&error))?;
        return Ok(reference.repository.rsplit('/').next().unwrap_or_default().to_owned());
    }
    let path = match url::Url::parse(source) {
        Ok(url) if source.contains("://") => url.path().to_owned(),
        _ => source.to_owned(),
    };
    let last = path.rsplit('/').next().unwrap_or_default();
    Ok(last.strip_suffix(".wasm").unwrap_or(last).to_owned())
}

fn digest_of(file: &Path) -> Result<String, Fault> {
    use sha2::Digest as _;
    let bytes = fs::read(file).map_err(|error| place::unusable(file, &error))?;
    Ok(hex::encode(sha2::Sha256::digest(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_name_components() {
        for (source, name) in [
            ("/a/b/ceiling.wasm", "ceiling"),
            ("ceiling", "ceiling"),
            ("https://example.com/x/ceiling.wasm?token=1", "ceiling"),
            ("oci://r.example:5000/site/ceiling:0.1.0", "ceiling"),
        ] {
            assert_eq!(name_of(source).as_deref(), Ok(name), "{source}");
        }
        assert_eq!(name_of("oci://r.example").expect_err("no name").code, "component-source-invalid");
    }
}
