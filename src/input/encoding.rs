//! Encodings as libxml2 reads them, on top of `encoding_rs`, which reads them as browsers do.
//!
//! Of single-byte encodings, browsers know some standards as the larger ones of Windows, and give
//! every byte a character. Here the standards are themselves, and a byte that Windows leaves
//! undefined is malformed. East Asian encodings stay as they are there: some more characters than
//! libxml2 takes, none of them in doubt.

use encoding_rs::{
    Decoder, DecoderResult, Encoding, UTF_16BE, UTF_16LE, WINDOWS_874, WINDOWS_1252, WINDOWS_1254,
    X_USER_DEFINED,
};
use memchr::memmem;

/// What is written for a malformed sequence: no UTF-8, so that the scan finds it.
pub const MALFORMED: u8 = 0xFF;

/// A buffer to decode into must have so many bytes.
pub const ROOM: usize = 16;

/// How far bytes that are not for the decoder are looked for at a time.
const LOOKED_AHEAD: usize = 256;

/// Encodings of Windows, what their names hold, and the standards that go by their other names.
const STANDARDS: [(&Encoding, &[u8], &str); 3] = [
    (WINDOWS_1252, b"1252", "ISO-8859-1"),
    (WINDOWS_1254, b"1254", "ISO-8859-9"),
    (WINDOWS_874, b"874", "ISO-8859-11"),
];

/// An encoding that can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Charset {
    name: &'static str,
    encoding: &'static Encoding,
}

impl Charset {
    /// The encoding of this name, unless it is UTF-16: a name in bytes is not in that.
    pub fn of_bytes(name: &[u8]) -> Option<Self> {
        let encoding = Encoding::for_label_no_replacement(name)?;
        if [UTF_16LE, UTF_16BE, X_USER_DEFINED].contains(&encoding) {
            return None;
        }
        let standard = STANDARDS.iter().find(|(windows, number, _)| {
            *windows == encoding && memmem::find(name, number).is_none()
        });
        Some(standard.map_or(encoding.into(), |(_, _, name)| Self { name, encoding }))
    }

    /// The name of it.
    pub const fn name(self) -> &'static str {
        self.name
    }

    /// Decodes from the start.
    pub fn decoding(self) -> Decoding {
        let Self { name, encoding } = self;
        let is_standard = name != encoding.name();
        let becomes_control = |byte: u8| {
            let byte = [byte];
            let text = encoding.decode_without_bom_handling_and_without_replacement(&byte);
            text.is_some_and(|text| text.chars().eq(byte.map(char::from)))
        };
        let is_apart = |byte| is_standard || name.starts_with("windows-") && becomes_control(byte);
        let apart = (0x80..=0x9F).filter(|&byte| is_apart(byte));
        Decoding {
            decoder: encoding.new_decoder_without_bom_handling(),
            apart: apart.fold(0, |apart, byte| apart | 1 << (byte & 0x1F)),
            are_controls: is_standard,
            held: 0,
        }
    }
}

impl From<&'static Encoding> for Charset {
    fn from(encoding: &'static Encoding) -> Self {
        Self { name: encoding.name(), encoding }
    }
}

/// A text that is being decoded.
pub struct Decoding {
    decoder: Decoder,
    /// Which of the bytes 0x80 to 0x9F are not for the decoder, a bit for each.
    apart: u32,
    /// Whether those are the control characters U+0080 to U+009F; else they are undefined.
    are_controls: bool,
    /// How many bytes were read behind a malformed sequence and are to be decoded yet.
    held: u8,
}

impl Decoding {
    /// Decodes some of what comes next, up to a malformed sequence at most.
    ///
    /// Returns how many bytes were read and how many written, in `out` of at least [`ROOM`] bytes.
    /// A character that is not complete is expected to go on in the next `source`; at the very end
    /// it is left out, as by libxml2.
    pub fn decode(&mut self, source: &[u8], out: &mut [u8]) -> (usize, usize) {
        debug_assert!(out.len() >= ROOM, "a character may find no room");
        // What is held comes first, by itself: then it is known what came of which bytes.
        let source = if std::mem::take(&mut self.held) > 0 { &[] } else { source };
        let text = source.get(..self.until_apart(source)).unwrap_or_default();
        match source.first() {
            Some(&byte) if text.is_empty() => {
                let control = [0xC2, byte];
                (1, put(if self.are_controls { &control } else { &[MALFORMED] }, out, 0))
            }
            _ => {
                let room = out.len().saturating_sub(1);
                let free = out.get_mut(..room).unwrap_or_default();
                let (result, read, written) =
                    self.decoder.decode_to_utf8_without_replacement(text, free, false);
                let DecoderResult::Malformed(_, held) = result else { return (read, written) };
                self.held = held;
                (read, written + put(&[MALFORMED], out, written))
            }
        }
    }

