//! The suite token, which must appear in nothing that we print or write.

use std::fmt;

use reqwest::header::HeaderValue;

/// A secret that authorises uploads to one suite. Its `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct SuiteToken(String);

/// Why a text cannot be a token. It does not repeat the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidToken {
    #[error("it is empty")]
    Empty,
    #[error(
        "it holds a character that no token has (a space, a quote, a control character or one beyond ASCII)"
    )]
    Character,
}

impl SuiteToken {
    /// Takes a token as it was given; white space around it does not count.
    ///
    /// # Errors
    /// When it is empty or could not stand in a header.
    pub fn new(text: &str) -> Result<Self, InvalidToken> {
        let text = text.trim();
        if text.is_empty() {
            return Err(InvalidToken::Empty);
        }
        if text.bytes().any(|byte| !byte.is_ascii_graphic() || matches!(byte, b'"' | b'\\')) {
            return Err(InvalidToken::Character);
        }
        Ok(Self(text.to_owned()))
    }

    /// The value of the `Authorization` header, marked so that no HTTP library shows it.
    ///
    /// # Errors
    /// Never for a token made by [`new`](Self::new), which checked its characters.
    pub fn authorization(&self) -> Result<HeaderValue, InvalidToken> {
        let value = HeaderValue::try_from(format!("Token token=\"{}\"", self.0));
        let mut value = value.map_err(|_| InvalidToken::Character)?;
        value.set_sensitive(true);
        Ok(value)
    }

    /// Blots the token out of a text that came from outside, such as a server's answer.
    #[must_use]
    pub fn redact(&self, text: &str) -> String {
        text.replace(&self.0, "[token]")
    }
}

impl fmt::Debug for SuiteToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SuiteToken([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_itself_in_the_header_only() {
        let token = SuiteToken::new(" abc123\n").unwrap();
        assert_eq!(token.authorization().unwrap().to_str().unwrap(), "Token token=\"abc123\"");
        assert!(!format!("{token:?} {:?}", token.authorization()).contains("abc123"));
        assert_eq!(token.redact("bad token abc123!"), "bad token [token]!");
    }

    #[test]
    fn refuses_what_could_break_out_of_the_header() {
        for text in ["", "  ", "a b", "a\"b", "a\\b", "a\r\nX: y", "ä"] {
            let error = SuiteToken::new(text).unwrap_err();
            assert!(text.trim().is_empty() || !error.to_string().contains(text), "{text:?}");
        }
    }
}
