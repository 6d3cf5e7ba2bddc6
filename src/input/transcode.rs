//! XML in another encoding, read as UTF-8: told by the first bytes and the XML declaration, in
//! constant memory.
//!
//! The yardstick for what is taken is libxml2. A byte-order mark is left out, and the declaration
//! names UTF-8; nothing else changes.

use std::borrow::Cow;
use std::io::{self, BufRead, BufReader, Read};
use std::ops::Range;

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};
use memchr::{memchr, memmem};

use super::encoding::{Charset, Decoding};

/// How much is decoded at a time.
const BUFFER: usize = 64 * 1024;

/// A declaration that is longer is not looked for.
const LONGEST_DECLARATION: usize = 4 * 1024;

/// Names of what is sent as it is: UTF-8, and ASCII, which the scan holds the file to.
const PLAIN: [&str; 5] = ["utf-8", "utf8", "us-ascii", "ascii", "ansi_x3.4-1968"];

/// Names that a file in UTF-16 may give itself besides that of its byte order.
const NAMES_IN_UTF_16: [&str; 4] = ["utf-16", "utf16", "utf-8", "utf8"];

const UTF_8_NAME: &[u8] = b"UTF-8";

/// How a file becomes UTF-8.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transcoding {
    pub charset: Charset,
    /// The declaration up to the encoding's name, with UTF-8 for that; empty where none is named.
    prefix: Vec<u8>,
    /// How long the byte-order mark is.
    mark: u64,
    /// How many bytes a character of the declaration has.
    unit: u64,
    /// Where in the original the reader begins, behind what `prefix` stands for.
    pub start: u64,
}

impl Transcoding {
    /// Tells it from a file's first bytes.
    ///
    /// `None` for what is UTF-8 or no XML, and for what the scan then says is wrong: an encoding
    /// that is not known here, and bytes that are in another than the one that is named.
    pub fn of(head: &[u8]) -> Option<Self> {
        let (mark, encoding) = match head {
            // UTF-32.
            [0xFF, 0xFE, 0, 0, ..] => return None,
            [0xFF, 0xFE, ..] => (2, Some(UTF_16LE)),
            [0xFE, 0xFF, ..] => (2, Some(UTF_16BE)),
            [0xEF, 0xBB, 0xBF, ..] => (3, Some(UTF_8)),
            [b'<', 0, b'?', 0, ..] => (0, Some(UTF_16LE)),
            [0, b'<', 0, b'?', ..] => (0, Some(UTF_16BE)),
            _ => (0, None),
        };
        let content = head.get(mark..).unwrap_or_default();
        let content = content.get(..LONGEST_DECLARATION).unwrap_or(content);
        let in_utf_16 = encoding.filter(|&encoding| encoding != UTF_8);
        let text = in_utf_16.map_or(Cow::Borrowed(content), |encoding| {
            let (text, _) = encoding.decode_without_bom_handling(content);
            Cow::Owned(text.into_owned().into_bytes())
        });
        let label = encoding_name(&text);
        let name = label.clone().and_then(|label| text.get(label));
        let charset = match (in_utf_16, name) {
            // JSON is UTF-8, whoever reads it.
            (Some(_), _) if matches!(text.trim_ascii_start(), [b'[' | b'{', ..]) => return None,
            (Some(encoding), None) => encoding.into(),
            (Some(encoding), Some(name)) => {
                let agrees = is_one_of(name, &NAMES_IN_UTF_16)
                    || Encoding::for_label(name) == Some(encoding);
                agrees.then_some(encoding)?.into()
            }
            (None, Some(name)) if !is_one_of(name, &PLAIN) => {
                let named = Charset::of_bytes(name)?;
                // A byte-order mark says more than a name.
                encoding.map_or(named, Charset::from)
            }
            (None, _) => return None,
        };
        let label = label.unwrap_or_default();
        let mut prefix = text.get(..label.start).unwrap_or_default().to_vec();
        if !label.is_empty() {
            prefix.extend_from_slice(UTF_8_NAME);
        }
        let (mark, unit) = (mark as u64, if in_utf_16.is_some() { 2 } else { 1 });
        Some(Self { charset, prefix, mark, unit, start: mark + unit * label.end as u64 })
    }

    /// How much the reader gives without the original.
    pub const fn prefix_length(&self) -> u64 {
        self.prefix.len() as u64
    }

    /// Where that much of what the reader gives without the original is in the original.
    pub const fn within_prefix(&self, length: u64) -> u64 {
        let before_name = self.prefix_length().saturating_sub(UTF_8_NAME.len() as u64);
        let kept = if length < before_name { length } else { before_name };
        self.mark + self.unit * kept
    }
}

/// Where the XML declaration that a text begins with names its encoding.
///
/// Whether that declaration is well-formed otherwise, the scan says.
fn encoding_name(text: &[u8]) -> Option<Range<usize>> {
    let declaration = text.get(..memchr(b'>', text)?)?;
    if !declaration.strip_prefix(b"<?xml")?.first()?.is_ascii_whitespace() {
        return None;
    }
    let (before, value) = declaration.split_at_checked(memmem::find(declaration, b"encoding")?)?;
    let value = value.get(b"encoding".len()..)?.trim_ascii_start();
    let value = value.strip_prefix(b"=")?.trim_ascii_start();
    let (&quote, value) = value.split_first().filter(|(quote, _)| matches!(quote, b'"' | b'\''))?;
    let name = value.get(..memchr(quote, value)?)?;
    let is_name = name.first()?.is_ascii_alphabetic()
        && name.iter().all(|&byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    let start = declaration.len() - value.len();
    (is_name && before.is_ascii()).then_some(start..start + name.len())
}

/// Whether an encoding's name is one of these.
fn is_one_of(name: &[u8], known: &[&str]) -> bool {
    known.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes()))
}

