//! What the record store remembers of images: what they are made of, when they were used, and where registries have them.

use rusqlite::{OptionalExtension, Row, params};
use wharf_images::{Ingredients, Kind, Ledger};
use wharf_model::ContentKey;

use crate::store::{Store, StoreError};

/// What is read of a row, in the order that [`read`] takes it.
const SELECT: &str = "SELECT key, kind, name, lines, first_seen, last_used FROM images";

/// One image that this home made or used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ImageRecord {
    pub(crate) made_of: Ingredients,
    /// Milliseconds since 1970.
    pub(crate) first_seen: u64,
    /// Milliseconds since 1970.
    pub(crate) last_used: u64,
}

/// An image that is in a registry, as far as this home knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PushedImage {
    /// With its registry: `registry.example.com/data/wharf-run/python-r`.
    pub(crate) repository: String,
    pub(crate) key: ContentKey,
    /// `sha256:...`
    pub(crate) digest: String,
}

impl Store {
    /// Notes that images are in use now, and what those are made of that weren't known.
    pub(crate) fn images_used(&self, images: &[Ingredients], at: u64) -> Result<(), StoreError> {
        self.write("record that an image is used", false, |transaction| {
            let mut insert = transaction.prepare_cached(
                "INSERT INTO images (key, kind, name, lines, first_seen, last_used) VALUES (?, ?, ?, ?, ?5, ?5)
                 ON CONFLICT (key) DO UPDATE SET last_used = excluded.last_used",
            )?;
            for image in images {
                let lines = image.lines.join("\n");
                insert.execute(params![image.key.as_str(), image.kind.as_str(), image.name, lines, at])?;
            }
            Ok(())
        })
    }

    /// All images that are remembered, those that were seen last first.
    pub(crate) fn images(&self) -> Result<Vec<ImageRecord>, StoreError> {
        self.image_rows(&format!("{SELECT} ORDER BY first_seen DESC, rowid DESC"), "")
    }

    /// The images of a name, or those whose key begins so; those that were seen last first.
    pub(crate) fn images_called(&self, name: &str) -> Result<Vec<ImageRecord>, StoreError> {
        self.image_rows(
            &format!(
                "{SELECT} WHERE name = ?1 OR (length(?1) >= 8 AND substr(key, 1, length(?1)) = ?1)
                 ORDER BY first_seen DESC, rowid DESC"
            ),
            name,
        )
    }

    /// All that is in registries, as far as this home knows.
    pub(crate) fn pushed(&self) -> Result<Vec<PushedImage>, StoreError> {
        let failed = |source| StoreError::Database { operation: "read what it knows of registries", source };
        let connection = self.connection();
        let query = "SELECT repository, key, digest FROM pushed ORDER BY repository, key";
        let mut rows = connection.prepare_cached(query).map_err(failed)?;
        let found = rows.query_map([], |row| {
            let key: String = row.get(1)?;
            let (repository, digest) = (row.get(0)?, row.get(2)?);
            Ok(ContentKey::read(&key).map(|key| PushedImage { repository, key, digest }))
        });
        Ok(found
            .map_err(failed)?
            .collect::<rusqlite::Result<Vec<_>>>()
            .map_err(failed)?
            .into_iter()
            .flatten()
            .collect())
    }

    fn image_rows(&self, query: &str, name: &str) -> Result<Vec<ImageRecord>, StoreError> {
        let failed = |source| StoreError::Database { operation: "read what it knows of images", source };
        let connection = self.connection();
        let mut rows = connection.prepare_cached(query).map_err(failed)?;
        let some: [&dyn rusqlite::ToSql; 1] = [&name];
        let given = if query.contains("?1") { &some[..] } else { &[] };
        let found = rows.query_map(given, read).map_err(failed)?;
        // A row that an earlier version wrote otherwise is as good as none.
        Ok(found.collect::<rusqlite::Result<Vec<_>>>().map_err(failed)?.into_iter().flatten().collect())
    }
}

fn read(row: &Row<'_>) -> rusqlite::Result<Option<ImageRecord>> {
    let (key, kind): (String, String) = (row.get(0)?, row.get(1)?);
    let (Some(key), Some(kind)) = (ContentKey::read(&key), Kind::read(&kind)) else { return Ok(None) };
    let lines: String = row.get(3)?;
    let lines = lines.lines().map(str::to_owned).collect();
    let made_of = Ingredients { kind, name: row.get(2)?, key, lines };
    Ok(Some(ImageRecord { made_of, first_seen: row.get(4)?, last_used: row.get(5)? }))
}

