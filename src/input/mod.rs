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
use std::sync::Arc;
use std::time::SystemTime;

use crate::finding::{Code, Finding};
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

    /// How many bytes of content it has, where that can be told before reading it.
    #[must_use]
    pub fn length_hint(&self) -> Option<u64> {
        match self {
            Self::Stdin => None,
            Self::File { path, .. } if uncompressed_name(path) != path.as_path() => None,
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

/// What is to be done with an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// It is copied into the spool: what is checked is what is sent.
    Copied,
    /// It is read where it is, if it can be read so: nothing is to be sent.
    InPlace,
}

/// The content of an input that is being read: to be read by another thread at the same time.
pub struct Content {
    /// Its first bytes, as far as they are there.
    head: Vec<u8>,
    rest: Box<dyn Read + Send>,
}

impl Content {
    fn new(head: Vec<u8>, rest: impl Read + Send + 'static) -> Self {
        Self { head, rest: Box::new(rest) }
    }

    /// The first 64 KiB, if it has so many.
    ///
    /// # Errors
    /// What reading gives.
    pub fn head(&mut self) -> io::Result<&[u8]> {
        let missing = HEAD.saturating_sub(self.head.len() as u64);
        (&mut self.rest).take(missing).read_to_end(&mut self.head)?;
        Ok(&self.head)
    }

    /// Reads all of it.
    pub fn reader(&mut self) -> impl Read + '_ {
        self.head.as_slice().chain(&mut self.rest)
    }
}

/// An input that was read.
#[derive(Debug)]
pub struct Taken {
    /// Where its content is.
    pub region: Region,
    /// What it was before, if it was transcoded.
    pub original: Option<Original>,
    /// The input's own file, where there is one.
    before: Option<Before>,
    /// How many bytes were read of that.
    length: u64,
    way: Way,
}

/// A file, and what it was like before it was read.
#[derive(Debug)]
struct Before {
    file: Arc<File>,
    length: u64,
    modified: Option<SystemTime>,
}

impl Taken {
    /// Whose fault an error of reading the content is.
    #[must_use]
    pub fn blame(&self, error: io::Error) -> ReadError {
        match self.way {
            Way::Copied => ReadError::Spool(error),
            Way::InPlace => ReadError::Input(unreadable(&error)),
        }
    }

    /// Whether the input changed while it was read: to be asked when all of it was.
    #[must_use]
    pub fn change(&self) -> Option<Finding> {
        let Before { file, length: before, modified } = self.before.as_ref()?;
        let length = self.length;
        let is_changed = *before != length
            || file
                .metadata()
                .is_ok_and(|after| after.len() != *before || after.modified().ok() != *modified);
        is_changed.then(|| {
            let message = format!(
                "the file changed while it was read: {before} bytes at first, {length} were read"
            );
            Finding::of_file(Code::InputChanged, message)
        })
    }
}

/// Reads an input: into the spool, decompressed if it is compressed, or where it is.
///
/// `begin` is given its content as soon as that can be read.
///
/// # Errors
/// See [`ReadError`]. What was read of the content by then means nothing.
pub fn read(
    input: &Input,
    way: Way,
    spool: &mut Spool,
    begin: impl FnOnce(Content),
) -> Result<Taken, ReadError> {
    let (file, metadata) = open(input).map_err(ReadError::Input)?;
    take(input, file, &metadata, way, spool, begin).map_err(at_fault)
}

