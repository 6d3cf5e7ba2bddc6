//! The service's answer, read leniently: what does not parse is a warning, never a failure.

use serde::Serialize;
use serde_json::Value;

use crate::token::SuiteToken;

/// How much of an answer is read, in bytes.
pub const MAX_ANSWER: usize = 1024 * 1024;

/// How many of the service's errors are kept, and how long each may be.
const MAX_ERRORS: usize = 50;
const MAX_TEXT: usize = 1000;

/// What the service says of an upload that it took.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Answer {
    pub id: Option<String>,
    pub run_id: Option<String>,
    pub run_url: Option<String>,
    pub upload_url: Option<String>,
    /// How many results it took.
    pub queued: Option<u64>,
    /// How many results it left out.
    pub skipped: Option<u64>,
    /// Why, in its own words, which do not say which record was at fault.
    pub errors: Vec<String>,
}

impl Answer {
    /// Reads an answer; `None` if it is no JSON object.
    ///
    /// The service may repeat what it was sent: `token` is blotted out of every text.
    #[must_use]
    pub fn parse(body: &[u8], token: &SuiteToken) -> Option<Self> {
        let Ok(Value::Object(fields)) = serde_json::from_slice(body) else { return None };
        let text = |names: &[&str]| {
            names.iter().find_map(|name| match fields.get(*name)? {
                Value::String(text) if !text.is_empty() => Some(cut(&token.redact(text))),
                Value::Number(number) => Some(token.redact(&number.to_string())),
                _ => None,
            })
        };
        let number = |name: &str| match fields.get(name)? {
            Value::Number(number) => number.as_u64(),
            Value::String(text) => text.parse().ok(),
            _ => None,
        };
        Some(Self {
            id: text(&["id", "upload_id"]),
            run_id: text(&["run_id"]),
            run_url: text(&["run_url", "url"]),
            upload_url: text(&["upload_url"]),
            queued: number("queued"),
            skipped: number("skipped"),
            errors: fields
                .get("errors")
                .map(|errors| error_texts(errors, token))
                .unwrap_or_default(),
        })
    }
}

fn error_texts(errors: &Value, token: &SuiteToken) -> Vec<String> {
    let text = |error: &Value| match error {
        Value::String(text) => cut(&token.redact(text)),
        other => cut(&token.redact(&other.to_string())),
    };
    match errors {
        Value::Null => Vec::new(),
        Value::Array(errors) => errors.iter().take(MAX_ERRORS).map(text).collect(),
        other => vec![text(other)],
    }
}

/// What an answer that refuses an upload says: its message if it is JSON with one, else its text.
#[must_use]
pub fn refusal(body: &[u8], token: &SuiteToken) -> Option<String> {
    let text = match serde_json::from_slice(body) {
        Ok(Value::Object(fields)) => {
            let named = ["message", "error", "errors"].iter().find_map(|name| fields.get(*name));
            named.map_or_else(
                || Value::Object(fields.clone()).to_string(),
                |value| match value {
                    Value::String(text) => text.clone(),
                    other => other.to_string(),
                },
            )
        }
        _ => String::from_utf8_lossy(body).into_owned(),
    };
    // A page of a proxy has many lines: one line of it is enough to know whose it is.
    let words: Vec<&str> = text.split_whitespace().collect();
    // What is left out first cannot hide the token.
    let text: String = words.join(" ").chars().filter(|c| !c.is_control()).collect();
    let text = token.redact(&text);
    (!text.is_empty()).then(|| text.chars().take(300).collect())
}

fn cut(text: &str) -> String {
    text.chars().take(MAX_TEXT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> SuiteToken {
        SuiteToken::new("secret").unwrap()
    }

    #[test]
    fn takes_what_clients_have_seen() {
        let answer = Answer::parse(
            br#"{"id":"i","run_id":"r","queued":110,"skipped":"2","errors":["a secret",{"b":1}],"run_url":null,"url":"https://u","more":[]}"#,
            &token(),
        );
        let expected = Answer {
            id: Some("i".into()),
            run_id: Some("r".into()),
            run_url: Some("https://u".into()),
            upload_url: None,
            queued: Some(110),
            skipped: Some(2),
            errors: vec!["a [token]".into(), "{\"b\":1}".into()],
        };
        assert_eq!(answer, Some(expected));
        assert_eq!(Answer::parse(b"{}", &token()), Some(Answer::default()));
        let odd = br#"{"id":{},"queued":-1,"skipped":1.5,"errors":"x","upload_id":7}"#;
        let expected =
            Answer { id: Some("7".into()), errors: vec!["x".into()], ..Answer::default() };
        assert_eq!(Answer::parse(odd, &token()), Some(expected));
    }

    #[test]
    fn what_does_not_parse_is_none() {
        for body in [b"".as_slice(), b"OK", b"[]", b"{", b"\xff", b"null"] {
            assert_eq!(Answer::parse(body, &token()), None, "{body:?}");
        }
    }

    #[test]
    fn a_refusal_is_one_short_line() {
        assert_eq!(
            refusal(br#"{"message":"bad\nformat"}"#, &token()).as_deref(),
            Some("bad format")
        );
        assert_eq!(refusal(br#"{"errors":["a"]}"#, &token()).as_deref(), Some("[\"a\"]"));
        assert_eq!(
            refusal(b"<html>\n<b>413</b>\x1b[0m", &token()).as_deref(),
            Some("<html> <b>413</b>[0m")
        );
        assert_eq!(refusal(b" \n", &token()), None);
        assert_eq!(refusal(b"\x1b", &token()), None);
        assert_eq!(refusal(b"sec\0ret", &token()).as_deref(), Some("[token]"));
        assert_eq!(refusal(&[b'x'; 5000], &token()).unwrap().len(), 300);
    }
}
