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
use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// How much is copied before those who follow are told of it.
const STEP: u64 = 1024 * 1024;

/// How much of a reader is held before it is written.
const BUFFER: usize = 128 * 1024;

/// Bytes of the spool, from and up to.
pub type ByteRange = Range<u64>;

/// See the module.
#[derive(Debug)]
pub struct Spool {
    file: Arc<File>,
    length: u64,
    /// How far the region is that is appended next.
    growth: Arc<Growth>,
}

impl Spool {
    /// An empty spool, in a folder for temporary files.
    ///
    /// # Errors
    /// When no file can be made there.
    pub fn create_in(folder: &Path) -> io::Result<Self> {
        let file = tempfile::tempfile_in(folder)?;
        Ok(Self { file: Arc::new(file), length: 0, growth: Arc::default() })
    }

    /// A reader of the region that is appended next, which may be read while it is written.
    #[must_use]
    pub fn follow(&self) -> Follower {
        Follower {
            file: Arc::clone(&self.file),
            start: self.length,
            position: 0,
            growth: Arc::clone(&self.growth),
        }
    }

    /// Appends the head of a source, which was read already, and the rest of it, if there is more;
    /// that is copied in the kernel where the platform can.
    ///
    /// # Errors
    /// What reading the source or writing the spool gives. What was copied by then is dropped.
    pub fn append(&mut self, head: &[u8], rest: Option<&File>) -> io::Result<Region> {
        self.region(|mut file, growth| {
            file.write_all(head)?;
            growth.add(head.len() as u64);
            let Some(source) = rest else { return Ok(()) };
            // Between two files and from a pipe, std copies without going through user space.
            while growth.add(io::copy(&mut source.take(STEP), &mut file)?) {}
            Ok(())
        })
    }

    /// Appends all that a reader gives.
    ///
    /// # Errors
    /// What the reader or writing the spool gives. What was copied by then is dropped.
    pub fn append_from(&mut self, reader: &mut impl Read) -> io::Result<Region> {
        self.region(|file, growth| {
            let mut file = BufWriter::with_capacity(BUFFER, file);
            loop {
                let count = io::copy(&mut reader.take(STEP), &mut file)?;
                file.flush()?;
                if !growth.add(count) {
                    return Ok(());
                }
            }
        })
    }

    /// Makes a region of what `write` writes at the end of the file.
    fn region(
        &mut self,
        write: impl FnOnce(&File, &Growth) -> io::Result<()>,
    ) -> io::Result<Region> {
        let start = self.length;
        let growth = std::mem::take(&mut self.growth);
        let written =
            (&*self.file).seek(SeekFrom::Start(start)).and_then(|_| write(&self.file, &growth));
        let length = growth.end();
        if written.is_err() {
            // Its room may be needed by what comes next, which is written over it in any case.
            let _ = self.file.set_len(start);
        }
        written?;
        self.length += length;
        Ok(Region { file: Arc::clone(&self.file), range: start..self.length })
    }
}

/// How far a region is that is being written.
#[derive(Debug, Default)]
struct Growth {
    /// Its length by now, and whether that is all.
    state: Mutex<(u64, bool)>,
    changed: Condvar,
}

impl Growth {
    /// So many bytes more are there. Returns whether there were any.
    fn add(&self, count: u64) -> bool {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).0 += count;
        self.changed.notify_all();
        count > 0
    }

    /// All is there, or what is missing never comes. Returns its length.
    fn end(&self) -> u64 {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.1 = true;
        self.changed.notify_all();
        state.0
    }

    /// Waits until there are more than `position` bytes, or all; returns how many there are.
    fn beyond(&self, position: u64) -> u64 {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = |state: &mut (u64, bool)| state.0 <= position && !state.1;
        self.changed.wait_while(state, waiting).unwrap_or_else(PoisonError::into_inner).0
    }
}

/// Reads a region while it is written: waits for what is not there yet.
///
/// Its end may be that of the input or of the room: who writes the region knows.
#[derive(Debug)]
pub struct Follower {
    file: Arc<File>,
    start: u64,
    position: u64,
    growth: Arc<Growth>,
}

impl Follower {
    /// The same, from `count` bytes further on.
    #[must_use]
    pub fn skip(mut self, count: u64) -> Self {
        self.position += count;
        self
    }
}

