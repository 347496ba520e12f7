use wharf_model::protocol::{ATTACH, ATTACH_BY_PORT, variables};

/// How the runner finds its host.
pub(crate) struct Settings {
    /// Where the host is.
    pub(crate) exchange: Exchange,
    /// SHA-256 of the host's certificate.
    pub(crate) fingerprint: [u8; 32],
    /// In hex.
    pub(crate) ticket: String,
}

/// Where the host is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Exchange {
    /// At this `HOST:PORT`.
    At(String),
    /// It reaches into the container, and finds us under this name.
    Attach(String),
    /// It comes in through this port of the container's own loopback.
    AttachByPort(u16),
}

impl Exchange {
    /// Reads the variable; the error is a sentence.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if let Some(port) = text.strip_prefix(ATTACH_BY_PORT) {
            return match port.parse() {
                Ok(port) if port != 0 => Ok(Self::AttachByPort(port)),
                _ => Err(format!("{} is {text:?}; expected {ATTACH_BY_PORT}PORT", variables::EXCHANGE)),
            };
        }
        match text.strip_prefix(ATTACH) {
            // A part of a path.
            Some(name) if !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') => {
                Ok(Self::Attach(name.to_owned()))
            }
            Some(_) => Err(format!("{} is {text:?}; expected {ATTACH}NAME", variables::EXCHANGE)),
            None => Ok(Self::At(text.to_owned())),
        }
    }
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
        Ok(Self { exchange: Exchange::parse(&need(variables::EXCHANGE)?)?, fingerprint, ticket })
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

    #[test]
    fn a_name_is_no_path() {
        assert_eq!(Exchange::parse("10.0.0.1:7000"), Ok(Exchange::At("10.0.0.1:7000".to_owned())));
        assert_eq!(Exchange::parse("attach:0a1b-2"), Ok(Exchange::Attach("0a1b-2".to_owned())));
        for bad in ["attach:", "attach:../x", "attach:a/b"] {
            assert!(Exchange::parse(bad).unwrap_err().contains("expected attach:NAME"), "{bad}");
        }
        assert_eq!(Exchange::parse("attach-port:7411"), Ok(Exchange::AttachByPort(7411)));
        for bad in ["attach-port:", "attach-port:0", "attach-port:x", "attach-port:70000"] {
            assert!(Exchange::parse(bad).unwrap_err().contains("expected attach-port:PORT"), "{bad}");
        }
    }
}
