//! The XML layer of a scan: well-formedness in constant memory, elements to a handler.
//!
//! quick-xml's `Reader` holds a whole event, so one CDATA section of a gigabyte costs a gigabyte,
//! and it leaves most of XML 1.0's rules unchecked. This layer uses quick-xml's incremental
//! parsers, which find the end of a tag or an instruction in chunks, and checks the rest itself:
//! text, CDATA sections and comments pass through the window and are never held; a tag is held
//! whole, up to [`MAX_TAG`].
//!
//! The yardstick is libxml2. Like it, the scan goes on after an error that leaves the structure
//! clear (an illegal character, an unknown entity), and stops at one that does not.

mod faults;
mod prolog;

use std::io::{self, Read};

use memchr::{memchr, memmem};
use quick_xml::parser::{ElementParser, Parser as _, PiParser};

use self::faults::Here;
use super::elements::OpenElements;
use super::handler::{Context, Handler, StartTag};
use super::markup::{self, CheckedTag, Fault, Spans};
use super::window::{Charset, Extent, Mark, Window};
use crate::finding::{Code, Findings};
use crate::spool::ByteRange;

/// The longest tag, instruction or DOCTYPE that is taken, in bytes.
///
/// libxml2 takes attribute values of up to 10,000,000 bytes (`XML_MAX_TEXT_LENGTH`).
pub const MAX_TAG: usize = 10_000_000;

/// The deepest nesting that is taken.
pub const MAX_DEPTH: usize = 10_000;

/// The longest text, CDATA section or comment that libxml2 takes without `XML_PARSE_HUGE`, in bytes.
const UNUSUAL_LENGTH: u64 = 10_000_000;

/// The deepest nesting that it takes without: its `xmlParserMaxDepth` of 256, and one more.
const UNUSUAL_DEPTH: usize = 257;

/// The longest name of an element: libxml2's own limit (`XML_MAX_NAME_LENGTH`).
pub const MAX_NAME: usize = 50_000;

/// How long the names of all open elements may be together.
const MAX_OPEN_NAMES: usize = 1024 * 1024;

/// How many illegal characters may wait for the construct that they are in to be complete.
const MAX_PENDING_ILLEGAL: usize = 4096;

/// What a document may end within, in words.
const INSTRUCTION: &str = "a processing instruction";

/// Why a scan ends: it could not be read, or the structure is broken and was reported.
enum Stop {
    Io(io::Error),
    Broken,
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

type Step<T = ()> = Result<T, Stop>;

/// A scan of one document; see the module.
pub struct Lexer<'a, R, H> {
    window: Window<R>,
    open: OpenElements,
    handler: &'a mut H,
    findings: &'a mut Findings,
    attributes: Spans,
    /// Where the first error of well-formedness is.
    first_error: u64,
    doctype_seen: bool,
    /// A DOCTYPE may define entities in a file that is never fetched.
    entities_may_be_external: bool,
    is_standalone: bool,
}

impl<'a, R: Read, H: Handler> Lexer<'a, R, H> {
    /// A scan over `source`, whose elements go to `handler` and whose findings to `findings`.
    pub fn new(source: R, handler: &'a mut H, findings: &'a mut Findings) -> Self {
        Self::over(Window::new(source, Charset::Xml), handler, findings)
    }

    fn over(window: Window<R>, handler: &'a mut H, findings: &'a mut Findings) -> Self {
        Self {
            window,
            open: OpenElements::default(),
            handler,
            findings,
            attributes: Spans::default(),
            first_error: u64::MAX,
            doctype_seen: false,
            entities_may_be_external: false,
            is_standalone: false,
        }
    }

    /// Reads the document to its end, or to where its structure breaks.
    ///
    /// Returns how much was read.
    ///
    /// # Errors
    /// What reading the source gives. What is wrong with the document is a finding.
    pub fn run(mut self) -> io::Result<Extent> {
        let outcome = self.document();
        self.settle();
        match outcome {
            Ok(()) | Err(Stop::Broken) => Ok(self.window.extent()),
            Err(Stop::Io(error)) => Err(error),
        }
    }

