//! Values against `serde_json`: what is taken, what is refused, and what is read in them.

use proptest::prelude::*;

use super::*;

/// Reads a value in all depth, as `serde_json` would print it without its numbers and spaces.
fn outline(reader: &mut Reader<'_>) -> String {
    let mut parts = Vec::new();
    let mut ahead = *reader;
    let mut is_array = true;
    let mut kind = ahead.array(|element| parts.push(outline(element)));
    if kind != Kind::Array {
        is_array = false;
        ahead = *reader;
        kind = ahead.object(|key, value| {
            parts.push(format!("{:?}:{}", String::from_utf8_lossy(key), outline(value)));
        });
    }
    let text = match kind {
        Kind::Array if is_array => format!("[{}]", parts.join(",")),
        Kind::Object => format!("{{{}}}", parts.join(",")),
        Kind::Text | Kind::EmptyText => {
            format!("{:?}", String::from_utf8_lossy(&reader.clone().text().bytes))
        }
        other => other.as_str().to_owned(),
    };
    let mut skipped = *reader;
    skipped.skip();
    assert_eq!(skipped.rest, ahead.rest, "a value skipped is as long as one that is read");
    *reader = ahead;
    text
}

fn expected(value: &serde_json::Value) -> String {
    use serde_json::Value;
    match value {
        Value::Null => Kind::Null.as_str().to_owned(),
        Value::Bool(_) => Kind::Boolean.as_str().to_owned(),
        Value::Number(_) => Kind::Number.as_str().to_owned(),
        Value::String(text) => format!("{text:?}"),
        Value::Array(elements) => {
            format!("[{}]", elements.iter().map(expected).collect::<Vec<_>>().join(","))
        }
        Value::Object(fields) => {
            let fields = fields.iter();
            let fields = fields.map(|(key, value)| format!("{key:?}:{}", expected(value)));
            format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
        }
    }
}

fn any_value() -> impl Strategy<Value = serde_json::Value> {
    let text = "[\\PC\"\\\\{}\\[\\],:\n\u{1f}é😀]{0,12}";
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        text.prop_map(Into::into),
    ];
    leaf.prop_recursive(5, 64, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
            prop::collection::btree_map(text, inner, 0..6)
                .prop_map(|fields| serde_json::Value::Object(fields.into_iter().collect())),
        ]
    })
}

/// What `serde_json` says of the value that the bytes begin with: its length, or whether it is cut.
fn by_serde_json(bytes: &[u8]) -> Result<usize, Refused> {
    let mut values =
        serde_json::Deserializer::from_slice(bytes).into_iter::<serde::de::IgnoredAny>();
    match values.next() {
        Some(Ok(_)) => Ok(values.byte_offset()),
        Some(Err(error)) if !error.is_eof() => Err(Refused::Syntax),
        _ => Err(Refused::Cut),
    }
}

fn length(bytes: &[u8]) -> Result<usize, Refused> {
    let mut reader = Reader::new(bytes, 100);
    reader.skip();
    reader.end().map(|extent| extent.length)
}

fn reader(text: &[u8]) -> Reader<'_> {
    Reader::new(text, 100)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn reads_what_serde_json_reads(value in any_value(), is_pretty in any::<bool>()) {
        let print = if is_pretty { serde_json::to_vec_pretty } else { serde_json::to_vec };
        let text = [print(&value).unwrap(), b" , 1".to_vec()].concat();
        let mut reader = reader(&text);
        prop_assert_eq!(outline(&mut reader), expected(&value));
        prop_assert_eq!(reader.peek(), Some(b','));
        prop_assert_eq!(reader.end().map(|extent| extent.length), Ok(text.len() - 3));
    }

    #[test]
    fn takes_and_refuses_what_serde_json_does(
        value in any_value(),
        is_pretty in any::<bool>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any_token()), 1..3),
    ) {
        let print = if is_pretty { serde_json::to_vec_pretty } else { serde_json::to_vec };
        let mut text = print(&value).unwrap();
        for (at, (token, replaced)) in changes {
            let at = at.index(text.len() + 1);
            let end = text.len().min(at + replaced);
            text.splice(at..end, token);
        }
        text.push(b' ');
        let theirs = by_serde_json(&text);
        let ours = length(&text);
        let shown = String::from_utf8_lossy(&text);
        match (ours, theirs) {
            // It looks at what stands behind a literal or a number too.
            (Ok(length), Err(Refused::Syntax)) => {
                let behind = text.get(length).copied().map(char::from);
                let is_delimiter = |next| " \t\n\r,:[]{}\"".contains(next);
                prop_assert!(!behind.is_some_and(is_delimiter), "{}", shown);
            }
            // Of an escape that is cut off, it does not look at what there is.
            (Err(Refused::Syntax), Err(Refused::Cut)) => {
                let end = text.len().saturating_sub(6);
                prop_assert!(text[end..].windows(2).any(|pair| pair == b"\\u"), "{}", shown);
            }
            _ => prop_assert_eq!(ours, theirs, "{}", shown),
        }
    }

    #[test]
    fn ends_on_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let mut reader = reader(&bytes);
        reader.object(|_, value| { value.array(Reader::skip); });
        reader.array(|element| { element.text(); });
        prop_assert!(reader.rest.len() <= bytes.len());
    }
}

