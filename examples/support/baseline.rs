//! What libraries do at best with the same bytes, and no check of ours: what the benches and
//! `benches/compare` measure the tool by.

#![allow(dead_code, reason = "each program that includes this module uses another part of it")]

use std::error::Error;
use std::io::{self, BufReader, Read};

use quick_xml::events::Event;
use serde::de::IgnoredAny;

/// The buffer of all that stream.
const BUFFER: usize = 64 * 1024;

/// Reads to the end and forgets it; gives the number of bytes.
pub fn read(mut source: impl Read) -> io::Result<u64> {
    let mut buffer = vec![0; BUFFER];
    let mut length = 0;
    loop {
        match source.read(&mut buffer)? {
            0 => return Ok(length),
            count => length += count as u64,
        }
    }
}

/// Looks for every `<`; gives their number.
pub fn tags(mut source: impl Read) -> io::Result<usize> {
    let mut buffer = vec![0; BUFFER];
    let mut tags = 0;
    loop {
        let count = source.read(&mut buffer)?;
        if count == 0 {
            return Ok(tags);
        }
        tags += memchr::memchr_iter(b'<', buffer.get(..count).unwrap_or_default()).count();
    }
}

/// quick-xml's bare events, with nothing looked at; gives their number.
pub fn xml_events(source: impl Read) -> Result<u64, quick_xml::Error> {
    let mut reader = quick_xml::Reader::from_reader(BufReader::with_capacity(BUFFER, source));
    let mut buffer = Vec::new();
    let mut events = 0;
    while !matches!(reader.read_event_into(&mut buffer)?, Event::Eof) {
        events += 1;
        buffer.clear();
    }
    Ok(events)
}

/// `serde_json` over a whole document in memory, with nothing kept.
pub fn json(document: &[u8]) -> Result<(), Box<dyn Error>> {
    serde_json::from_slice::<IgnoredAny>(document)?;
    Ok(())
}
