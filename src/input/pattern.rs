//! Globs, matched one name at a time, so that a walk enters only folders that can hold a match.
//!
//! A folder given as an input is a pattern too: of all result files below it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf, is_separator};

use globset::{Candidate, Glob, GlobBuilder, GlobMatcher, GlobSet, GlobSetBuilder};

use super::uncompressed_name;

/// Which files to take below a folder.
#[derive(Debug)]
pub struct Pattern {
    /// The folder to look in, as it was written; may be empty.
    pub base: PathBuf,
    /// What the names below it must be, one for each level.
    parts: Vec<Part>,
}

#[derive(Debug)]
enum Part {
    /// `**`: any number of folders, also none.
    Folders,
    Name {
        matcher: GlobMatcher,
        /// The glob writes the dot that hidden names begin with.
        takes_hidden: bool,
    },
}

/// How far a path has been matched: bit `i` says that `parts[i..]` is what is left to match. A path
/// can be in several states at once, as `**` takes any number of names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct State(u64);

/// The state below a folder that stands for all result files in it.
const IN_FOLDER: u64 = 1 << 63;

/// A part for each bit, and one bit for the end.
const MAX_PARTS: usize = 62;

/// Whether a path may be meant as a glob.
pub fn is_glob(path: &str) -> bool {
    path.contains(['*', '?', '[', '{'])
}

impl Pattern {
    /// All result files below a folder.
    pub const fn of_folder(folder: PathBuf) -> Self {
        Self { base: folder, parts: Vec::new() }
    }

    /// Reads a glob.
    ///
    /// Gives the reason where it is none.
    pub fn of_glob(glob: &str) -> Result<Self, String> {
        let mut base = 0;
        let mut parts = Vec::new();
        let has_escapes = !is_separator('\\');
        let is_literal = |part: &str| !(is_glob(part) || has_escapes && part.contains('\\'));
        for part in split(glob)? {
            if parts.is_empty() && is_literal(part) {
                // Up to and with the separator, so that paths are shown as they were written.
                base += part.len() + 1;
                continue;
            }
            match part {
                "" | "." => {}
                "**" => parts.push(Part::Folders),
                _ => {
                    let matcher = compile(part)?.compile_matcher();
                    parts.push(Part::Name { matcher, takes_hidden: part.starts_with('.') });
                }
            }
        }
        if parts.len() > MAX_PARTS {
            return Err(format!("it has more than {MAX_PARTS} levels"));
        }
        Ok(Self { base: glob.get(..base).unwrap_or_default().into(), parts })
    }

    /// The state in the base.
    pub fn start(&self) -> State {
        if self.parts.is_empty() { State(IN_FOLDER) } else { self.with_empty_folders(1) }
    }

    /// The state after a name, below a folder of this state.
    pub fn step(&self, state: State, name: &OsStr) -> State {
        let is_hidden = name.as_encoded_bytes().starts_with(b".");
        let mut next = if is_hidden { 0 } else { state.0 & IN_FOLDER };
        let candidate = Candidate::new(name);
        for (number, part) in self.parts.iter().enumerate() {
            if state.0 & (1 << number) == 0 {
                continue;
            }
            match part {
                Part::Folders if !is_hidden => next |= 1 << number,
                Part::Name { matcher, takes_hidden }
                    if (*takes_hidden || !is_hidden) && matcher.is_match_candidate(&candidate) =>
                {
                    next |= 1 << (number + 1);
                }
                _ => {}
            }
        }
        self.with_empty_folders(next)
    }

    /// Adds the states of `**` standing for no folder.
    fn with_empty_folders(&self, mut state: u64) -> State {
        for (number, part) in self.parts.iter().enumerate() {
            if matches!(part, Part::Folders) && state & (1 << number) != 0 {
                state |= 1 << (number + 1);
            }
        }
        State(state)
    }

    /// Whether a file is meant that has this name and led to this state.
    pub fn takes_file(&self, state: State, name: &OsStr) -> bool {
        self.is_at_end(state) || (state.0 & IN_FOLDER != 0 && is_result_file(name))
    }

    /// The state within a folder whose name led to this state; `None` where nothing in it is meant.
    ///
    /// A folder that is itself a match stands for the result files in it.
    pub fn enter(&self, state: State) -> Option<State> {
        let within = if self.is_at_end(state) { state.0 | IN_FOLDER } else { state.0 };
        let within = within & !self.end();
        (within != 0).then_some(State(within))
    }

    fn is_at_end(&self, state: State) -> bool {
        !self.parts.is_empty() && state.0 & self.end() != 0
    }

    fn end(&self) -> u64 {
        1 << self.parts.len()
    }
}

/// Splits a glob at its separators.
fn split(glob: &str) -> Result<Vec<&str>, String> {
    let mut depth = 0_u32;
    let mut is_in_class = false;
    let mut is_escaped = false;
    let mut is_wrong = false;
    let parts = glob.split(|c: char| {
        if std::mem::take(&mut is_escaped) {
            return false;
        }
        match c {
            '\\' if !is_separator(c) => is_escaped = true,
            ']' => is_in_class = false,
            _ if is_in_class => {}
            '[' => is_in_class = true,
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ if is_separator(c) && depth > 0 => is_wrong = true,
            _ => return is_separator(c),
        }
        false
    });
    let parts = parts.collect();
    if is_wrong {
        return Err("its braces hold a path: give a glob for each instead".to_owned());
    }
    Ok(parts)
}

fn compile(glob: &str) -> Result<Glob, String> {
    let built = GlobBuilder::new(glob).literal_separator(true).build();
    built.map_err(|error| error.kind().to_string())
}