/// Reads an original, from [`Transcoding::start`] on, as UTF-8 from its start.
///
/// For each malformed sequence it gives one byte that is not UTF-8.
pub struct Transcoded<R> {
    source: BufReader<R>,
    decoding: Decoding,
    buffer: Vec<u8>,
    /// What of the buffer is still to be given.
    ready: Range<usize>,
}

impl<R: Read> Transcoded<R> {
    pub fn new(transcoding: &Transcoding, source: R) -> Self {
        let mut buffer = transcoding.prefix.clone();
        let ready = 0..buffer.len();
        buffer.resize(BUFFER, 0);
        Self {
            source: BufReader::with_capacity(BUFFER, source),
            decoding: transcoding.charset.decoding(),
            buffer,
            ready,
        }
    }
}

impl<R: Read> Read for Transcoded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.ready.is_empty() {
            let source = self.source.fill_buf()?;
            if source.is_empty() && self.decoding.held() == 0 {
                return Ok(0);
            }
            let (read, written) = self.decoding.decode(source, &mut self.buffer);
            self.source.consume(read);
            self.ready = 0..written;
        }
        let mut ready = self.buffer.get(self.ready.clone()).unwrap_or_default();
        let count = ready.read(buffer)?;
        self.ready.start += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The encoding it is read in, and what comes out, however it is cut.
    fn transcode(original: &[u8]) -> Option<(&'static str, Vec<u8>)> {
        let transcoding = Transcoding::of(original)?;
        let rest = &original[usize::try_from(transcoding.start).unwrap()..];
        let mut text = Vec::new();
        Transcoded::new(&transcoding, rest).read_to_end(&mut text).unwrap();
        let mut reader = Transcoded::new(&transcoding, rest);
        let mut bytes = Vec::new();
        let mut byte = [0];
        while reader.read(&mut byte).unwrap() > 0 {
            bytes.extend(byte);
        }
        assert_eq!(bytes, text);
        Some((transcoding.charset.name(), text))
    }

    fn utf_16(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(bytes).collect()
    }

    #[test]
    fn what_is_utf_8_or_not_known_is_left_alone() {
        for head in [
            "",
            "<",
            "<r/>",
            "\u{feff}<r/>",
            "<?xml version='1.0'?><r encoding='koi8-r'/>",
            "<?xml version='1.0' encoding='UTF-8'?><r/>",
            "\u{feff}<?xml version='1.0' encoding=\"utf8\"?><r/>",
            "<?xml version='1.0' encoding='US-ASCII'?><r/>",
            "<?xml version='1.0' encoding='UTF-16'?><r/>",
            "<?xml version='1.0' encoding='ebcdic-cp-us'?><r/>",
            "<?xml version='1.0' encoding='x'?><r/>",
            "<?xml version='1.0' encoding='866'?><r/>",
            "<?xml version='1.0' encoding='koi8-r?><r/>",
            "<?xml version='1.0' encoding koi8-r?><r/>",
            "<?xml-model encoding='koi8-r'?><r/>",
            " <?xml version='1.0' encoding='koi8-r'?><r/>",
            "{\"encoding\":\"koi8-r\"}",
        ] {
            assert_eq!(transcode(head.as_bytes()), None, "{head}");
        }
        for text in ["\u{feff}[]", "\u{feff} {}", "<r/>"] {
            assert_eq!(transcode(&utf_16(text, u16::to_le_bytes)), None, "{text}");
        }
        assert_eq!(transcode(b"\xFF\xFE\0\0<\0\0\0"), None);
    }

    #[test]
    fn the_declaration_says_utf_8_and_the_rest_is_the_same() {
        let cases = [
            ("<?xml version=\"1.0\" encoding=\"koi8-r\"?>\n", "KOI8-R"),
            ("<?xml version='1.0'\tencoding = 'ISO-8859-1' standalone='no' ?>", "ISO-8859-1"),
            ("\u{feff}<?xml version='1.0' encoding='utf-16'?>\r\n", "UTF-16"),
            ("<?xml version='1.0' encoding='utf-16' ?>", "UTF-16"),
            ("<?xml version='1.0' ?>", "UTF-16"),
            ("\u{feff}", "UTF-16"),
            ("\u{feff}<?xml version='1.0'?>", "UTF-16"),
            ("\u{feff}<?xml version='1.0' encoding='shift_jis'?>", "UTF-8"),
        ];
        let in_utf_8 = |text: &str| {
            ["koi8-r", "ISO-8859-1", "utf-16", "shift_jis"]
                .iter()
                .fold(text.replace('\u{feff}', ""), |text, name| text.replace(name, "UTF-8"))
        };
        for (head, name) in cases {
            let text = format!("{head}<r a='b'>c</r>\n");
            let out = in_utf_8(&text).into_bytes();
            if name == "UTF-16" {
                for (bytes, name) in
                    [(u16::to_le_bytes as fn(u16) -> _, "UTF-16LE"), (u16::to_be_bytes, "UTF-16BE")]
                {
                    assert_eq!(
                        transcode(&utf_16(&text, bytes)),
                        Some((name, out.clone())),
                        "{head}"
                    );
                }
            } else {
                assert_eq!(transcode(text.as_bytes()), Some((name, out)), "{head}");
            }
        }
    }

    #[test]
    fn a_document_longer_than_the_buffers_is_read_whole() {
        let text = "<r>\u{e9}\u{20ac}\u{1f600}</r>".repeat(20_000);
        let original = utf_16(&format!("\u{feff}{text}"), u16::to_be_bytes);
        assert_eq!(transcode(&original), Some(("UTF-16BE", text.into_bytes())));
    }
}
