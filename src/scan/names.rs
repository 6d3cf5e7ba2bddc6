//! Names that are other ones in every run, by what they hold: pure functions over a name's bytes.
//!
//! The service knows a test by its name: one with a timestamp in it is a new test in every run,
//! with no history.

use std::ops::Range;

use memchr::{memchr_iter, memmem};

use super::markup::shown;

/// Folders for temporary files, and whether a path must begin with it.
const TEMP_FOLDERS: [(&[u8], bool); 5] = [
    (b"/tmp/", true),
    (b"/private/tmp/", true),
    (b"/var/folders/", false),
    (b"\\Temp\\", false),
    (b"\\TEMP\\", false),
];

/// The shortest number in hexadecimal that is taken for a random one, and for an address.
const SHORTEST_RANDOM: usize = 16;
const SHORTEST_ADDRESS: usize = 8;

/// The first port that systems give out by chance.
const FIRST_CHANCE_PORT: u32 = 32_768;

/// Says what in a name changes from run to run, if anything.
pub fn unstable(name: &[u8]) -> Option<String> {
    let (what, part) = temp_path(name).or_else(|| words(name))?;
    Some(format!("{what} ({})", shown(name.get(part).unwrap_or_default())))
}

type Found = (&'static str, Range<usize>);

fn temp_path(name: &[u8]) -> Option<Found> {
    TEMP_FOLDERS.iter().find_map(|(folder, begins)| {
        let at = memmem::find(name, folder)?;
        let before = at.checked_sub(1).and_then(|before| name.get(before));
        let is_inside = before.is_some_and(|byte| is_word(*byte) || matches!(byte, b'.' | b'-'));
        (!begins || !is_inside).then_some(("the path of a temporary file", at..name.len()))
    })
}

/// Looks at each word, with what stands behind it.
fn words(name: &[u8]) -> Option<Found> {
    let mut at = 0;
    while let Some(rest) = name.get(at..).filter(|rest| !rest.is_empty()) {
        let word = rest.iter().take_while(|byte| is_word(**byte)).count();
        if word > 0
            && let Some((what, length)) = begins_unstable(rest, word)
        {
            return Some((what, at..at + length));
        }
        at += word.max(1);
    }
    port(name)
}

const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
}

/// What `rest`, whose first word is so long, begins with, and how long that is.
fn begins_unstable(rest: &[u8], word: usize) -> Option<(&'static str, usize)> {
    let text = rest.get(..word)?;
    if is_like(rest, b"hhhhhhhh-hhhh-hhhh-hhhh-hhhhhhhhhhhh", true) {
        return Some(("a UUID", 36));
    }
    for form in
        [&b"dddd-dd-ddTdd:dd"[..], b"dddd-dd-dd dd:dd", b"dddd-dd-dd_dd-dd", b"ddddddddTdddd"]
    {
        if is_like(rest, form, false) {
            return Some(("a timestamp", form.len()));
        }
    }
    if word == 13 && text.starts_with(b"1") && text.iter().all(u8::is_ascii_digit) {
        return Some(("a timestamp", word));
    }
    if let Some(digits) = text.strip_prefix(b"0x")
        && digits.len() >= SHORTEST_ADDRESS
        && digits.iter().all(u8::is_ascii_hexdigit)
        // Constants are such as 0xFFFFFFFF.
        && digits.iter().any(|digit| digits.first() != Some(digit))
    {
        return Some(("an address", word));
    }
    let is_random = word >= SHORTEST_RANDOM
        && text.iter().all(u8::is_ascii_hexdigit)
        && text.iter().any(u8::is_ascii_digit)
        && text.iter().any(u8::is_ascii_alphabetic);
    is_random.then_some(("a random number", word))
}

/// Whether `text` begins as the form does: `h` is a hexadecimal digit, `d` a decimal one.
fn is_like(text: &[u8], form: &[u8], ends: bool) -> bool {
    let Some((text, behind)) = text.split_at_checked(form.len()) else { return false };
    let is_over = !ends || !behind.first().is_some_and(|byte| is_word(*byte));
    is_over
        && text.iter().zip(form).all(|(byte, form)| match form {
            b'h' => byte.is_ascii_hexdigit(),
            b'd' => byte.is_ascii_digit(),
            _ => byte == form,
        })
}

/// A port of this machine that nobody chose.
fn port(name: &[u8]) -> Option<Found> {
    memchr_iter(b':', name).find_map(|colon| {
        let host = name.get(..colon)?;
        let is_local =
            [&b"localhost"[..], b"127.0.0.1", b"[::1]"].iter().any(|local| host.ends_with(local));
        let digits = name.get(colon + 1..colon + 6).filter(|_| is_local)?;
        let port: u32 = std::str::from_utf8(digits).ok()?.parse().ok()?;
        let is_chance = (FIRST_CHANCE_PORT..=u32::from(u16::MAX)).contains(&port);
        is_chance.then_some(("a port", colon..colon + 6))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_from_run_to_run_is_named() {
        for (name, expected) in [
            ("at 2026-01-31T19:02:27Z", "a timestamp (2026-01-31T19:02)"),
            ("backup_2026-01-31_19-02", "a timestamp (2026-01-31_19-02)"),
            ("run 20260131T190227", "a timestamp (20260131T1902)"),
            ("job-1679511632462", "a timestamp (1679511632462)"),
            (
                "user 6f1c2b1e-8c3a-4d0e-9b1f-0123456789ab saves",
                "a UUID (6f1c2b1e-8c3a-4d0e-9b1f-0123456789ab)",
            ),
            ("<Foo object at 0x7f8a1c2d3e40>", "an address (0x7f8a1c2d3e40)"),
            ("reads /tmp/x1/a.txt", "the path of a temporary file (/tmp/x1/a.txt)"),
            ("/private/var/folders/zz/T/x", "the path of a temporary file (/var/folders/zz/T/x)"),
            (r"C:\Users\a\AppData\Local\Temp\x", r"the path of a temporary file (\Temp\x)"),
            (
                "digest d41d8cd98f00b204e9800998ecf8427e",
                "a random number (d41d8cd98f00b204e9800998ecf8427e)",
            ),
            ("GET http://127.0.0.1:49321/", "a port (:49321)"),
        ] {
            assert_eq!(unstable(name.as_bytes()).as_deref(), Some(expected), "{name}");
        }
    }

    #[test]
    fn what_stays_is_not() {
        for name in [
            "",
            "turns into the wind",
            "parses 2024-02-29",
            "adds 1234567890",
            "0xFFFFFFFF is -1",
            "0x7f is DEL",
            "src/tmp/a_test.rb",
            "caffe faced deadbeef",
            "returns 99999999999999999999",
            "localhost:8080",
            "example.com:49321",
            "spec/v1.2.3-beta",
            "\u{e9}\u{1f600}",
        ] {
            assert_eq!(unstable(name.as_bytes()), None, "{name}");
        }
    }
}
