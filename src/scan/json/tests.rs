//! The grammar of JSON, with documents cut everywhere.

use super::*;
use crate::scan::value::Kind;

/// Gives a byte at a time, so that everything is cut everywhere.
struct Slowly<'a>(&'a [u8]);

impl Read for Slowly<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = buffer.len().min(1);
        self.0.read(&mut buffer[..count])
    }
}

fn walk(text: impl Read) -> Vec<(Code, u64)> {
    let mut findings = Findings::default();
    let cursor = Cursor::new(text, &mut findings);
    cursor.document(|cursor| cursor.array(Cursor::skip)).unwrap();
    findings.listed().iter().map(|f| (f.code, f.place.as_ref().unwrap().offset)).collect()
}

#[test]
fn names_the_place_of_what_is_wrong() {
    use Code::*;
    type Case<'a> = (&'a [u8], &'a [(Code, u64)]);
    let cases: &[Case<'_>] = &[
        (b" [ 1 , {\"a\":[null]} ]\n", &[]),
        (b"[]", &[]),
        (b"", &[(InputEmpty, 0)]),
        (b"[1,]", &[(JsonSyntax, 3)]),
        (b"[1 2]", &[(JsonSyntax, 3)]),
        (b"[,1]", &[(JsonSyntax, 1)]),
        (b"[1", &[(JsonTruncated, 2)]),
        (b"[{\"a\":", &[(JsonTruncated, 6)]),
        (b"[\n\"a\x01\"]", &[(JsonSyntax, 4)]),
        (b"[\"\\ud800\"]", &[(JsonLoneSurrogate, 2)]),
        (b"[\"\\ud83d\\ude00\\\\ud800\"]", &[]),
        (b"[\"\xff\"]", &[(JsonInvalidUtf8, 2)]),
        (b"{}", &[(JsonWrongShape, 0)]),
        (b"[] []", &[(JsonTrailingContent, 3)]),
        (b"\xEF\xBB\xBF[]", &[(JsonByteOrderMark, 0)]),
        (b"[tru]", &[(JsonSyntax, 4)]),
        (b"[-1.5e+3, 0.25, -0, 12E-2, true, null, \"\\u00e9\\n\"]", &[]),
        (b"[1.]", &[(JsonSyntax, 3)]),
        (b"[01]", &[(JsonSyntax, 2)]),
        // RFC 8259 has no such literals; Python's `json` takes them, Ruby's does not.
        (b"[NaN]", &[(JsonSyntax, 1)]),
        (b"[-Infinity]", &[(JsonSyntax, 2)]),
        (b"[1e999, -1E+999, {\"a\":1e999}]", &[]),
    ];
    for (text, expected) in cases {
        assert_eq!(walk(*text), *expected, "{:?}", String::from_utf8_lossy(text));
        assert_eq!(walk(Slowly(text)), *expected, "{:?}", String::from_utf8_lossy(text));
    }
}

#[test]
fn a_document_that_is_cut_anywhere_is_truncated_there() {
    let text = r#"[{"a\n\ud83d\ude00":[-1.5e+3,1e999,true,false,null]},"é",[],{} ]"#;
    assert_eq!(walk(text.as_bytes()), []);
    for end in 1..text.len() {
        let cut = &text.as_bytes()[..end];
        let place = match std::str::from_utf8(cut) {
            Ok(_) => (Code::JsonTruncated, end as u64),
            Err(_) => (Code::JsonInvalidUtf8, end as u64 - 1),
        };
        assert!(walk(cut).contains(&place), "{:?}", String::from_utf8_lossy(cut));
        assert!(walk(Slowly(cut)).contains(&place), "{:?}", String::from_utf8_lossy(cut));
    }
}

fn records(text: &str) -> Vec<(Code, u64)> {
    let mut findings = Findings::default();
    let cursor = Cursor::new(text.as_bytes(), &mut findings);
    let parsed = cursor.document(|cursor| {
        cursor.array(|cursor| {
            let record = cursor.value(|value| value.object(|_, value| value.skip()))?;
            assert_eq!(record.value, Kind::Object);
            Ok(())
        })
    });
    parsed.unwrap();
    findings.listed().iter().map(|f| (f.code, f.place.as_ref().unwrap().offset)).collect()
}

#[test]
fn numbers_that_are_beyond_f64_are_numbers() {
    let digits = "9".repeat(100_000);
    for number in ["1e999", "-1e999", "1E400", &digits, &format!("-{digits}.{digits}e{digits}")] {
        let record = format!(r#"{{"a":{number},"b\\\"1":"\"{number}","c":[{number},1]}}"#);
        assert_eq!(records(&format!("[{record},{record}]")), [], "{number}");
    }
    assert_eq!(records(r#"[{"a":1e999,"b":01}]"#), [(Code::JsonSyntax, 17)]);
    assert_eq!(records(r#"[{"a":1e999,"b":"#), [(Code::JsonTruncated, 16)]);
}

/// As Ruby's `JSON.parse` does it: the root is the first level.
#[test]
fn a_hundred_levels_are_taken_and_no_more() {
    let nested = |levels: usize, open: &str, close: &str| {
        ["[", &open.repeat(levels - 1), &close.repeat(levels - 1), "]"].concat()
    };
    for levels in [99, 100, 101, 102, 130, 1000, 100_000] {
        let (arrays, objects) = (nested(levels, "[", "]"), nested(levels, r#"{"{[":"#, "}"));
        let objects = objects.replacen('}', "1}", 1);
        let (of_arrays, of_objects): (&[_], &[_]) = if levels > 100 {
            (&[(Code::JsonTooDeep, 100)], &[(Code::JsonTooDeep, 1 + 99 * 6)])
        } else {
            (&[], &[])
        };
        assert_eq!(walk(arrays.as_bytes()), of_arrays, "{levels}");
        assert_eq!(walk(Slowly(arrays.as_bytes())), of_arrays, "{levels}");
        assert_eq!(walk(objects.as_bytes()), of_objects, "{levels}");
        assert_eq!(walk(Slowly(objects.as_bytes())), of_objects, "{levels}");
        assert_eq!(records(&objects), of_objects, "{levels}");
    }
}

#[test]
fn refuses_a_value_beyond_the_limit_without_holding_more() {
    let long = [b"[\"".as_slice(), &vec![b'a'; 3 * MAX_VALUE], b"\"]"].concat();
    assert_eq!(walk(long.as_slice()), [(Code::JsonValueTooLarge, 1)]);
    let fits = [b"[\"".as_slice(), &vec![b'a'; MAX_VALUE / 2], b"\"]"].concat();
    assert_eq!(walk(fits.as_slice()), []);
}
