//! Findings: what is wrong with an input, where, and what to do about it.
//!
//! A [`Code`] is stable: reports, documentation and users' scripts refer to it. Every code has one
//! severity and one line of advice, which stand in one table here and nowhere else.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Serialize, Serializer};

/// How many findings of one code are kept with their place; further ones are only counted.
///
/// A file with a million results that all lack a name must not grow the process or the report.
pub const LISTED_PER_CODE: u64 = 20;

/// How many findings are listed in a run: thousands of bad files must not grow it without end.
pub const LISTED_PER_RUN: usize = 10_000;

/// What a finding means for the file it is about; the graver one is the lesser.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The file cannot be taken as it is, and is not sent.
    Error,
    /// The file is sent, but the service would skip a record, or something looks wrong.
    Warning,
}

impl Severity {
    /// The word for it in reports: `error` or `warning`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// Declares [`Code`] with its name, severity and advice, so that none can be without.
macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $severity:ident, $advice:literal;)*) => {
        /// What kind of finding it is: a stable name in kebab case.
        ///
        /// Families: `xml-…` (well-formedness, encoding), `json-…` (syntax), `junit-…` and
        /// `results-…` (meaning), `input-…` (what was given to read).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code { $($(#[$doc])* $variant,)* }

        impl Code {
            /// Every code, in the order of their declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The stable name, such as `xml-truncated`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// Whether it rejects the file.
            #[must_use]
            pub const fn severity(self) -> Severity {
                match self { $(Self::$variant => Severity::$severity,)* }
            }

            /// One line on the way out.
            #[must_use]
            pub const fn advice(self) -> &'static str {
                match self { $(Self::$variant => $advice,)* }
            }
        }
    };
}

