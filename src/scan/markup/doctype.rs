//! The grammar of a DOCTYPE.

use memchr::memchr;

use super::{Fault, name_length, space_length};
use crate::finding::Code;

/// What a DOCTYPE has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Doctype {
    /// It names a file with definitions.
    pub is_external: bool,
    /// It has an internal subset with something in it, mostly definitions.
    pub has_subset: bool,
}

/// Checks a DOCTYPE \[28\], given from behind `<!DOCTYPE` up to its `>`.
///
/// The inside of an internal subset is not checked: a document that has one is refused anyway.
pub fn check_doctype(content: &[u8]) -> Result<Doctype, Fault> {
    let malformed = |at, message: &'static str| Fault::new(Code::XmlMalformedDoctype, at, message);
    let from = |at: usize| content.get(at..).unwrap_or_default();
    let mut at = space_length(content);
    let name = name_length(from(at));
    // libxml2 takes `<!DOCTYPEa>` too.
    if name == 0 {
        return Err(malformed(at, "a DOCTYPE without a name"));
    }
    at += name;
    let gap = space_length(from(at));
    at += gap;
    let literals = match from(at).get(..6) {
        Some(b"SYSTEM") if gap > 0 => 1,
        Some(b"PUBLIC") if gap > 0 => 2,
        _ => 0,
    };
    if literals > 0 {
        at += 6;
    }
    for number in 0..literals {
        let gap = space_length(from(at));
        at += gap;
        let quote = content.get(at).copied().filter(|byte| gap > 0 && matches!(byte, b'"' | b'\''));
        let length = quote.and_then(|quote| memchr(quote, from(at + 1)));
        let Some(length) = length else {
            return Err(malformed(at, "a DOCTYPE whose identifiers are not in quotes"));
        };
        let identifier = content.get(at + 1..at + 1 + length).unwrap_or_default();
        let is_public = literals == 2 && number == 0;
        if is_public && !identifier.iter().all(|&byte| is_pubid_char(byte)) {
            return Err(malformed(at, "a character that no public identifier has"));
        }
        at += length + 2;
    }
    at += space_length(from(at));
    let mut has_subset = false;
    if content.get(at) == Some(&b'[') {
        let empty = at + 1 + space_length(from(at + 1));
        has_subset = content.get(empty) != Some(&b']');
        at = if has_subset { content.len() } else { empty + 1 };
        at += space_length(from(at));
    }
    if at < content.len() {
        return Err(malformed(at, "a malformed DOCTYPE"));
    }
    Ok(Doctype { is_external: literals > 0, has_subset })
}

/// Production \[13\] `PubidChar`.
const fn is_pubid_char(byte: u8) -> bool {
    matches!(byte, b' ' | b'\r' | b'\n')
        || byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'-' | b'\''
                | b'('
                | b')'
                | b'+'
                | b','
                | b'.'
                | b'/'
                | b':'
                | b'='
                | b'?'
                | b';'
                | b'!'
                | b'*'
                | b'#'
                | b'@'
                | b'$'
                | b'_'
                | b'%'
        )
}

/// Finds the `>` that ends a DOCTYPE, in chunks: not one within quotes or the internal subset.
#[derive(Debug, Default)]
pub struct DoctypeParser {
    state: DoctypeState,
    in_subset: bool,
}

#[derive(Debug, Default, Clone, Copy)]
enum DoctypeState {
    #[default]
    Outside,
    Quoted(u8),
    /// `<!--` was seen as far as this many of its bytes.
    CommentStart(u8),
    /// In a comment, behind this many hyphens.
    Comment(u8),
}

impl DoctypeParser {
    /// Feeds a chunk; returns the place of the end in it, if it is there.
    pub fn feed(&mut self, bytes: &[u8]) -> Option<usize> {
        for (at, &byte) in bytes.iter().enumerate() {
            self.state = match (self.state, byte) {
                (DoctypeState::Quoted(quote), _) if byte == quote => DoctypeState::Outside,
                (DoctypeState::Quoted(_), _) => continue,
                (DoctypeState::Comment(2..), b'>') => DoctypeState::Outside,
                (DoctypeState::Comment(hyphens), b'-') => {
                    DoctypeState::Comment(hyphens.saturating_add(1))
                }
                (DoctypeState::CommentStart(1), b'!') => DoctypeState::CommentStart(2),
                (DoctypeState::CommentStart(2), b'-') => DoctypeState::CommentStart(3),
                (DoctypeState::Comment(_), _) | (DoctypeState::CommentStart(3), b'-') => {
                    DoctypeState::Comment(0)
                }
                (_, b'"' | b'\'') => DoctypeState::Quoted(byte),
                (_, b'<') => DoctypeState::CommentStart(1),
                (_, b'>') if !self.in_subset => return Some(at),
                _ => {
                    match byte {
                        b'[' => self.in_subset = true,
                        b']' => self.in_subset = false,
                        _ => {}
                    }
                    DoctypeState::Outside
                }
            };
        }
        None
    }
}
