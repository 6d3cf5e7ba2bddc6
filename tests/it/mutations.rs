//! Documents with a little damage: is each taken or refused as by libxml2, or by Python's `json`?
//!
//! A mutant is decided by its seed and by the files there are to make it of. `MUTATIONS` is how many
//! are made, `MUTATIONS_SEED` the seed of the first. What is argued to differ is in docs/validation.md.

mod mutate;
mod yardsticks;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use bktec_upload::finding::{Code, Finding};
use bktec_upload::format::{Format, HEAD};
use bktec_upload::scan::Scan;
use encoding_rs::Encoding;

use self::mutate::{Base, Mutant, Unit, dictionary, minimised, mutant};
use self::yardsticks::{BOTH_TAKE, Verdict, python, xmllint};
use crate::corpus::{breaks_grammar, is_wellformed, manifest, scan_file};
use crate::harness::has_program;
use crate::{corpus, fixtures};

/// Longer files are no bases: damage to them shows nothing that it does not show in these.
const MAX_BASE: usize = 64 * 1024;

/// How many mutants are given to the other parser at once.
const BATCH: usize = 256;

/// How many differences are shown, each with the smallest document that has it.
const SHOWN: usize = 20;

/// The other parser, and how its verdict is to be compared with ours.
struct Comparison {
    /// Gives the verdicts on some files, in their order.
    yardstick: fn(&[(Format, PathBuf)]) -> Vec<Verdict>,
    /// Why our verdict on a document may be another, if it may.
    excuse: fn(&Scan, &[u8], &Verdict) -> Option<&'static str>,
}

impl Comparison {
    /// Compares the verdicts on each of some documents, and says how they agree or differ.
    fn outcomes(&self, documents: &[(Format, &[u8])]) -> Vec<Result<&'static str, String>> {
        let folder = tempfile::tempdir().unwrap();
        let files = documents.iter().enumerate().map(|(number, (format, content))| {
            let path = folder.path().join(format!("{number}.{}", format.extension()));
            fs::write(&path, content).unwrap();
            (*format, path)
        });
        let files: Vec<_> = files.collect();
        let verdicts = (self.yardstick)(&files);
        assert_eq!(verdicts.len(), files.len());
        let both = files.iter().zip(documents).zip(verdicts);
        both.map(|(((format, path), (_, content)), theirs)| {
            let scan = scan_file(path, *format);
            let ours = verdict(&scan);
            if ours.agrees_with(&theirs) && !ours.is_later_than(&theirs) {
                Ok(ours.beside(&theirs))
            } else if let Some(excuse) = (self.excuse)(&scan, content, &theirs) {
                Ok(excuse)
            } else {
                Err(format!("ours {ours:?}, theirs {theirs:?}: {:?}", scan.findings.listed()))
            }
        })
        .collect()
    }

    fn differs(&self, format: Format, content: &[u8]) -> bool {
        self.outcomes(&[(format, content)]).iter().any(Result::is_err)
    }
}

/// What a scan says of a document.
fn verdict(scan: &Scan) -> Verdict {
    let mut listed = scan.findings.listed().iter();
    Verdict {
        keeps_grammar: is_wellformed(scan),
        keeps_rules: !scan.findings.counts().keys().any(|&code| breaks_rules(code)),
        line: listed
            .find(|finding| breaks_grammar(finding.code))
            .map(|finding| finding.place.as_ref().map_or(1, |place| place.line)),
    }
}

/// Whether a finding says that a document is JSON and refused for what it is.
fn breaks_rules(code: Code) -> bool {
    matches!(code, Code::JsonWrongShape | Code::JsonDuplicateKey | Code::JsonTooDeep)
}

