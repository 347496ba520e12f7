//! Lets runs begin only at certain times.

mod window;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::Deserialize;
use wharf_plugin_sdk::grants::clock;
use wharf_plugin_sdk::policy::{Decision, Policy, PolicyRole};
use wharf_plugin_sdk::{Plan, Reason, Usage};

use window::{Closure, Window};

/// The `[settings]` table.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    /// Whose clock counts: `"Europe/Paris"`, `"UTC"`, `"+02:00"`. UTC when not said.
    time_zone: Option<String>,
    /// When runs may begin. At any time when there are none.
    open: Vec<Window>,
    /// When no run may begin, whatever `open` says.
    closed: Vec<Closure>,
    /// Whether a run must be over, by its time limit, before the time when it may begin is.
    must_end: bool,
    /// Groups whose runs may begin at any time.
    except_groups: Vec<String>,
}

struct TimeWindows;

impl Policy for TimeWindows {
    type Settings = Settings;
    const ROLE: PolicyRole = PolicyRole::Validating;

    fn check_settings(settings: &Settings) -> Result<(), String> {
        time_zone(settings)?;
        for (at, window) in settings.open.iter().enumerate() {
            window.check().map_err(|error| format!("open[{at}]: {error}"))?;
        }
        for (at, closure) in settings.closed.iter().enumerate() {
            closure.check().map_err(|error| format!("closed[{at}]: {error}"))?;
        }
        Ok(())
    }

    fn evaluate(settings: &Settings, plan: &Plan, _usage: &Usage) -> Decision {
        if settings.open.is_empty() && settings.closed.is_empty() || plan.requester.is_in_any(&settings.except_groups) {
            return Decision::yes();
        }
        // A time that can't be read is none at which a run may begin.
        let now = i64::try_from(clock::now()).ok().and_then(|now| Timestamp::from_millisecond(now).ok());
        let (Some(now), Ok(zone)) = (now, time_zone(settings)) else {
            let message = "the host's clock shows no time that this policy can read";
            return Decision::Reject(vec![Reason::new("no-time", message)]);
        };
        Decision::unless(judge(settings, &zone, now, plan.time_limit).into_iter().collect())
    }
}

wharf_plugin_sdk::policy!(TimeWindows);

/// The reason against a run that would begin now.
fn judge(settings: &Settings, zone: &TimeZone, now: Timestamp, time_limit: Option<u64>) -> Option<Reason> {
    let here = |time: Timestamp| time.to_zoned(zone.clone()).strftime("%a %Y-%m-%d %H:%M %:z").to_string();
    let clock = here(now);
    if let Some(closure) = settings.closed.iter().find(|closure| closure.includes(zone, now)) {
        let why = closure.reason.as_deref().map(|why| format!(" ({why})")).unwrap_or_default();
        let until = closure.end(zone).map(here).unwrap_or_default();
        let message = format!("no run begins before {until}{why}; it is {clock}");
        return Some(Reason::new("closed", message));
    }
    let closes = match window::open_until(&settings.open, zone, now) {
        _ if settings.open.is_empty() => None,
        Some(end) => Some(end),
        None => {
            let next = window::next_opening(&settings.open, zone, now);
            let next = next.map(|next| format!("; the next time is {}", here(next))).unwrap_or_default();
            let all: Vec<String> = settings.open.iter().map(ToString::to_string).collect();
            let message = format!("runs begin only {}; it is {clock}{next}", all.join(" or "));
            return Some(Reason::new("outside-of-windows", message));
        }
    };
    if !settings.must_end {
        return None;
    }
    let closure = settings.closed.iter().filter_map(|closure| closure.start(zone)).filter(|start| *start > now).min();
    let end = closes.into_iter().chain(closure).min()?;
    let seconds = end.as_second().saturating_sub(now.as_second());
    let fits = time_limit.and_then(|limit| i64::try_from(limit).ok()).is_some_and(|limit| limit <= seconds);
    let message = || {
        let limit = match time_limit {
            None => "the run has no time limit".to_owned(),
            Some(limit) => format!("the run may take {} min", limit.div_ceil(60)),
        };
        format!("{limit}, and it must end before {}; set a time limit of at most {} min", here(end), seconds / 60)
    };
    (!fits).then(|| Reason::new("ends-too-late", message()).about("time-limit"))
}

