//! Any bytes as JSON: the same is found at every step, what is salvaged is valid, and what has the
//! grammar of JSON is what `serde_json` says.

#![no_main]

use bktec_upload::finding::Code;
use bktec_upload::format::Format;
use bktec_upload_fuzz::{check_salvage, scanned};
use serde::de::IgnoredAny;

libfuzzer_sys::fuzz_target!(|document: &[u8]| {
    if document.is_empty() {
        return;
    }
    let format = Format::detect(None, document).filter(|format| *format != Format::Junit);
    let format = format.unwrap_or(Format::Json);
    let scan = scanned(format, document);
    check_salvage(format, document, &scan);
    let is_json = serde_json::from_slice::<IgnoredAny>(document).is_ok();
    let faults = [Code::JsonSyntax, Code::JsonTruncated, Code::JsonTrailingContent];
    let has_fault = faults.iter().any(|code| scan.findings.counts().contains_key(code));
    assert!(!(is_json && has_fault), "{:?}", scan.findings);
    assert!(is_json || scan.findings.break_off(), "{:?}", scan.findings);
});
