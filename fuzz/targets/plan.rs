//! The plan of any valid document: each upload is valid, and all together hold every result once.

#![no_main]

use bktec_upload::format::Format;
use bktec_upload::scan;
use bktec_upload_fuzz::{check_uploads, limits};

libfuzzer_sys::fuzz_target!(|document: &[u8]| {
    let Some(format) = Format::detect(None, document) else { return };
    let scan = scan::scan(format, document, limits(document)).unwrap();
    check_uploads(format, document, &scan);
});
