use wharf_model::protocol::variables;

/// How the runner finds its host.
pub(crate) struct Settings {
    /// `HOST:PORT`.
    pub(crate) exchange: String,
    /// SHA-256 of the host's certificate.
    pub(crate) fingerprint: [u8; 32],
    /// In hex.
    pub(crate) ticket: String,
}

impl Settings {
    /// Reads the variables that the host set on the container; the error is a sentence.
    pub(crate) fn read(get: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let need = |name: &str| {
            get(name).filter(|value| !value.is_empty()).ok_or_else(|| {
                format!("{name} is not set: this program is started by wharf as a container's first process")
            })
        };
        let mut fingerprint = [0; 32];
        hex::decode_to_slice(need(variables::FINGERPRINT)?, &mut fingerprint)
            .map_err(|_| format!("{} is not a SHA-256 in hex", variables::FINGERPRINT))?;
        let ticket = need(variables::TICKET)?;
        if hex::decode(&ticket).is_err() {
            return Err(format!("{} is not in hex", variables::TICKET));
        }
        Ok(Self { exchange: need(variables::EXCHANGE)?, fingerprint, ticket })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named() {
        let error = Settings::read(|_| None).err().unwrap();
        assert!(error.contains("WHARF_FINGERPRINT is not set"));
        let error = Settings::read(|_| Some("x".to_owned())).err().unwrap();
        assert!(error.contains("not a SHA-256"));
    }
}
