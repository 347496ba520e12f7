//! The name of something in a registry.

use std::fmt;

use wharf_model::is_digest;

use crate::error::RegistryError;

/// What a reference begins with.
const SCHEME: &str = "oci://";

/// `oci://HOST[:PORT]/REPOSITORY[:TAG][@sha256:DIGEST]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// `HOST[:PORT]`.
    pub registry: String,
    /// The path in it.
    pub repository: String,
    /// `latest` when nothing else is said.
    pub tag: String,
    /// The digest of the manifest. The tag counts for nothing then.
    pub digest: Option<String>,
}

impl Reference {
    /// Reads a reference.
    ///
    /// # Errors
    /// It isn't one.
    pub fn parse(text: &str) -> Result<Self, RegistryError> {
        let invalid = |why: &str| RegistryError::Invalid { text: text.to_owned(), why: why.to_owned() };
        let rest = text.strip_prefix(SCHEME).ok_or_else(|| invalid("it doesn't begin with oci://"))?;
        let (rest, digest) = match rest.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest)),
            None => (rest, None),
        };
        if digest.is_some_and(|digest| !is_digest(digest)) {
            return Err(invalid("after the @ comes sha256: and 64 hexadecimal digits"));
        }
        let (registry, path) = rest.split_once('/').ok_or_else(|| invalid("it is HOST/NAME:VERSION"))?;
        let host_byte = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
        if registry.is_empty() || !registry.bytes().all(host_byte) {
            return Err(invalid("its host isn't one"));
        }
        let (repository, tag) = path.rsplit_once(':').unwrap_or((path, "latest"));
        let part = |part: &str| {
            part.starts_with(|first: char| first.is_ascii_lowercase() || first.is_ascii_digit())
                && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b))
        };
        if repository.len() > 255 || !repository.split('/').all(part) {
            return Err(invalid("a name in a registry has small letters, digits, `.`, `_`, `-` and `/`"));
        }
        let tag_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if tag.is_empty() || tag.len() > 128 || tag.starts_with(['.', '-']) || !tag.bytes().all(tag_byte) {
            return Err(invalid("a version in a registry has letters, digits, `.`, `_` and `-`"));
        }
        Ok(Self {
            registry: registry.to_owned(),
            repository: repository.to_owned(),
            tag: tag.to_owned(),
            digest: digest.map(str::to_owned),
        })
    }

    /// Whether a text means something in a registry.
    #[must_use]
    pub fn is_one(text: &str) -> bool {
        text.starts_with(SCHEME)
    }

    /// What the registry's API calls it: the digest, else the tag.
    pub(crate) fn target(&self) -> &str {
        self.digest.as_deref().unwrap_or(&self.tag)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}/{}:{}", self.registry, self.repository, self.tag)?;
        self.digest.as_ref().map_or(Ok(()), |digest| write!(f, "@{digest}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_taken_apart() {
        let plain = Reference::parse("oci://127.0.0.1:5000/site/ceiling:0.2.0").unwrap();
        assert_eq!((plain.registry.as_str(), plain.repository.as_str()), ("127.0.0.1:5000", "site/ceiling"));
        assert_eq!((plain.target(), plain.to_string().as_str()), ("0.2.0", "oci://127.0.0.1:5000/site/ceiling:0.2.0"));
        assert_eq!(Reference::parse("oci://r.example/ceiling").unwrap().tag, "latest");
        let digest = format!("sha256:{}", "0a".repeat(32));
        let pinned = Reference::parse(&format!("oci://[::1]:5000/c:1@{digest}")).unwrap();
        assert_eq!((pinned.target(), pinned.registry.as_str()), (digest.as_str(), "[::1]:5000"));
    }

    #[test]
    fn what_is_no_reference_says_why() {
        for (text, why) in [
            ("https://r/c", "oci://"),
            ("oci://r", "HOST/NAME"),
            ("oci:///c", "host"),
            ("oci://a b/c", "host"),
            ("oci://u@r/c:1", "sha256:"),
            ("oci://r/Ceiling", "small letters"),
            ("oci://r/../c", "small letters"),
            ("oci://r/a//c", "small letters"),
            ("oci://r/c:", "version"),
            ("oci://r/c:a/b", "a version in a registry"),
            ("oci://r/c@sha256:12", "64"),
        ] {
            let error = Reference::parse(text).unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
