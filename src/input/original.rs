//! What an input was before it was transcoded: where in it a finding is.
//!
//! The original stays in the spool. To find a place in it, it is decoded once more, up to there:
//! that is exact in every encoding, also where one has several ways to write a character, or shifts
//! between sets of them. It takes one pass for all findings of a file, and only if there are any.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufRead, BufReader};

use super::transcode::Transcoding;
use crate::finding::{Code, Findings, Place};
use crate::spool::{ByteRange, Region};

/// How much is decoded at a time.
const BUFFER: usize = 64 * 1024;

/// The longest malformed sequence that is shown.
const MOST_SHOWN: usize = 8;

/// See the module.
#[derive(Debug)]
pub struct Original {
    region: Region,
    transcoding: Transcoding,
}

impl Original {
    pub(super) const fn new(region: Region, transcoding: Transcoding) -> Self {
        Self { region, transcoding }
    }

    /// The name of the encoding that it is in.
    #[must_use]
    pub const fn encoding(&self) -> &'static str {
        self.transcoding.charset.name()
    }

    /// Gives findings of a scan the places that they have in the original.
    ///
    /// # Errors
    /// What reading the spool gives.
    pub fn locate(&self, findings: &mut Findings) -> io::Result<()> {
        // The scan found what stands for a malformed sequence.
        findings.recode(Code::XmlInvalidUtf8, Code::XmlInvalidEncoding);
        let listed = findings.listed_mut();
        let wanted = listed.iter().flat_map(|finding| {
            let place = finding.place.iter();
            let place = place.flat_map(|place| [line_start(place), place.offset, place.offset + 1]);
            place.chain(began(&finding.message).map(|(_, offset)| offset))
        });
        let found = self.offsets(wanted.collect())?;
        let at = |offset: u64| found.get(&offset).copied().unwrap_or(offset);
        for finding in listed {
            if let Some((words, offset)) = began(&finding.message) {
                finding.message = format!("{words} byte {}", at(offset));
            }
            let Some(place) = &mut finding.place else { continue };
            let (start, end) = (at(place.offset), at(place.offset + 1));
            // A byte-order mark counts as a part of the first line.
            let line = if place.line == 1 { 0 } else { at(line_start(place)) };
            (place.offset, place.column) = (start, start.saturating_sub(line) + 1);
            if finding.code == Code::XmlInvalidEncoding {
                finding.message = self.malformed(start..end.max(start + 1))?;
            }
        }
        Ok(())
    }

    /// What is said of bytes that the encoding does not have.
    fn malformed(&self, bytes: ByteRange) -> io::Result<String> {
        let shown = self.region.part(bytes).head(MOST_SHOWN)?;
        let shown: Vec<String> = shown.iter().map(|byte| format!("0x{byte:02X}")).collect();
        let (noun, verb) = if shown.len() == 1 { ("byte", "is") } else { ("bytes", "are") };
        Ok(format!("{noun} {} {verb} not {} here", shown.join(" "), self.encoding()))
    }

    /// Where these offsets of what came out are in the original.
    fn offsets(&self, wanted: BTreeSet<u64>) -> io::Result<BTreeMap<u64, u64>> {
        let Transcoding { charset, start, .. } = self.transcoding;
        let prefix = self.transcoding.prefix_length();
        let source = self.region.part(start..self.region.length()).reader();
        let mut source = BufReader::with_capacity(BUFFER, source);
        let mut decoding = charset.decoding();
        let mut out = vec![0; BUFFER];
        // How much was read and written, and where the last character begins and ends.
        let (mut read, mut written) = (start, prefix);
        let mut last = start..start;
        let mut found = BTreeMap::new();
        for wanted in wanted {
            while written < wanted {
                let bytes = source.fill_buf()?;
                // No byte becomes more than three, and no character has more than four bytes:
                // long steps end before the place, and short ones end at it.
                let step = ((wanted - written) / 3).saturating_sub(4).max(1);
                let step = usize::try_from(step).unwrap_or(usize::MAX);
                let bytes = bytes.get(..step).unwrap_or(bytes);
                if bytes.is_empty() && decoding.held() == 0 {
                    break;
                }
                let (took, gave) = decoding.decode(bytes, &mut out);
                source.consume(took);
                read += took as u64;
                written += gave as u64;
                if gave > 0 {
                    last = last.end..read - decoding.held();
                }
            }
            let offset = if wanted < prefix {
                self.transcoding.within_prefix(wanted)
            } else if wanted < written {
                last.start
            } else {
                last.end
            };
            found.insert(wanted, offset);
        }
        Ok(found)
    }
}

