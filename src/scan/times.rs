//! Times and timestamps as producers write them: pure functions over an attribute's value.

use std::time::Duration;

/// The longest time that is one: thirty years. Sums of more could overflow.
const LONGEST: Duration = Duration::from_secs(1_000_000_000);

/// Reads a number of seconds, as microseconds.
pub fn microseconds(value: &[u8]) -> Option<u64> {
    if let Some(time) = plain(value) {
        return Some(time);
    }
    let seconds = std::str::from_utf8(value).ok()?.parse::<f64>().ok()?;
    let duration = Duration::try_from_secs_f64(seconds).ok()?;
    if duration > LONGEST {
        return None;
    }
    u64::try_from(duration.as_micros()).ok()
}

/// The microseconds of a plain decimal number, such as `0.005`: as most are written.
fn plain(value: &[u8]) -> Option<u64> {
    let mut digits = value.splitn(2, |&byte| byte == b'.');
    let (seconds, fraction) = (digits.next()?, digits.next().unwrap_or(b"0"));
    if seconds.is_empty() || seconds.len() > 8 || fraction.is_empty() || fraction.len() > 6 {
        return None;
    }
    let number = |digits: &[u8]| {
        digits.iter().try_fold(0_u64, |number, byte| {
            byte.is_ascii_digit().then(|| number * 10 + u64::from(byte - b'0'))
        })
    };
    let scale = fraction.iter().fold(1_000_000, |scale, _| scale / 10);
    Some(number(seconds)? * 1_000_000 + number(fraction)? * scale)
}

/// What number was probably meant, where there are commas in it.
pub fn meant(value: &[u8]) -> Option<String> {
    let value = std::str::from_utf8(value).ok()?;
    let is_number = |text: &str| microseconds(text.as_bytes()).is_some();
    let (whole, last) = value.rsplit_once(',')?;
    let without = |text: &str| text.replace([',', '.'], "");
    if last.contains('.') || whole.contains(',') {
        // `1,234.5` and `1,234,567`: commas between thousands.
        let number = value.replace(',', "");
        return is_number(&number).then_some(number);
    }
    let number = format!("{}.{last}", without(whole));
    if !is_number(&number) {
        return None;
    }
    // `1,204` may be either; a lone 0, or a point before it, tells.
    let is_either = last.len() == 3 && !whole.contains('.') && !whole.starts_with('0');
    Some(if is_either { format!("{number} or {}", without(value)) } else { number })
}

/// Whether it is a timestamp in a form that producers write: ISO 8601, also with a space for the `T`
/// and with the name of a time zone; seconds or milliseconds since 1970; or the form of mail and HTTP.
pub fn is_timestamp(value: &[u8]) -> bool {
    is_iso(value) || is_since_epoch(value) || is_mail_date(value)
}

/// `2026-01-31T19:02:27.123+01:00`, or less of it; without separators too.
fn is_iso(value: &[u8]) -> bool {
    let mut rest = value;
    let date = [4, 2, 2];
    let Some([_, month, day]) = fields(&mut rest, date, b'-') else { return false };
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return false;
    }
    if rest.is_empty() {
        return true;
    }
    matches!(rest, [b'T' | b't' | b' ', time @ ..] if is_clock(time))
}

/// `19:02:27.123+01:00`, or less of it.
fn is_clock(time: &[u8]) -> bool {
    let mut rest = time;
    let with_seconds = fields(&mut rest, [2, 2, 2], b':');
    let without = || fields(&mut rest, [2, 2], b':').map(|[hour, minute]| [hour, minute, 0]);
    let Some([hour, minute, second]) = with_seconds.or_else(without) else { return false };
    // A day may end with 24:00, and a minute with a leap second.
    if hour > 24 || minute > 59 || second > 60 {
        return false;
    }
    if let [b'.' | b',', fraction @ ..] = rest {
        let digits = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
        rest = fraction.get(digits..).unwrap_or_default();
        if digits == 0 {
            return false;
        }
    }
    is_zone(rest.trim_ascii_start())
}

/// Numbers of so many digits each, either all with the separator between them, or all without.
fn fields<const N: usize>(rest: &mut &[u8], digits: [usize; N], separator: u8) -> Option<[u32; N]> {
    let mut numbers = [0; N];
    let mut left = *rest;
    let mut is_apart = None;
    for (index, (number, count)) in numbers.iter_mut().zip(digits).enumerate() {
        if index > 0 {
            let here = left.first() == Some(&separator);
            if *is_apart.get_or_insert(here) != here {
                return None;
            }
            left = left.get(usize::from(here)..)?;
        }
        let (text, behind) = left.split_at_checked(count)?;
        for byte in text {
            *number = *number * 10 + char::from(*byte).to_digit(10)?;
        }
        left = behind;
    }
    *rest = left;
    Some(numbers)
}