impl Read for Follower {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.growth.beyond(self.position).saturating_sub(self.position);
        let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let buffer = buffer.get_mut(..wanted).unwrap_or_default();
        let count = read_at(&self.file, buffer, self.start + self.position)?;
        self.position += count as u64;
        Ok(count)
    }
}

/// A part of the spool, or of a file that is read where it is. Cheap to clone; it keeps the file open.
#[derive(Debug, Clone)]
pub struct Region {
    file: Arc<File>,
    range: ByteRange,
}

impl Region {
    /// The first `length` bytes of a file that is read where it is.
    #[must_use]
    pub const fn of_file(file: Arc<File>, length: u64) -> Self {
        Self { file, range: 0..length }
    }

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
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file was cut short"));
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
        let mut append = |head: &[u8], rest: Option<&[u8]>| {
            let rest = rest.map(file_with);
            spool.append(head, rest.as_ref()).unwrap()
        };
        let first = append(b"", Some(b"first"));
        let none = append(b"", Some(b""));
        let second = append(b"sec", Some(b"ond"));
        assert_eq!(append(b"third", None).length(), 5);
        assert_eq!((first.length(), none.length()), (5, 0));

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
        let mut spool = Spool::create_in(&std::env::temp_dir()).unwrap();
        let first = spool.append_from(&mut &b"first"[..]).unwrap();
        let lost = vec![b'x'; 2 * BUFFER];
        spool.append_from(&mut lost.as_slice().chain(Broken)).unwrap_err();
        assert_eq!(spool.file.metadata().unwrap().len(), 5);
        let second = spool.append_from(&mut &b"second"[..]).unwrap();
        assert_eq!((read(&first), read(&second)), (b"first".to_vec(), b"second".to_vec()));
    }

    #[test]
    fn a_region_is_read_while_it_is_written() {
        /// Gives one block after the other, each when it is told to.
        struct Told(std::sync::mpsc::Receiver<Vec<u8>>, Vec<u8>);
        impl Read for Told {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                if self.1.is_empty() {
                    self.1 = self.0.recv().unwrap_or_default();
                }
                let count = buffer.len().min(self.1.len());
                buffer[..count].copy_from_slice(&self.1[..count]);
                self.1.drain(..count);
                Ok(count)
            }
        }
        let mut spool = Spool::create_in(&std::env::temp_dir()).unwrap();
        spool.append(b"before", None).unwrap();
        let (tell, told) = std::sync::mpsc::channel();
        let step = usize::try_from(STEP).unwrap();
        let mut follower = spool.follow();
        let mut behind = spool.follow().skip(step as u64);
        std::thread::scope(|scope| {
            let written = scope.spawn(|| spool.append_from(&mut Told(told, Vec::new())).unwrap());
            // What is there is read before the rest is written: else this would wait for ever.
            let mut read = vec![0; step];
            for block in [b'a', b'b'] {
                tell.send(vec![block; step]).unwrap();
                follower.read_exact(&mut read).unwrap();
                assert!(read.iter().all(|&byte| byte == block));
            }
            tell.send(b"end".to_vec()).unwrap();
            drop(tell);
            let mut rest = Vec::new();
            follower.read_to_end(&mut rest).unwrap();
            assert_eq!(rest, b"end");
            rest.clear();
            behind.read_to_end(&mut rest).unwrap();
            assert_eq!(rest, [vec![b'b'; step], b"end".to_vec()].concat());
            assert_eq!(written.join().unwrap().length(), 2 * STEP + 3);
        });
        let mut follower = spool.follow();
        spool.append_from(&mut Broken).unwrap_err();
        assert_eq!(follower.read(&mut [0; 8]).unwrap(), 0, "what never comes is not waited for");
    }

    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::ErrorKind::InvalidData.into())
        }
    }

    #[test]
    fn what_happens_to_the_input_afterwards_changes_nothing() {
        let mut spool = Spool::create_in(&std::env::temp_dir()).unwrap();
        let input = file_with(b"before");
        let region = spool.append(b"", Some(&input)).unwrap();
        input.set_len(2).unwrap();
        assert_eq!(read(&region), b"before");
    }
}
