//! Times of the week, and times that are in no week twice.

use std::fmt;

use jiff::civil::{Date, DateTime, Time, Weekday};
use jiff::tz::{Offset, TimeZone};
use jiff::{Span, Timestamp};
use schemars::JsonSchema;
use serde::Deserialize;

/// So many windows that touch are followed: beyond it, it is always open.
const MOST_JOINED: usize = 64;
/// How many days ahead an opening is looked for.
const DAYS_AHEAD: i64 = 8;

/// A day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Day {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

impl Day {
    fn of(weekday: Weekday) -> Self {
        match weekday {
            Weekday::Monday => Self::Mon,
            Weekday::Tuesday => Self::Tue,
            Weekday::Wednesday => Self::Wed,
            Weekday::Thursday => Self::Thu,
            Weekday::Friday => Self::Fri,
            Weekday::Saturday => Self::Sat,
            Weekday::Sunday => Self::Sun,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Mon => "mon",
            Self::Tue => "tue",
            Self::Wed => "wed",
            Self::Thu => "thu",
            Self::Fri => "fri",
            Self::Sat => "sat",
            Self::Sun => "sun",
        }
    }
}

/// A time that comes back every week, as the clock on the wall shows it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Window {
    /// The days on which it begins; every day when not said.
    #[serde(default)]
    days: Option<Vec<Day>>,
    /// When it begins: `"20:00"`. At midnight when not said.
    #[serde(default = "midnight")]
    from: String,
    /// When it ends: `"06:00"`, on the next day if that is earlier. At the end of the day when not said.
    #[serde(default = "end_of_day")]
    to: String,
}

fn midnight() -> String {
    "00:00".to_owned()
}

fn end_of_day() -> String {
    "24:00".to_owned()
}

/// A time at which nothing begins.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Closure {
    /// `"2026-12-24T18:00"` or `"2026-12-24"`.
    from: String,
    /// The moment at which it is over.
    to: String,
    /// For the people whose runs are refused.
    #[serde(default)]
    pub(crate) reason: Option<String>,
}

/// Minutes after midnight.
type Minutes = i64;
const DAY: Minutes = 24 * 60;

impl Window {
    pub(crate) fn check(&self) -> Result<(), String> {
        let (from, to) = self.times()?;
        if from == to || from == DAY {
            return Err(
                "from and to are the same, which is no time at all; leave both out for the whole day".to_owned()
            );
        }
        if self.days.as_ref().is_some_and(Vec::is_empty) {
            return Err("days is empty; leave it out for every day".to_owned());
        }
        Ok(())
    }

    fn times(&self) -> Result<(Minutes, Minutes), String> {
        let read = |key: &str, text: &str| {
            minutes(text).ok_or_else(|| format!("{key}: \"{text}\" isn't a time of day such as \"08:00\""))
        };
        Ok((read("from", &self.from)?, read("to", &self.to)?))
    }

    /// When it begins and ends, of the day on which it begins; none when it doesn't on that day.
    fn of_day(&self, date: Date, zone: &TimeZone) -> Option<(Timestamp, Timestamp)> {
        if self.days.as_ref().is_some_and(|days| !days.contains(&Day::of(date.weekday()))) {
            return None;
        }
        let (from, to) = self.times().ok()?;
        let to = if to <= from { to + DAY } else { to };
        let start = moment(date, from, zone)?;
        let end = moment(date, to, zone)?;
        // One that the change of the clock has swallowed.
        (start < end).then_some((start, end))
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(days) = &self.days {
            let days: Vec<&str> = days.iter().map(|day| day.as_str()).collect();
            write!(f, "{} ", days.join(", "))?;
        }
        write!(f, "{} to {}", self.from, self.to)
    }
}

