//! From arguments to a list of inputs: each file once, in an order that does not change.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use globset::GlobSet;

use super::pattern::{Pattern, is_glob};
use super::walk::{Found, FoundFile, Identity, Links, Walker, bytes};
use super::{Input, is_missing, os_words, unreadable};
use crate::finding::{Code, Finding};

/// A list with more bytes than this is something else.
const MAX_LIST: u64 = 64 * 1024 * 1024;

/// What to read, as it was asked for.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Files, folders, globs, and `-` for standard input.
    pub arguments: Vec<OsString>,
    /// A file with more of them, or `-`.
    pub list: Option<OsString>,
    /// What to leave out.
    pub excluded: GlobSet,
    /// What symbolic links are; those that are named themselves are always followed.
    pub links: Links,
    /// What is missing, or matches nothing.
    pub missing: Missing,
}

/// What an argument is that stands for no file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Missing {
    /// An error.
    #[default]
    Refused,
    /// Nothing to speak of.
    Allowed,
}

impl Selection {
    /// Makes the list: arguments in their order, what a folder or a glob stands for by the bytes of
    /// the paths, each file where it is reached first.
    ///
    /// What was found out on the way goes to `note`.
    pub fn expand(&self, note: &mut dyn FnMut(&str)) -> Vec<Input> {
        let mut expansion = Expansion {
            selection: self,
            inputs: Vec::with_capacity(self.arguments.len()),
            seen: HashSet::new(),
            seen_failures: HashSet::new(),
            has_stdin: false,
            note,
        };
        for argument in &self.arguments {
            expansion.argument(argument);
        }
        if let Some(list) = &self.list {
            expansion.list(list);
        }
        expansion.inputs
    }
}

/// A list in the making.
struct Expansion<'a> {
    selection: &'a Selection,
    inputs: Vec<Input>,
    seen: HashSet<Identity>,
    seen_failures: HashSet<PathBuf>,
    has_stdin: bool,
    note: &'a mut dyn FnMut(&str),
}

