//! Looking for files below a folder, with one folder open at a time.

use std::collections::HashSet;
use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};

use globset::GlobSet;

use super::pattern::{Pattern, State};

/// What tells files apart, whatever their paths.
///
/// Device and inode, where there are any: the metadata is at hand, where a canonical path takes
/// more calls.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Identity(#[cfg(unix)] (u64, u64), #[cfg(not(unix))] PathBuf);

impl Identity {
    #[cfg(unix)]
    pub fn of(_path: &Path, metadata: &Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;
        Self((metadata.dev(), metadata.ino()))
    }

    #[cfg(not(unix))]
    pub fn of(path: &Path, _metadata: &Metadata) -> Self {
        Self(path.canonicalize().unwrap_or_else(|_| path.to_owned()))
    }
}

/// How to look.
#[derive(Debug, Clone, Copy)]
pub struct Walker<'a> {
    pub pattern: &'a Pattern,
    pub excluded: &'a GlobSet,
    pub links: Links,
}

/// What symbolic links below a folder are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Links {
    /// Left out.
    #[default]
    Skipped,
    /// What they lead to.
    Followed,
}

/// What was found.
#[derive(Debug, Default)]
pub struct Found {
    /// Files that are meant; those that a link led to come last. Else in no order.
    pub files: Vec<FoundFile>,
    /// Folders and links that could not be read.
    pub failures: Vec<(PathBuf, io::Error)>,
    /// How many links were skipped that could have led to a match.
    pub links: u64,
    /// How many files and folders were left out that could have been or held a match.
    pub excluded: u64,
}

/// A file that is meant.
#[derive(Debug)]
pub struct FoundFile {
    pub path: PathBuf,
    pub identity: Identity,
    pub length: u64,
    /// How many links led to it.
    pub links: u32,
}

/// A folder that was reached, with the state in which it was.
type Reached = (PathBuf, State);

impl Walker<'_> {
    /// Looks for all files that are meant.
    ///
    /// Links are followed when all that can be reached without them has been seen, so that files
    /// go by their own names, and no folder is looked through twice in one state: links in circles
    /// end, and so do links from every folder to every other.
    pub fn walk(&self) -> Found {
        let mut found = Found::default();
        let mut seen = HashSet::new();
        let mut links = Vec::new();
        let base = (self.pattern.base.clone(), self.pattern.start());
        self.folders(vec![base], 0, &mut seen, &mut links, &mut found);
        for round in 1.. {
            if links.is_empty() {
                break;
            }
            let mut reached = std::mem::take(&mut links);
            reached.sort_by(|(one, _), (other, _)| bytes(one).cmp(bytes(other)));
            for (path, state) in reached {
                let folders = self.link(path, state, round, &mut found).into_iter().collect();
                self.folders(folders, round, &mut seen, &mut links, &mut found);
            }
        }
        found
    }

    /// Looks through folders and all below them, but for links, which are put aside.
    fn folders(
        &self,
        mut folders: Vec<Reached>,
        round: u32,
        seen: &mut HashSet<(Identity, State)>,
        links: &mut Vec<Reached>,
        found: &mut Found,
    ) {
        while let Some((path, state)) = folders.pop() {
            let opened = if path.as_os_str().is_empty() { Path::new(".") } else { &path };
            if self.links == Links::Followed
                && let Ok(metadata) = opened.metadata()
                && !seen.insert((Identity::of(opened, &metadata), state))
            {
                continue;
            }
            let entries = match opened.read_dir() {
                Ok(entries) => entries,
                Err(error) => {
                    found.failures.push((path, error));
                    continue;
                }
            };
            for entry in entries {
                let known = entry.and_then(|entry| Ok((entry.file_type()?, entry)));
                let (kind, entry) = match known {
                    Ok(known) => known,
                    Err(error) => {
                        found.failures.push((path.clone(), error));
                        break;
                    }
                };
                let name = entry.file_name();
                let state = self.pattern.step(state, &name);
                let is_meant = self.pattern.takes_file(state, &name);
                let within = self.pattern.enter(state);
                let can_match = if kind.is_dir() {
                    within.is_some()
                } else if kind.is_symlink() {
                    is_meant || within.is_some()
                } else {
                    is_meant && kind.is_file()
                };
                if !can_match {
                    continue;
                }
                let path = path.join(name);
                if self.excluded.is_match(&path) {
                    found.excluded += 1;
                } else if kind.is_symlink() {
                    match self.links {
                        Links::Followed => links.push((path, state)),
                        Links::Skipped => found.links += 1,
                    }
                } else if let (true, Some(within)) = (kind.is_dir(), within) {
                    folders.push((path, within));
                } else {
                    match entry.metadata() {
                        Ok(metadata) => found.take(path, &metadata, round),
                        Err(error) => found.failures.push((path, error)),
                    }
                }
            }
        }
    }

    /// Follows a link: gives the folder it leads to, if one.
    fn link(&self, path: PathBuf, state: State, round: u32, found: &mut Found) -> Option<Reached> {
        let name = path.file_name()?;
        let is_meant = self.pattern.takes_file(state, name);
        match fs::metadata(&path) {
            Ok(metadata) if metadata.is_dir() => {
                return self.pattern.enter(state).map(|within| (path, within));
            }
            Ok(metadata) if metadata.is_file() && is_meant => found.take(path, &metadata, round),
            // A link to nowhere matters only where its name says that it should be a match.
            Err(error) if is_meant => found.failures.push((path, error)),
            _ => {}
        }
        None
    }
}