/// Where the line of a place begins.
const fn line_start(place: &Place) -> u64 {
    place.offset.saturating_sub(place.column.saturating_sub(1))
}

/// Where something began, which a message ends with: `… since byte 120`.
fn began(message: &str) -> Option<(&str, u64)> {
    let (words, offset) = message.rsplit_once(" byte ")?;
    Some((words, offset.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::super::transcode::Transcoded;
    use super::*;
    use crate::spool::Spool;
    use proptest::prelude::*;
    use std::io::Read;

    /// An original in the spool, and what comes out of it.
    fn original(bytes: &[u8]) -> (Original, Vec<u8>) {
        let mut spool = Spool::create_in(&std::env::temp_dir()).unwrap();
        // What is before it in the spool does not count.
        spool.append(b"before", None).unwrap();
        let region = spool.append_from(&mut &bytes[..]).unwrap();
        let transcoding = Transcoding::of(bytes).unwrap();
        let source = region.part(transcoding.start..region.length()).reader();
        let mut text = Vec::new();
        Transcoded::new(&transcoding, source).read_to_end(&mut text).unwrap();
        (Original::new(region, transcoding), text)
    }

    #[test]
    fn every_character_is_found_where_it_is_written() {
        type Pieces<'a> = &'a [(&'a [u8], &'a [u8])];
        let cases: &[(&[u8], Pieces<'_>)] = &[
            (
                b"<?xml version='1.0' encoding='iso-8859-1'?>",
                &[(b"a", b"a"), (b"\xE9", b"\xC3\xA9"), (b"\x80", b"\xC2\x80"), (b"\n", b"\n")],
            ),
            (
                b"<?xml version='1.0' encoding='cp1252'?>",
                &[(b"\x80", "\u{20ac}".as_bytes()), (b"\x81", b"\xFF"), (b"a", b"a")],
            ),
            (
                b"<?xml version='1.0' encoding='shift_jis'?>",
                &[
                    (b"\x82\xA0", "\u{3042}".as_bytes()),
                    (b"\x82", b"\xFF"),
                    (b" ", b" "),
                    (b"\xB1", "\u{ff71}".as_bytes()),
                ],
            ),
            (
                b"<?xml version='1.0' encoding='gb18030'?>",
                &[
                    (b"\x94\x39\xDA\x33", "\u{1f4a9}".as_bytes()),
                    (b"\xC4\xE3", "\u{4f60}".as_bytes()),
                    (b"\x81\x30\x81\x30", "\u{80}".as_bytes()),
                    (b"a", b"a"),
                ],
            ),
            (
                b"<?xml version='1.0' encoding='iso-2022-jp'?>",
                &[
                    (b"\x1B$B$\"", "\u{3042}".as_bytes()),
                    (b"$\"", "\u{3042}".as_bytes()),
                    (b"\x1B(B<", b"<"),
                    (b"\x1B(J\\", "\u{a5}".as_bytes()),
                    (b"\x1B(Bz", b"z"),
                ],
            ),
            (
                b"<?xml version='1.0' encoding='big5'?>",
                &[(b"\x88\x62", "\u{ca}\u{304}".as_bytes()), (b"a", b"a")],
            ),
            (
                b"\xFF\xFE",
                &[
                    (b"\xE9\0", "\u{e9}".as_bytes()),
                    (b"\x3D\xD8\0\xDE", "\u{1f600}".as_bytes()),
                    (b"\0\xD8", b"\xFF"),
                    (b"<\0", b"<"),
                    (b"\0\xDC", b"\xFF"),
                    (b"\xAC\x20", "\u{20ac}".as_bytes()),
                ],
            ),
            (b"\xFE\xFF", &[(b"\0a", b"a"), (b"\x4F\x60", "\u{4f60}".as_bytes())]),
        ];
        for (head, pieces) in cases {
            let pieces: Vec<_> = pieces.iter().cycle().take(40_000).collect();
            let prefix = original(head).1.len();
            let (mut bytes, mut expected) = (head.to_vec(), Vec::new());
            let mut length = prefix as u64;
            for (piece, text) in &pieces {
                expected.push((length, bytes.len() as u64));
                bytes.extend_from_slice(piece);
                length += text.len() as u64;
            }
            let (original, text) = original(&bytes);
            let out: Vec<_> = pieces.iter().map(|(_, text)| *text).collect();
            assert!(text[prefix..] == out.concat(), "{head:?}");
            // Some that follow each other, and some far apart.
            let near = expected.iter().skip(20_000).take(100);
            let expected: Vec<_> = expected.iter().step_by(97).chain(near).copied().collect();
            let found = original.offsets(expected.iter().map(|(wanted, _)| *wanted).collect());
            let found = found.unwrap();
            for (wanted, place) in expected {
                assert_eq!(found[&wanted], place, "{head:?} {wanted}");
            }
        }
    }

    #[test]
    fn places_in_the_declaration_and_at_the_end_are_found_too() {
        let bytes = "\u{feff}<?xml version='1.0' encoding='utf-16'?>\n<r>\u{e9}</r>";
        let bytes: Vec<u8> = bytes.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let (original, text) = original(&bytes);
        let name = text.iter().position(|&byte| byte == b'U').unwrap() as u64;
        let wanted = [0, 1, name, name + 3, name + 5, name + 6, text.len() as u64, u64::MAX];
        let found = original.offsets(wanted.into()).unwrap();
        let end = bytes.len() as u64;
        let at = [2, 4, 2 + 2 * name, 2 + 2 * name, 14 + 2 * name, 16 + 2 * name, end, end];
        assert_eq!(found.into_values().collect::<Vec<_>>(), at);
    }

    #[test]
    fn findings_get_the_places_of_the_original() {
        let bytes = b"<?xml version='1.0' encoding='windows-1252'?>\n<r>\xE9\x81\n\xE9<a>";
        let (original, text) = original(bytes);
        let mut findings = Findings::default();
        let place = |offset: usize, line, column| {
            Some(Place { offset: offset as u64, line, column, path: String::new() })
        };
        let bad = text.iter().position(|&byte| byte == 0xFF).unwrap();
        findings.add(Code::XmlInvalidUtf8, || ("words".into(), place(bad, 2, 6)));
        let message = format!("ends with <a> open, since byte {}", text.len() - 3);
        findings.add(Code::XmlTruncated, || (message, place(text.len(), 3, 6)));
        original.locate(&mut findings).unwrap();
        let listed = findings.listed();
        assert_eq!(listed[0].message, "byte 0x81 is not windows-1252 here");
        assert_eq!(
            (listed[0].code, &listed[0].place),
            (Code::XmlInvalidEncoding, &place(50, 2, 5))
        );
        assert_eq!(listed[1].message, "ends with <a> open, since byte 53");
        assert_eq!(listed[1].place, place(56, 3, 5));
        assert_eq!(findings.counts()[&Code::XmlInvalidEncoding], 1);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_and_their_places_in_order(
            name in proptest::sample::select(vec![
                "iso-8859-1", "cp1252", "iso-8859-11", "koi8-r", "sjis", "euc-jp", "iso-2022-jp",
                "gbk", "gb18030", "big5", "euc-kr", "unicode-1-1-utf-8", "\u{feff}cp1252",
                "utf-16le", "utf-16be",
            ]),
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
            wanted in proptest::collection::btree_set(0_u64..700, 0..20),
        ) {
            let (mark, name) = name.split_at(name.len() - name.trim_start_matches('\u{feff}').len());
            let head = format!("{mark}<?xml version='1.0' encoding='{name}'?>");
            let head: Vec<u8> = match name {
                "utf-16le" => head.encode_utf16().flat_map(u16::to_le_bytes).collect(),
                "utf-16be" => head.encode_utf16().flat_map(u16::to_be_bytes).collect(),
                _ => head.into_bytes(),
            };
            let whole = [head.as_slice(), &bytes].concat();
            let (original, text) = original(&whole);
            prop_assert!(text.utf8_chunks().all(|part| part.invalid().iter().all(|&byte| byte == 0xFF)));
            let found = original.offsets(wanted).unwrap();
            prop_assert!(found.values().is_sorted());
            prop_assert!(found.values().all(|&offset| offset <= whole.len() as u64));
        }
    }
}
