//! Inputs: what the arguments name, each once and in their order, opened and read into the spool.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use crate::finding::{Code, Finding};
use crate::spool::{Region, Spool};

/// One thing to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// Standard input, given as `-`.
    Stdin,
    /// A file, or a pipe with a name.
    File(PathBuf),
}

impl Input {
    /// What an argument means.
    #[must_use]
    pub fn from_argument(argument: OsString) -> Self {
        if argument == "-" { Self::Stdin } else { Self::File(argument.into()) }
    }

    /// The path as it was given; `-` for standard input.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Stdin => "-".to_owned(),
            Self::File(path) => path.display().to_string(),
        }
    }

    /// The path, if it has one.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Stdin => None,
            Self::File(path) => Some(path),
        }
    }

    /// How many bytes it has, where that can be told before reading it.
    #[must_use]
    pub fn length_hint(&self) -> Option<u64> {
        let metadata = self.path()?.metadata().ok()?;
        metadata.is_file().then_some(metadata.len())
    }
}

/// Drops inputs that reach a file which an input before them reaches already.
#[must_use]
pub fn unique(inputs: Vec<Input>) -> Vec<Input> {
    let mut seen = HashSet::new();
    let identity = |input: &Input| match input {
        Input::Stdin => PathBuf::from("-"),
        Input::File(path) => path.canonicalize().unwrap_or_else(|_| path.clone()),
    };
    inputs.into_iter().filter(|input| seen.insert(identity(input))).collect()
}

/// Why an input could not be taken.
#[derive(Debug)]
pub enum ReadError {
    /// The input is at fault.
    Input(Finding),
    /// The spool is: no input can be taken any more.
    Spool(io::Error),
}

/// Copies an input into the spool.
///
/// Returns its region, and a finding if it changed while it was read.
///
/// # Errors
/// See [`ReadError`].
pub fn read(
    input: &Input,
    spool: &mut Spool,
    copied: impl FnMut(u64),
) -> Result<(Region, Option<Finding>), ReadError> {
    let mut file = open(input).map_err(ReadError::Input)?;
    let before = file.metadata().ok().filter(std::fs::Metadata::is_file);
    let region = spool.append(&mut file, copied).map_err(at_fault)?;
    let changed = before.filter(|before| {
        let after = file.metadata();
        before.len() != region.length()
            || after.is_ok_and(|after| {
                after.len() != before.len() || after.modified().ok() != before.modified().ok()
            })
    });
    let changed = changed.map(|before| {
        let message = format!(
            "the file changed while it was read: {} bytes at first, {} were read",
            before.len(),
            region.length()
        );
        Finding::of_file(Code::InputChanged, message)
    });
    Ok((region, changed))
}

fn open(input: &Input) -> Result<File, Finding> {
    let opened = match input {
        Input::Stdin => stdin(),
        Input::File(path) => File::open(path),
    };
    let unreadable = |error: &io::Error| {
        let code = match error.kind() {
            io::ErrorKind::NotFound => Code::InputNotFound,
            io::ErrorKind::IsADirectory => Code::InputIsFolder,
            _ => Code::InputUnreadable,
        };
        Finding::of_file(code, os_words(error))
    };
    let file = opened.map_err(|error| unreadable(&error))?;
    match file.metadata() {
        Ok(metadata) if metadata.is_dir() => {
            Err(Finding::of_file(Code::InputIsFolder, "is a directory"))
        }
        Ok(_) => Ok(file),
        Err(error) => Err(unreadable(&error)),
    }
}

/// Whose fault an error of copying is: only the spool's folder can be full.
fn at_fault(error: io::Error) -> ReadError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            ReadError::Spool(error)
        }
        io::ErrorKind::IsADirectory => {
            ReadError::Input(Finding::of_file(Code::InputIsFolder, os_words(&error)))
        }
        _ => ReadError::Input(Finding::of_file(Code::InputUnreadable, os_words(&error))),
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

    #[test]
    fn a_file_reached_twice_is_taken_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("a.xml"), "a").unwrap();
        std::fs::write(path("b.xml"), "b").unwrap();
        let file = |path: PathBuf| Input::File(path);
        #[cfg(unix)]
        std::os::unix::fs::symlink(path("a.xml"), path("link.xml")).unwrap();
        #[cfg(not(unix))]
        std::fs::hard_link(path("a.xml"), path("link.xml")).unwrap();
        let inputs = vec![
            file(path("b.xml")),
            file(path("a.xml")),
            Input::Stdin,
            file(folder.path().join("./a.xml")),
            file(path("missing.xml")),
            file(path("link.xml")),
            Input::Stdin,
            file(path("missing.xml")),
        ];
        let expected =
            [file(path("b.xml")), file(path("a.xml")), Input::Stdin, file(path("missing.xml"))];
        assert_eq!(unique(inputs), expected);
    }
}
