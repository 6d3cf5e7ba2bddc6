//! Excerpts: the source around a finding, for people to look at.
//!
//! They are read after the scan, from the file's region: a few bytes around each place, however
//! long its line is. So the scan holds nothing for them, and a line of a gigabyte costs no more
//! than a short one.

use std::io::{self, Read};

use memchr::{memchr, memrchr};

use crate::finding::{Excerpt, Findings};
use crate::spool::Region;

/// How many bytes are shown of a line.
const WIDTH: usize = 80;

/// How many of them stand before the place at most.
const BEFORE: usize = 40;

/// Stands for what is left out of a line.
const ELLIPSIS: char = '…';

/// Takes the excerpts of all listed findings that have a place in `region`.
///
/// The places must be those of the scan still: offsets in the region.
///
/// # Errors
/// What reading the region gives.
pub fn take_all(findings: &mut Findings, region: &Region) -> io::Result<()> {
    for finding in findings.listed_mut() {
        if let Some(place) = &finding.place {
            finding.excerpt = take(region, place.offset)?;
        }
    }
    Ok(())
}

/// The excerpt around an offset; `None` on a line without anything to see.
fn take(region: &Region, offset: u64) -> io::Result<Option<Excerpt>> {
    // A byte more on each side tells whether the line goes on there.
    let start = offset.saturating_sub(BEFORE as u64 + 1);
    let mut bytes = Vec::with_capacity(BEFORE + WIDTH + 2);
    let part = region.part(start..offset.saturating_add(WIDTH as u64 + 1));
    part.reader().read_to_end(&mut bytes)?;
    let at = usize::try_from(offset - start).unwrap_or(usize::MAX).min(bytes.len());
    Ok(excerpt(&bytes, at, start == 0))
}

/// The excerpt of `bytes` around the one `at`; `is_start` where they begin the file.
fn excerpt(bytes: &[u8], at: usize, is_start: bool) -> Option<Excerpt> {
    let (before, after) = bytes.split_at_checked(at)?;
    let (before, cut_before) = match memrchr(b'\n', before) {
        Some(feed) => (before.get(feed + 1..).unwrap_or_default(), false),
        None if is_start && before.len() <= BEFORE => (before, false),
        None => (last_characters(before, BEFORE), true),
    };
    let room = WIDTH - before.len().min(WIDTH);
    let (after, cut_after) = match memchr(b'\n', after) {
        Some(feed) if feed <= room => {
            let line = after.get(..feed).unwrap_or_default();
            (line.strip_suffix(b"\r").unwrap_or(line), false)
        }
        None if after.len() <= room => (after, false),
        _ => (first_characters(after, room), true),
    };
    if before.is_empty() && after.is_empty() {
        return None;
    }
    let mut text = String::new();
    text.extend(cut_before.then_some(ELLIPSIS));
    push_visible(&mut text, before);
    let column = text.chars().count() + 1;
    push_visible(&mut text, after);
    text.extend(cut_after.then_some(ELLIPSIS));
    Some(Excerpt { text, column })
}

const fn is_continuation(byte: u8) -> bool {
    matches!(byte, 0x80..=0xBF)
}

/// At most `count` bytes of the end that begin with a whole character, if there is one.
fn last_characters(bytes: &[u8], count: usize) -> &[u8] {
    let end = bytes.get(bytes.len().saturating_sub(count)..).unwrap_or_default();
    let partial = end.iter().take(3).take_while(|&&byte| is_continuation(byte)).count();
    end.get(partial..).unwrap_or_default()
}

/// At most `count` bytes of the start that end with a whole character, if there is one.
fn first_characters(bytes: &[u8], count: usize) -> &[u8] {
    let mut end = count.min(bytes.len());
    while end > 0 && count - end < 3 && bytes.get(end).is_some_and(|&byte| is_continuation(byte)) {
        end -= 1;
    }
    bytes.get(..end).unwrap_or_default()
}

/// Appends the bytes as text in which everything is seen.
fn push_visible(text: &mut String, bytes: &[u8]) {
    for part in bytes.utf8_chunks() {
        for character in part.valid().chars() {
            match character {
                '\t' => text.push(' '),
                // The pictures of control characters stand in their order.
                '\0'..='\x1F' => {
                    text.extend(char::from_u32(0x2400 + u32::from(character)));
                }
                '\x7F' => text.push('␡'),
                _ if is_unseen(character) => text.extend(character.escape_unicode()),
                _ => text.push(character),
            }
        }
        for byte in part.invalid() {
            text.push_str(&format!("\\x{byte:02X}"));
        }
    }
}

