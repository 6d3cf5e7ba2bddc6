//! The parts of an upload, and the service's rules for them.

use std::collections::BTreeSet;

use multer::{Field, Multipart};

use super::body::Body;
use super::exchange::{Problem, Record};
use super::results::{Format, Parsing, Tally};
use super::{DIGEST_START, DataPart};

/// More than any text part of an upload needs.
const MAX_TEXT_BYTES: usize = 64 * 1024;

/// What an upload says.
#[derive(Debug, Default)]
pub struct Form {
    /// `run_env[key]`.
    pub run_key: Option<String>,
    /// What its data holds, if that could be parsed.
    pub tally: Option<Tally>,
    /// What the service refuses it for, in the order in which it was found.
    pub problems: Vec<Problem>,
}

impl Form {
    fn refuse(&mut self, status: u16, message: impl Into<String>) {
        self.problems.push(Problem::new(status, message));
    }
}

/// Reads the parts of a body until it ends, in whatever way it ends.
pub async fn read(content_type: Option<&str>, body: Body, record: &Record) -> Form {
    let mut form = Form::default();
    let boundary = match multer::parse_boundary(content_type.unwrap_or_default()) {
        Ok(boundary) => boundary,
        Err(error) => {
            form.refuse(400, format!("not multipart/form-data: {error}"));
            return form;
        }
    };

    let mut parts = Multipart::new(body, boundary);
    let mut fields: Vec<(String, String)> = Vec::new();
    let mut data_parts = 0_u32;
    loop {
        match parts.next_field().await {
            Ok(Some(part)) if part.name() == Some("data") => {
                data_parts += 1;
                let format = value_of(&fields, "format").and_then(Format::named);
                if data_parts == 1 {
                    read_data(part, format, record, &mut form).await;
                }
            }
            Ok(Some(part)) => {
                if let Some(field) = read_text(part, &mut form).await {
                    record.update(|received| received.fields.push(field.clone()));
                    fields.push(field);
                }
            }
            Ok(None) => break,
            Err(error) => {
                form.refuse(400, format!("not well-formed as multipart: {error}"));
                break;
            }
        }
    }

    if data_parts != 1 {
        form.refuse(422, format!("there are {data_parts} parts named data, not 1"));
    }
    check_fields(&fields, &mut form);
    form
}

async fn read_text(mut part: Field<'_>, form: &mut Form) -> Option<(String, String)> {
    let Some(name) = part.name().map(str::to_owned) else {
        form.refuse(400, "a part has no name");
        return None;
    };
    let mut bytes = Vec::new();
    loop {
        match part.chunk().await {
            Ok(Some(piece)) if bytes.len() + piece.len() > MAX_TEXT_BYTES => {
                form.refuse(413, format!("part {name} is too large"));
                return None;
            }
            Ok(Some(piece)) => bytes.extend_from_slice(&piece),
            Ok(None) => break,
            // Half a value says nothing; the error shows again when the next part is asked for.
            Err(_) => return None,
        }
    }
    let value = String::from_utf8(bytes).unwrap_or_else(|error| {
        form.refuse(422, format!("part {name} is not UTF-8"));
        String::from_utf8_lossy(error.as_bytes()).into_owned()
    });
    Some((name, value))
}

async fn read_data(mut part: Field<'_>, format: Option<Format>, record: &Record, form: &mut Form) {
    let file_name = part.file_name().map(str::to_owned);
    match file_name.as_deref() {
        None | Some("") => form.refuse(422, "data has no file name"),
        Some(name) if name.contains(['/', '\\']) => {
            form.refuse(422, format!("the file name {name:?} of data is a path"));
        }
        Some(_) => {}
    }
    let content_type = part
        .headers()
        .get(hyper::header::CONTENT_TYPE)
        .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    record.update(|received| {
        received.data = Some(DataPart {
            file_name,
            content_type,
            bytes: 0,
            digest: DIGEST_START,
            body: record.keep_bodies().then(Vec::new),
        });
    });

    let mut parsing = format.map(Parsing::start);
    loop {
        match part.chunk().await {
            Ok(Some(piece)) => {
                record.data_bytes(&piece);
                if let Some(parsing) = &mut parsing {
                    parsing.feed(piece).await;
                }
            }
            Ok(None) => break,
            // What a cut-off file holds is not asked; the error shows again at the next part.
            Err(_) => return,
        }
    }
    match parsing {
        Some(parsing) => match parsing.finish().await {
            Ok(tally) => form.tally = Some(tally),
            Err(error) => form.refuse(422, format!("data cannot be parsed: {error}")),
        },
        // The service does not mind the order, but what parses while it reads has to know.
        None => form.refuse(422, "no known format was given before data"),
    }
}

fn value_of<'a>(fields: &'a [(String, String)], name: &str) -> Option<&'a str> {
    fields.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

/// The key of a part such as `tags[key]`.
fn key_of<'a>(name: &'a str, map: &str) -> Option<&'a str> {
    name.strip_prefix(map)?.strip_prefix('[')?.strip_suffix(']')
}

fn check_fields(fields: &[(String, String)], form: &mut Form) {
    let mut names = BTreeSet::new();
    let mut tags = Vec::new();
    for (name, value) in fields {
        if !names.insert(name) {
            form.refuse(422, format!("part {name} was sent twice"));
        }
        if let Some(key) = key_of(name, "tags") {
            tags.push((key, value.as_str()));
        } else if key_of(name, "run_env").is_some() {
            if value.trim().is_empty() {
                form.refuse(422, format!("{name} is empty"));
            }
        } else if name != "format" {
            form.refuse(422, format!("part {name} is not known"));
        }
    }
    match value_of(fields, "format") {
        None => form.refuse(422, "format is missing"),
        Some(format) if Format::named(format).is_none() => {
            form.refuse(422, format!("format {format:?} is not known"));
        }
        Some(_) => {}
    }
    form.run_key = value_of(fields, "run_env[key]").map(str::to_owned);
    if form.run_key.is_none() {
        form.refuse(422, "run_env[key] is missing");
    }
    check_tags(&tags, form);
}

fn check_tags(tags: &[(&str, &str)], form: &mut Form) {
    if tags.len() > 10 {
        form.refuse(422, format!("there are {} tags, more than 10", tags.len()));
    }
    for (key, value) in tags {
        let well_formed = key.starts_with(|first: char| first.is_ascii_alphabetic())
            && key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'));
        if !well_formed || key.len() >= 64 {
            form.refuse(422, format!("tag key {key:?} is not allowed"));
        }
        if *key == "mut" || key.starts_with("mut.") {
            form.refuse(422, format!("tag key {key:?} is reserved"));
        }
        if value.trim().is_empty() || value.len() >= 128 {
            form.refuse(422, format!("the value of tag {key:?} is blank or too long"));
        }
        let is_prefix =
            |other: &str| other.strip_prefix(key).is_some_and(|rest| rest.starts_with('.'));
        if let Some((other, _)) = tags.iter().find(|(other, _)| is_prefix(other)) {
            form.refuse(422, format!("tag key {key:?} is a prefix of {other:?}"));
        }
    }
}
