//! What is said of a document: illegal characters, faults, where it breaks off.

use std::io::Read;

use super::{Lexer, Stop};
use crate::finding::{Code, Findings};
use crate::scan::elements::OpenElements;
use crate::scan::handler::{Context, Handler};
use crate::scan::markup::Fault;
use crate::scan::window::{IllegalCharacter, IllegalKind, Mark, Window};

impl<R: Read, H: Handler> Lexer<'_, R, H> {
    #[inline]
    pub(super) fn drain_illegal(&mut self, end: u64) {
        while let Some(illegal) = self.window.next_illegal(end) {
            self.illegal_character(illegal);
        }
    }

    #[cold]
    pub(super) fn illegal_character(&mut self, illegal: IllegalCharacter) {
        match illegal.kind {
            IllegalKind::NotUtf8(byte) => {
                self.unsound(Code::XmlInvalidUtf8, illegal.offset, &|| {
                    format!("byte 0x{byte:02X} is not UTF-8 here")
                });
            }
            IllegalKind::NotAscii(character) => {
                self.unsound(Code::XmlInvalidUtf8, illegal.offset, &|| {
                    format!(
                        "character U+{:04X} in a document that says it is ASCII",
                        u32::from(character)
                    )
                });
            }
            IllegalKind::Forbidden(character) => {
                self.unsound(Code::XmlIllegalCharacter, illegal.offset, &|| {
                    format!("character U+{:04X} is not allowed in XML", u32::from(character))
                });
            }
        }
    }

    /// What a handler may ask and say now.
    pub(super) const fn here(&mut self) -> Here<'_, R> {
        Here {
            window: &self.window,
            open: &self.open,
            findings: self.findings,
            first_error: self.first_error,
        }
    }

    pub(super) fn report(&mut self, code: Code, offset: u64, message: &dyn Fn() -> String) {
        self.here().report(code, offset, message);
    }

    /// Reports a fault that leaves the structure clear; its place counts from `base`.
    #[cold]
    pub(super) fn fault(&mut self, fault: &Fault, base: u64) {
        if fault.code == Code::XmlUndefinedEntity && self.entities_may_be_external {
            return;
        }
        self.unsound(fault.code, base + fault.at as u64, &|| fault.message.clone().into_owned());
    }

    /// Reports an error of well-formedness that leaves the structure clear.
    #[cold]
    pub(super) fn unsound(&mut self, code: Code, offset: u64, message: &dyn Fn() -> String) {
        self.first_error = self.first_error.min(offset);
        self.report(code, offset, message);
    }

    /// Reports an error after which the structure is not clear any more.
    #[cold]
    pub(super) fn broken(
        &mut self,
        code: Code,
        offset: u64,
        message: impl FnOnce() -> String,
    ) -> Stop {
        let end = self.window.offset() + self.window.bytes().len() as u64;
        self.drain_illegal(offset.min(end));
        let message = message();
        self.unsound(code, offset, &|| message.clone());
        Stop::Broken
    }

    /// Reports that the document ends within something that began at `offset`.
    #[cold]
    pub(super) fn unfinished(&mut self, offset: u64, what: &str) -> Stop {
        let end = self.window.offset() + self.window.bytes().len() as u64;
        self.broken(Code::XmlTruncated, end, || {
            format!("the document ends within {what} that began at byte {offset}")
        })
    }
}

/// What a handler sees while the window lends it the tag.
pub(super) struct Here<'a, R> {
    pub(super) window: &'a Window<R>,
    pub(super) open: &'a OpenElements,
    pub(super) findings: &'a mut Findings,
    pub(super) first_error: u64,
}

impl<R: Read> Context for Here<'_, R> {
    fn mark(&self, offset: u64) -> Mark {
        self.window.mark(offset)
    }

    fn report_at(&mut self, code: Code, mark: Mark, message: &dyn Fn() -> String) {
        let open = self.open;
        self.findings.add(code, || (message(), Some(mark.place(open.path()))));
    }

    fn is_sound(&self, offset: u64) -> bool {
        self.first_error >= offset
    }
}
