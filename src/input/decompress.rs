//! Reading through gzip and zstd: told by the first bytes, in constant memory, and with a guard
//! against a small file that becomes a huge one.

use std::error::Error;
use std::io::{self, BufRead, BufReader, Read};

use flate2::read::MultiGzDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use crate::finding::Code;

/// How far back zstd data may refer: what every decoder should take, by RFC 8878. It is held in
/// memory. `zstd` writes more only when asked to, by `--long` or `--ultra`.
const MAX_WINDOW: u64 = 8 * 1024 * 1024;

const GZIP: [u8; 2] = [0x1F, 0x8B];
const ZSTD: [u8; 4] = [0x28, 0xB5, 0x2F, 0xFD];

/// How a file is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    Gzip,
    Zstd,
}

impl Compression {
    /// Tells it from a file's first bytes.
    pub fn of(head: &[u8]) -> Option<Self> {
        // A frame to be skipped may come first: 0x184D2A50 to 5F, little-endian.
        let skippable = |head: &[u8]| matches!(head, [0x50..=0x5F, 0x2A, 0x4D, 0x18, ..]);
        match head {
            _ if head.starts_with(&GZIP) => Some(Self::Gzip),
            _ if head.starts_with(&ZSTD) || skippable(head) => Some(Self::Zstd),
            _ => None,
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }
}

/// What compressed data may become: it is refused beyond both.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// So many times as many bytes as were read.
    pub ratio: u64,
    /// So many bytes.
    pub length: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { ratio: 1000, length: 1 << 30 }
    }
}

/// Why compressed data is not taken; travels in an [`io::Error`].
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Refused {
    pub code: Code,
    pub message: String,
}

/// Compressed data, read as what it was before.
///
/// Its errors are those of the source, and [`Refused`].
pub struct Decompressed<R, F> {
    compression: Compression,
    decoder: Decoder<Counted<R, F>>,
    limits: Limits,
    /// How many bytes came out.
    length: u64,
}

enum Decoder<R> {
    Gzip(Box<MultiGzDecoder<R>>),
    Zstd(Box<Frames<R>>),
}

impl<R: Read, F: FnMut(u64)> Decompressed<R, F> {
    /// Reads what comes out of `source`; `taken` is told how many bytes are read of that.
    pub fn new(compression: Compression, source: R, limits: Limits, taken: F) -> Self {
        let source = Counted { source, length: 0, taken };
        let decoder = match compression {
            Compression::Gzip => Decoder::Gzip(Box::new(MultiGzDecoder::new(source))),
            Compression::Zstd => Decoder::Zstd(Box::new(Frames::new(source))),
        };
        Self { compression, decoder, limits, length: 0 }
    }

    /// Says in our words what is wrong with the data; errors of the source stay as they are.
    fn explain(&self, error: io::Error) -> io::Error {
        let is_explained = matches!(error.get_ref(), Some(inner) if inner.is::<Refused>());
        if is_explained || error.raw_os_error().is_some() {
            return error;
        }
        let kind = self.compression.as_str();
        let what = match error.kind() {
            io::ErrorKind::UnexpectedEof => "ends too early",
            _ => "is corrupt",
        };
        let message = format!("the {kind} data {what}, after {} bytes of content", self.length);
        io::Error::other(Refused { code: Code::InputCorrupt, message })
    }

    fn guard(&self) -> io::Result<()> {
        let Limits { ratio, length } = self.limits;
        let taken = match &self.decoder {
            Decoder::Gzip(decoder) => decoder.get_ref().length,
            Decoder::Zstd(frames) => frames.source.get_ref().length,
        };
        if self.length <= length || self.length <= taken.saturating_mul(ratio) {
            return Ok(());
        }
        let kind = self.compression.as_str();
        let message = format!(
            "{taken} bytes of {kind} data become {} bytes and more: over {ratio} times as many",
            self.length
        );
        Err(io::Error::other(Refused { code: Code::InputBomb, message }))
    }
}

impl<R: Read, F: FnMut(u64)> Read for Decompressed<R, F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = match &mut self.decoder {
            Decoder::Gzip(decoder) => decoder.read(buffer),
            Decoder::Zstd(frames) => frames.read(buffer),
        };
        let count = read.map_err(|error| self.explain(error))?;
        self.length += count as u64;
        self.guard()?;
        Ok(count)
    }
}

