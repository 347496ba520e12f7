//! The tables, and how each version of them is made out of the one before.

/// The version of the tables that this library writes.
pub(super) const VERSION: i64 = 7;

/// What makes the tables of each version out of those of the one before.
pub(super) const MIGRATIONS: [&str; VERSION as usize] =
    [RUNS, IMAGES, RESULTS, GPUS, crate::questions::TABLE, KEYS, LONG_HISTORY];

pub(super) const RUNS: &str = "
CREATE TABLE runs (
  id            TEXT PRIMARY KEY,
  submitted_at  INTEGER NOT NULL,              -- milliseconds since 1970
  user          TEXT NOT NULL,
  project       TEXT,
  kind          TEXT NOT NULL,
  configuration TEXT NOT NULL,                 -- the one it ends up under
  state         TEXT NOT NULL,                 -- preparing, queued, launching, running, committing, ended
  activity      TEXT NOT NULL,                 -- JSON
  plan          TEXT,                          -- JSON, after the last change by a policy
  launch        TEXT,                          -- JSON: what a restarted host needs to find it again
  cpus          INTEGER NOT NULL DEFAULT 0,    -- admitted, in billionths
  memory        INTEGER NOT NULL DEFAULT 0,    -- admitted, in bytes
  admitted      INTEGER NOT NULL DEFAULT 0,    -- 1 while it counts against limits
  scopes        TEXT NOT NULL DEFAULT '[]',    -- JSON: the scopes of limits that it counts in
  started_at    INTEGER,                       -- milliseconds since 1970: when its runner came up
  ended_at      INTEGER,
  cause         TEXT,
  outcome       TEXT                           -- JSON; before 'ended' the outcome that awaits its commit
);
CREATE INDEX runs_by_time ON runs (submitted_at);
CREATE INDEX runs_open ON runs (state) WHERE state <> 'ended';
CREATE TABLE events (
  run  TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
  seq  INTEGER NOT NULL,
  at   INTEGER NOT NULL,                       -- milliseconds since 1970
  body TEXT NOT NULL,                          -- JSON
  PRIMARY KEY (run, seq)
) WITHOUT ROWID;
";

const IMAGES: &str = "
CREATE TABLE images (
  key        TEXT PRIMARY KEY,                 -- the content key
  kind       TEXT NOT NULL,                    -- bootstrap, base, env, run
  name       TEXT NOT NULL,
  lines      TEXT NOT NULL,                    -- what it is made of
  first_seen INTEGER NOT NULL,                 -- milliseconds since 1970
  last_used  INTEGER NOT NULL
);
CREATE INDEX images_by_name ON images (name, kind, first_seen);
CREATE TABLE pushed (
  repository TEXT NOT NULL,                    -- registry.example.com/data/wharf-run/python-r
  key        TEXT NOT NULL,                    -- the content key
  digest     TEXT NOT NULL,                    -- sha256:...
  PRIMARY KEY (repository, key)
) WITHOUT ROWID;
";

const RESULTS: &str = "
ALTER TABLE runs ADD COLUMN result TEXT;         -- JSON: what the runner of the last launch said of its recipe's end
";

const GPUS: &str = "
ALTER TABLE runs ADD COLUMN gpus INTEGER NOT NULL DEFAULT 0;  -- admitted
";

const KEYS: &str = "
CREATE TABLE keys (
  user     TEXT NOT NULL,
  key      TEXT NOT NULL,                      -- the caller's
  run      TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
  activity TEXT NOT NULL,                      -- SHA-256 of what was submitted
  PRIMARY KEY (user, key)
) WITHOUT ROWID;
CREATE INDEX keys_by_run ON keys (run);
";

/// What is asked often, and must not take longer with the number of runs that are remembered: what is in use, and who ended long ago.
const LONG_HISTORY: &str = "
CREATE INDEX runs_counted ON runs (user, configuration) WHERE admitted = 1;
CREATE INDEX runs_by_end ON runs (ended_at) WHERE state = 'ended';
";