    fn document(&mut self) -> Step {
        self.prolog()?;
        loop {
            self.text()?;
            if !self.require(2)? {
                break;
            }
            match self.window.bytes() {
                [b'<', b'/', ..] => self.end_tag()?,
                [b'<', b'!', ..] => self.declaration()?,
                [b'<', b'?', ..] => self.instruction()?,
                _ => self.start_tag()?,
            }
        }
        self.end_of_document()
    }

    /// Text up to the next `<` or the end, in pieces.
    fn text(&mut self) -> Step {
        // Most is indentation.
        let bytes = self.window.bytes();
        let blank = bytes.iter().take_while(|&&byte| markup::is_space(byte)).count();
        if bytes.get(blank) == Some(&b'<') {
            self.window.take(blank);
            return Ok(());
        }
        let mut start = None;
        loop {
            let bytes = self.window.bytes();
            if let Some(end) = memchr(b'<', bytes) {
                self.text_piece(end)?;
                self.check_length(start, "a text");
                return Ok(());
            }
            let keep = if self.window.at_eof() { 0 } else { markup::unfinished_length(bytes) };
            let end = bytes.len() - keep;
            start.get_or_insert_with(|| self.window.mark(self.window.offset()));
            self.text_piece(end)?;
            if !self.fill()? && self.window.bytes().is_empty() {
                self.check_length(start, "a text");
                return Ok(());
            }
        }
    }

    /// Says so when what began at `start`, where it was longer than the window, is beyond the usual.
    fn check_length(&mut self, start: Option<Mark>, what: &str) {
        let Some(start) = start else { return };
        let length = self.window.offset() - start.offset();
        if length > UNUSUAL_LENGTH {
            self.here().report_at(Code::XmlHuge, start, &|| format!("{what} of {length} bytes"));
        }
    }

    /// Checks and takes `length` bytes of text.
    fn text_piece(&mut self, length: usize) -> Step {
        let offset = self.window.offset();
        let bytes = self.window.bytes();
        let text = bytes.get(..length).unwrap_or_default();
        if self.open.depth() == 0 {
            if let Some(at) = text.iter().position(|&byte| !markup::is_space(byte)) {
                return Err(self.text_outside_root(offset + at as u64));
            }
        } else {
            let mut from = 0;
            while let Some(fault) = self
                .window
                .bytes()
                .get(..length)
                .and_then(|text| markup::next_text_fault(text, from))
            {
                from = fault.at + 1;
                self.fault(&fault, offset);
            }
        }
        self.take_checked(length);
        Ok(())
    }

    fn text_outside_root(&mut self, offset: u64) -> Stop {
        if self.open.has_root() {
            self.broken(Code::XmlContentAfterRoot, offset, || "text after the root element".into())
        } else {
            self.broken(Code::XmlTextBeforeRoot, offset, || "text before the root element".into())
        }
    }

    fn start_tag(&mut self) -> Step {
        let offset = self.window.offset();
        if self.open.depth() == 0 && self.open.has_root() {
            return Err(
                self.broken(Code::XmlContentAfterRoot, offset, || "a second root element".into())
            );
        }
        let mut checked = self.checked_tag(offset)?;
        if checked.is_none() {
            // It goes on behind what is there.
            let mut parser = ElementParser::default();
            self.markup_end(1, |bytes| parser.feed(bytes))?;
            checked = self.checked_tag(offset)?;
        }
        let Some(checked) = checked else {
            self.broken_tag_faults(offset + 1);
            return Err(self.unfinished(offset, "a tag"));
        };
        if checked.length > MAX_TAG {
            return Err(self.tag_too_large());
        }
        let length = checked.length + 1;
        self.tag_faults(offset + 1);
        self.drain_illegal(offset + length as u64);
        if checked.name_length > MAX_NAME {
            return Err(self.broken(Code::XmlTagTooLarge, offset, || {
                format!("a name of more than {MAX_NAME} bytes")
            }));
        }
        if self.open.depth() == UNUSUAL_DEPTH {
            self.report(Code::XmlHuge, offset, &|| {
                format!("more than {UNUSUAL_DEPTH} elements open at once")
            });
        }
        if self.open.depth() >= MAX_DEPTH || self.open.names_length() > MAX_OPEN_NAMES {
            return Err(self.broken(Code::XmlTooDeep, offset, || {
                format!("more than {MAX_DEPTH} elements open at once, or {MAX_OPEN_NAMES} bytes of their names")
            }));
        }
        self.open_element(offset, &checked);
        if checked.is_empty_element {
            let end = offset + length as u64;
            self.close_element(end..end);
        }
        self.window.take(length);
        Ok(())
    }