codes! {
    /// A path that does not exist.
    InputNotFound = "input-not-found", Error,
        "check the path, and that the test step wrote its result file";
    /// A folder or a glob that stands for no file.
    InputNoMatch = "input-no-match", Error,
        "check the path and that the test step wrote its result files; where there may be none, give --allow-missing";
    /// A path that exists and cannot be opened or read.
    InputUnreadable = "input-unreadable", Error,
        "check the file's permissions and that this user may read it";
    /// A folder where a file is expected, such as on standard input.
    InputIsFolder = "input-is-folder", Error,
        "give the folder as an argument: it stands for the result files in it";
    /// Compressed data that breaks off or cannot be decompressed.
    InputCorrupt = "input-corrupt", Error,
        "the file was cut off or damaged after it was compressed: try it with gzip -t or zstd -t, and look at what wrote or copied it";
    /// Compressed data that takes more to read than there is here.
    InputUnsupportedCompression = "input-unsupported-compression", Error,
        "compress it with gzip, or with zstd without --long, --ultra and -D, or give it as it is";
    /// Compressed data that becomes far more than it should.
    InputBomb = "input-bomb", Error,
        "if that is really the result file, decompress it first and give it as it is";
    /// Nothing in the file.
    InputEmpty = "input-empty", Error,
        "the test runner wrote nothing: look at its own log for a crash";
    /// Neither the name nor the content tells the format.
    InputUnknownFormat = "input-unknown-format", Error,
        "say what it is with --format";
    /// The file's length changed while it was being read.
    InputChanged = "input-changed", Warning,
        "the file was still being written: wait for the test step to end before the upload";

    /// Bytes that are not UTF-8.
    XmlInvalidUtf8 = "xml-invalid-utf8", Error,
        "write the file as UTF-8, and declare no other encoding";
    /// Bytes that the file's encoding does not have, or a declaration of an encoding that it is not in.
    XmlInvalidEncoding = "xml-invalid-encoding", Error,
        "write the file as UTF-8, or have its declaration name the encoding that it is in";
    /// An encoding that is declared and is not read here.
    XmlUnsupportedEncoding = "xml-unsupported-encoding", Error,
        "convert the file to UTF-8 (iconv -t UTF-8) and drop the encoding from its declaration";
    /// A character that XML 1.0 forbids.
    XmlIllegalCharacter = "xml-illegal-character", Error,
        "strip control characters, such as the escapes of ANSI colours, where the runner writes the file (often NO_COLOR=1)";
    /// A character reference to a character that XML 1.0 forbids.
    XmlIllegalReference = "xml-illegal-reference", Error,
        "leave the character out: XML 1.0 cannot express it, not even as a reference";
    /// A reference to an entity that XML does not define.
    XmlUndefinedEntity = "xml-undefined-entity", Error,
        "XML knows amp, lt, gt, quot and apos only: write the character itself or its number";
    /// An `&` that begins no reference.
    XmlBareAmpersand = "xml-bare-ampersand", Error,
        "write & as &amp;";
    /// The document ends too early.
    XmlTruncated = "xml-truncated", Error,
        "the runner died or the disk was full while it wrote the file: look at the end of its log";
    /// No root element at all.
    XmlNoRoot = "xml-no-root", Error,
        "the file has no element: check that it is the result file";
    /// Something after the root element.
    XmlContentAfterRoot = "xml-content-after-root", Error,
        "one document, one root: two result files must not be appended to each other";
    /// Text where only an element may stand.
    XmlTextBeforeRoot = "xml-text-before-root", Error,
        "the file must begin with its XML declaration or its root element: check that no log output is mixed into it";
    /// An end tag for another element than the one that is open.
    XmlMismatchedTag = "xml-mismatched-tag", Error,
        "close elements in the order in which they were opened";
    /// A tag that breaks the grammar.
    XmlMalformedTag = "xml-malformed-tag", Error,
        "write < as &lt; where no tag is meant";
    /// An attribute that breaks the grammar.
    XmlMalformedAttribute = "xml-malformed-attribute", Error,
        "write attributes as name=\"value\", apart by spaces, and quotes in values as &quot;";
    /// An attribute twice in one tag.
    XmlDuplicateAttribute = "xml-duplicate-attribute", Error,
        "write each attribute once";
    /// A `<` in the value of an attribute.
    XmlLessThanInAttribute = "xml-less-than-in-attribute", Error,
        "write < in attribute values as &lt;";
    /// A name that XML does not allow.
    XmlBadName = "xml-bad-name", Error,
        "names begin with a letter or _ and hold letters, digits, ., - and _";
    /// `]]>` outside a CDATA section.
    XmlCdataEndInText = "xml-cdata-end-in-text", Error,
        "write ]]> in text as ]]&gt;";
    /// `--` in a comment.
    XmlMalformedComment = "xml-malformed-comment", Error,
        "a comment must not hold -- before its end";
    /// A processing instruction that breaks the grammar.
    XmlMalformedInstruction = "xml-malformed-instruction", Error,
        "a processing instruction is <?name …?>";
    /// An XML declaration that breaks the grammar.
    XmlMalformedDeclaration = "xml-malformed-declaration", Error,
        "write it as <?xml version=\"1.0\" encoding=\"UTF-8\"?>";
    /// An XML declaration that is not at the start.
    XmlMisplacedDeclaration = "xml-misplaced-declaration", Error,
        "the declaration must be the file's first bytes: remove what stands before it, also blank lines";
    /// A DOCTYPE that breaks the grammar or stands in the wrong place.
    XmlMalformedDoctype = "xml-malformed-doctype", Error,
        "remove the DOCTYPE: result files need none";
    /// A DOCTYPE that defines things of its own.
    XmlInternalSubset = "xml-internal-subset", Error,
        "remove the DOCTYPE: entities are never expanded here, as they can be used to attack a parser";
    /// A DOCTYPE that only names a document type.
    XmlDoctype = "xml-doctype", Warning,
        "result files need no DOCTYPE, and nothing it names is ever fetched: remove it";
    /// A tag beyond the limit.
    XmlTagTooLarge = "xml-tag-too-large", Error,
        "move long texts from attributes into the element's content";
    /// A text, a CDATA section, a comment or a depth that libxml2 refuses unless told otherwise.
    XmlHuge = "xml-huge", Warning,
        "parsers may refuse it (libxml2 does without its XML_PARSE_HUGE): have the runner write less output";
    /// Elements nested beyond the limit.
    XmlTooDeep = "xml-too-deep", Error,
        "no result file nests that deep: check what wrote it";

    /// JSON that breaks the grammar.
    JsonSyntax = "json-syntax", Error,
        "write the file with a JSON library, not by hand";
    /// JSON that ends too early.
    JsonTruncated = "json-truncated", Error,
        "the runner died or the disk was full while it wrote the file: look at the end of its log";
    /// Something after the JSON document.
    JsonTrailingContent = "json-trailing-content", Error,
        "one file, one JSON document: check that no log output and no second document is appended";
    /// Bytes that are not UTF-8.
    JsonInvalidUtf8 = "json-invalid-utf8", Error,
        "write the file as UTF-8";
    /// An escaped half of a surrogate pair.
    JsonLoneSurrogate = "json-lone-surrogate", Error,
        "escape characters beyond U+FFFF as a pair, or write them as they are in UTF-8";
    /// A byte-order mark before the JSON.
    JsonByteOrderMark = "json-byte-order-mark", Error,
        "write the file as UTF-8 without a byte-order mark";
    /// Containers nested beyond the limit.
    JsonTooDeep = "json-too-deep", Error,
        "Ruby's JSON, which the service uses, takes 100 levels: write deep values as text";
    /// A key twice in an object of which the service, or the count of results, needs one value.
    JsonDuplicateKey = "json-duplicate-key", Error,
        "parsers take one of the values and drop the others: write each key once";
    /// A document whose outline is not that of its format.
    JsonWrongShape = "json-wrong-shape", Error,
        "check --format, and the shape of the file against the format's documentation";
    /// One value beyond the limit.
    JsonValueTooLarge = "json-value-too-large", Error,
        "shorten the longest strings (output, traces) where the file is written";

    /// A root element that is not JUnit's.
    JunitWrongRoot = "junit-wrong-root", Error,
        "have the runner write JUnit XML, or convert the file";
    /// A result without a name.
    JunitMissingName = "junit-missing-name", Warning,
        "the service skips results without a name: have the runner write one";
    /// A result without a class name.
    JunitMissingClassname = "junit-missing-classname", Warning,
        "the service skips results without a classname: have the runner write one";
    /// A suite whose counts are not those of its results.
    JunitCountsDisagree = "junit-counts-disagree", Warning,
        "results may be missing from the file: check the runner's log";
    /// A time that is not a number of seconds.
    JunitOddTime = "junit-odd-time", Warning,
        "write times in seconds as 1234.5, with a point and without separators";
    /// A timestamp in no form that is known.
    JunitOddTimestamp = "junit-odd-timestamp", Warning,
        "write timestamps as ISO 8601 does: 2026-01-31T19:02:27Z";
    /// A result with outcomes of several kinds.
    JunitSeveralOutcomes = "junit-several-outcomes", Warning,
        "a result has one outcome: have the runner write the heaviest alone, or a result for each";
    /// A result with earlier attempts in it, as Surefire and nextest write them.
    JunitRerun = "junit-rerun", Warning,
        "nothing is lost but the earlier attempts: to see each of them, have every attempt written as a result";
    /// A result within a result.
    JunitNestedTestcase = "junit-nested-testcase", Warning,
        "how the service counts these is not known: write results side by side, in suites";

    /// No result in the whole file.
    ResultsNone = "results-none", Error,
        "check that the test step ran tests and that this is its result file";
    /// A record without what the service requires.
    ResultsMissingField = "results-missing-field", Warning,
        "the service skips records without their required fields: have the collector write them";
    /// A field of another type than the service takes.
    ResultsWrongType = "results-wrong-type", Warning,
        "the service skips records that it cannot read: have the collector write the documented type";
    /// An outcome that the service does not know.
    ResultsUnknownOutcome = "results-unknown-outcome", Warning,
        "result is passed, failed, skipped or unknown";
    /// A name that is another one in every run.
    ResultsUnstableName = "results-unstable-name", Warning,
        "the service knows a test by its name: leave out of it what changes from run to run";
    /// More results than the service takes in one upload.
    ResultsOverLimit = "results-over-limit", Warning,
        "the service takes a limited number of results in one upload and may refuse this one: have the runner write several files";
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// Where in a file something is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Place {
    /// Bytes from the start of the file, from 0. A byte-order mark counts.
    pub offset: u64,
    /// The line, from 1. Lines end with a line feed.
    pub line: u64,
    /// The column in bytes, from 1.
    pub column: u64,
    /// The elements around it, such as `testsuites/testsuite[2]/testcase[7]`; may be empty.
    pub path: String,
}

