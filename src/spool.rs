//! The spool: one private temp file that holds a copy of every input.
//!
//! The file has no name, so nobody else can change, truncate or delete what is being validated and
//! sent, and nothing is left behind whatever kills the process. An input is a [`Region`] of it.
//! Readers are positional and independent: many can read at once, each from its own start, and
//! every attempt of every upload opens its own.

use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// How much is copied between two reports of progress.
const STEP: u64 = 8 * 1024 * 1024;

/// How much of a reader is held before it is written.
const BUFFER: usize = 128 * 1024;

/// Bytes of the spool, from and up to.
pub type ByteRange = Range<u64>;

/// See the module.
#[derive(Debug)]
pub struct Spool {
    file: Arc<File>,
    length: u64,
}

impl Spool {
    /// An empty spool, in a folder for temporary files.
    ///
    /// # Errors
    /// When no file can be made there.
    pub fn create_in(folder: &Path) -> io::Result<Self> {
        let file = tempfile::tempfile_in(folder)?;
        Ok(Self { file: Arc::new(file), length: 0 })
    }

    /// Copies a source from where it stands to its end, in the kernel where the platform can.
    ///
    /// `copied` is told of every piece, in bytes.
    ///
    /// # Errors
    /// What reading the source or writing the spool gives. What was copied by then is dropped.
    pub fn append(&mut self, source: &mut File, copied: impl FnMut(u64)) -> io::Result<Region> {
        self.append_after(&[], Some(source), copied)
    }

    /// Like [`Self::append`], after the head of the source, which was read already; `rest` is
    /// `None` if that was all.
    ///
    /// # Errors
    /// As there.
    pub fn append_after(
        &mut self,
        head: &[u8],
        rest: Option<&mut File>,
        mut copied: impl FnMut(u64),
    ) -> io::Result<Region> {
        self.region(|mut file| {
            file.write_all(head)?;
            let mut length = head.len() as u64;
            if let Some(source) = rest {
                loop {
                    // Between two files and from a pipe, std copies without going through user
                    // space.
                    let count = io::copy(&mut source.take(STEP), &mut file)?;
                    if count == 0 {
                        break;
                    }
                    length += count;
                    copied(count);
                }
            }
            Ok(length)
        })
    }

    /// Appends all that a reader gives.
    ///
    /// # Errors
    /// What the reader or writing the spool gives. What was copied by then is dropped.
    pub fn append_from(&mut self, reader: &mut impl Read) -> io::Result<Region> {
        self.region(|file| {
            let mut file = BufWriter::with_capacity(BUFFER, file);
            let length = io::copy(reader, &mut file)?;
            file.flush()?;
            Ok(length)
        })
    }

    /// Makes a region of what is written at the end of the file; `write` gives its length.
    fn region(&mut self, write: impl FnOnce(&File) -> io::Result<u64>) -> io::Result<Region> {
        let start = self.length;
        (&*self.file).seek(SeekFrom::Start(start))?;
        let written = write(&self.file);
        if written.is_err() {
            // Its room may be needed by what comes next, which is written over it in any case.
            let _ = self.file.set_len(start);
        }
        self.length += written?;
        Ok(Region { file: Arc::clone(&self.file), range: start..self.length })
    }
}

/// A part of the spool. Cheap to clone; it keeps the spool's file open.
#[derive(Debug, Clone)]
pub struct Region {
    file: Arc<File>,
    range: ByteRange,
}

impl Region {
    /// How many bytes it has.
    #[must_use]
    pub const fn length(&self) -> u64 {
        self.range.end.saturating_sub(self.range.start)
    }

    /// A reader from the region's start to its end.
    #[must_use]
    pub fn reader(&self) -> RegionReader {
        RegionReader { region: self.clone(), position: self.range.start }
    }