    /// Checks the start tag at the window's front; `None` if it goes on behind what is there.
    fn checked_tag(&mut self, offset: u64) -> Step<Option<CheckedTag>> {
        let bytes = self.window.bytes().get(1..).unwrap_or_default();
        markup::check_start_tag(bytes, &mut self.attributes).map_err(|fault| {
            self.broken_tag_faults(offset + 1);
            let at = offset + 1 + fault.at as u64;
            self.broken(fault.code, at, || fault.message.into_owned())
        })
    }

    /// Reports the faults before the one that a tag breaks at: up to the first `<` in a value, as that
    /// is where a missing quote shows, and the others come of it.
    #[cold]
    fn broken_tag_faults(&mut self, base: u64) {
        let Spans { faults, unlisted, .. } = &mut self.attributes;
        faults.sort_by_key(|fault| fault.at);
        let is_missed_quote = |fault: &Fault| fault.code == Code::XmlLessThanInAttribute;
        if let Some(first) = faults.iter().position(is_missed_quote) {
            faults.truncate(first + 1);
            unlisted.clear();
        }
        self.tag_faults(base);
    }

    /// Reports the faults of a tag that leave its structure clear.
    fn tag_faults(&mut self, base: u64) {
        if self.attributes.faults.is_empty() {
            return;
        }
        let mut spans = std::mem::take(&mut self.attributes);
        spans.faults.sort_by_key(|fault| fault.at);
        for fault in spans.faults.drain(..) {
            self.fault(&fault, base);
        }
        // Of what is beyond the listing, the number alone.
        for (code, count) in spans.unlisted.drain() {
            self.findings.add_unlisted(code, count);
        }
        self.attributes = spans;
    }

    fn open_element(&mut self, offset: u64, checked: &CheckedTag) {
        let depth = self.open.depth();
        let Self { window, open, handler, findings, attributes, first_error, .. } = self;
        let content = window.bytes().get(1..checked.length).unwrap_or_default();
        let name = content.get(..checked.name_length).unwrap_or_default();
        open.push(name, offset);
        let end = offset + checked.length as u64 + 1;
        let tag = StartTag { name, offset, end, depth, attributes: &attributes.list, content };
        let mut context = Here { window, open, findings, first_error: *first_error };
        handler.open(&tag, &mut context);
    }

    fn close_element(&mut self, end_tag: ByteRange) {
        let Self { window, open, handler, findings, first_error, .. } = self;
        handler.close(end_tag, &mut Here { window, open, findings, first_error: *first_error });
        open.pop();
    }