    /// How many bytes at the front are for the decoder. It looks at a few only: after each of many
    /// malformed sequences it looks again.
    fn until_apart(&self, bytes: &[u8]) -> usize {
        let is_apart =
            |&byte: &u8| matches!(byte, 0x80..=0x9F) && self.apart >> (byte & 0x1F) & 1 == 1;
        if self.apart == 0 {
            return bytes.len();
        }
        let bytes = bytes.get(..LOOKED_AHEAD).unwrap_or(bytes);
        bytes.iter().position(is_apart).unwrap_or(bytes.len())
    }

    /// How many bytes were read behind a malformed sequence and are not decoded yet.
    pub const fn held(&self) -> u64 {
        self.held as u64
    }
}

/// Writes into `out` from a place on; gives how much.
fn put(bytes: &[u8], out: &mut [u8], at: usize) -> usize {
    let Some(out) = out.get_mut(at..at + bytes.len()) else { return 0 };
    out.copy_from_slice(bytes);
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes out of these bytes, given `step` at a time, into `room` bytes.
    fn decode(name: &str, bytes: &[u8], step: usize, room: usize) -> Vec<u8> {
        let mut decoding = Charset::of_bytes(name.as_bytes()).unwrap().decoding();
        let mut out = vec![0; room];
        let mut text = Vec::new();
        for mut bytes in bytes.chunks(step) {
            while !bytes.is_empty() || decoding.held() > 0 {
                let (read, written) = decoding.decode(bytes, &mut out);
                assert!(read + written > 0 || decoding.held() == 0, "{name}");
                bytes = &bytes[read..];
                text.extend_from_slice(&out[..written]);
            }
        }
        text
    }

    #[test]
    fn names_stand_for_what_libxml2_takes_them_for() {
        let name = |name: &str| Charset::of_bytes(name.as_bytes()).map(Charset::name);
        for (label, expected) in [
            ("ISO-8859-1", "ISO-8859-1"),
            ("latin1", "ISO-8859-1"),
            ("cp819", "ISO-8859-1"),
            ("CP1252", "windows-1252"),
            ("iso-8859-9", "ISO-8859-9"),
            ("latin5", "ISO-8859-9"),
            ("windows-1254", "windows-1254"),
            ("ISO-8859-11", "ISO-8859-11"),
            ("windows-874", "windows-874"),
            ("iso-8859-15", "ISO-8859-15"),
            ("sjis", "Shift_JIS"),
            ("GB2312", "GBK"),
        ] {
            assert_eq!(name(label), Some(expected), "{label}");
        }
        for unknown in ["", "utf-16", "ucs-2", "utf-32", "utf-7", "ebcdic-cp-us", "iso-2022-kr"] {
            assert_eq!(name(unknown), None, "{unknown}");
        }
        assert_eq!(name("x-user-defined"), None);
    }

    /// As glibc's iconv has them, which libxml2 uses.
    #[test]
    fn the_upper_control_characters_are_those_of_the_standard() {
        let upper: Vec<u8> = (0x80..=0xFF).collect();
        let latin1: String = ('\u{80}'..='\u{FF}').collect();
        assert_eq!(decode("iso-8859-1", &upper, 7, 64), latin1.as_bytes());
        let controls: String = ('\u{80}'..='\u{9F}').collect();
        for name in ["iso-8859-2", "iso-8859-9", "iso-8859-11", "iso-8859-15"] {
            assert_eq!(decode(name, &upper[..32], 7, 64), controls.as_bytes(), "{name}");
        }
        let malformed = |name: &str| {
            let is_malformed = |byte: &u8| decode(name, &[*byte], 1, 64) == [MALFORMED];
            upper.iter().copied().filter(is_malformed).collect::<Vec<_>>()
        };
        assert_eq!(malformed("windows-1252"), [0x81, 0x8D, 0x8F, 0x90, 0x9D]);
        assert_eq!(malformed("windows-1251"), [0x98]);
        assert!(malformed("windows-1256").is_empty() && malformed("koi8-r").is_empty());
        assert_eq!(malformed("iso-8859-7"), [0xAE, 0xD2, 0xFF]);
    }

    #[test]
    fn text_comes_out_the_same_however_it_is_cut() {
        for (name, bytes) in [
            ("iso-8859-1", &b"a\x80\x9F\xE9z"[..]),
            ("windows-1252", b"a\x80\x81\x81\xE9\x9D"),
            ("shift_jis", b"a\x82\xA0\x82\x20\xFFz\x82\xA0"),
            ("gb18030", b"\x81\x30\x81\x30\x81\x30a\xFF\x81\x30\x81!\xC4\xE3"),
            ("iso-2022-jp", b"a\x1B$B$\"\x1B(J\\\x1B(Bz\x1B$Q\x80"),
            ("big5", b"\x88\x62\xA4\xA4\xFFa"),
        ] {
            let whole = decode(name, bytes, 100, 1000);
            assert!(whole.iter().any(|byte| !byte.is_ascii()), "{name}");
            for step in 1..bytes.len() {
                for room in ROOM..ROOM + 6 {
                    assert_eq!(decode(name, bytes, step, room), whole, "{name} {step} {room}");
                }
            }
        }
    }
}