/// Bytes to put somewhere, and how many to take away there.
fn any_token() -> impl Strategy<Value = (Vec<u8>, usize)> {
    let tokens = [
        "",
        ",",
        ":",
        "[",
        "]",
        "{",
        "}",
        "\"",
        "\\",
        "\\u00e9",
        "\\ud800",
        "\\u12",
        "\\x",
        "\n",
        "\u{1f}",
        "\u{7f}",
        "0",
        "01",
        "-",
        "1.",
        ".5",
        "1e",
        "1e+5",
        "tru",
        "nul",
        "false",
        "NaN",
        "\u{b}",
        "\u{a0}",
        "{\"a\":1}",
        "{:1}",
        "{\"a\" 1}",
        "[1,]",
        "[,1]",
        "{\"a\":1,}",
        "//",
    ];
    (prop::sample::select(tokens.map(|token| token.as_bytes().to_vec()).to_vec()), 0_usize..3)
}

#[test]
fn a_value_that_is_cut_is_not_whole() {
    let text = r#"{"a\n\ud83d\ude00":[-1.5e+3,10,true,false,null,""],"é":{},"b":[]}"#.as_bytes();
    assert_eq!(length(text), Ok(text.len()));
    for end in 0..text.len() {
        assert_eq!(length(&text[..end]), Err(Refused::Cut), "{end}");
    }
}

#[test]
fn halves_of_surrogate_pairs_are_found() {
    for (text, place) in [
        (r#" "\ud800""#, Some(2)),
        (r#""\udc00\ud800""#, Some(1)),
        (r#""\ud83d\ude00\\ud800""#, None),
        (r#"["\uD83D\uDE00", "a\uD83D\u0041"]"#, Some(19)),
    ] {
        let mut reader = reader(text.as_bytes());
        reader.skip();
        assert_eq!(reader.end().map(|extent| extent.lone_surrogate), Ok(place), "{text}");
    }
}

#[test]
fn only_so_many_containers_nest() {
    for (levels, text, expected) in [
        (2, "[[1]]", Ok(5)),
        (1, "[[1]]", Err(Refused::TooDeep(1))),
        (1, r#"{"a":{}}"#, Err(Refused::TooDeep(5))),
        (1, "[1]", Ok(3)),
        (0, "1", Ok(1)),
        (0, "[]", Err(Refused::TooDeep(0))),
    ] {
        let mut reader = Reader::new(text.as_bytes(), levels);
        reader.skip();
        assert_eq!(reader.end().map(|extent| extent.length), expected, "{text}");
    }
    let mut siblings = Reader::new(b"[[],[],{},{}]", 2);
    siblings.skip();
    assert!(siblings.end().is_ok());
}

#[test]
fn a_text_without_anything_to_read_is_empty() {
    for text in [r#""""#, r#"" ""#, r#""\t\u00a0""#, "\"\u{2003}\""] {
        assert_eq!(reader(text.as_bytes()).kind(), Kind::EmptyText, "{text}");
    }
    for text in [r#""a""#, r#"" a""#, r#""\u0061""#, r#""\ud800""#, "\"é\""] {
        assert_eq!(reader(text.as_bytes()).kind(), Kind::Text, "{text}");
    }
}