    fn end_tag(&mut self) -> Step {
        let offset = self.window.offset();
        if let Some((open, _)) = self.open.innermost()
            && let Some(behind) =
                self.window.bytes().get(2..).and_then(|end| end.strip_prefix(open))
            && behind.starts_with(b">")
        {
            let length = open.len() + 3;
            self.close_element(offset..offset + length as u64);
            self.window.take(length);
            return Ok(());
        }
        let end = self.markup_end(2, |bytes| memchr(b'>', bytes))?;
        let bytes = self.window.bytes();
        let content = bytes.get(2..end.unwrap_or(bytes.len())).unwrap_or_default();
        let (name, rest) = content.split_at(markup::name_length(content));
        let is_whole = end.is_some() || !rest.is_empty();
        if is_whole && self.open.innermost().is_none_or(|(open, _)| open != name) {
            let found = markup::shown(name);
            let message = match self.open.innermost() {
                Some((open, at)) => {
                    let open = markup::shown(open);
                    format!("</{found}> where <{open}> is open, since byte {at}")
                }
                None => format!("</{found}> where no element is open"),
            };
            return Err(self.broken(Code::XmlMismatchedTag, offset, || message));
        }
        if let Some(at) = rest.iter().position(|&byte| !markup::is_space(byte)) {
            let at = offset + 2 + (name.len() + at) as u64;
            return Err(self.broken(Code::XmlMalformedTag, at, || {
                "something between the name and the > of an end tag".into()
            }));
        }
        let Some(end) = end else { return Err(self.unfinished(offset, "an end tag")) };
        self.close_element(offset..offset + end as u64 + 1);
        self.window.take(end + 1);
        Ok(())
    }

    /// `<!…`: a comment, a CDATA section, a DOCTYPE.
    fn declaration(&mut self) -> Step {
        let offset = self.window.offset();
        self.require(9)?;
        let bytes = self.window.bytes();
        if bytes.starts_with(b"<!--") {
            self.comment()
        } else if bytes.starts_with(b"<![CDATA[") {
            if self.open.depth() == 0 {
                return Err(self.text_outside_root(offset));
            }
            self.take_checked(9);
            self.pass_until(b"]]>", offset, "a CDATA section")
        } else if bytes.starts_with(b"<!DOCTYPE") {
            self.doctype()
        } else if self.window.at_eof() && is_start_of_declaration(bytes) {
            Err(self.unfinished(offset, "a declaration"))
        } else {
            Err(self.broken(Code::XmlMalformedTag, offset, || {
                "<! begins neither a comment nor a CDATA section".into()
            }))
        }
    }

    fn comment(&mut self) -> Step {
        let offset = self.window.offset();
        self.take_checked(4);
        loop {
            self.pass_until(b"--", offset, "a comment")?;
            // Reading on may take the hyphens out of the window.
            let hyphens = self.window.mark(self.window.offset() - 2);
            self.require(1)?;
            match self.window.bytes().first() {
                Some(b'>') => {
                    self.window.take(1);
                    return Ok(());
                }
                Some(_) => {
                    self.first_error = self.first_error.min(self.window.offset() - 2);
                    let message = || "-- in a comment".into();
                    self.here().report_at(Code::XmlMalformedComment, hyphens, &message);
                    // `--->`: the second hyphen may begin the end.
                    if self.window.bytes().starts_with(b"-")
                        && self.require(2)?
                        && self.window.bytes().get(1) == Some(&b'>')
                    {
                        self.window.take(2);
                        return Ok(());
                    }
                }
                None => return Err(self.unfinished(offset, "a comment")),
            }
        }
    }

    /// Takes everything up to and with `end`, holding nothing.
    fn pass_until(&mut self, end: &[u8], offset: u64, what: &'static str) -> Step {
        let finder = memmem::Finder::new(end);
        let mut start = None;
        loop {
            let bytes = self.window.bytes();
            if let Some(at) = finder.find(bytes) {
                self.take_checked(at);
                self.check_length(start, what);
                self.take_checked(end.len());
                return Ok(());
            }
            start.get_or_insert_with(|| self.window.mark(self.window.offset()));
            let length = bytes.len().saturating_sub(end.len() - 1);
            self.take_checked(length);
            if !self.fill()? {
                return Err(self.unfinished(offset, what));
            }
        }
    }

