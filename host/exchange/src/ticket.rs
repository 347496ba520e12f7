use std::fmt;

use ring::rand::{SecureRandom, SystemRandom};
use sha2::{Digest, Sha256};

/// A secret that is good for one attempt of one run.
///
/// The runner gets it in hex; the host keeps nothing but its hash.
#[derive(Clone)]
pub struct Ticket {
    bytes: [u8; 32],
}

impl Ticket {
    /// A new one, from the system's randomness.
    ///
    /// # Errors
    /// The system has no randomness to give.
    pub fn generate() -> std::io::Result<Self> {
        let mut bytes = [0; 32];
        SystemRandom::new()
            .fill(&mut bytes)
            .map_err(|_| std::io::Error::other("the system gives no random bytes for a ticket"))?;
        Ok(Self { bytes })
    }

    /// As the runner says it.
    #[must_use]
    pub fn to_hex(&self) -> String {
        hex::encode(self.bytes)
    }

    /// As the host knows it.
    #[must_use]
    pub fn sha256(&self) -> [u8; 32] {
        Sha256::digest(self.bytes).into()
    }

    /// Reads the value of an `authorization` header.
    ///
    /// Looking a ticket up by its hash takes no longer for a better guess: the time of the look-up tells of the hash,
    /// from which nothing about the ticket follows.
    pub(crate) fn hash_of_header(value: &[u8]) -> Option<[u8; 32]> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(value.strip_prefix(b"Bearer ")?, &mut bytes).ok()?;
        Some(Self { bytes }.sha256())
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ticket(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_leads_to_the_hash() {
        let ticket = Ticket::generate().unwrap();
        let header = format!("Bearer {}", ticket.to_hex());
        assert_eq!(Ticket::hash_of_header(header.as_bytes()), Some(ticket.sha256()));
        assert_eq!(Ticket::hash_of_header(ticket.to_hex().as_bytes()), None);
        assert_eq!(Ticket::hash_of_header(b"Bearer 00"), None);
        assert!(!format!("{ticket:?}").contains(&ticket.to_hex()));
    }
}