impl Store {
    /// Forgets that an image is in its registry, by the reference with which it couldn't be pulled: `REPOSITORY@DIGEST`.
    pub(crate) fn forget_pushed(&self, reference: &str) {
        let Some((repository, digest)) = reference.split_once('@') else { return };
        let query = "DELETE FROM pushed WHERE repository = ? AND digest = ?";
        let done = self.write("forget a push", false, |transaction| {
            transaction.prepare_cached(query)?.execute(params![repository, digest])
        });
        if let Err(error) = done {
            tracing::warn!(repository, error = %crate::conclude::sentence_of(&error), "a push isn't forgotten");
        }
    }
}

/// A database that fails here makes work, not harm: what isn't remembered is pushed again, layer by layer compared.
impl Ledger for Store {
    fn digest(&self, repository: &str, key: &ContentKey) -> Option<String> {
        let query = "SELECT digest FROM pushed WHERE repository = ? AND key = ?";
        let connection = self.connection();
        let mut row = connection.prepare_cached(query).ok()?;
        row.query_row(params![repository, key.as_str()], |row| row.get(0)).optional().ok().flatten()
    }

    fn remember(&self, repository: &str, key: &ContentKey, digest: &str) {
        let query = "INSERT INTO pushed (repository, key, digest) VALUES (?, ?, ?)
                     ON CONFLICT (repository, key) DO UPDATE SET digest = excluded.digest";
        let done = self.write("record a push", false, |transaction| {
            transaction.prepare_cached(query)?.execute(params![repository, key.as_str(), digest])
        });
        if let Err(error) = done {
            tracing::warn!(repository, error = %crate::conclude::sentence_of(&error), "a push isn't remembered");
        }
    }

    fn forget(&self, repository: &str, key: &ContentKey) {
        let query = "DELETE FROM pushed WHERE repository = ? AND key = ?";
        let done = self.write("forget a push", false, |transaction| {
            transaction.prepare_cached(query)?.execute(params![repository, key.as_str()])
        });
        if let Err(error) = done {
            tracing::warn!(repository, error = %crate::conclude::sentence_of(&error), "a push isn't forgotten");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> ContentKey {
        ContentKey::of([("test", text.as_bytes())])
    }

    fn made_of(name: &str, contents: &str) -> Ingredients {
        let lines = vec!["starts from nothing".to_owned(), contents.to_owned()];
        Ingredients { kind: Kind::CodeEnv, name: name.to_owned(), key: key(contents), lines }
    }

    #[test]
    fn an_image_is_remembered_with_its_last_use() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("wharf.db")).unwrap();
        store.images_used(&[made_of("ml", "a")], 1).unwrap();
        store.images_used(&[made_of("ml", "b"), made_of("other", "c")], 2).unwrap();
        store.images_used(&[made_of("ml", "a")], 3).unwrap();
        let found = store.images_called("ml").unwrap();
        let shown: Vec<_> = found.iter().map(|record| (record.made_of.clone(), record.last_used)).collect();
        assert_eq!(shown, [(made_of("ml", "b"), 2), (made_of("ml", "a"), 3)]);
        let by_key = store.images_called(key("c").short()).unwrap();
        assert_eq!(by_key[0].made_of.name, "other");
        assert_eq!(store.images_called("none").unwrap(), []);
        assert_eq!(store.images().unwrap().len(), 3);
    }

    #[test]
    fn a_push_is_remembered_and_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("wharf.db")).unwrap();
        assert_eq!(store.digest("r/a", &key("a")), None);
        store.remember("r/a", &key("a"), "sha256:1");
        store.remember("r/a", &key("a"), "sha256:2");
        assert_eq!(store.digest("r/a", &key("a")).as_deref(), Some("sha256:2"));
        assert_eq!(store.digest("r/b", &key("a")), None);
        let known = PushedImage { repository: "r/a".to_owned(), key: key("a"), digest: "sha256:2".to_owned() };
        assert_eq!(store.pushed().unwrap(), [known]);
        store.forget("r/a", &key("a"));
        assert_eq!(store.digest("r/a", &key("a")), None);
    }
}