    fn instruction(&mut self) -> Step {
        let offset = self.window.offset();
        let end = self.instruction_end()?;
        let bytes = self.window.bytes();
        let content = bytes.get(2..end.map_or(bytes.len(), |end| end - 2)).unwrap_or_default();
        // A name that the document ends within may have been any.
        let is_named = end.is_some() || markup::name_length(content) < content.len();
        let outcome = if is_named { markup::check_instruction(content) } else { Ok(()) };
        if let Err(fault) = outcome {
            if fault.code == Code::XmlMisplacedDeclaration {
                return Err(self.broken(fault.code, offset, || fault.message.into_owned()));
            }
            self.fault(&fault, offset + 2);
        }
        let Some(end) = end else { return Err(self.unfinished(offset, INSTRUCTION)) };
        self.take_checked(end);
        Ok(())
    }

    /// How long the instruction at the window's front is, with its `<?` and `?>`, if it ends.
    fn instruction_end(&mut self) -> Step<Option<usize>> {
        let mut parser = PiParser::default();
        Ok(self.markup_end(2, |bytes| parser.feed(bytes))?.map(|end| end + 1))
    }

    /// Finds the end of markup from `from` on, holding up to [`MAX_TAG`] bytes of it.
    ///
    /// Returns the place of its last byte, or `None` at the end of the document.
    fn markup_end(
        &mut self,
        from: usize,
        mut feed: impl FnMut(&[u8]) -> Option<usize>,
    ) -> Step<Option<usize>> {
        let mut fed = from;
        loop {
            let bytes = self.window.bytes();
            let fresh = bytes.get(fed..).unwrap_or_default();
            if let Some(at) = feed(fresh) {
                let end = fed + at;
                return if end > MAX_TAG { Err(self.tag_too_large()) } else { Ok(Some(end)) };
            }
            fed = bytes.len().max(fed);
            if fed > MAX_TAG {
                return Err(self.tag_too_large());
            }
            if !self.fill()? {
                return Ok(None);
            }
        }
    }

    fn tag_too_large(&mut self) -> Stop {
        let offset = self.window.offset();
        self.broken(Code::XmlTagTooLarge, offset, || {
            format!("a tag or instruction of more than {MAX_TAG} bytes")
        })
    }

    fn fill(&mut self) -> Step<bool> {
        self.settle();
        let more = self.window.fill()?;
        if self.window.illegal_pending() > MAX_PENDING_ILLEGAL {
            self.drain_illegal(u64::MAX);
        }
        Ok(more)
    }

    fn settle(&mut self) {
        let Self { window, handler, .. } = self;
        handler.settle(&|offset| window.mark(offset));
    }

    /// Makes sure that at least `count` unread bytes are there; `false` at the end of the document.
    #[inline]
    fn require(&mut self, count: usize) -> Step<bool> {
        while self.window.bytes().len() < count {
            if !self.fill()? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn end_of_document(&mut self) -> Step {
        let offset = self.window.offset() + self.window.bytes().len() as u64;
        if !self.window.bytes().is_empty() {
            // All that is left is a lone `<`.
            return Err(self.unfinished(self.window.offset(), "a tag"));
        }
        if let Some((name, at)) = self.open.innermost() {
            let name = markup::shown(name);
            let message = format!("the document ends with <{name}> open, since byte {at}");
            return Err(self.broken(Code::XmlTruncated, offset, || message));
        }
        if !self.open.has_root() {
            return Err(self.broken(Code::XmlNoRoot, offset, || "there is no root element".into()));
        }
        Ok(())
    }

    /// Takes bytes, reporting the illegal characters in them.
    #[inline]
    fn take_checked(&mut self, length: usize) {
        self.drain_illegal(self.window.offset() + length as u64);
        self.window.take(length);
    }
}

/// Whether the document may have ended within `<!--`, `<![CDATA[` or `<!DOCTYPE`.
fn is_start_of_declaration(bytes: &[u8]) -> bool {
    ["<!--", "<![CDATA[", "<!DOCTYPE"].iter().any(|whole| whole.as_bytes().starts_with(bytes))
}

#[cfg(test)]
mod tests;