/// Makes mutants and compares the verdicts on them.
fn compare(bases: &[(Format, Base)], tokens: &str, usual: u64, comparison: &Comparison) {
    let setting = |name| std::env::var(name).ok().map(|value| value.parse::<u64>().unwrap());
    let count = setting("MUTATIONS").unwrap_or(usual);
    let first = setting("MUTATIONS_SEED").unwrap_or(0);
    let tokens = dictionary(tokens);
    let (formats, bases): (Vec<_>, Vec<_>) = bases.iter().map(|(f, b)| (*f, b)).unzip();
    let mut statistics = BTreeMap::<&str, u64>::new();
    let mut differences = 0;
    for start in (0..count).step_by(BATCH) {
        let seeds = first + start..first + count.min(start + BATCH as u64);
        let mutants: Vec<_> = seeds.map(|seed| mutant(&bases, &tokens, seed)).collect();
        let documents = mutants.iter().map(|mutant| (formats[mutant.base], &mutant.content[..]));
        let documents: Vec<_> = documents.collect();
        let outcomes = comparison.outcomes(&documents).into_iter();
        for ((mutant, &(format, content)), outcome) in mutants.iter().zip(&documents).zip(outcomes)
        {
            let kind = outcome.unwrap_or_else(|difference| {
                differences += 1;
                if differences <= SHOWN {
                    let Mutant { seed, base, operations, .. } = mutant;
                    let name = &bases[*base].name;
                    eprintln!("MUTATIONS=1 MUTATIONS_SEED={seed}: {format} {name} {operations:?}");
                    eprintln!("  {difference}");
                    let keeps = |less: &[u8]| comparison.differs(format, less);
                    let least = minimised(content.to_vec(), keeps);
                    eprintln!("  in short: {}", least.escape_ascii());
                }
                "different"
            });
            *statistics.entry(kind).or_default() += 1;
        }
    }
    eprintln!("{count} mutants from seed {first}: {statistics:#?}");
    assert_eq!(differences, 0);
    // Damage that is always fatal, or never, would show little.
    assert!(count < 1000 || (count / 20..count / 2).contains(&statistics[BOTH_TAKE]));
}

/// The fixtures: their paths, and those to be shown.
fn fixture_files() -> Vec<(PathBuf, String)> {
    let paths = fixtures::paths().into_iter();
    paths.map(|path| (fixtures::folder().join(&path), path)).collect()
}

/// The corpus, where it is there.
fn corpus_files() -> Vec<(PathBuf, String)> {
    let Some(folder) = corpus::folder() else { return Vec::new() };
    let rows = manifest(&folder).into_iter();
    rows.map(|row| (folder.join(&row.path), row.path)).collect()
}

/// Those of some files that are to be damaged.
fn from(files: Vec<(PathBuf, String)>, is_wanted: fn(Format) -> bool) -> Vec<(Format, Base)> {
    let read = |(path, name): (PathBuf, String)| {
        let content = fs::read(&path).unwrap();
        let format = Format::detect(Some(&path), &content[..content.len().min(HEAD)])?;
        let base = Base { name, content, unit: Unit::Byte };
        (is_wanted(format) && base.content.len() <= MAX_BASE).then_some((format, base))
    };
    files.into_iter().filter_map(read).collect()
}

/// The document in other encodings, where its declaration says that it is in UTF-8.
fn in_other_encodings(base: &Base) -> Vec<Base> {
    let text = String::from_utf8_lossy(&base.content);
    let declared = |label: &str| {
        let (declaration, rest) = text.split_once("?>")?;
        let declaration = declaration.replace("UTF-8", label).replace("utf-8", label);
        declaration.contains(label).then(|| format!("{declaration}?>{rest}"))
    };
    let wide = [("UTF-16LE", Unit::Utf16Le), ("UTF-16BE", Unit::Utf16Be)].map(|(label, unit)| {
        let marked = format!("\u{feff}{}", declared("UTF-16")?);
        Some((label, unit, unit.encode(marked.as_bytes())))
    });
    let narrow = ["ISO-8859-1", "ISO-8859-2", "windows-1252", "KOI8-R"].map(|label| {
        let encoding = Encoding::for_label(label.as_bytes()).unwrap();
        Some((label, Unit::Byte, encoding.encode(&declared(label)?).0.into_owned()))
    });
    let all = wide.into_iter().chain(narrow).flatten();
    all.map(|(label, unit, content)| Base {
        name: format!("{} in {label}", base.name),
        content,
        unit,
    })
    .collect()
}

