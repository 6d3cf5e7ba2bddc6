//! What may stand before the root: a byte-order mark, the XML declaration, a DOCTYPE.

use std::io::Read;

use memchr::memchr;

use super::{INSTRUCTION, Lexer, Step, Stop};
use crate::finding::Code;
use crate::scan::handler::Handler;
use crate::scan::markup::{self, Fault};

impl<R: Read, H: Handler> Lexer<'_, R, H> {
    /// The byte-order mark and the XML declaration.
    pub(super) fn prolog(&mut self) -> Step {
        self.require(4)?;
        match self.window.bytes() {
            [] => {
                self.report(Code::InputEmpty, 0, &|| "the file is empty".into());
                return Err(Stop::Broken);
            }
            [0xEF, 0xBB, 0xBF, ..] => self.window.take(3),
            bytes => {
                if let Some((code, message)) = not_utf8(bytes) {
                    return Err(self.broken(code, 0, || message.into()));
                }
            }
        }
        self.require(6)?;
        if let [b'<', b'?', b'x', b'm', b'l', b' ' | b'\t' | b'\r' | b'\n', ..] =
            self.window.bytes()
        {
            self.xml_declaration()?;
        }
        Ok(())
    }

    fn xml_declaration(&mut self) -> Step {
        let offset = self.window.offset();
        // One that is not closed would run on to the next instruction, or the end of the document.
        while !self.window.bytes().contains(&b'>')
            && self.window.bytes().len() < 1000
            && self.fill()?
        {}
        let bytes = self.window.bytes();
        if let Some(end) = memchr(b'>', bytes)
            && bytes.get(end - 1) != Some(&b'?')
        {
            let content = bytes.get(5..end).unwrap_or_default();
            let fault = markup::check_declaration(content).err().unwrap_or_else(|| {
                let message = "> where ?> ends the XML declaration";
                Fault::new(Code::XmlMalformedDeclaration, content.len(), message)
            });
            let at = offset + 5 + fault.at as u64;
            return Err(self.broken(fault.code, at, || fault.message.into_owned()));
        }
        let Some(end) = self.instruction_end()? else {
            return Err(self.unfinished(offset, INSTRUCTION));
        };
        let content = self.window.bytes().get(5..end - 2).unwrap_or_default();
        match markup::check_declaration(content) {
            Ok(declaration) => {
                self.is_standalone = declaration.is_standalone;
                if declaration.is_ascii {
                    self.window.restrict_to_ascii();
                }
            }
            Err(fault) => self.fault(&fault, offset + 5),
        }
        self.take_checked(end);
        Ok(())
    }

    /// A DOCTYPE, which only the prolog may hold.
    pub(super) fn doctype(&mut self) -> Step {
        let offset = self.window.offset();
        let misplaced = self.open.has_root() || self.doctype_seen;
        self.doctype_seen = true;
        if misplaced {
            return Err(self.broken(Code::XmlMalformedDoctype, offset, || {
                "a DOCTYPE that is not before the root element, once".into()
            }));
        }
        let mut parser = markup::DoctypeParser::default();
        let Some(end) = self.markup_end(2, |bytes| parser.feed(bytes))? else {
            return Err(self.unfinished(offset, "a DOCTYPE"));
        };
        let content = self.window.bytes().get(9..end).unwrap_or_default();
        let outcome = markup::check_doctype(content);
        match outcome {
            Ok(doctype) => {
                let is_external = doctype.is_external && !self.is_standalone;
                self.entities_may_be_external = is_external || doctype.has_subset;
                if doctype.has_subset {
                    self.report(Code::XmlInternalSubset, offset, &|| {
                        "a DOCTYPE with an internal subset".into()
                    });
                } else {
                    self.report(Code::XmlDoctype, offset, &|| "a DOCTYPE".into());
                }
            }
            Err(fault) => self.fault(&fault, offset + 9),
        }
        self.take_checked(end + 1);
        Ok(())
    }
}

/// What is said of a document whose first bytes are not those of any encoding with ASCII in it.
///
/// UTF-16 that says so is transcoded before the scan.
const fn not_utf8(bytes: &[u8]) -> Option<(Code, &'static str)> {
    Some(match bytes {
        [0xFF, 0xFE, 0, 0, ..]
        | [0, 0, 0xFE, 0xFF, ..]
        | [b'<', 0, 0, 0, ..]
        | [0, 0, 0, b'<', ..] => (Code::XmlUnsupportedEncoding, "the file is in UTF-32"),
        // `<?xm`
        [0x4C, 0x6F, 0xA7, 0x94, ..] => (Code::XmlUnsupportedEncoding, "the file is in EBCDIC"),
        [0xFE, 0xFF, ..] | [0xFF, 0xFE, ..] | [0, b'<', 0, b'?', ..] | [b'<', 0, b'?', 0, ..] => {
            (Code::XmlInvalidEncoding, "the file is in UTF-16, and its declaration does not say so")
        }
        [0, b'<', ..] | [b'<', 0, ..] => (
            Code::XmlInvalidEncoding,
            "the file is in UTF-16 without a byte-order mark and a declaration",
        ),
        _ => return None,
    })
}
