//! Which answers and failures are tried again, and after how long. One table, in one place.

use std::time::{Duration, SystemTime};

use reqwest::header::{HeaderMap, RETRY_AFTER};

/// The first wait is up to this long; each further one up to twice the one before it.
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// No wait of our own choice is longer.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// What a status means for an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The service took it.
    Accepted,
    /// It may go through if it is tried again.
    Retry,
    /// The token is wrong: so will it be for every other upload.
    TokenRefused,
    /// The upload is wrong: it will be so again.
    Refused,
    /// The address is wrong. Redirects are not followed: the token goes to no other host.
    Redirected,
}

/// The table of statuses.
#[must_use]
pub const fn verdict(status: u16) -> Verdict {
    match status {
        200..=202 => Verdict::Accepted,
        300..=399 => Verdict::Redirected,
        401 | 403 => Verdict::TokenRefused,
        408 | 425 | 429 | 500..=599 => Verdict::Retry,
        _ => Verdict::Refused,
    }
}

/// How long to wait before the attempt after number `attempt` (from 1): exponential, full jitter.
///
/// `random` is from 0 to 1.
#[must_use]
pub fn backoff(attempt: u32, random: f64) -> Duration {
    let doubled = 2_u32.saturating_pow(attempt.saturating_sub(1).min(16));
    FIRST_WAIT.saturating_mul(doubled).min(LONGEST_WAIT).mul_f64(random.clamp(0.0, 1.0))
}

/// How long the service asks to wait: `Retry-After` in seconds or as a date, or `RateLimit-Reset`
/// where the limit is what was exceeded. Services send the latter with every answer.
#[must_use]
pub fn asked_wait(status: u16, headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let seconds = |text: &str| {
        let seconds = text.parse::<f64>().ok().filter(|seconds| seconds.is_finite())?;
        Duration::try_from_secs_f64(seconds.max(0.0)).ok()
    };
    let retry_after = text(RETRY_AFTER.as_str()).and_then(|text| {
        let date = || {
            let date = httpdate::parse_http_date(text).ok()?;
            Some(date.duration_since(now).unwrap_or_default())
        };
        seconds(text).or_else(date)
    });
    let reset = || text("ratelimit-reset").filter(|_| status == 429).and_then(seconds);
    retry_after.or_else(reset)
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::HeaderValue;

    #[test]
    fn every_status() {
        for status in 0..=u16::MAX {
            let expected = match status {
                200..=202 => Verdict::Accepted,
                401 | 403 => Verdict::TokenRefused,
                408 | 425 | 429 => Verdict::Retry,
                _ if (300..400).contains(&status) => Verdict::Redirected,
                _ if (500..600).contains(&status) => Verdict::Retry,
                _ => Verdict::Refused,
            };
            assert_eq!(verdict(status), expected, "{status}");
        }
    }

    #[test]
    fn waits_double_up_to_a_limit_and_are_spread() {
        let longest: Vec<_> = (1..=8).map(|attempt| backoff(attempt, 1.0).as_millis()).collect();
        assert_eq!(longest, [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]);
        assert_eq!(backoff(u32::MAX, 1.0), LONGEST_WAIT);
        assert_eq!(backoff(3, 0.0), Duration::ZERO);
        assert_eq!(backoff(3, 0.5), Duration::from_secs(1));
    }

    #[test]
    fn the_service_may_ask_in_seconds_or_with_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        let date = httpdate::fmt_http_date(now + Duration::from_secs(90));
        let past = httpdate::fmt_http_date(now - Duration::from_secs(90));
        let asked = |pairs: &[(&'static str, &str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.insert(*name, HeaderValue::from_str(value).unwrap());
            }
            asked_wait(429, &headers, now).map(|wait| wait.as_millis())
        };
        assert_eq!(asked(&[("retry-after", "7")]), Some(7000));
        assert_eq!(asked(&[("retry-after", " 1.5 ")]), Some(1500));
        assert_eq!(asked(&[("retry-after", "-3")]), Some(0));
        assert_eq!(asked(&[("retry-after", &date)]), Some(90_000));
        assert_eq!(asked(&[("retry-after", &past)]), Some(0));
        assert_eq!(asked(&[("ratelimit-reset", "4")]), Some(4000));
        assert_eq!(asked(&[("retry-after", "2"), ("ratelimit-reset", "4")]), Some(2000));
        assert_eq!(asked(&[("retry-after", "soon"), ("ratelimit-reset", "4")]), Some(4000));
        for odd in ["", "soon", "inf", "nan", "1e400"] {
            assert_eq!(asked(&[("retry-after", odd)]), None, "{odd}");
        }
        assert_eq!(asked(&[]), None);
        let headers = HeaderMap::from_iter([(
            "ratelimit-reset".parse().unwrap(),
            HeaderValue::from_static("9"),
        )]);
        assert_eq!(asked_wait(503, &headers, now), None);
    }
}