fn time_zone(settings: &Settings) -> Result<TimeZone, String> {
    let name = settings.time_zone.as_deref().unwrap_or("UTC");
    if let Some(offset) = window::offset(name) {
        return Ok(TimeZone::fixed(offset));
    }
    TimeZone::get(name).map_err(|_| {
        format!("time_zone: there is no \"{name}\"; it is a name such as \"Europe/Paris\", \"UTC\", or an offset such as \"+02:00\"")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(json: &str) -> Result<Settings, String> {
        let settings = wharf_plugin_sdk::settings::parse(json)?;
        TimeWindows::check_settings(&settings)?;
        Ok(settings)
    }

    /// What is said at a time in UTC to a run with this time limit; nothing when it may begin.
    fn says(settings: &Settings, now: &str, time_limit: Option<u64>) -> Option<String> {
        let zone = time_zone(settings).unwrap();
        judge(settings, &zone, now.parse().unwrap(), time_limit)
            .map(|reason| format!("{}: {}", reason.rule, reason.message))
    }

    #[test]
    fn settings_that_mean_nothing_are_refused() {
        for (json, expected) in [
            (r#"{"time_zone":"Europe/Atlantis"}"#, "time_zone: there is no \"Europe/Atlantis\""),
            (r#"{"time_zone":"+25:00"}"#, "time_zone: there is no \"+25:00\""),
            (r#"{"open":[{"from":"8"}]}"#, "open[0]: from: \"8\" isn't a time of day such as \"08:00\""),
            (r#"{"open":[{"from":"08:60"}]}"#, "open[0]: from: \"08:60\" isn't"),
            (r#"{"open":[{"from":"08:00","to":"08:00"}]}"#, "open[0]: from and to are the same"),
            (r#"{"open":[{"days":[]}]}"#, "open[0]: days is empty"),
            (r#"{"open":[{"days":["monday"]}]}"#, "open.days: unknown variant `monday`"),
            (r#"{"closed":[{"from":"2026-12-24","to":"tomorrow"}]}"#, "closed[0]: to: \"tomorrow\" isn't a date"),
            (r#"{"closed":[{"from":"2026-12-27","to":"2026-12-24"}]}"#, "closed[0]: it ends before it begins"),
        ] {
            let error = settings(json).err().unwrap_or_default();
            assert!(error.starts_with(expected), "{json}: {error}");
        }
    }

    #[test]
    fn a_night_begins_on_one_day_and_ends_on_the_next() {
        let settings = settings(
            r#"{"time_zone":"Europe/Paris","open":[{"days":["mon","tue","wed","thu","fri"],"from":"20:00","to":"06:00"}]}"#,
        )
        .unwrap();
        // In winter, Paris is an hour ahead. 2026-11-30 is a Monday.
        assert_eq!(says(&settings, "2026-11-30T19:00:00Z", None), None);
        assert_eq!(
            says(&settings, "2026-11-30T18:59:59Z", None).unwrap(),
            "outside-of-windows: runs begin only mon, tue, wed, thu, fri 20:00 to 06:00; it is Mon 2026-11-30 19:59 +01:00; the next time \
             is Mon 2026-11-30 20:00 +01:00"
        );
        // Friday's night goes into Saturday; Saturday has none, and Sunday's end of Saturday's neither.
        assert_eq!(says(&settings, "2026-12-05T04:59:00Z", None), None);
        assert!(
            says(&settings, "2026-12-05T05:00:00Z", None).unwrap().contains("the next time is Mon 2026-12-07 20:00")
        );
        assert!(says(&settings, "2026-12-06T03:00:00Z", None).is_some());
    }

    #[test]
    fn the_clock_on_the_wall_counts_when_it_changes() {
        let settings = settings(r#"{"time_zone":"Europe/Paris","open":[{"from":"01:30","to":"03:30"}]}"#).unwrap();
        // 2026-03-29: at 02:00 it is 03:00, so that window has one hour: from 00:30Z to 01:30Z.
        for (now, open) in [
            ("2026-03-29T00:29:00Z", false),
            ("2026-03-29T00:30:00Z", true),
            ("2026-03-29T01:29:00Z", true),
            ("2026-03-29T01:30:00Z", false),
            // 2026-10-25: at 03:00 it is 02:00 once more, so that it has three: from 23:30Z to 02:30Z.
            ("2026-10-24T23:29:00Z", false),
            ("2026-10-24T23:30:00Z", true),
            ("2026-10-25T00:30:00Z", true),
            ("2026-10-25T01:30:00Z", true),
            ("2026-10-25T02:29:00Z", true),
            ("2026-10-25T02:30:00Z", false),
        ] {
            assert_eq!(says(&settings, now, None).is_none(), open, "{now}");
        }
    }

    #[test]
    fn a_time_that_a_day_has_not_is_the_one_after_the_gap() {
        let settings = settings(r#"{"time_zone":"Europe/Paris","open":[{"from":"02:30","to":"04:00"}]}"#).unwrap();
        assert!(says(&settings, "2026-03-29T00:59:00Z", None).unwrap().ends_with("is Sun 2026-03-29 03:30 +02:00"));
        assert!(says(&settings, "2026-03-29T01:29:00Z", None).is_some());
        assert_eq!(says(&settings, "2026-03-29T01:30:00Z", None), None);
    }

    #[test]
    fn an_offset_knows_no_summer() {
        let settings = settings(r#"{"time_zone":"-05:30","open":[{"from":"08:00","to":"18:00"}]}"#).unwrap();
        assert_eq!(says(&settings, "2026-07-01T13:30:00Z", None), None);
        assert!(says(&settings, "2026-07-01T13:29:00Z", None).unwrap().contains("07:59 -05:30"));
        assert_eq!(says(&settings, "2026-12-01T13:30:00Z", None), None);
    }

    #[test]
    fn closures_go_before_windows() {
        let settings = settings(
            r#"{"time_zone":"Europe/Paris","open":[{}],"closed":[{"from":"2026-12-24T18:00","to":"2026-12-27","reason":"new racks"}]}"#,
        )
        .unwrap();
        assert_eq!(says(&settings, "2026-12-24T16:59:00Z", None), None);
        assert_eq!(
            says(&settings, "2026-12-24T17:00:00Z", None).unwrap(),
            "closed: no run begins before Sun 2026-12-27 00:00 +01:00 (new racks); it is Thu 2026-12-24 18:00 +01:00"
        );
        assert_eq!(says(&settings, "2026-12-26T23:00:00Z", None), None);
    }

    #[test]
    fn a_run_may_have_to_end_in_time() {
        let settings = settings(
            r#"{"open":[{"from":"20:00","to":"06:00"}],"closed":[{"from":"2026-12-01T05:00","to":"2026-12-02"}],"must_end":true}"#,
        )
        .unwrap();
        assert_eq!(says(&settings, "2026-11-29T20:00:00Z", Some(36_000)), None);
        assert!(
            says(&settings, "2026-11-29T20:00:00Z", Some(36_001))
                .unwrap()
                .starts_with("ends-too-late: the run may take 601 min")
        );
        assert!(says(&settings, "2026-11-29T20:00:00Z", None).unwrap().contains("the run has no time limit"));
        // The closure comes before the end of the window.
        assert_eq!(says(&settings, "2026-12-01T04:00:00Z", Some(3_600)), None);
        assert!(says(&settings, "2026-12-01T04:00:01Z", Some(3_600)).is_some());
    }

    #[test]
    fn windows_that_touch_are_one() {
        let settings =
            settings(r#"{"open":[{"from":"20:00","to":"24:00"},{"from":"00:00","to":"06:00"}],"must_end":true}"#)
                .unwrap();
        assert_eq!(says(&settings, "2026-11-29T20:00:00Z", Some(36_000)), None);
        assert!(says(&settings, "2026-11-29T20:00:00Z", Some(36_001)).is_some());
    }
}