/// Nothing, `Z`, an offset such as `+01:00`, or a name such as `MDT`.
fn is_zone(zone: &[u8]) -> bool {
    match zone {
        [b'+' | b'-', offset @ ..] => {
            let mut rest = offset;
            let whole = fields(&mut rest, [2, 2], b':').is_some();
            rest.is_empty() && whole || fields(&mut rest, [2], b':').is_some() && rest.is_empty()
        }
        name => name.len() <= 5 && name.iter().all(u8::is_ascii_alphabetic),
    }
}

/// Seconds with a fraction, milliseconds, or finer.
fn is_since_epoch(value: &[u8]) -> bool {
    let whole = value.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let fraction = value.get(whole..).unwrap_or_default();
    matches!((whole, fraction), (10 | 13 | 16 | 19, []) | (10 | 13, [b'.', ..]))
        && fraction.iter().skip(1).all(u8::is_ascii_digit)
}

/// `Sat, 03 Dec 2022 23:10:07 GMT`, also without the day of the week.
fn is_mail_date(value: &[u8]) -> bool {
    const MONTHS: &[u8] = b"JanFebMarAprMayJunJulAugSepOctNovDec";
    let mut words = value.split(|byte| *byte == b' ').peekable();
    words.next_if(|word| word.ends_with(b","));
    let [Some(day), Some(month), Some(year), Some(time)] = [(); 4].map(|()| words.next()) else {
        return false;
    };
    let zone = words.next().unwrap_or_default();
    let are_digits = |text: &[u8]| text.iter().all(u8::is_ascii_digit);
    matches!(day.len(), 1 | 2)
        && are_digits(day)
        && MONTHS.chunks(3).any(|known| known == month)
        && year.len() == 4
        && are_digits(year)
        && is_clock(time)
        && is_zone(zone)
        && words.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_are_explained() {
        for (written, expected) in [
            ("1,234.5", Some("1234.5")),
            ("1,234,567", Some("1234567")),
            ("0,160", Some("0.160")),
            ("1.234,5", Some("1234.5")),
            ("12,5", Some("12.5")),
            ("1,204", Some("1.204 or 1204")),
            ("1.5", None),
            ("1,2,x", None),
            (",", None),
            ("1:02:03", None),
        ] {
            assert_eq!(meant(written.as_bytes()).as_deref(), expected, "{written}");
        }
    }

    #[test]
    fn seconds_are_numbers_within_reason() {
        for (written, expected) in [
            ("1.", Some(1_000_000)),
            (".5", Some(500_000)),
            ("1e3", Some(1_000_000_000)),
            ("0", Some(0)),
            ("-1", None),
            ("NaN", None),
            ("inf", None),
            ("1e10", None),
            ("12ms", None),
            ("1:02:03", None),
        ] {
            assert_eq!(microseconds(written.as_bytes()), expected, "{written}");
        }
    }

    #[test]
    fn timestamps_in_the_forms_that_producers_write() {
        for written in [
            "2026-03-02T07:15:31",
            "2020-07-24T13:25:56.719939",
            "2018-05-06T07:41:51Z",
            "2021-05-17T15:36:10.205608409Z",
            "2026-01-31T19:02:27+00:00",
            "2026-01-31T19:02:27.1-0700",
            "2026-01-31T19:02:27+01",
            "2026-03-17T11:28:41 MDT",
            "2021-05-11 15:45:54",
            "2026-01-31T19:02",
            "2026-01-31",
            "20260131T190227Z",
            "1679511632",
            "1679511632462",
            "1679511632.462",
            "30 Nov 2022 14:06:32 GMT",
            "Sat, 03 Dec 2022 23:10:07 GMT",
        ] {
            assert!(is_timestamp(written.as_bytes()), "{written}");
        }
        for written in [
            "now",
            "2026-13-01",
            "2026-01-32T00:00:00",
            "2026-01-31T25:00:00",
            "2026-01-31T19:02:27.Z",
            "2026-01-31T19:02:27+1:00",
            "2026-01-31T",
            "2026/01/31 19:02:27",
            "31.01.2026 19:02",
            "2026-0131",
            "12345",
            "{{timestamp}}",
            "1\u{e9}",
        ] {
            assert!(!is_timestamp(written.as_bytes()), "{written}");
        }
    }
}
