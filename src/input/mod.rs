//! Inputs: what the arguments name, each file once, opened and read into the spool.
//!
//! `expand` makes arguments into a list: `pattern` says what a glob matches, `walk` looks for it.
//! `decompress` reads through gzip and zstd; `transcode` makes XML in another encoding UTF-8.

mod decompress;
mod encoding;
mod expand;
mod original;
mod pattern;
mod transcode;
mod walk;

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::finding::{Code, Finding};
use crate::format;
use crate::spool::{Region, Spool};
use decompress::{Compression, Decompressed, Limits, Refused};
pub use expand::{Missing, Selection};
pub use original::Original;
pub use pattern::exclusions;
use transcode::{Transcoded, Transcoding};
pub use walk::Links;

/// How much of an input is read before the kernel copies the rest: most result files are smaller.
const HEAD: u64 = 64 * 1024;

/// One thing to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// Standard input, given as `-`.
    Stdin,
    /// A file, or a pipe with a name.
    File {
        path: PathBuf,
        /// How many bytes it has, where that can be told before reading it.
        length: Option<u64>,
    },
    /// A path that came to nothing, and why.
    Failed { path: PathBuf, finding: Finding },
}

impl Input {
    /// The path as it was given, or found below what was given; `-` for standard input.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Stdin => "-".to_owned(),
            Self::File { path, .. } | Self::Failed { path, .. } => path.display().to_string(),
        }
    }

    /// The name without its folders of what is in it: without `.gz` or `.zst`.
    #[must_use]
    pub fn content_name(&self) -> Option<&Path> {
        let Self::File { path, .. } = self else { return None };
        let name = Path::new(path.file_name()?);
        Some(uncompressed_name(name))
    }

    /// How many bytes it has, where that can be told before reading it.
    #[must_use]
    pub const fn length_hint(&self) -> Option<u64> {
        match self {
            Self::Stdin => None,
            Self::File { length, .. } => *length,
            Self::Failed { .. } => Some(0),
        }
    }
}

/// A file's name without the extension that says how it is compressed.
fn uncompressed_name(name: &Path) -> &Path {
    let extension = name.extension().unwrap_or_default();
    let is_compressed = ["gz", "zst"].iter().any(|known| extension.eq_ignore_ascii_case(known));
    let stem = name.file_stem().filter(|_| is_compressed);
    stem.map_or(name, Path::new)
}

/// Why an input could not be taken.
#[derive(Debug)]
pub enum ReadError {
    /// The input is at fault.
    Input(Finding),
    /// The spool is: no input can be taken any more.
    Spool(io::Error),
}

/// An input that was read.
#[derive(Debug)]
pub struct Taken {
    /// Where it is in the spool.
    pub region: Region,
    /// Its first bytes, up to [`format::HEAD`] of them.
    pub head: Vec<u8>,
    /// What it was before, if it was transcoded.
    pub original: Option<Original>,
    /// That it changed while it was read, if it did.
    pub changed: Option<Finding>,
}

/// Copies an input into the spool, decompressed if it is compressed, and in UTF-8 if it is XML in
/// another encoding.
///
/// `copied` is told of every piece, in bytes of the input as it is.
///
/// # Errors
/// See [`ReadError`].
pub fn read(
    input: &Input,
    spool: &mut Spool,
    mut copied: impl FnMut(u64),
) -> Result<Taken, ReadError> {
    let (mut file, metadata) = open(input).map_err(ReadError::Input)?;
    let before = Some(metadata).filter(Metadata::is_file);
    let mut length = 0;
    let copied = |count| {
        length += count;
        copied(count);
    };
    let region = copy(&mut file, before.as_ref(), spool, copied).map_err(at_fault)?;
    let changed = before.filter(|before| {
        let after = file.metadata();
        before.len() != length
            || after.is_ok_and(|after| {
                after.len() != before.len() || after.modified().ok() != before.modified().ok()
            })
    });
    let changed = changed.map(|before| {
        let message = format!(
            "the file changed while it was read: {} bytes at first, {length} were read",
            before.len()
        );
        Finding::of_file(Code::InputChanged, message)
    });
    let head = region.head(format::HEAD).map_err(ReadError::Spool)?;
    let taken = Taken { region, head, original: None, changed };
    in_utf_8(taken, spool).map_err(ReadError::Spool)
}

/// Puts what is not in UTF-8 into the spool once more.
fn in_utf_8(taken: Taken, spool: &mut Spool) -> io::Result<Taken> {
    let Some(transcoding) = Transcoding::of(&taken.head) else { return Ok(taken) };
    let source = taken.region.part(transcoding.start..taken.region.length()).reader();
    let region = spool.append_from(&mut Transcoded::new(&transcoding, source))?;
    let original = Original::new(taken.region, transcoding);
    Ok(Taken { head: region.head(format::HEAD)?, region, original: Some(original), ..taken })
}

