//! What other parsers say of documents.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use bktec_upload::format::Format;

/// Neither verdict refuses the document.
pub const BOTH_TAKE: &str = "both take it";

/// What a parser says of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    pub keeps_grammar: bool,
    /// Whether it keeps our own rules for JSON: the outline of its format, keys once, depth.
    pub keeps_rules: bool,
    /// The line of the first error of the grammar, where that is known.
    pub line: Option<u64>,
}

impl Verdict {
    /// Whether this verdict, of a scan that may end where a rule is broken, is that of a parser.
    pub fn agrees_with(&self, theirs: &Self) -> bool {
        if theirs.keeps_grammar {
            self.keeps_grammar && self.keeps_rules == theirs.keeps_rules
        } else {
            !(self.keeps_grammar && self.keeps_rules)
        }
    }

    /// Whether this verdict puts the first error on a later line than another.
    pub fn is_later_than(&self, theirs: &Self) -> bool {
        matches!((self.line, theirs.line), (Some(ours), Some(theirs)) if ours > theirs)
    }

    /// How this verdict stands beside one that it agrees with.
    pub fn beside(&self, theirs: &Self) -> &'static str {
        match (self.line, theirs.line) {
            _ if !theirs.keeps_rules && theirs.keeps_grammar => "both refuse it, for a rule",
            _ if theirs.keeps_grammar => BOTH_TAKE,
            (None, _) => "both refuse it, ours for a rule",
            (Some(ours), Some(theirs)) if ours < theirs => {
                "both refuse it, ours on an earlier line"
            }
            (Some(_), Some(_)) => "both refuse it, on the same line",
            (Some(_), None) => "both refuse it",
        }
    }
}

/// What `xmllint --noout` says of each file.
pub fn xmllint(files: &[(Format, PathBuf)]) -> Vec<Verdict> {
    let paths: Vec<&Path> = files.iter().map(|(_, path)| path.as_path()).collect();
    let errors = lint(&paths).stderr;
    let lines: Vec<Option<u64>> = paths.iter().map(|path| first_error(&errors, path)).collect();
    let mut verdicts: Vec<_> = lines
        .into_iter()
        .map(|line| Verdict { keeps_grammar: line.is_none(), keeps_rules: true, line })
        .collect();
    // Its exit code is its verdict. Not every error has a message, and not every message is an error.
    let (mut silent, mut doubtful) = (Vec::new(), Vec::new());
    for (verdict, path) in verdicts.iter_mut().zip(paths) {
        if verdict.keeps_grammar {
            silent.push((path, verdict));
        } else if has_doctype(path) {
            doubtful.push((path, verdict));
        }
    }
    refuse_silent(&mut silent);
    for (path, verdict) in doubtful {
        verdict.keeps_grammar = lint(&[path]).status.success();
    }
    verdicts
}

fn lint(paths: &[&Path]) -> Output {
    Command::new("xmllint").args(["--noout", "--nonet"]).args(paths).output().unwrap()
}

/// Finds those that are refused without a word: by halves, as most often there are none.
fn refuse_silent(files: &mut [(&Path, &mut Verdict)]) {
    let paths: Vec<_> = files.iter().map(|(path, _)| *path).collect();
    if files.is_empty() || lint(&paths).status.success() {
        return;
    }
    if let [(_, verdict)] = files {
        verdict.keeps_grammar = false;
        return;
    }
    let (one, other) = files.split_at_mut(files.len() / 2);
    refuse_silent(one);
    refuse_silent(other);
}

/// The line of a file's first error, of all that xmllint wrote.
fn first_error(errors: &[u8], path: &Path) -> Option<u64> {
    let start = format!("{}:", path.display());
    errors.split(|&byte| byte == b'\n').find_map(|message| {
        let message = std::str::from_utf8(message.strip_prefix(start.as_bytes())?).ok()?;
        let (line, message) = message.split_once(": ")?;
        let is_error =
            ["parser error", "encoding error"].iter().any(|kind| message.starts_with(kind));
        is_error.then(|| line.parse().unwrap())
    })
}

/// Whether libxml2 may call something an error that is none, as definitions may be elsewhere.
fn has_doctype(path: &Path) -> bool {
    let content = std::fs::read(path).unwrap();
    content
        .iter()
        .filter(|&&byte| byte != 0)
        .copied()
        .collect::<Vec<_>>()
        .windows(9)
        .any(|w| w == b"<!DOCTYPE")
}

/// What Python's strictest `json` says of each file, and how it keeps our rules.
pub fn python(files: &[(Format, PathBuf)]) -> Vec<Verdict> {
    let mut command = Command::new("python3");
    command.args(["-I", "-c", include_str!("strict.py")]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    for (format, path) in files {
        writeln!(input, "{format}\t{}", path.display()).unwrap();
    }
    drop(input);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let verdict = |line: &str| match line {
        "1 1" => Verdict { keeps_grammar: true, keeps_rules: true, line: None },
        "1 0" => Verdict { keeps_grammar: true, keeps_rules: false, line: None },
        "0 0" => Verdict { keeps_grammar: false, keeps_rules: false, line: None },
        _ => panic!("{line}"),
    };
    String::from_utf8(output.stdout).unwrap().lines().map(verdict).collect()
}