/// Counts what is read.
struct Counted<R, F> {
    source: R,
    length: u64,
    taken: F,
}

impl<R: Read, F: FnMut(u64)> Read for Counted<R, F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buffer)?;
        self.length += count as u64;
        (self.taken)(count as u64);
        Ok(count)
    }
}

/// The zstd frames of a source, one after the other.
struct Frames<R> {
    source: BufReader<R>,
    decoder: FrameDecoder,
    is_in_frame: bool,
}

impl<R: Read> Frames<R> {
    fn new(source: R) -> Self {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(MAX_WINDOW);
        Self { source: BufReader::with_capacity(64 * 1024, source), decoder, is_in_frame: false }
    }

    /// Enters the next frame, or skips it if it holds no data.
    fn enter(&mut self) -> io::Result<()> {
        match self.decoder.reset(&mut self.source) {
            Ok(()) => self.is_in_frame = true,
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                length,
                ..
            })) => {
                let mut frame = (&mut self.source).take(u64::from(length));
                if io::copy(&mut frame, &mut io::sink())? < u64::from(length) {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
            Err(error) => return Err(cause(&error)),
        }
        Ok(())
    }

    /// Leaves a frame of which all was read, and checks its checksum.
    fn leave(&mut self) -> io::Result<()> {
        self.is_in_frame = false;
        let expected = self.decoder.get_checksum_from_data();
        if expected.is_some() && expected != self.decoder.get_calculated_checksum() {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(())
    }
}

impl<R: Read> Read for Frames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while !buffer.is_empty() {
            if self.is_in_frame {
                while self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
                    let blocks = BlockDecodingStrategy::UptoBlocks(1);
                    let decoded = self.decoder.decode_blocks(&mut self.source, blocks);
                    decoded.map_err(|error| cause(&error))?;
                }
                let count = self.decoder.read(buffer)?;
                if count > 0 {
                    return Ok(count);
                }
                self.leave()?;
            }
            if self.source.fill_buf()?.is_empty() {
                break;
            }
            self.enter()?;
        }
        Ok(0)
    }
}