/// The differences from libxml2 that docs/validation.md argues.
fn excuse_for_xml(scan: &Scan, content: &[u8], theirs: &Verdict) -> Option<&'static str> {
    if scan.findings.counts().contains_key(&Code::XmlInternalSubset) {
        return Some("refused for its internal subset");
    }
    let text: Vec<_> = content.iter().copied().filter(|&byte| byte != 0).collect();
    if is_wellformed(scan) {
        // Of the names that only browsers know, this one is near to KOI8-R.
        let is_browsers = declared_encoding(&text)?.eq_ignore_ascii_case(b"koi");
        return is_browsers.then_some("an encoding's name that only browsers know");
    }
    let mut listed = scan.findings.listed().iter();
    if !theirs.keeps_grammar {
        let endless = ["a DOCTYPE", "a processing instruction"];
        let is_endless = |finding: &Finding| {
            finding.code == Code::XmlTruncated
                && endless.iter().any(|what| finding.message.contains(what))
        };
        let is_excused = listed.any(is_endless);
        return is_excused
            .then_some("both refuse it, ours at the end: a DOCTYPE or instruction has none");
    }
    let first = listed.find(|finding| breaks_grammar(finding.code))?;
    match first.code {
        Code::XmlContentAfterRoot => {
            // In UTF-16 the first character has a 0 too, or stands behind a byte-order mark.
            let is_wide = content.iter().take(2).any(|byte| matches!(byte, 0 | 0xFE | 0xFF));
            let nul: &[u8] = if is_wide { b"\0\0" } else { b"\0" };
            let rest = content.get(usize::try_from(first.place.as_ref()?.offset).unwrap()..)?;
            rest.starts_with(nul).then_some("libxml2 ends at a NUL behind the root")
        }
        Code::XmlUnsupportedEncoding | Code::XmlInvalidEncoding => {
            let is_unknown = Encoding::for_label(declared_encoding(&text)?).is_none();
            is_unknown.then_some("libxml2's converters guess what a name may mean")
        }
        _ => None,
    }
}

/// The name of an encoding in the XML declaration.
fn declared_encoding(text: &[u8]) -> Option<&[u8]> {
    let mut parts = text.split(|byte| matches!(byte, b'"' | b'\''));
    parts.find(|part| part.trim_ascii_end().ends_with(b"encoding="))?;
    parts.next()
}

#[test]
fn damaged_xml_is_taken_and_refused_as_by_libxml2() {
    if !has_program("xmllint", &["--version"]) {
        return;
    }
    let is_junit = |format| format == Format::Junit;
    let mut bases = from(fixture_files(), is_junit);
    let others: Vec<_> = bases.iter().flat_map(|(_, base)| in_other_encodings(base)).collect();
    bases.extend(others.into_iter().map(|base| (Format::Junit, base)));
    bases.extend(from(corpus_files(), is_junit));
    let comparison = Comparison { yardstick: xmllint, excuse: excuse_for_xml };
    compare(&bases, include_str!("mutations/xml.dict"), 3000, &comparison);
}

#[test]
fn damaged_json_is_taken_and_refused_as_by_python_and_our_rules() {
    if !has_program("python3", &["--version"]) {
        return;
    }
    let mut bases = from(fixture_files(), |format| format != Format::Junit);
    bases.extend(from(corpus_files(), |format| format != Format::Junit));
    let comparison = Comparison { yardstick: python, excuse: |_, _, _| None };
    compare(&bases, include_str!("mutations/json.dict"), 2000, &comparison);
}
