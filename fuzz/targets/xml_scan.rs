//! Any bytes as JUnit XML: the same is found at every step, and what is salvaged is valid.

#![no_main]

use bktec_upload::format::Format;
use bktec_upload_fuzz::{check_salvage, scanned};

libfuzzer_sys::fuzz_target!(|document: &[u8]| {
    let scan = scanned(Format::Junit, document);
    check_salvage(Format::Junit, document, &scan);
});