/// The error that is at the bottom of the decoder's.
fn cause(error: &FrameDecoderError) -> io::Error {
    let unsupported = match error {
        FrameDecoderError::WindowSizeTooBig { requested, .. } => {
            Some(format!("a window of {requested} bytes, where {MAX_WINDOW} are the limit"))
        }
        FrameDecoderError::DictNotProvided { .. } => Some("a dictionary".to_owned()),
        _ => None,
    };
    if let Some(needed) = unsupported {
        let message = format!("the zstd data needs {needed}");
        return io::Error::other(Refused { code: Code::InputUnsupportedCompression, message });
    }
    let mut error: &(dyn Error + 'static) = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.downcast_ref::<io::Error>().map_or_else(
        || io::ErrorKind::InvalidData.into(),
        |error| {
            error.raw_os_error().map_or_else(|| error.kind().into(), io::Error::from_raw_os_error)
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::write::GzEncoder;
    use std::io::Write;

    fn gzip(content: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    /// With a checksum, as the decoder's own encoder writes it.
    fn zstd(content: &[u8]) -> Vec<u8> {
        use ruzstd::encoding::{CompressionLevel, compress_to_vec};
        compress_to_vec(content, CompressionLevel::Fastest)
    }

    fn text(lines: usize) -> Vec<u8> {
        (0..lines).flat_map(|i| format!("<testcase name=\"t{}\"/>\n", i * i).into_bytes()).collect()
    }

    const NO_LIMITS: Limits = Limits { ratio: u64::MAX, length: u64::MAX };

    /// What comes out, or the code and the message.
    fn read(data: &[u8], limits: Limits) -> Result<Vec<u8>, (Code, String)> {
        let compression = Compression::of(data).expect("compressed data");
        let mut content = Vec::new();
        let mut taken = 0;
        let mut reader = Decompressed::new(compression, data, limits, |count| taken += count);
        match reader.read_to_end(&mut content) {
            Ok(_) => {
                assert_eq!(taken, data.len() as u64);
                Ok(content)
            }
            Err(error) => {
                let refused = error.downcast::<Refused>().unwrap();
                Err((refused.code, refused.message))
            }
        }
    }

    #[test]
    fn only_compressed_data_is_told_as_such() {
        for head in
            [&b""[..], b"<", b"[", b"\x1F", b"\x28\xB5\x2F", b"PK\x03\x04", b"\xEF\xBB\xBF<"]
        {
            assert_eq!(Compression::of(head), None);
        }
    }

    #[test]
    fn members_and_frames_after_each_other_are_one_file() {
        for compress in [gzip, zstd] {
            for lines in [0, 1, 10_000] {
                let text = text(lines);
                assert_eq!(read(&compress(&text), NO_LIMITS).unwrap(), text);
                let twice = [compress(&text), compress(b""), compress(&text)].concat();
                assert_eq!(read(&twice, NO_LIMITS).unwrap(), text.repeat(2));
            }
        }
        let skipped =
            [&b"\x5A\x2A\x4D\x18\x03\0\0\0abc"[..], &zstd(b"text"), b"\x50\x2A\x4D\x18\0\0\0\0"];
        assert_eq!(read(&skipped.concat(), NO_LIMITS).unwrap(), b"text");
    }

    #[test]
    fn data_that_is_cut_off_anywhere_is_refused() {
        let text = text(100);
        for (compress, kind) in [(gzip as fn(&[u8]) -> _, "gzip"), (zstd, "zstd")] {
            let whole = compress(&text);
            for length in ZSTD.len()..whole.len() {
                let (code, message) = read(&whole[..length], NO_LIMITS).unwrap_err();
                assert_eq!(code, Code::InputCorrupt);
                assert!(
                    message.starts_with(&format!("the {kind} data ends too early")),
                    "{message}"
                );
            }
        }
    }

    #[test]
    fn data_with_a_changed_byte_is_refused_or_still_the_same() {
        let text = text(40);
        for compress in [gzip, zstd] {
            let whole = compress(&text);
            for at in ZSTD.len()..whole.len() {
                for change in [0x01, 0x80, 0xFF] {
                    let mut data = whole.clone();
                    data[at] ^= change;
                    // Some bytes say nothing, such as the time in gzip's header.
                    match read(&data, NO_LIMITS) {
                        Ok(content) => assert_eq!(content, text, "{at}"),
                        Err((Code::InputCorrupt | Code::InputUnsupportedCompression, _)) => {}
                        Err(other) => panic!("{at}: {other:?}"),
                    }
                }
            }
            let trailing = [whole, b"garbage".to_vec()].concat();
            assert_eq!(read(&trailing, NO_LIMITS).unwrap_err().0, Code::InputCorrupt);
        }
    }

    #[test]
    fn a_bomb_is_one_by_its_ratio_and_its_length() {
        let zeros = vec![b'0'; 3_000_000];
        for compress in [gzip, zstd] {
            let data = compress(&zeros);
            for (ratio, length, is_refused) in
                [(100, 1_000_000, true), (100, 4_000_000, false), (1_000_000, 1_000_000, false)]
            {
                let read = read(&data, Limits { ratio, length });
                if is_refused {
                    let (code, message) = read.unwrap_err();
                    assert_eq!(code, Code::InputBomb);
                    assert!(message.ends_with("over 100 times as many"), "{message}");
                } else {
                    assert_eq!(read.unwrap(), zeros);
                }
            }
        }
    }

    #[test]
    fn what_the_decoder_cannot_do_is_said() {
        // No single segment, and a window of 2^24 bytes.
        let (code, message) = read(b"\x28\xB5\x2F\xFD\x00\x70\x01\x00\x00", NO_LIMITS).unwrap_err();
        assert_eq!(code, Code::InputUnsupportedCompression);
        assert!(message.contains("a window of 16777216 bytes"), "{message}");
        let (code, message) =
            read(b"\x28\xB5\x2F\xFD\x21\x07\x00\x01\x00\x00", NO_LIMITS).unwrap_err();
        assert_eq!(code, Code::InputUnsupportedCompression);
        assert!(message.contains("a dictionary"), "{message}");
    }
}