fn copy(
    file: &mut File,
    metadata: Option<&Metadata>,
    spool: &mut Spool,
    mut copied: impl FnMut(u64),
) -> io::Result<Region> {
    let expected = metadata.map_or(HEAD, |metadata| metadata.len().saturating_add(1)).min(HEAD);
    let mut head = Vec::with_capacity(usize::try_from(expected).unwrap_or(0));
    let read = file.by_ref().take(HEAD).read_to_end(&mut head)?;
    let rest = (read as u64 == HEAD).then_some(&mut *file);
    match Compression::of(&head) {
        None => {
            copied(read as u64);
            spool.append_after(&head, rest, copied)
        }
        Some(compression) => {
            let source = head.as_slice().chain(file);
            let limits = Limits::default();
            spool.append_from(&mut Decompressed::new(compression, source, limits, copied))
        }
    }
}

fn open(input: &Input) -> Result<(File, Metadata), Finding> {
    let opened = match input {
        Input::Stdin => stdin(),
        Input::File { path, .. } => File::open(path),
        Input::Failed { finding, .. } => return Err(finding.clone()),
    };
    let file = opened.map_err(|error| unreadable(&error))?;
    match file.metadata() {
        Ok(metadata) if metadata.is_dir() => {
            Err(Finding::of_file(Code::InputIsFolder, "is a directory"))
        }
        Ok(metadata) => Ok((file, metadata)),
        Err(error) => Err(unreadable(&error)),
    }
}

/// What the system said of a path that cannot be opened or read.
fn unreadable(error: &io::Error) -> Finding {
    let code = match error.kind() {
        io::ErrorKind::IsADirectory => Code::InputIsFolder,
        _ if is_missing(error) => Code::InputNotFound,
        _ => Code::InputUnreadable,
    };
    Finding::of_file(code, os_words(error))
}

/// Whether an error says that there is nothing under a path.
fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Whose fault an error of copying is: only the spool's folder can be full.
fn at_fault(error: io::Error) -> ReadError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            ReadError::Spool(error)
        }
        _ => ReadError::Input(match error.downcast::<Refused>() {
            Ok(Refused { code, message }) => Finding::of_file(code, message),
            Err(error) => unreadable(&error),
        }),
    }
}

/// The system's words for an error, in the way of our messages: `no such file or directory`.
fn os_words(error: &io::Error) -> String {
    let words = error.to_string();
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

/// Standard input as a file of our own, so that the kernel can copy from it.
fn stdin() -> io::Result<File> {
    #[cfg(unix)]
    {
        use std::os::fd::AsFd;
        io::stdin().as_fd().try_clone_to_owned().map(File::from)
    }
    #[cfg(windows)]
    {
        use std::os::windows::io::AsHandle;
        io::stdin().as_handle().try_clone_to_owned().map(File::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn file(path: PathBuf) -> Input {
        Input::File { path, length: None }
    }

    #[test]
    fn what_is_in_a_file_has_its_name_without_the_compression() {
        let name = |path: &str| file(path.into()).content_name().map(Path::to_owned);
        for (path, expected) in [
            ("a/b.xml", "b.xml"),
            ("a/b.xml.gz", "b.xml"),
            ("b.json.ZST", "b.json"),
            ("b.gz", "b"),
            ("a/.gz", ".gz"),
            ("a.gz/b.tar", "b.tar"),
        ] {
            assert_eq!(name(path), Some(expected.into()), "{path}");
        }
        assert_eq!(name(".."), None);
        assert_eq!(Input::Stdin.content_name(), None);
    }

    /// What comes out of a file with this content, and how many bytes of it were told.
    fn read_file(content: &[u8]) -> (Result<Vec<u8>, Code>, u64) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        File::create(&path).unwrap().write_all(content).unwrap();
        let mut spool = Spool::create_in(folder.path()).unwrap();
        let mut told = 0;
        let read = match read(&file(path), &mut spool, |count| told += count) {
            Ok(Taken { region, changed, .. }) => {
                assert_eq!(changed, None);
                let mut content = Vec::new();
                region.reader().read_to_end(&mut content).unwrap();
                Ok(content)
            }
            Err(ReadError::Input(finding)) => Err(finding.code),
            Err(ReadError::Spool(error)) => panic!("{error}"),
        };
        (read, told)
    }

    #[test]
    fn files_of_any_length_are_read_whole() {
        for length in [0, 1, 65_535, 65_536, 65_537, 200_000] {
            let content: Vec<u8> = (0..length).map(|i: u32| i.to_le_bytes()[0] | 1).collect();
            assert_eq!(read_file(&content), (Ok(content), u64::from(length)));
        }
    }

    #[test]
    fn compressed_files_are_told_by_their_content() {
        let content = vec![b'x'; 300_000];
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
        gzip.write_all(&content).unwrap();
        let mut compressed = gzip.finish().unwrap();
        let length = compressed.len() as u64;
        assert!(length > HEAD);
        assert_eq!(read_file(&compressed), (Ok(content), length));
        compressed.truncate(100_000);
        assert_eq!(read_file(&compressed).0, Err(Code::InputCorrupt));
    }
}
