//! What components were asked, in the record: so that they, or others, can be asked the same again.

use rusqlite::params;
use serde::{Deserialize, Serialize};
use wharf_model::decision::Question;

use crate::store::{Store, StoreError};

/// The table. `body` is JSON; none when it is that of the row before.
pub(crate) const TABLE: &str = "
CREATE TABLE questions (
  run       TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
  number    INTEGER NOT NULL,                    -- counts the run's questions from 1
  step      TEXT NOT NULL,                       -- permission, policy
  component TEXT NOT NULL,
  body      TEXT,
  PRIMARY KEY (run, number)
) WITHOUT ROWID;
";

/// One question of a run's way, in the order in which they were asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecordedQuestion {
    /// `permission` or `policy`.
    pub step: String,
    /// Who was asked; nobody, for what any other policy would have been asked there.
    pub component: String,
    /// What.
    pub question: Question,
}

impl Store {
    /// Records what a component is asked. What it was asked before the last one isn't written a second time.
    ///
    /// # Errors
    /// The database refused.
    pub fn ask(&self, run: &str, step: &str, component: &str, question: &Question) -> Result<(), StoreError> {
        let body = serde_json::to_string(question)
            .map_err(|source| StoreError::Unreadable { what: "a question".to_owned(), source })?;
        self.write("record a question", false, |transaction| {
            transaction
                .prepare_cached(
                    "INSERT INTO questions (run, number, step, component, body) VALUES (?1,
                       (SELECT coalesce(max(number), 0) + 1 FROM questions WHERE run = ?1), ?2, ?3,
                       CASE WHEN ?4 = (SELECT body FROM questions WHERE run = ?1 AND body IS NOT NULL ORDER BY number DESC LIMIT 1)
                            THEN NULL ELSE ?4 END)",
                )?
                .execute(params![run, step, component, body])?;
            Ok(())
        })
    }

    /// All that components were asked about a run. None for a run of a host that didn't record it yet.
    ///
    /// # Errors
    /// The database refused, or a question can't be read back.
    pub fn questions(&self, run: &str) -> Result<Vec<RecordedQuestion>, StoreError> {
        let rows: Vec<(String, String, Option<String>)> = {
            let connection = self.connection();
            let read = || -> rusqlite::Result<Vec<_>> {
                let mut statement = connection
                    .prepare_cached("SELECT step, component, body FROM questions WHERE run = ? ORDER BY number")?;
                statement.query_map([run], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?.collect()
            };
            read().map_err(|source| StoreError::Database { operation: "read questions", source })?
        };
        let mut last = Question::default();
        let mut questions = Vec::with_capacity(rows.len());
        for (step, component, body) in rows {
            if let Some(body) = body {
                last = serde_json::from_str(&body).map_err(|source| StoreError::Unreadable {
                    what: format!("a question about the run {run}"),
                    source,
                })?;
            }
            questions.push(RecordedQuestion { step, component, question: last.clone() });
        }
        Ok(questions)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wharf_model::UsageEntry;

    #[test]
    fn questions_come_back_as_they_were_asked() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("wharf.db")).unwrap();
        let activity = serde_json::from_value(serde_json::json!({
            "kind": "python", "requester": { "user": "ana", "groups": [] }
        }));
        store.begin("a", 1, &activity.unwrap(), "docker-local").unwrap();
        let question = |running| Question {
            usage: vec![UsageEntry { user: "ana".into(), configuration: "c".into(), running, cpus: 0, memory: 0 }],
            ..Question::default()
        };
        let asked = [("permission", "groups", 1), ("policy", "one", 2), ("policy", "two", 2), ("policy", "three", 3)];
        for (step, component, running) in asked {
            store.ask("a", step, component, &question(running)).unwrap();
        }
        let read = store.questions("a").unwrap();
        let expected = asked.map(|(step, component, running)| RecordedQuestion {
            step: step.to_owned(),
            component: component.to_owned(),
            question: question(running),
        });
        assert_eq!(read, expected);
        let kept: u32 = store
            .connection()
            .query_row("SELECT count(*) FROM questions WHERE body IS NOT NULL", [], |row| row.get(0))
            .unwrap();
        assert_eq!(kept, 3, "what is asked twice is written once");
        assert_eq!(store.questions("b").unwrap(), []);
    }
}
