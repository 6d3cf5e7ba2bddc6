//! Upload-level tags, and the service's rules for them.

/// How many tags an upload may have.
const MAX_TAGS: usize = 10;
/// Keys are shorter than this, in bytes.
const KEY_LIMIT: usize = 64;
/// Values are shorter than this, in bytes of UTF-8.
const VALUE_LIMIT: usize = 128;

/// Tags that keep the rules, in the order in which they were given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tags(Vec<(String, String)>);

/// A rule that a tag breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTag {
    #[error("{0} tags are given: at most {MAX_TAGS} are allowed")]
    TooMany(usize),
    #[error("{0:?} is not KEY=VALUE")]
    NoValue(String),
    #[error(
        "the tag key {0:?} must begin with a letter, then have letters, digits, _, - and . only, in fewer than {KEY_LIMIT} bytes"
    )]
    Key(String),
    #[error("the tag key {0:?} is reserved: no key may be mut or begin with mut.")]
    Reserved(String),
    #[error("the tag {0:?} is given twice")]
    Twice(String),
    #[error("the tag keys {0:?} and {1:?} exclude each other: one is the beginning of the other")]
    Prefix(String, String),
    #[error(
        "the value of the tag {0:?} must not be blank and must have fewer than {VALUE_LIMIT} bytes"
    )]
    Value(String),
}

impl Tags {
    /// Takes tags written as `KEY=VALUE`.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn parse<'a>(written: impl IntoIterator<Item = &'a str>) -> Result<Self, InvalidTag> {
        let mut tags: Vec<(String, String)> = Vec::new();
        for text in written {
            let (key, value) =
                text.split_once('=').ok_or_else(|| InvalidTag::NoValue(text.to_owned()))?;
            let (key, value) = (key.trim(), value.trim());
            check_key(key)?;
            if value.is_empty() || value.len() >= VALUE_LIMIT || value.contains(char::is_control) {
                return Err(InvalidTag::Value(key.to_owned()));
            }
            for (other, _) in &tags {
                if other == key {
                    return Err(InvalidTag::Twice(key.to_owned()));
                }
                if is_prefix(key, other) || is_prefix(other, key) {
                    return Err(InvalidTag::Prefix(other.clone(), key.to_owned()));
                }
            }
            tags.push((key.to_owned(), value.to_owned()));
        }
        if tags.len() > MAX_TAGS {
            return Err(InvalidTag::TooMany(tags.len()));
        }
        Ok(Self(tags))
    }

    /// Keys and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }
}

fn check_key(key: &str) -> Result<(), InvalidTag> {
    let begins_well = key.starts_with(|first: char| first.is_ascii_alphabetic());
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    if !begins_well || key.len() >= KEY_LIMIT || !key.bytes().all(is_allowed) {
        return Err(InvalidTag::Key(key.to_owned()));
    }
    if key == "mut" || key.starts_with("mut.") {
        return Err(InvalidTag::Reserved(key.to_owned()));
    }
    Ok(())
}

/// Whether `key` with a dot begins `other`.
fn is_prefix(key: &str, other: &str) -> bool {
    other.strip_prefix(key).is_some_and(|rest| rest.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_services_rules() {
        let long_key = "k".repeat(64);
        let long_value = format!("a={}", "é".repeat(64));
        let cases: &[(&[&str], Option<InvalidTag>)] = &[
            (&["team=core", "host.os = linux", "host.cpu=a=b"], None),
            (&[], None),
            (&["team"], Some(InvalidTag::NoValue("team".into()))),
            (&["=x"], Some(InvalidTag::Key(String::new()))),
            (&["1a=x"], Some(InvalidTag::Key("1a".into()))),
            (&["a b=x"], Some(InvalidTag::Key("a b".into()))),
            (&[&format!("{long_key}=x")], Some(InvalidTag::Key(long_key.clone()))),
            (&["mut=x"], Some(InvalidTag::Reserved("mut".into()))),
            (&["mut.a=x"], Some(InvalidTag::Reserved("mut.a".into()))),
            (&["mutant=x"], None),
            (&["a=x", "a=y"], Some(InvalidTag::Twice("a".into()))),
            (&["a=x", "a.b=y"], Some(InvalidTag::Prefix("a".into(), "a.b".into()))),
            (&["a.b=x", "a=y"], Some(InvalidTag::Prefix("a.b".into(), "a".into()))),
            (&["a=x", "ab=y"], None),
            (&["a= "], Some(InvalidTag::Value("a".into()))),
            (&[&long_value], Some(InvalidTag::Value("a".into()))),
        ];
        for (written, expected) in cases {
            assert_eq!(Tags::parse(written.iter().copied()).err(), *expected, "{written:?}");
        }
        let eleven: Vec<String> = (0..11).map(|n| format!("k{n}=v")).collect();
        assert_eq!(Tags::parse(eleven.iter().map(String::as_str)), Err(InvalidTag::TooMany(11)));
    }
}