impl Closure {
    pub(crate) fn check(&self) -> Result<(), String> {
        let read = |key: &str, text: &str| {
            date_time(text)
                .ok_or_else(|| format!("{key}: \"{text}\" isn't a date such as \"2026-12-24\" or \"2026-12-24T18:00\""))
        };
        if read("from", &self.from)? >= read("to", &self.to)? {
            return Err("it ends before it begins".to_owned());
        }
        Ok(())
    }

    pub(crate) fn start(&self, zone: &TimeZone) -> Option<Timestamp> {
        zone.to_timestamp(date_time(&self.from)?).ok()
    }

    pub(crate) fn end(&self, zone: &TimeZone) -> Option<Timestamp> {
        zone.to_timestamp(date_time(&self.to)?).ok()
    }

    pub(crate) fn includes(&self, zone: &TimeZone, now: Timestamp) -> bool {
        match (self.start(zone), self.end(zone)) {
            (Some(start), Some(end)) => start <= now && now < end,
            // One that can't be understood is closed.
            _ => true,
        }
    }
}

/// Until when it is open, windows that touch taken as one; none when it isn't.
pub(crate) fn open_until(windows: &[Window], zone: &TimeZone, now: Timestamp) -> Option<Timestamp> {
    let mut until = None;
    let mut at = now;
    for _ in 0..MOST_JOINED {
        let here = at;
        let ends = around(windows, zone, here, -1..=0).filter(|(start, end)| *start <= here && here < *end);
        let Some(end) = ends.map(|(_, end)| end).max() else { break };
        until = Some(end);
        at = end;
    }
    until
}

/// When it opens the next time.
pub(crate) fn next_opening(windows: &[Window], zone: &TimeZone, now: Timestamp) -> Option<Timestamp> {
    around(windows, zone, now, 0..=DAYS_AHEAD).map(|(start, _)| start).filter(|start| *start > now).min()
}

/// Each window of each of these days, counted from the one that a moment is in.
fn around<'a>(
    windows: &'a [Window],
    zone: &'a TimeZone,
    moment: Timestamp,
    days: std::ops::RangeInclusive<i64>,
) -> impl Iterator<Item = (Timestamp, Timestamp)> + 'a {
    let today = zone.to_datetime(moment).date();
    days.filter_map(move |days| today.checked_add(Span::new().days(days)).ok())
        .flat_map(move |date| windows.iter().filter_map(move |window| window.of_day(date, zone)))
}

/// The moment at which the clock on the wall shows this. Of two, as in autumn, the first; of none, as in spring, the one as long
/// after the change.
fn moment(date: Date, minutes: Minutes, zone: &TimeZone) -> Option<Timestamp> {
    let date = date.checked_add(Span::new().days(minutes / DAY)).ok()?;
    let time = Time::new(i8::try_from(minutes % DAY / 60).ok()?, i8::try_from(minutes % 60).ok()?, 0, 0).ok()?;
    zone.to_timestamp(DateTime::from_parts(date, time)).ok()
}

/// `08:00`, and `24:00` for the end of the day.
fn minutes(text: &str) -> Option<Minutes> {
    let (hours, minutes) = text.split_once(':')?;
    let number = |text: &str, most: i64| {
        let plain = text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
        text.parse::<i64>().ok().filter(|number| plain && *number <= most)
    };
    let all = number(hours, 24)? * 60 + number(minutes, 59)?;
    (all <= DAY).then_some(all)
}

fn date_time(text: &str) -> Option<DateTime> {
    // With an offset it would be another moment than the one that is read here.
    let plain = text.bytes().all(|b| b.is_ascii_digit() || b"-T: ".contains(&b));
    plain.then(|| text.parse().ok()).flatten()
}

/// `+02:00`, `-05:30`.
pub(crate) fn offset(text: &str) -> Option<Offset> {
    let sign = match text.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let minutes = minutes(&text[1..]).filter(|minutes| *minutes <= 14 * 60)?;
    Offset::from_seconds(i32::try_from(minutes).ok()? * 60 * sign).ok()
}