fn take(
    input: &Input,
    file: File,
    metadata: &Metadata,
    way: Way,
    spool: &mut Spool,
    begin: impl FnOnce(Content),
) -> io::Result<Taken> {
    let file = Arc::new(file);
    let before = metadata.is_file().then(|| Before {
        file: Arc::clone(&file),
        length: metadata.len(),
        modified: metadata.modified().ok(),
    });
    let expected = before.as_ref().map_or(HEAD, |before| before.length.saturating_add(1)).min(HEAD);
    let mut head = Vec::with_capacity(usize::try_from(expected).unwrap_or(0));
    let read = (&*file).take(HEAD).read_to_end(&mut head)? as u64;
    let is_all = read < HEAD;
    let compression = Compression::of(&head);
    let is_as_it_is = compression.is_none() && Transcoding::of(&head).is_none();
    if let (true, Way::InPlace, Some(original), Input::File { .. }) =
        (is_as_it_is, way, &before, input)
    {
        let length = if is_all { read } else { original.length.max(read) };
        let region = Region::of_file(file, length);
        begin(Content::new(head, region.part(read..length).reader()));
        return Ok(Taken { region, original: None, before, length, way });
    }
    let mut length = read;
    if is_as_it_is {
        let region = if is_all {
            let region = spool.append(&head, None)?;
            begin(Content::new(head, io::empty()));
            region
        } else {
            begin(Content::new(head.clone(), spool.follow().skip(read)));
            spool.append(&head, Some(&file)).inspect(|region| length = region.length())?
        };
        return Ok(Taken { region, original: None, before, length, way: Way::Copied });
    }
    let region = if let Some(compression) = compression {
        length = 0;
        let source = head.as_slice().chain(&*file);
        let limits = Limits::default();
        let taken = |count| length += count;
        spool.append_from(&mut Decompressed::new(compression, source, limits, taken))?
    } else {
        let rest = (!is_all).then_some(&*file);
        spool.append(&head, rest).inspect(|region| length = region.length())?
    };
    let (region, original) = in_utf_8(region, spool)?;
    begin(Content::new(Vec::new(), region.reader()));
    Ok(Taken { region, original, before, length, way: Way::Copied })
}

/// Puts what is not in UTF-8 into the spool once more.
fn in_utf_8(region: Region, spool: &mut Spool) -> io::Result<(Region, Option<Original>)> {
    let head = region.head(crate::format::HEAD)?;
    let Some(transcoding) = Transcoding::of(&head) else { return Ok((region, None)) };
    let source = region.part(transcoding.start..region.length()).reader();
    let decoded = spool.append_from(&mut Transcoded::new(&transcoding, source))?;
    Ok((decoded, Some(Original::new(region, transcoding))))
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

    /// What comes out of a file with this content: as read on the way, and from its region.
    fn read_file(content: &[u8], way: Way) -> Result<Vec<u8>, Code> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        File::create(&path).unwrap().write_all(content).unwrap();
        let mut spool = Spool::create_in(folder.path()).unwrap();
        std::thread::scope(|scope| {
            let mut seen = None;
            let read = read(&file(path), way, &mut spool, |mut begun| {
                seen = Some(scope.spawn(move || {
                    let mut seen = Vec::new();
                    let head = begun.head().unwrap().to_vec();
                    begun.reader().read_to_end(&mut seen).unwrap();
                    assert!(seen.starts_with(&head));
                    seen
                }));
            });
            match read {
                Ok(taken) => {
                    let mut content = Vec::new();
                    taken.region.reader().read_to_end(&mut content).unwrap();
                    assert_eq!(seen.unwrap().join().unwrap(), content);
                    assert_eq!(taken.change(), None);
                    Ok(content)
                }
                Err(ReadError::Input(finding)) => Err(finding.code),
                Err(ReadError::Spool(error)) => panic!("{error}"),
            }
        })
    }

    #[test]
    fn files_of_any_length_are_read_whole() {
        for length in [0, 1, 65_535, 65_536, 65_537, 200_000] {
            let content: Vec<u8> = (0..length).map(|i: u32| i.to_le_bytes()[0] | 1).collect();
            for way in [Way::Copied, Way::InPlace] {
                assert_eq!(read_file(&content, way).as_ref(), Ok(&content), "{length} {way:?}");
            }
        }
    }

    #[test]
    fn compressed_files_are_told_by_their_content() {
        let content = vec![b'x'; 300_000];
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
        gzip.write_all(&content).unwrap();
        let mut compressed = gzip.finish().unwrap();
        assert!(compressed.len() as u64 > HEAD);
        assert_eq!(read_file(&compressed, Way::InPlace), Ok(content));
        compressed.truncate(100_000);
        assert_eq!(read_file(&compressed, Way::Copied), Err(Code::InputCorrupt));
    }
}
