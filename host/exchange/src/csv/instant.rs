//! Instants as DSS writes them, ISO in UTC, read and written without the general machinery.

use chrono::{DateTime, Datelike, NaiveDate, Timelike};

const DAY: i64 = 86_400_000_000;

/// `2013-01-01T10:00:00Z`, with up to six digits of a second's fraction, as microseconds since 1970. `None` for any other
/// form, which may be a date all the same.
pub(super) fn parse(bytes: &[u8]) -> Option<i64> {
    let (time, fraction) = bytes.split_at_checked(19)?;
    let [y0, y1, y2, y3, b'-', m0, m1, b'-', d0, d1, b'T', h0, h1, b':', n0, n1, b':', s0, s1] = *time else {
        return None;
    };
    let century = two(y0, y1)?;
    let date = NaiveDate::from_ymd_opt(i32::try_from(century * 100 + two(y2, y3)?).ok()?, two(m0, m1)?, two(d0, d1)?)?;
    let (hour, minute, second) = (two(h0, h1)?, two(n0, n1)?, two(s0, s1)?);
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let mut micros = 0;
    match fraction {
        [b'Z'] => {}
        [b'.', digits @ .., b'Z'] if (1..=6).contains(&digits.len()) => {
            for at in 0..6 {
                micros = micros * 10 + digits.get(at).map_or(Some(0), |digit| one(*digit))?;
            }
        }
        _ => return None,
    }
    let days = i64::from(date.num_days_from_ce() - UNIX_EPOCH_FROM_CE);
    let seconds = i64::from(hour * 3600 + minute * 60 + second);
    Some(days * DAY + seconds * 1_000_000 + i64::from(micros))
}

/// The days from the first of the year 1 to that of 1970.
const UNIX_EPOCH_FROM_CE: i32 = 719_163;

fn one(digit: u8) -> Option<u32> {
    digit.is_ascii_digit().then(|| u32::from(digit - b'0'))
}

fn two(tens: u8, ones: u8) -> Option<u32> {
    Some(one(tens)? * 10 + one(ones)?)
}

/// Appends an instant: with milliseconds, or microseconds where there are some. False for one beyond the calendar.
pub(super) fn push(text: &mut Vec<u8>, micros: i64) -> bool {
    let Some(instant) = DateTime::from_timestamp_micros(micros) else { return false };
    let Ok(year @ 0..=9999) = u32::try_from(instant.year()) else {
        // Other years have a sign.
        let form = if micros % 1000 == 0 { "%Y-%m-%dT%H:%M:%S%.3fZ" } else { "%Y-%m-%dT%H:%M:%S%.6fZ" };
        text.extend_from_slice(instant.format(form).to_string().as_bytes());
        return true;
    };
    push_digits(text, year, 4);
    for (before, value) in [
        (b'-', instant.month()),
        (b'-', instant.day()),
        (b'T', instant.hour()),
        (b':', instant.minute()),
        (b':', instant.second()),
    ] {
        text.push(before);
        push_digits(text, value, 2);
    }
    text.push(b'.');
    let fraction = instant.nanosecond() / 1000;
    if fraction.is_multiple_of(1000) {
        push_digits(text, fraction / 1000, 3);
    } else {
        push_digits(text, fraction, 6);
    }
    text.push(b'Z');
    true
}

fn push_digits(text: &mut Vec<u8>, mut value: u32, count: usize) {
    let start = text.len();
    text.resize(start + count, b'0');
    for digit in text[start..].iter_mut().rev() {
        *digit = b'0' + u8::try_from(value % 10).unwrap_or(0);
        value /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_read_and_written_as_the_calendar_has_it() {
        for micros in
            [0, -1, 1, 951_782_400_000_000, 1_709_164_799_123_000, -62_135_596_800_000_000, 253_402_300_799_999_999]
        {
            let instant = DateTime::from_timestamp_micros(micros).unwrap();
            let form = if micros % 1000 == 0 { "%Y-%m-%dT%H:%M:%S%.3fZ" } else { "%Y-%m-%dT%H:%M:%S%.6fZ" };
            let expected = instant.format(form).to_string();
            let mut text = Vec::new();
            assert!(push(&mut text, micros));
            assert_eq!(String::from_utf8(text).unwrap(), expected);
            assert_eq!(parse(expected.as_bytes()), Some(micros));
        }
        assert_eq!(parse(b"1970-01-01T00:00:01.5Z"), Some(1_500_000));
        let mut text = Vec::new();
        assert!(push(&mut text, -62_198_755_200_000_000 * 2) && text.starts_with(b"-"));
        assert!(!push(&mut Vec::new(), i64::MAX));
    }

    #[test]
    fn leaves_the_rest_to_others() {
        for text in [
            "2013-02-29T10:00:00Z",
            "2013-13-01T10:00:00Z",
            "2013-01-01T24:00:00Z",
            "2013-01-01T10:00:60Z",
            "2013-01-01T10:00:00",
            "2013-01-01T10:00:00.Z",
            "2013-01-01T10:00:00.1234567Z",
            "2013-01-01T10:00:00+02:00",
            "2013-01-01 10:00:00Z",
            "",
        ] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
    }
}
