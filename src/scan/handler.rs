//! What the XML layer tells of a document: its elements, to whoever gives them a meaning.

use memchr::memrchr;

use super::markup::Attribute;
use super::window::Mark;
use crate::finding::Code;
use crate::spool::ByteRange;

/// A start tag, or an empty element's tag.
#[derive(Debug)]
pub struct StartTag<'a> {
    /// The name as written, with its prefix.
    pub name: &'a [u8],
    /// Where its `<` is in the document.
    pub offset: u64,
    /// Where its `>` ends.
    pub end: u64,
    /// How many elements are open around it.
    pub depth: usize,
    /// Where its attributes are in `content`.
    pub attributes: &'a [Attribute],
    /// The tag without its `<` and `>`.
    pub content: &'a [u8],
}

impl<'a> StartTag<'a> {
    /// The attributes: name and raw value, references not resolved.
    pub fn attributes(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        let content = self.content;
        self.attributes.iter().map(move |attribute| {
            (
                content.get(attribute.name.clone()).unwrap_or_default(),
                content.get(attribute.value.clone()).unwrap_or_default(),
            )
        })
    }

    /// Where the attributes' values are in the document, in the order of [`attributes`](Self::attributes).
    pub fn value_ranges(&self) -> impl Iterator<Item = ByteRange> + use<'a> {
        let content = self.offset + 1;
        self.attributes.iter().map(move |attribute| {
            content + attribute.value.start as u64..content + attribute.value.end as u64
        })
    }
}

/// The part of a qualified name behind its prefix.
pub fn local_name(name: &[u8]) -> &[u8] {
    match memrchr(b':', name) {
        Some(colon) => name.get(colon + 1..).unwrap_or_default(),
        None => name,
    }
}

/// Counts out the place of an offset.
pub type MarkOf<'a> = &'a dyn Fn(u64) -> Mark;

/// What a handler may ask and say about the place it is called for.
pub trait Context {
    /// Counts out the place of an offset that was not [settled](Handler::settle), to report about it
    /// later.
    fn mark(&self, offset: u64) -> Mark;
    /// Adds a finding at a place, about the innermost element.
    fn report_at(&mut self, code: Code, mark: Mark, message: &dyn Fn() -> String);
    /// Adds a finding at an offset in the tag at hand.
    fn report(&mut self, code: Code, offset: u64, message: &dyn Fn() -> String) {
        let mark = self.mark(offset);
        self.report_at(code, mark, message);
    }
    /// Whether the document is well-formed up to this offset in the tag at hand.
    fn is_sound(&self, offset: u64) -> bool;
}

/// Follows the elements of a document.
pub trait Handler {
    /// An element opens. Every open is followed by its close, unless the document breaks off.
    fn open(&mut self, tag: &StartTag<'_>, context: &mut dyn Context);
    /// The innermost open element closes, with its end tag here; an empty element's is empty.
    fn close(&mut self, end_tag: ByteRange, context: &mut dyn Context);
    /// What was read is about to be dropped: lines that may be wanted are to be counted out now.
    ///
    /// `mark` counts out an offset in what was read since the last time. Called once more at the end.
    fn settle(&mut self, mark: MarkOf<'_>);
}