    /// Its first bytes, up to so many.
    ///
    /// # Errors
    /// What reading gives.
    pub fn head(&self, most: usize) -> io::Result<Vec<u8>> {
        let length = usize::try_from(self.length()).unwrap_or(most).min(most);
        let mut head = Vec::with_capacity(length);
        self.reader().take(most as u64).read_to_end(&mut head)?;
        Ok(head)
    }

    /// A part of the region, counted from its start; what lies outside of it is left out.
    #[must_use]
    pub fn part(&self, part: ByteRange) -> Self {
        let within = |offset: u64| self.range.start.saturating_add(offset).min(self.range.end);
        let (start, end) = (within(part.start), within(part.end));
        Self { file: Arc::clone(&self.file), range: start..end.max(start) }
    }
}

/// Reads a [`Region`]; see there.
#[derive(Debug)]
pub struct RegionReader {
    region: Region,
    position: u64,
}

impl RegionReader {
    /// How many bytes are left to read.
    #[must_use]
    pub const fn remaining(&self) -> u64 {
        self.region.range.end.saturating_sub(self.position)
    }
}

impl Read for RegionReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.remaining()).unwrap_or(usize::MAX).min(buffer.len());
        let buffer = buffer.get_mut(..wanted).unwrap_or_default();
        if buffer.is_empty() {
            return Ok(0);
        }
        let count = read_at(&self.region.file, buffer, self.position)?;
        if count == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the spool was cut short"));
        }
        self.position += count as u64;
        Ok(count)
    }
}

#[cfg(unix)]
fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buffer, offset)
}

#[cfg(windows)]
fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buffer, offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file_with(content: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        file.rewind().unwrap();
        file
    }

    fn read(region: &Region) -> Vec<u8> {
        let mut content = Vec::new();
        region.reader().read_to_end(&mut content).unwrap();
        content
    }

    #[test]
    fn regions_are_read_independently_and_again() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::create_in(folder.path()).unwrap();
        let mut copied = 0;
        let mut append = |head: &[u8], rest: Option<&[u8]>| {
            let mut rest = rest.map(file_with);
            spool.append_after(head, rest.as_mut(), |count| copied += count).unwrap()
        };
        let first = append(b"", Some(b"first"));
        let none = append(b"", Some(b""));
        let second = append(b"sec", Some(b"ond"));
        assert_eq!(append(b"third", None).length(), 5);
        assert_eq!((copied, first.length(), none.length()), (8, 5, 0));

        let (mut one, mut other) = (first.reader(), second.reader());
        let mut buffer = [0; 3];
        one.read_exact(&mut buffer).unwrap();
        other.read_exact(&mut buffer).unwrap();
        assert_eq!(&buffer, b"sec");
        assert_eq!(read(&first), b"first");
        assert_eq!(read(&second), b"second");
        assert_eq!(read(&none), b"");
        assert_eq!(read(&second.part(1..3)), b"ec");
        assert_eq!(read(&second.part(4..99)), b"nd");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "the spool has no name");
    }

    #[test]
    fn what_a_broken_reader_gave_is_dropped() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::ErrorKind::InvalidData.into())
            }
        }
        let mut spool = Spool::create_in(&std::env::temp_dir()).unwrap();
        let first = spool.append_from(&mut &b"first"[..]).unwrap();
        let lost = vec![b'x'; 2 * BUFFER];
        spool.append_from(&mut lost.as_slice().chain(Broken)).unwrap_err();
        assert_eq!(spool.file.metadata().unwrap().len(), 5);
        let second = spool.append_from(&mut &b"second"[..]).unwrap();
        assert_eq!((read(&first), read(&second)), (b"first".to_vec(), b"second".to_vec()));
    }

    #[test]
    fn what_happens_to_the_input_afterwards_changes_nothing() {
        let mut spool = Spool::create_in(&std::env::temp_dir()).unwrap();
        let mut input = file_with(b"before");
        let region = spool.append(&mut input, |_| {}).unwrap();
        input.set_len(2).unwrap();
        assert_eq!(read(&region), b"before");
    }
}