impl Expansion<'_> {
    fn list(&mut self, list: &OsStr) {
        let path = Path::new(list);
        match read_list(list) {
            Ok(arguments) if arguments.is_empty() => {
                self.missing(path, Code::InputNoMatch, "the list names no file".to_owned());
            }
            Ok(arguments) => {
                let count = counted(arguments.len() as u64, "input");
                (self.note)(&format!("{}: lists {count}", path.display()));
                for argument in arguments {
                    self.argument(&argument);
                }
            }
            Err(error) => self.failed(path, &error),
        }
    }

    fn argument(&mut self, argument: &OsStr) {
        let path = Path::new(argument);
        if argument == "-" {
            return self.stdin();
        }
        let error = match fs::metadata(path) {
            Ok(_) if self.selection.excluded.is_match(path) => {
                return (self.note)(&format!("{}: excluded", path.display()));
            }
            Ok(metadata) if metadata.is_dir() => {
                return self.walk(path, &Pattern::of_folder(path.to_owned()));
            }
            Ok(metadata) => {
                let length = metadata.is_file().then_some(metadata.len());
                if self.seen.insert(Identity::of(path, &metadata)) {
                    self.inputs.push(Input::File { path: path.to_owned(), length });
                } else {
                    (self.note)(&format!("{}: taken already", path.display()));
                }
                return;
            }
            Err(error) => error,
        };
        // What exists is meant as it is written, whatever characters it holds.
        match argument.to_str().filter(|text| is_glob(text)).map(Pattern::of_glob) {
            Some(Ok(pattern)) => self.walk(path, &pattern),
            Some(Err(reason)) => {
                let message = format!("{}; and it is no glob: {reason}", os_words(&error));
                self.missing(path, Code::InputNotFound, message);
            }
            None => self.failed(path, &error),
        }
    }

    fn stdin(&mut self) {
        if self.selection.list.as_deref().is_some_and(|list| list == "-") {
            let message = "standard input is the list of inputs already";
            self.push_failed(Path::new("-"), Finding::of_file(Code::InputUnreadable, message));
        } else if !std::mem::replace(&mut self.has_stdin, true) {
            self.inputs.push(Input::Stdin);
        }
    }

    /// Takes all that a folder or a glob stands for.
    fn walk(&mut self, argument: &Path, pattern: &Pattern) {
        let Selection { excluded, links, .. } = self.selection;
        let found = Walker { pattern, excluded, links: *links }.walk();
        let Found { mut files, mut failures, links, excluded } = found;
        // A glob whose first folder is not there matches nothing.
        failures.retain(|(path, error)| *path != pattern.base || !is_missing(error));
        let count = files.len();
        let by_bytes =
            |one: &FoundFile, other: &FoundFile| bytes(&one.path).cmp(bytes(&other.path));
        // Of two names for one file, that one is taken that no link led to.
        files.sort_unstable_by(|one, other| {
            one.links.cmp(&other.links).then_with(|| by_bytes(one, other))
        });
        files.retain(|file| self.seen.insert(file.identity.clone()));
        files.sort_unstable_by(by_bytes);
        let mut summary = format!("{}: {}", argument.display(), counted(count as u64, "file"));
        if files.len() < count {
            summary += &format!(", {} of them taken already", count - files.len());
        }
        let mut left_out = String::new();
        if excluded > 0 {
            left_out += &format!("; {excluded} excluded");
        }
        if links > 0 {
            let links = counted(links, "symbolic link");
            left_out += &format!("; {links} not followed without --follow-symlinks");
        }
        (self.note)(&(summary + &left_out));
        if count == 0 && failures.is_empty() {
            let nothing = if argument == pattern.base {
                "no result file (.xml or .json, or with .gz or .zst) is in this folder or below"
            } else {
                "no file matches this glob"
            };
            self.missing(argument, Code::InputNoMatch, format!("{nothing}{left_out}"));
        }
        self.inputs.extend(
            files
                .into_iter()
                .map(|file| Input::File { path: file.path, length: Some(file.length) }),
        );
        failures.sort_by(|(one, _), (other, _)| bytes(one).cmp(bytes(other)));
        for (path, error) in failures {
            self.failed(&path, &error);
        }
    }

    /// Reports a path that the system has an error for.
    fn failed(&mut self, path: &Path, error: &io::Error) {
        let finding = unreadable(error);
        if finding.code == Code::InputNotFound {
            self.missing(path, finding.code, finding.message);
        } else {
            self.push_failed(path, finding);
        }
    }

    /// Reports what is not there, unless that is allowed.
    fn missing(&mut self, path: &Path, code: Code, message: String) {
        if self.selection.missing == Missing::Allowed {
            (self.note)(&format!("{}: {message}, which is allowed", path.display()));
        } else {
            self.push_failed(path, Finding::of_file(code, message));
        }
    }

    fn push_failed(&mut self, path: &Path, finding: Finding) {
        if self.seen_failures.insert(path.to_owned()) {
            self.inputs.push(Input::Failed { path: path.to_owned(), finding });
        }
    }
}

/// `1 file`, `2 files`.
fn counted(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// Reads a list of inputs: between NUL bytes if there are any, one in a line otherwise.
fn read_list(list: &OsStr) -> io::Result<Vec<OsString>> {
    let mut text = Vec::new();
    let read = if list == "-" {
        io::stdin().lock().take(MAX_LIST).read_to_end(&mut text)?
    } else {
        File::open(list)?.take(MAX_LIST).read_to_end(&mut text)?
    };
    if read as u64 == MAX_LIST {
        return Err(io::Error::other(format!("more than {MAX_LIST} bytes are no list of inputs")));
    }
    Ok(names(&text))
}

fn names(text: &[u8]) -> Vec<OsString> {
    let text = text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text);
    if text.contains(&0) {
        let names = text.split(|byte| *byte == 0);
        return names.filter(|name| !name.is_empty()).map(os_string).collect();
    }
    let lines = text.split(|byte| *byte == b'\n');
    let lines = lines.map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    lines.filter(|line| !line.trim_ascii().is_empty()).map(os_string).collect()
}

#[cfg(unix)]
fn os_string(name: &[u8]) -> OsString {
    <OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(name).to_owned()
}

