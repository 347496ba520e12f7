//! Keys that callers give to what they submit, so that submitting it again finds the run of before.

use rusqlite::{OptionalExtension, params};
use sha2::{Digest as _, Sha256};
use wharf_model::Activity;

use super::{Store, StoreError, json};

/// A caller's key, and what it stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// As the caller gave it.
    pub text: String,
    /// SHA-256 of the activity, in hex.
    pub activity: String,
}

impl Key {
    /// The key of an activity.
    ///
    /// # Errors
    /// The activity can't be written as JSON.
    pub fn new(text: String, activity: &Activity) -> Result<Self, StoreError> {
        let activity = hex::encode(Sha256::digest(json("an activity", activity)?));
        Ok(Self { text, activity })
    }
}

impl Store {
    /// The run that a user submitted with this key, and the hash of what that was.
    ///
    /// # Errors
    /// The database refused.
    pub fn submitted_with(&self, user: &str, key: &str) -> Result<Option<(String, String)>, StoreError> {
        self.connection()
            .prepare_cached("SELECT run, activity FROM keys WHERE user = ? AND key = ?")
            .and_then(|mut statement| {
                statement.query_row(params![user, key], |row| Ok((row.get(0)?, row.get(1)?))).optional()
            })
            .map_err(|source| StoreError::Database { operation: "look a key up", source })
    }
}
