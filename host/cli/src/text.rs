//! Numbers and times as people read them.

use chrono::{Local, TimeZone};
use wharf_model::configuration::ExchangeMode;
use wharf_model::quantity::{describe_bytes, format_bytes};
use wharf_model::{Binding, BindingKind, Limit, Quantity, WhenFull};

/// Milliseconds as `<1 ms`, `3 ms`, `1.2 s`, `2 min 05 s`, `1 h 02 min`.
pub(crate) fn duration(millis: u64) -> String {
    let seconds = millis / 1_000;
    match millis {
        0 => "<1 ms".to_owned(),
        1..1_000 => format!("{millis} ms"),
        1_000..60_000 => format!("{}.{} s", seconds, millis % 1_000 / 100),
        60_000..3_600_000 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", seconds / 3_600, seconds / 60 % 60),
    }
}

/// Milliseconds as the largest unit that fits: `5 s`, `12 min`, `3 h`, `40 d`.
pub(crate) fn age(millis: u64) -> String {
    let seconds = millis / 1_000;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// A moment in local time.
pub(crate) fn moment(millis: u64) -> String {
    let time = i64::try_from(millis).ok().and_then(|millis| Local.timestamp_millis_opt(millis).single());
    time.map_or_else(|| "?".to_owned(), |time| time.format("%Y-%m-%d %H:%M:%S").to_string())
}

/// A limit of admission in a sentence.
pub(crate) fn limit(limit: &Limit) -> String {
    let amount = match limit.counter.as_str() {
        "cpus" => format!("{} CPUs", Quantity::Cpus(limit.maximum)),
        "memory" => format!("{} of memory", format_bytes(limit.maximum)),
        "running" => format!("{} runs", limit.maximum),
        other => format!("{} {other}", limit.maximum),
    };
    let full = match limit.when_full {
        WhenFull::Wait => "waits for room",
        WhenFull::Reject => "is rejected when there is no room",
    };
    format!("at most {amount} at once for {}; {full}", limit.scope)
}

/// Memory and CPU in use.
pub(crate) fn usage(usage: &wharf_model::protocol::Usage) -> String {
    format!("memory {}, CPU {:.1} s", describe_bytes(usage.memory), usage.cpu_seconds)
}

/// Where a binding's data is: `sales: /data/sales.csv`, `report: /data/report/`.
pub(crate) fn binding(binding: &Binding) -> String {
    let path = binding.place.path.to_string_lossy();
    let slash = if binding.kind == BindingKind::Folder { "/" } else { "" };
    format!("{}: {}{slash}", binding.name, path.trim_end_matches('/'))
}

/// How runner and host find each other.
pub(crate) fn exchange(mode: ExchangeMode) -> &'static str {
    match mode {
        ExchangeMode::DialBack => "dial-back: the runner connects to the host",
        ExchangeMode::Attach => "attach: the host reaches into the container through the engine",
    }
}

/// `1 line`, `2 lines`.
pub(crate) fn counted(count: u64, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

/// `12,345`.
pub(crate) fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_grouped() {
        let texts = [0, 999, 1_000, 12_345, 1_234_567].map(grouped);
        assert_eq!(texts, ["0", "999", "1,000", "12,345", "1,234,567"]);
    }

    #[test]
    fn durations_are_short() {
        let pairs =
            [(0, "<1 ms"), (3, "3 ms"), (999, "999 ms"), (1_000, "1.0 s"), (59_999, "59.9 s"), (125_000, "2 min 05 s")];
        for (millis, text) in pairs {
            assert_eq!(duration(millis), text);
        }
        assert_eq!(duration(3_720_000), "1 h 02 min");
    }

    #[test]
    fn ages_have_one_unit() {
        let texts = [0, 61_000, 7_200_000, 40 * 86_400_000].map(age);
        assert_eq!(texts, ["0 s", "1 min", "2 h", "40 d"]);
    }

    #[test]
    fn limits_are_sentences() {
        let cpus = Limit {
            scope: "user:ana".to_owned(),
            counter: "cpus".to_owned(),
            maximum: 8_500_000_000,
            when_full: WhenFull::Wait,
        };
        assert_eq!(limit(&cpus), "at most 8.5 CPUs at once for user:ana; waits for room");
        let memory = Limit { counter: "memory".to_owned(), maximum: 4 << 30, when_full: WhenFull::Reject, ..cpus };
        assert_eq!(limit(&memory), "at most 4g of memory at once for user:ana; is rejected when there is no room");
    }
}