/// Compiles globs of paths to leave out.
///
/// They match at any depth, unless they begin at the root.
///
/// # Errors
/// The first glob that is none, and the reason.
pub fn exclusions(globs: &[String]) -> Result<GlobSet, (String, String)> {
    let mut set = GlobSetBuilder::new();
    for written in globs {
        let wrong = |reason| (written.clone(), reason);
        let glob = written.trim_end_matches(is_separator);
        let glob = glob.strip_prefix("./").unwrap_or(glob);
        let anywhere =
            if Path::new(glob).is_absolute() { glob.to_owned() } else { format!("**/{glob}") };
        set.add(compile(&anywhere).map_err(wrong)?);
    }
    set.build().map_err(|error| (String::new(), error.to_string()))
}

/// Whether a file in a folder is taken for a result file.
fn is_result_file(name: &OsStr) -> bool {
    let extension = uncompressed_name(Path::new(name)).extension().unwrap_or_default();
    ["xml", "json"].iter().any(|known| extension.eq_ignore_ascii_case(known))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a path below the pattern's base is taken, or may have more below it.
    fn run(pattern: &Pattern, path: &str) -> (bool, bool) {
        let names: Vec<&str> = path.split('/').collect();
        let (file, folders) = names.split_last().unwrap();
        let mut state = pattern.start();
        for folder in folders {
            match pattern.enter(pattern.step(state, folder.as_ref())) {
                Some(within) => state = within,
                None => return (false, false),
            }
        }
        let last = pattern.step(state, file.as_ref());
        (pattern.takes_file(last, file.as_ref()), pattern.enter(last).is_some())
    }

    #[test]
    fn globs_take_what_a_shell_would() {
        for (glob, base, taken, left) in [
            ("a/*.xml", "a/", "b.xml ü.xml", "b.json .b.xml b/c.txt"),
            ("./a//b/?.xml", "./a//b/", "c.xml", "cc.xml"),
            ("*/test.xml", "", "a/test.xml", "test.xml a/b/test.xml a/tests.xml"),
            ("**/test.xml", "", "test.xml a/test.xml a/b/test.xml", ".a/test.xml a/.b/test.xml"),
            ("/**/a/**/b.xml", "/", "a/b.xml c/a/b.xml c/a/d/e/b.xml", "b.xml a/c.xml c/b.xml"),
            ("a/**", "a/", "b c.txt b/c/d", ".b .b/c b/.c"),
            ("a**.xml", "", "a.xml ab.xml", "b.xml a/b.xml"),
            ("{a,b}/[!c]*.{xml,json}", "", "a/d.xml b/d.json", "c/d.xml a/c.xml a/d.txt"),
            ("*/.hidden/.*.xml", "", "a/.hidden/.b.xml", ".a/.hidden/.b.xml a/.hidden/b.xml"),
            // A folder that matches stands for the result files in it.
            ("a/*", "a/", "b.txt b/c.xml b/c/d.json.gz", "b/c.txt b/.c.xml .b/c.xml"),
            ("*/out/", "", "a/out/b.xml a/out", "a/b.xml out/b.xml"),
        ] {
            let pattern = Pattern::of_glob(glob).unwrap();
            assert_eq!(pattern.base.as_os_str(), base, "{glob}");
            for path in taken.split(' ') {
                assert!(run(&pattern, path).0, "{glob} takes {path}");
            }
            for path in left.split(' ') {
                assert!(!run(&pattern, path).0, "{glob} leaves {path}");
            }
        }
    }

    #[test]
    fn a_folder_is_entered_only_where_it_can_hold_a_match() {
        let pattern = Pattern::of_glob("a/*/target/**/test.xml").unwrap();
        for (folder, is_entered) in [
            ("b", true),
            ("b/target", true),
            ("b/target/c/d", true),
            ("b/node_modules", false),
            ("b/c/target", false),
            ("b/target/test.xml", true),
            ("b/target/.git", false),
        ] {
            assert_eq!(run(&pattern, folder).1, is_entered, "{folder}");
        }
    }

    #[test]
    fn a_folder_stands_for_its_result_files() {
        let pattern = Pattern::of_folder("reports".into());
        for (path, is_taken) in [
            ("a.xml", true),
            ("a/b/c.JSON", true),
            ("a.xml.gz", true),
            ("a.json.zst", true),
            ("a.txt", false),
            ("a.gz", false),
            ("xml", false),
            (".xml", false),
            (".a.xml", false),
            (".a/b.xml", false),
        ] {
            assert_eq!(run(&pattern, path).0, is_taken, "{path}");
        }
    }

    #[test]
    fn what_is_no_glob_has_a_reason() {
        for (glob, reason) in [
            ("a[.xml", "unclosed character class"),
            ("{a.xml", "unclosed alternate group"),
            ("{a/b,c}/*.xml", "give a glob for each"),
            (&"*/".repeat(63), "62 levels"),
        ] {
            let error = Pattern::of_glob(glob).unwrap_err();
            assert!(error.contains(reason), "{glob}: {error}");
        }
    }

    #[test]
    fn exclusions_match_at_any_depth() {
        let globs = ["flaky", "tmp/*.xml", "./a/b/", "/root/x", "**/deep/**"].map(str::to_owned);
        let set = exclusions(&globs).unwrap();
        for path in ["flaky", "a/flaky", "./flaky", "/c/tmp/a.xml", "a/b", "/root/x", "deep/a/b"] {
            assert!(set.is_match(path), "{path}");
        }
        for path in ["flaky/a", "a.flaky", "tmp/a/b.xml", "b", "a/root/x", "deep"] {
            assert!(!set.is_match(path), "{path}");
        }
        assert_eq!(exclusions(&["[".to_owned()]).unwrap_err().0, "[");
    }
}
