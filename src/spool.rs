//! The spool: one private temp file that holds a copy of every input.
//!
//! The file has no name, so nobody else can change, truncate or delete what is being validated and
//! sent, and nothing is left behind whatever kills the process. An input is a [`Region`] of it.
//! Readers are positional and independent: many can read at once, each from its own start, and
//! every attempt of every upload opens its own.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// How much is copied between two reports of progress.
const STEP: u64 = 8 * 1024 * 1024;

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
    pub fn append(&mut self, source: &mut File, mut copied: impl FnMut(u64)) -> io::Result<Region> {
        let start = self.length;
        (&*self.file).seek(SeekFrom::Start(start))?;
        loop {
            // Between two files and from a pipe, std copies without going through user space.
            let count = io::copy(&mut source.take(STEP), &mut &*self.file)?;
            if count == 0 {
                break;
            }
            self.length += count;
            copied(count);
        }
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
        let count = read_at(&self.region.file, buffer, self.position)?;
        if count == 0 && wanted > 0 {
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
    use std::io::Write;

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
        let first = spool.append(&mut file_with(b"first"), |count| copied += count).unwrap();
        let none = spool.append(&mut file_with(b""), |count| copied += count).unwrap();
        let second = spool.append(&mut file_with(b"second"), |count| copied += count).unwrap();
        assert_eq!((copied, first.length(), none.length()), (11, 5, 0));

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
    fn what_happens_to_the_input_afterwards_changes_nothing() {
        let mut spool = Spool::create_in(&std::env::temp_dir()).unwrap();
        let mut input = file_with(b"before");
        let region = spool.append(&mut input, |_| {}).unwrap();
        input.set_len(2).unwrap();
        assert_eq!(read(&region), b"before");
    }
}
