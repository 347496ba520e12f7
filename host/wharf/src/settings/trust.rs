//! `[trust]` of `wharf.toml`.

use schemars::JsonSchema;
use serde::Deserialize;
use wharf_components::{CosignKey, MinisignKey, Trust, TrustMode};
use wharf_model::{Fault, is_digest};

use super::source::Source;

/// Whose components are loaded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TrustTable {
    /// `any` (the default): every file in `policies/` and `plugins/`. `digests`: those that are listed. `signed`: those that a
    /// listed key signed, and those that are listed.
    pub mode: Option<TrustMode>,
    /// Whether the components that came with this build of wharf are trusted by their digests. True by default.
    pub shipped: Option<bool>,
    /// Digests of files, `sha256:…`.
    pub digests: Vec<String>,
    /// Public keys of minisign: the line of base64 of `minisign.pub`.
    pub keys: Vec<String>,
    /// Public keys of cosign for what comes from registries: PEM, ECDSA on P-256.
    pub cosign_keys: Vec<String>,
}

/// Checks the table.
pub(super) fn resolve(source: &Source<'_>, table: &TrustTable) -> Result<Trust, Fault> {
    let mode = table.mode.unwrap_or_default();
    let mut trust = Trust { mode, ..Trust::default() };
    for (at, digest) in table.digests.iter().enumerate() {
        if !is_digest(digest) {
            let message = format!("`digests` has \"{digest}\"; it takes `sha256:` and 64 hexadecimal digits");
            return Err(source.fault(&["trust", "digests", &at.to_string()], message));
        }
        trust.digests.insert(digest.trim_start_matches("sha256:").to_owned());
    }
    let wrong = |key: &str, at: usize, why: String| {
        source.fault(&["trust", key, &at.to_string()], format!("`{key}` has something else than a key: {why}"))
    };
    for (at, text) in table.keys.iter().enumerate() {
        trust.keys.push(MinisignKey::parse(text).map_err(|why| wrong("keys", at, why))?);
    }
    for (at, text) in table.cosign_keys.iter().enumerate() {
        trust.cosign_keys.push(CosignKey::parse(text).map_err(|why| wrong("cosign_keys", at, why))?);
    }
    let nobody = trust.digests.is_empty() && trust.keys.is_empty() && trust.cosign_keys.is_empty();
    if nobody && mode != TrustMode::Any && table.shipped == Some(false) {
        return Err(
            source.fault(&["trust", "mode"], "[trust] trusts nobody: no digest, no key, and not what ships with wharf")
        );
    }
    if mode == TrustMode::Digests && !(trust.keys.is_empty() && trust.cosign_keys.is_empty()) {
        let key = if trust.keys.is_empty() { "cosign_keys" } else { "keys" };
        let message =
            format!("`{key}` counts for nothing while `mode` is \"digests\"; write \"signed\", or leave it out");
        return Err(source.fault(&["trust", key], message));
    }
    Ok(trust)
}

#[cfg(test)]
mod tests {
    use crate::settings::fixture::Fixture;

    const KEY: &str = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";

    #[test]
    fn keys_and_digests_are_read() {
        let fixture = Fixture::new();
        fixture.write(
            "wharf.toml",
            &format!("[trust]\nmode = \"signed\"\nkeys = [\"{KEY}\"]\ndigests = [\"sha256:{}\"]\n", "ab".repeat(32)),
        );
        let site = fixture.home().load_site().expect("sound");
        assert_eq!(site.trust.keys[0].id(), "E7620F1842B4E81F");
        assert!(site.trust_shipped && site.trust.digests.contains(&"ab".repeat(32)));
    }

    #[test]
    fn each_slip_has_its_line() {
        let fixture = Fixture::new();
        for (text, line, words) in [
            ("mode = \"some\"", 2, "some"),
            ("mode = \"digests\"\ndigests = [\"abc\"]", 3, "`digests` has \"abc\""),
            ("mode = \"signed\"\nkeys = [\"abc\"]", 3, "it isn't a public key of minisign"),
            ("mode = \"signed\"\ncosign_keys = [\"abc\"]", 3, "it isn't a"),
            ("mode = \"signed\"\nshipped = false", 2, "trusts nobody"),
            ("mode = \"signed\"\ncosign_key = []", 3, "did you mean `cosign_keys`?"),
        ] {
            fixture.write("wharf.toml", &format!("[trust]\n{text}\n"));
            let fault = fixture.home().load_site().expect_err(text);
            let shown = fixture.spell(&fault);
            assert!(shown.starts_with(&format!("wharf.toml:{line}:")) && shown.contains(words), "{text}: {shown}");
        }
        fixture.write("wharf.toml", &format!("[trust]\nmode = \"digests\"\nkeys = [\"{KEY}\"]\n"));
        let fault = fixture.home().load_site().expect_err("keys that count for nothing");
        assert!(fault.message.contains("counts for nothing"), "{fault}");
    }
}