/// A part of the line that a finding is in, ready to be shown.
///
/// A tab is a space in it; characters that are not seen or would be obeyed are made visible, such
/// as `␛`; a byte that is not UTF-8 is written `\xE9`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Excerpt {
    /// The text, with an ellipsis at each end where the line goes on.
    pub text: String,
    /// Where the finding is in the text: in characters, from 1.
    pub column: usize,
}

/// One thing that is wrong with an input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What kind of thing.
    pub code: Code,
    /// What exactly, as a lower-case fragment.
    pub message: String,
    /// Where; `None` when it is about the file as a whole.
    pub place: Option<Place>,
    /// What stands there, once it was read.
    pub excerpt: Option<Excerpt>,
}

impl Finding {
    /// A finding about a file as a whole.
    #[must_use]
    pub fn of_file(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), place: None, excerpt: None }
    }
}

/// The findings of one file: the first of each code with their places, all of them counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings {
    listed: Vec<Finding>,
    counts: BTreeMap<Code, u64>,
}

impl Findings {
    /// Counts a finding, and lists it if its code is not listed often enough already.
    ///
    /// `finding` gives the message and the place, and is called only for what is listed.
    pub fn add(&mut self, code: Code, finding: impl FnOnce() -> (String, Option<Place>)) {
        let count = self.counts.entry(code).or_default();
        *count += 1;
        if *count <= LISTED_PER_CODE {
            let (message, place) = finding();
            self.listed.push(Finding { code, message, place, excerpt: None });
        }
    }