#[cfg(not(unix))]
fn os_string(name: &[u8]) -> OsString {
    String::from_utf8_lossy(name).into_owned().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The inputs' names, with the code of those that failed, and the notes.
    fn expand(selection: &Selection, folder: &Path) -> (Vec<String>, Vec<String>) {
        let folder = format!("{}/", folder.display());
        let mut notes = Vec::new();
        let inputs = selection.expand(&mut |note| notes.push(note.replace(&folder, "")));
        let name = |input: &Input| {
            let name = input.name().replace(&folder, "");
            match input {
                Input::Failed { finding, .. } => format!("{name} {}", finding.code),
                _ => name,
            }
        };
        (inputs.iter().map(name).collect(), notes)
    }

    fn selection(folder: &Path, arguments: &[&str]) -> Selection {
        let argument = |argument: &&str| match *argument {
            "-" => "-".into(),
            path => folder.join(path).into_os_string(),
        };
        Selection { arguments: arguments.iter().map(argument).collect(), ..Selection::default() }
    }

    fn folder(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, file).unwrap();
        }
        folder
    }

    #[test]
    fn a_file_reached_twice_is_taken_once() {
        let folder = folder(&["a.xml", "b.xml", "c/d.xml"]);
        let path = |name: &str| folder.path().join(name);
        #[cfg(unix)]
        std::os::unix::fs::symlink(path("a.xml"), path("link.xml")).unwrap();
        fs::hard_link(path("b.xml"), path("c/b.xml")).unwrap();
        let arguments = [
            "b.xml",
            "a.xml",
            "-",
            "./a.xml",
            "missing.xml",
            #[cfg(unix)]
            "link.xml",
            "-",
            "missing.xml",
            "c",
            "**/*.xml",
        ];
        let (names, _) = expand(&selection(folder.path(), &arguments), folder.path());
        assert_eq!(names, ["b.xml", "a.xml", "-", "missing.xml input-not-found", "c/d.xml"]);
    }

    #[test]
    fn arguments_keep_their_order_and_matches_are_sorted_by_their_bytes() {
        let files = ["z/a-b/1.xml", "z/a.xml", "z/a/1.xml", "z/B.xml", "z/é.xml", "a/1.xml"];
        let folder = folder(&files);
        let (names, notes) = expand(&selection(folder.path(), &["z", "a/*"]), folder.path());
        assert_eq!(names, ["z/B.xml", "z/a-b/1.xml", "z/a.xml", "z/a/1.xml", "z/é.xml", "a/1.xml"]);
        assert_eq!(notes, ["z: 5 files", "a/*: 1 file"]);
    }

    #[test]
    fn what_exists_is_taken_literally() {
        let folder = folder(&["[a].xml", "a.xml", "d*/b.xml", "dd/b.xml", "e{.xml"]);
        let names = |argument| expand(&selection(folder.path(), &[argument]), folder.path()).0;
        assert_eq!(names("[a].xml"), ["[a].xml"]);
        assert_eq!(names("[ab].xml"), ["a.xml"]);
        assert_eq!(names("d*"), ["d*/b.xml"]);
        assert_eq!(names("e{.xml"), ["e{.xml"]);
        assert_eq!(names("f{.xml"), ["f{.xml input-not-found"]);
    }

    #[test]
    fn what_matches_nothing_is_a_finding_unless_it_is_allowed() {
        let folder = folder(&["a.txt", "b/c.txt", "d.xml"]);
        let arguments = ["b", "*.json", "none/*.xml", "none", "a.txt/x", "d.xml"];
        let mut selection = selection(folder.path(), &arguments);
        let (names, _) = expand(&selection, folder.path());
        let expected = [
            "b input-no-match",
            "*.json input-no-match",
            "none/*.xml input-no-match",
            "none input-not-found",
            "a.txt/x input-not-found",
            "d.xml",
        ];
        assert_eq!(names, expected);
        selection.missing = Missing::Allowed;
        let (names, notes) = expand(&selection, folder.path());
        assert_eq!(names, ["d.xml"]);
        assert!(notes.contains(&"*.json: no file matches this glob, which is allowed".to_owned()));
    }

    #[test]
    fn exclusions_hold_for_files_however_they_are_named() {
        let folder = folder(&["a.xml", "b/a.xml", "b/c.xml"]);
        let mut selection = selection(folder.path(), &["a.xml", "**/a.xml", "b"]);
        selection.excluded = crate::input::exclusions(&["a.xml".to_owned()]).unwrap();
        let (names, notes) = expand(&selection, folder.path());
        assert_eq!(names, ["**/a.xml input-no-match", "b/c.xml"]);
        let expected =
            ["a.xml: excluded", "**/a.xml: 0 files; 2 excluded", "b: 1 file; 1 excluded"];
        assert_eq!(notes, expected);
    }

    #[test]
    fn a_list_has_lines_or_nul_bytes() {
        assert_eq!(names(b"\xEF\xBB\xBFa.xml\r\n\n  \nb c.xml \n-"), ["a.xml", "b c.xml ", "-"]);
        assert_eq!(names(b"a\nb.xml\0\0c.xml\0"), ["a\nb.xml", "c.xml"]);
        assert_eq!(names(b"\n"), Vec::<OsString>::new());
    }
}