/// Whether a character is not seen itself: it has no glyph, or changes how others are shown.
const fn is_unseen(character: char) -> bool {
    matches!(character,
        '\u{80}'..='\u{9F}' | '\u{AD}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}'
        | '\u{2060}'..='\u{206F}' | '\u{FEFF}' | '\u{FFFE}' | '\u{FFFF}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spool::Spool;

    /// The excerpt at an offset of a file, as `text` and `column`.
    fn at(content: &[u8], offset: usize) -> Option<(String, usize)> {
        let mut spool = Spool::create_in(&std::env::temp_dir()).unwrap();
        // Neighbours must not be seen.
        spool.append_from(&mut &b"before"[..]).unwrap();
        let region = spool.append_from(&mut &*content).unwrap();
        spool.append_from(&mut &b"behind"[..]).unwrap();
        take(&region, offset as u64).unwrap().map(|excerpt| (excerpt.text, excerpt.column))
    }

    #[test]
    fn a_short_line_is_shown_whole() {
        let text = b"one\n\ttwo\r\n\nfour";
        assert_eq!(at(text, 0), Some(("one".to_owned(), 1)));
        assert_eq!(at(text, 3), Some(("one".to_owned(), 4)), "on the line feed");
        assert_eq!(at(text, 6), Some((" two".to_owned(), 3)));
        assert_eq!(at(text, 10), None, "an empty line");
        assert_eq!(at(text, 11), Some(("four".to_owned(), 1)));
        assert_eq!(at(text, text.len()), Some(("four".to_owned(), 5)), "at the end");
        assert_eq!(at(text, 1000), None, "beyond the end");
        assert_eq!(at(b"", 0), None);
        assert_eq!(at(b"one\n", 4), None);
    }

    #[test]
    fn what_is_not_seen_is_made_visible() {
        let text = "\u{feff}a\u{1b}[31m\0\r\u{7f}\u{9b}\u{202e}é".as_bytes();
        assert_eq!(at(text, 4), Some(("\\u{feff}a␛[31m␀␍␡\\u{9b}\\u{202e}é".to_owned(), 10)));
        assert_eq!(at(b"caf\xE9 \xF0\x9F", 3), Some(("caf\\xE9 \\xF0\\x9F".to_owned(), 4)));
        assert_eq!(at("é".as_bytes(), 1), Some(("\\xC3\\xA9".to_owned(), 5)), "within a character");
    }

    #[test]
    fn a_long_line_is_cut_between_characters_wherever_the_place_is() {
        for unit in ["x", "é", "€", "😀", "a€😀é"] {
            let line = unit.repeat(300);
            let content = format!("one\n{line}\nthree");
            for (index, character) in line.char_indices() {
                let (text, column) = at(content.as_bytes(), 4 + index).unwrap();
                let shown = text.trim_matches(ELLIPSIS);
                assert!(line.contains(shown), "{text:?} at {index}");
                assert!(shown.len() <= WIDTH && shown.len() >= BEFORE - 3, "{text:?} at {index}");
                assert_eq!(text.chars().nth(column - 1), Some(character), "{text:?} at {index}");
                assert_eq!(text.starts_with(ELLIPSIS), index > BEFORE, "{text:?} at {index}");
            }
        }
    }

    #[test]
    fn no_bytes_break_it() {
        fastrand::seed(7);
        for _ in 0..2000 {
            let byte =
                || *fastrand::choice(&[b'a', b'\n', b'\r', 0x80, 0xBF, 0xE2, 0xF0, 0xFF]).unwrap();
            let content: Vec<u8> = (0..fastrand::usize(..300)).map(|_| byte()).collect();
            let offset = fastrand::usize(..=content.len());
            if let Some(excerpt) = excerpt(&content, offset, fastrand::bool()) {
                let cells = excerpt.text.chars().count();
                assert!((1..=cells + 1).contains(&excerpt.column), "{excerpt:?}");
                assert!(!excerpt.text.chars().any(char::is_control), "{excerpt:?}");
            }
        }
    }
}