impl Found {
    fn take(&mut self, path: PathBuf, metadata: &Metadata, links: u32) {
        let identity = Identity::of(&path, metadata);
        self.files.push(FoundFile { path, identity, length: metadata.len(), links });
    }
}

/// A path's bytes, by which paths are put in order.
pub fn bytes(path: &Path) -> &[u8] {
    path.as_os_str().as_encoded_bytes()
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;
    use crate::input::pattern::exclusions;
    use std::os::unix::fs::symlink;
    use tempfile::TempDir;

    fn tree(files: &[&str]) -> TempDir {
        let tree = tempfile::tempdir().unwrap();
        for file in files {
            let path = tree.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, file).unwrap();
        }
        tree
    }

    /// Walks below a tree, and gives the paths found below it.
    fn walk(tree: &TempDir, glob: Option<&str>, excluded: &[&str], links: Links) -> Vec<String> {
        let pattern = match glob {
            Some(glob) => Pattern::of_glob(tree.path().join(glob).to_str().unwrap()).unwrap(),
            None => Pattern::of_folder(tree.path().to_owned()),
        };
        let excluded: Vec<String> = excluded.iter().map(|&glob| glob.to_owned()).collect();
        let excluded = exclusions(&excluded).unwrap();
        let found = Walker { pattern: &pattern, excluded: &excluded, links }.walk();
        assert!(found.failures.is_empty(), "{found:?}");
        let name = |file: FoundFile| {
            file.path.strip_prefix(tree.path()).unwrap().to_str().unwrap().to_owned()
        };
        let mut names: Vec<String> = found.files.into_iter().map(name).collect();
        names.sort();
        names
    }

    #[test]
    fn finds_files_below_folders_and_by_globs_but_those_excluded() {
        let tree = tree(&["a.xml", "b/a.json", "b/c/a.txt", "b/c/a.xml.gz", ".d/a.xml"]);
        let names = |glob, excluded: &[&str]| walk(&tree, glob, excluded, Links::Skipped);
        assert_eq!(names(None, &[]), ["a.xml", "b/a.json", "b/c/a.xml.gz"]);
        assert_eq!(names(None, &["c"]), ["a.xml", "b/a.json"]);
        assert_eq!(names(None, &["*.json", "/a.xml"]), ["a.xml", "b/c/a.xml.gz"]);
        assert_eq!(names(Some("**/a.*"), &["*.gz"]), ["a.xml", "b/a.json", "b/c/a.txt"]);
        assert_eq!(names(Some("*/*/a.txt"), &[]), ["b/c/a.txt"]);
        assert_eq!(names(Some("b/x*"), &["x"]), Vec::<String>::new());
    }

    #[test]
    fn links_are_followed_only_when_asked_and_never_in_circles() {
        let tree = tree(&["a/x.xml", "b/y.xml"]);
        let path = |name: &str| tree.path().join(name);
        for (target, link) in
            [("..", "a/up"), ("../b", "a/b"), ("../a", "b/a"), ("a/x.xml", "x.xml"), ("c", "c")]
        {
            symlink(target, path(link)).unwrap();
        }
        let names = |glob, links| walk(&tree, glob, &[], links);
        assert_eq!(names(None, Links::Skipped), ["a/x.xml", "b/y.xml"]);
        assert_eq!(names(None, Links::Followed), ["a/x.xml", "b/y.xml", "x.xml"]);
        // By a glob, the same folder may be meant under two names.
        assert_eq!(names(Some("b/a/*.xml"), Links::Followed), ["b/a/x.xml"]);
        assert_eq!(names(Some("*/a/*.xml"), Links::Followed), ["b/a/x.xml"]);
        assert_eq!(names(Some("*/a/*.xml"), Links::Skipped), Vec::<String>::new());
    }

    #[test]
    fn folders_that_all_link_to_each_other_are_looked_through_once() {
        let names: Vec<String> = (0..30).map(|i| format!("p{i}/test.xml")).collect();
        let tree = tree(&names.iter().map(String::as_str).collect::<Vec<_>>());
        for one in 0..30 {
            for other in 0..30 {
                let link = tree.path().join(format!("p{one}/dep{other}"));
                symlink(format!("../p{other}"), link).unwrap();
            }
        }
        let mut expected = names;
        expected.sort();
        assert_eq!(walk(&tree, None, &[], Links::Followed), expected);
        assert_eq!(walk(&tree, Some("**/test.xml"), &[], Links::Followed), expected);
    }
}
