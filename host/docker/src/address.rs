//! Addresses of Docker daemons.

use std::fmt;
use std::path::PathBuf;

/// Where a daemon listens.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Address {
    /// A Unix socket of this machine: `unix:///var/run/docker.sock`.
    Unix(PathBuf),
}

/// Why a text isn't the address of a daemon that can be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// A way to a daemon that other tools have.
    #[error(
        "{address}: daemons behind {scheme}:// aren't supported by this version; use unix://PATH, such as unix:///var/run/docker.sock"
    )]
    Unsupported {
        /// The address.
        address: String,
        /// Its scheme.
        scheme: String,
    },
    /// Not an address.
    #[error(
        "\"{address}\" isn't the address of a Docker daemon; write unix://PATH, such as unix:///var/run/docker.sock"
    )]
    Unknown {
        /// What was written.
        address: String,
    },
}

impl Address {
    /// Reads an address as `DOCKER_HOST` has it.
    ///
    /// # Errors
    /// Another scheme than `unix`, or no address at all.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        match text.split_once("://") {
            Some(("unix", path)) if path.starts_with('/') => Ok(Self::Unix(PathBuf::from(path))),
            Some((scheme @ ("tcp" | "http" | "https" | "ssh" | "npipe" | "fd"), _)) => {
                Err(AddressError::Unsupported { address: text.to_owned(), scheme: scheme.to_owned() })
            }
            _ => Err(AddressError::Unknown { address: text.to_owned() }),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_is_read_and_written() {
        let address = Address::parse("unix:///var/run/docker.sock").unwrap();
        assert_eq!(address, Address::Unix(PathBuf::from("/var/run/docker.sock")));
        assert_eq!(address.to_string(), "unix:///var/run/docker.sock");
    }

    #[test]
    fn other_ways_are_named() {
        for (text, expected) in [
            ("tcp://10.0.0.1:2376", "behind tcp:// aren't supported"),
            ("ssh://ana@build", "behind ssh:// aren't supported"),
            ("unix://docker.sock", "isn't the address"),
            ("/var/run/docker.sock", "isn't the address"),
            ("", "isn't the address"),
        ] {
            let error = Address::parse(text).unwrap_err().to_string();
            assert!(error.contains(expected) && error.contains("unix:///var/run/docker.sock"), "{error}");
        }
    }
}
