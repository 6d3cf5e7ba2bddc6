//! Documents made to break a parser: one construct that goes on and on, written as a stream.
//!
//! A document is a head, a body that is repeated until the size is reached, and a tail. Nothing is
//! held but some repetitions, so a gigabyte takes no more memory than a kilobyte.

use std::io::{self, Write};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::push_number;

/// A document that is hostile in one way.
#[derive(Clone, Copy, Debug)]
pub struct Hostile {
    /// A short name, fit for file names.
    pub name: &'static str,
    /// What `--format` takes.
    pub format: &'static str,
    packing: Packing,
    head: [&'static str; 2],
    body: fn(&mut Vec<u8>, Turn),
    tail: Tail,
    end: &'static str,
}

/// One repetition of a body.
#[derive(Clone, Copy, Debug)]
struct Turn {
    /// Its number, from 0.
    number: u64,
    half: Half,
}

/// Where in the document a repetition is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Half {
    First,
    /// The first repetition behind the first half.
    Turning,
    Second,
}

/// What stands behind the body.
#[derive(Clone, Copy, Debug)]
enum Tail {
    Once(&'static str),
    /// As often as the body was repeated, up to so many times.
    Each(&'static str, u64),
}

/// What becomes of a document when it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Packing {
    AsItIs,
    Gzip,
    /// No text but zeros, in blocks of zstd that each say so in four bytes.
    ZstdZeros,
    Utf16,
}

/// The document is written out whenever this many bytes have gathered.
const BUFFER: usize = 64 * 1024;

/// How many elements are open in `results-deep`: nearly as many as are taken.
const DEEP: u64 = 9_000;

/// How many suites are open in `suites-deep`: nearly as many as are cut.
const SUITES: u64 = 60;

/// How many arrays are open in `json-envelope-deep`: nearly as many as are taken.
const LEVELS: usize = 98;

/// The length of a key in `json-key-twice`: nearly half of what one value may have.
const KEY: usize = 3_500_000;

const SUITE: &str = r#"<testsuite name="s"><testcase name="t" classname="c"/>"#;
const RESULT: &[u8] = br#"<testcase name="t" classname="c"/>"#;
const RECORD: &str = r#"{"name":"t","history":{"start_at":1,"duration":1}"#;

type Body = fn(&mut Vec<u8>, Turn);

/// A suite with a result and this.
const fn junit(name: &'static str, head: &'static str, body: Body, tail: Tail) -> Hostile {
    let (head, end) = ([SUITE, head], "</testsuite>\n");
    Hostile { name, format: "junit", packing: Packing::AsItIs, head, body, tail, end }
}

/// A record of Test Engine's with this in it.
const fn record(name: &'static str, head: &'static str, body: Body, tail: Tail) -> Hostile {
    let (head, end) = (["[{", head], "}]\n");
    Hostile { name, format: "json", packing: Packing::AsItIs, head, body, tail, end }
}

/// A document as it stands here.
const fn whole(
    (name, format): (&'static str, &'static str),
    head: &'static str,
    body: Body,
    tail: &'static str,
) -> Hostile {
    let (head, tail) = ([head, ""], Tail::Once(tail));
    Hostile { name, format, packing: Packing::AsItIs, head, body, tail, end: "" }
}

use Tail::{Each, Once};

/// All of them.
pub const ALL: &[Hostile] = &[
    junit("text", "<system-out>", |to, _| text(to, "a line of output\n"), Once("</system-out>")),
    junit(
        "cdata",
        "<system-out><![CDATA[",
        |to, _| text(to, "<b>&]] ]>"),
        Once("]]></system-out>"),
    ),
    junit("comment", "<!--", |to, _| text(to, "<a> - &"), Once("-->")),
    junit("comment-hyphens", "<!--", |to, _| text(to, "--"), Once(" -->")),
    junit("instruction", "<?go ", |to, _| text(to, "on ? > "), Once("?>")),
    junit(
        "attribute",
        r#"<testcase classname="c" name=""#,
        |to, _| text(to, "a name "),
        Once("\"/>"),
    ),
    junit("odd-time", "", |to, _| odd_time(to), Once("")),
    junit("tag-name", "<", |to, _| text(to, "n"), Once("/>")),
    junit("attributes", "<property", |to, turn| attribute(to, turn.number), Once("/>")),
    junit("attributes-spread", "", |to, _| tag(to), Once("")),
    junit("elements-open", "", |to, _| text(to, "<a>"), Once("")),
    junit("elements-closed", "", |to, _| text(to, "<a>"), Each("</a>", u64::MAX)),
    junit("elements-mismatched", "", |to, _| text(to, "<a></b>"), Once("")),
    junit(
        "results-deep",
        "",
        |to, turn| to.extend(if turn.number < DEEP { b"<a>" } else { RESULT }),
        Each("</a>", DEEP),
    ),
    junit(
        "results-nested",
        "",
        |to, turn| text(to, if turn.number < DEEP { "<testcase>" } else { "<testcase/>" }),
        Each("</testcase>", DEEP),
    ),
    junit("results-tiny", "", |to, _| text(to, "<testcase/>"), Once("")),
    junit("results-line", "", |to, _| to.extend(RESULT), Once("&late;")),
    junit("suites", "", |to, _| text(to, "<testsuite/>"), Once("")),
    junit(
        "suites-deep",
        "",
        |to, turn| {
            text(to, if turn.number < SUITES { "<testsuite tests=''>" } else { "<testcase/>" });
        },
        Each("</testsuite>", SUITES),
    ),
    junit(
        "counts-many",
        "",
        |to, turn| if turn.number < SUITES { suite(to) } else { to.extend(RESULT) },
        Each("</testsuite>", SUITES),
    ),
    junit(
        "properties-many",
        "",
        |to, turn| match turn.half {
            Half::First => text(to, "<properties/>"),
            _ => to.extend(RESULT),
        },
        Once(""),
    ),
    junit(
        "properties-long",
        "<properties>",
        |to, turn| match turn.half {
            Half::First => text(to, "<property name='n' value='v'/>"),
            Half::Turning => text(to, "</properties>"),
            Half::Second => to.extend(RESULT),
        },
        Once(""),
    ),
    junit("references", "<a>", |to, _| text(to, "&amp;&#65;&#x1F600;"), Once("</a>")),
    junit("reference-long", "<a>&", |to, _| text(to, "e"), Once(";</a>")),
    junit("entities", "<a>", |to, _| text(to, "&nbsp;"), Once("</a>")),
    junit("ampersands", "<a>", |to, _| text(to, "&"), Once("</a>")),
    junit("ampersands-in-attribute", "", |to, _| ampersands(to), Once("")),
    junit("brackets", "<a>", |to, _| text(to, "]"), Once("</a>")),
    junit("illegal-characters", "<a>", |to, _| to.push(1), Once("</a>")),
    junit("invalid-bytes", "<a>", |to, _| to.push(0xFF), Once("</a>")),
    Hostile {
        packing: Packing::Utf16,
        ..junit("utf-16", "<a>", |to, _| text(to, "text\x01\n"), Once("</a>"))
    },
    Hostile { packing: Packing::Gzip, ..junit("gzip", "", |to, _| to.extend(RESULT), Once("")) },
    Hostile {
        packing: Packing::Gzip,
        ..whole(("gzip-zeros", "junit"), "", |to, _| to.push(0), "")
    },
    Hostile {
        packing: Packing::ZstdZeros,
        ..whole(("zstd-zeros", "junit"), "", |to, _| to.push(0), "")
    },
    whole(
        ("billion-laughs", "junit"),
        "<!DOCTYPE a [<!ENTITY l0 'ha'><!ENTITY l1 '&l0;&l0;'><!ENTITY l2 '&l1;&l1;'>]><testsuite>",
        |to, _| text(to, "&l2;"),
        "</testsuite>",
    ),
    whole(("doctype", "junit"), "<!DOCTYPE a [", |to, turn| entity(to, turn.number), "]><a/>"),
    record("json-string", r#""name":""#, |to, _| text(to, "a name "), Once("\"")),
    record("json-escapes", r#""name":""#, |to, _| text(to, r"\u00e9\n"), Once("\"")),
    record("json-key", "\"", |to, _| text(to, "a key "), Once("\":0")),
    record("json-key-escaped", "\"", |to, _| text(to, r"\n"), Once("\":0")),
    record("json-keys", r#""name":"t""#, |to, turn| key(to, turn.number), Once("")),
    record("json-nesting", r#""name":"#, |to, _| text(to, "["), Each("]", u64::MAX)),
    record("json-number", r#""name":"#, |to, _| text(to, "1"), Once("")),
    record("json-number-large", r#""name":"#, |to, _| text(to, "9"), Once("e999")),
    record("json-white-space", r#""name":"#, |to, _| text(to, " \n"), Once("0")),
    record(
        "json-children",
        r#""name":"t","history":{"start_at":1,"duration":1,"children":["#,
        |to, _| text(to, "{},"),
        Once("0]}"),
    ),
    record("json-invalid-bytes", r#""name":""#, |to, _| to.push(0xFF), Once("\"")),
    whole(("json-records-empty", "json"), "[", |to, _| text(to, "{},"), "{}]"),
    whole(("json-records-digits", "json"), "[", |to, _| text(to, "1,"), "1]"),
    whole(("json-records-line", "json"), "[", |to, _| record_of(to, ""), "{}}"),
    whole(
        ("json-records-odd", "json"),
        "[",
        |to, _| record_of(to, r#","a":1e999,"b":"\ud800","result":"odd""#),
        "{}]",
    ),
    whole(("json-key-twice", "json"), "[", |to, _| key_twice(to), "{}]"),
    whole(
        ("json-white-space-between", "json"),
        "[",
        |to, _| text(to, "\n "),
        r#"{"name":"t","history":{"start_at":1,"duration":1}}]"#,
    ),
    whole(("json-envelope-deep", "rspec-json"), r#"{"x":[0"#, |to, _| nested(to), "]}"),
    whole(
        ("json-envelope-long", "rspec-json"),
        r#"{"x":[0"#,
        |to, turn| match turn.half {
            Half::First => text(to, ",0"),
            Half::Turning => text(to, r#"],"examples":[{"status":"passed"}"#),
            Half::Second => text(to, r#",{"status":"passed"}"#),
        },
        "]}",
    ),
];

impl Hostile {
    /// The one of this name.
    pub fn named(name: &str) -> Option<Self> {
        ALL.iter().find(|hostile| hostile.name == name).copied()
    }

    /// Writes it to `out`, with at least `size` bytes of what it repeats, before compression.
    ///
    /// # Errors
    /// Whatever `out` fails with.
    pub fn write(self, size: u64, mut out: impl Write) -> io::Result<()> {
        match self.packing {
            Packing::AsItIs => self.write_text(size, &mut out)?,
            Packing::Gzip => {
                let mut gzip = GzEncoder::new(&mut out, Compression::best());
                self.write_text(size, &mut gzip)?;
                gzip.finish()?;
            }
            Packing::ZstdZeros => write_zeros(size, &mut out)?,
            Packing::Utf16 => {
                out.write_all(b"\xFF\xFE")?;
                self.write_text(size / 2, &mut Doubled(&mut out))?;
            }
        }
        out.flush()
    }

    fn write_text(self, size: u64, out: &mut impl Write) -> io::Result<()> {
        let mut buffer = self.head.concat().into_bytes();
        let (mut written, mut number, mut half) = (0, 0, Half::First);
        while written + (buffer.len() as u64) < size {
            half = match half {
                Half::First if written < size / 2 => Half::First,
                Half::First => Half::Turning,
                _ => Half::Second,
            };
            (self.body)(&mut buffer, Turn { number, half });
            number += 1;
            written += flush(&mut buffer, out, BUFFER)?;
        }
        let (tail, times) = match self.tail {
            Once(tail) => (tail, 1),
            Each(tail, most) => (tail, number.min(most)),
        };
        for _ in 0..times {
            text(&mut buffer, tail);
            flush(&mut buffer, out, BUFFER)?;
        }
        text(&mut buffer, self.end);
        flush(&mut buffer, out, 0).map(|_| ())
    }
}

/// Writes out what has gathered, if that is so much; says how much it was.
fn flush(buffer: &mut Vec<u8>, out: &mut impl Write, least: usize) -> io::Result<u64> {
    if buffer.len() < least {
        return Ok(0);
    }
    out.write_all(buffer)?;
    let count = buffer.len() as u64;
    buffer.clear();
    Ok(count)
}

/// Writes ASCII as UTF-16, little-endian.
struct Doubled<W>(W);

impl<W: Write> Write for Doubled<W> {
    fn write(&mut self, ascii: &[u8]) -> io::Result<usize> {
        let units: Vec<u8> = ascii.iter().flat_map(|&byte| [byte, 0]).collect();
        self.0.write_all(&units)?;
        Ok(ascii.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Writes a zstd frame (RFC 8878) of zeros: blocks of type RLE, each of 128 KiB.
fn write_zeros(size: u64, out: &mut impl Write) -> io::Result<()> {
    const BLOCK: u32 = 128 * 1024;
    // The magic number, no flags, a window of 1 MiB.
    out.write_all(&[0x28, 0xB5, 0x2F, 0xFD, 0, 10 << 3])?;
    for _ in 0..size / u64::from(BLOCK) {
        let [low, middle, high, _] = (BLOCK << 3 | 1 << 1).to_le_bytes();
        out.write_all(&[low, middle, high, 0])?;
    }
    // The last block, of type raw and empty.
    out.write_all(&[1, 0, 0])
}

fn text(to: &mut Vec<u8>, text: &str) {
    to.extend(text.as_bytes());
}

fn number(to: &mut Vec<u8>, number: u64) {
    let mut digits = String::new();
    push_number(&mut digits, number);
    text(to, &digits);
}

fn attribute(to: &mut Vec<u8>, index: u64) {
    text(to, " a");
    number(to, index);
    text(to, "=''");
}

/// A tag of a thousand attributes.
fn tag(to: &mut Vec<u8>) {
    text(to, "<property");
    (0..1000).for_each(|index| attribute(to, index));
    text(to, "/>");
}

/// The opening of a suite that declares a count thousands of times.
fn suite(to: &mut Vec<u8>) {
    text(to, "<testsuite");
    to.extend(b" tests=''".repeat(50_000));
    text(to, ">");
}

/// A result whose time is a megabyte of commas.
fn odd_time(to: &mut Vec<u8>) {
    text(to, "<testcase name='t' classname='c' time='");
    to.extend(b"1,".repeat(500_000));
    text(to, "'/>");
}

/// A tag with a megabyte of ampersands.
fn ampersands(to: &mut Vec<u8>) {
    text(to, "<property name='");
    to.extend(b"&".repeat(1_000_000));
    text(to, "'/>");
}

fn entity(to: &mut Vec<u8>, index: u64) {
    text(to, "<!ENTITY e");
    number(to, index);
    text(to, " ''>");
}

fn key(to: &mut Vec<u8>, index: u64) {
    text(to, ",\"");
    number(to, index);
    text(to, "\":0");
}

fn record_of(to: &mut Vec<u8>, more: &str) {
    text(to, RECORD);
    text(to, more);
    text(to, "},");
}

/// A record with a long key twice.
fn key_twice(to: &mut Vec<u8>) {
    for before in ["{\"", ",\""] {
        text(to, before);
        text(to, "\\n");
        to.extend(b"k".repeat(KEY));
        text(to, "\":0");
    }
    text(to, "},");
}

/// Arrays within each other, and in the innermost more than a scan holds at once.
fn nested(to: &mut Vec<u8>) {
    text(to, ",");
    to.extend(b"[".repeat(LEVELS));
    to.extend(b"0,".repeat(100_000));
    text(to, "0");
    to.extend(b"]".repeat(LEVELS));
}
