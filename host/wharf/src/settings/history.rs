//! `[history]` in `wharf.toml`: how long records are kept, and what becomes of a damaged record store.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wharf_model::Fault;

use super::source::Source;
use super::time_span::TimeSpan;

/// How long what has ended is remembered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HistoryTable {
    /// How long the record of a run that has ended is kept. 90 days by default.
    pub keep: Option<TimeSpan>,
    /// How long its log is kept: not longer than the record. As long by default.
    pub keep_logs: Option<TimeSpan>,
    /// What becomes of a damaged record store: `put-aside` (the default) keeps the file under another name and begins a new one with
    /// what can be read of it; `refuse` doesn't open the home.
    pub on_damage: Option<OnDamage>,
}

/// What becomes of a damaged record store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnDamage {
    /// The file is kept under another name, and a new one is begun with what can be read of it.
    #[default]
    PutAside,
    /// The home isn't opened.
    Refuse,
}

/// How long what has ended is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct History {
    /// How long the record of a run that has ended is kept.
    pub keep: Duration,
    /// How long its log is kept.
    pub keep_logs: Duration,
    /// What becomes of a damaged record store.
    pub on_damage: OnDamage,
}

impl Default for History {
    fn default() -> Self {
        let keep = Duration::from_secs(90 * 86_400);
        Self { keep, keep_logs: keep, on_damage: OnDamage::default() }
    }
}

/// Checks the parsed table.
pub(super) fn resolve(source: &Source<'_>, table: &HistoryTable) -> Result<History, Fault> {
    let standard = History::default();
    let keep = table.keep.map_or(standard.keep, TimeSpan::duration);
    let keep_logs = table.keep_logs.map_or(keep, TimeSpan::duration);
    if keep_logs > keep {
        return Err(source.fault(
            &["history", "keep_logs"],
            "`keep_logs` is longer than `keep`: the log of a run goes with its record at the latest",
        ));
    }
    Ok(History { keep, keep_logs, on_damage: table.on_damage.unwrap_or_default() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::fixture::Fixture;

    #[test]
    fn logs_are_kept_as_long_as_records_unless_it_is_said() {
        let fixture = Fixture::new();
        let of = |text: &str| {
            fixture.write("wharf.toml", text);
            fixture.home().load_site().map(|site| site.history)
        };
        let days = |days: u64| Duration::from_secs(days * 86_400);
        assert_eq!(of(""), Ok(History { keep: days(90), keep_logs: days(90), on_damage: OnDamage::PutAside }));
        assert_eq!(of("[history]\nkeep = \"7d\"\n").unwrap().keep_logs, days(7));
        let said = of("[history]\nkeep = \"30d\"\nkeep_logs = \"7d\"\non_damage = \"refuse\"\n");
        assert_eq!(said, Ok(History { keep: days(30), keep_logs: days(7), on_damage: OnDamage::Refuse }));
    }

    #[test]
    fn a_log_is_not_kept_longer_than_its_record() {
        let fixture = Fixture::new();
        fixture.write("wharf.toml", "[history]\nkeep = \"7d\"\nkeep_logs = \"8d\"\n");
        let fault = fixture.home().load_site().expect_err("that can't be");
        assert_eq!(
            fixture.spell(&fault),
            "wharf.toml:3: `keep_logs` is longer than `keep`: the log of a run goes with its record at the latest"
        );
    }
}