    /// Keeps at most so many of those that are listed; the others stay counted.
    pub fn keep_listed(&mut self, most: usize) {
        self.listed.truncate(most);
    }

    /// Takes these codes off the list; they stay counted.
    pub fn unlist(&mut self, is_unlisted: impl Fn(Code) -> bool) {
        self.listed.retain(|finding| !is_unlisted(finding.code));
    }

    /// Counts findings that are not listed.
    pub fn add_unlisted(&mut self, code: Code, count: u64) {
        *self.counts.entry(code).or_default() += count;
    }

    /// Adds a finding that is made already.
    pub fn push(&mut self, finding: Finding) {
        self.add(finding.code, || (finding.message, finding.place));
    }

    /// Adds the findings of `others`, listed and counted as they are.
    pub fn append(&mut self, others: Self) {
        self.listed.extend(others.listed);
        for (code, count) in others.counts {
            *self.counts.entry(code).or_default() += count;
        }
    }

    /// Gives the findings of one code another.
    pub fn recode(&mut self, from: Code, to: Code) {
        if let Some(count) = self.counts.remove(&from) {
            *self.counts.entry(to).or_default() += count;
        }
        for finding in self.listed.iter_mut().filter(|finding| finding.code == from) {
            finding.code = to;
        }
    }

    /// Puts the listed findings in the order of their places, those without one last.
    pub fn sort(&mut self) {
        self.listed
            .sort_by_key(|finding| finding.place.as_ref().map_or(u64::MAX, |place| place.offset));
    }

    /// The findings kept with their places: of each code the first [`LISTED_PER_CODE`].
    #[must_use]
    pub fn listed(&self) -> &[Finding] {
        &self.listed
    }

    /// The same, to add to them what is found out later.
    pub fn listed_mut(&mut self) -> &mut [Finding] {
        &mut self.listed
    }

    /// How many there are of each code, listed or not.
    #[must_use]
    pub const fn counts(&self) -> &BTreeMap<Code, u64> {
        &self.counts
    }

    /// How many there are of each code that are counted and not listed.
    #[must_use]
    pub fn unlisted(&self) -> BTreeMap<Code, u64> {
        let mut counts = self.counts.clone();
        for finding in &self.listed {
            if let Some(count) = counts.get_mut(&finding.code) {
                *count = count.saturating_sub(1);
            }
        }
        counts.retain(|_, count| *count > 0);
        counts
    }

    /// How many there are of one severity.
    #[must_use]
    pub fn count(&self, severity: Severity) -> u64 {
        self.counts
            .iter()
            .filter(|(code, _)| code.severity() == severity)
            .map(|(_, count)| count)
            .sum()
    }

    /// Whether the syntax is broken, so that a parser reads the document up to there at most.
    #[must_use]
    pub fn break_off(&self) -> bool {
        self.counts.keys().any(|code| {
            let is_syntax = code.as_str().starts_with("xml-") || code.as_str().starts_with("json-");
            is_syntax && code.severity() == Severity::Error
        })
    }

    /// Whether anything was found.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_kebab_case_of_a_known_family() {
        let mut seen = std::collections::BTreeSet::new();
        for code in Code::ALL {
            let name = code.as_str();
            assert!(seen.insert(name), "{name} twice");
            assert!(
                name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'),
                "{name}"
            );
            let family = name.split('-').next().unwrap();
            assert!(["xml", "json", "junit", "results", "input"].contains(&family), "{name}");
            assert!(!code.advice().is_empty() && !code.advice().ends_with('.'), "{name}");
        }
    }

    #[test]
    fn lists_the_first_of_a_code_and_counts_all() {
        let mut findings = Findings::default();
        for i in 0..1000 {
            findings.add(Code::JunitMissingName, || (format!("number {i}"), None));
        }
        findings.push(Finding::of_file(Code::ResultsNone, "no results"));
        assert_eq!(findings.listed().len() as u64, LISTED_PER_CODE + 1);
        assert_eq!(findings.count(Severity::Warning), 1000);
        assert_eq!(findings.count(Severity::Error), 1);
    }
}
