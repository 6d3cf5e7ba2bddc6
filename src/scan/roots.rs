//! Root elements that are not JUnit's: what they belong to, and the usual way to JUnit from there.

use super::handler::{Context, StartTag, local_name};
use super::markup::shown;
use crate::finding::Code;

/// What a document with another root is, and how to get JUnit XML instead; nothing where there is
/// no usual way.
type Kind = (&'static str, &'static str);

/// What is said of reports that hold no test results.
const NO_RESULTS: &str = "it holds no test results: leave it out";

/// Reports a root that is not JUnit's.
pub fn check_root(tag: &StartTag<'_>, context: &mut dyn Context) {
    let name = local_name(tag.name);
    if matches!(name, b"testsuites" | b"testsuite") {
        return;
    }
    context.report(Code::JunitWrongRoot, tag.offset, &|| {
        let root = format!("the root element is <{}>", shown(tag.name));
        match kind(name, tag) {
            None => root,
            Some((kind, "")) => format!("{root}: this looks like {kind}"),
            Some((kind, way)) => format!("{root}: this looks like {kind}; {way}"),
        }
    });
}

fn kind(name: &[u8], tag: &StartTag<'_>) -> Option<Kind> {
    let has = |wanted: &[u8]| tag.attributes().any(|(name, _)| name == wanted);
    Some(match name {
        b"TestRun" => (
            "TRX (Visual Studio)",
            "add the package JunitXml.TestLogger and run dotnet test --logger junit",
        ),
        b"test-run" => (
            "NUnit 3",
            "give nunit3-console --result=FILE;transform=nunit3-junit.xslt, or dotnet test --logger junit",
        ),
        b"test-results" => {
            ("NUnit 2", "convert it with an XSLT, such as the nunit-to-junit.xsl of Jenkins")
        }
        b"assemblies" | b"assembly" => {
            ("xUnit.net", "give its console runner -junit FILE, or run dotnet test --logger junit")
        }
        b"testng-results" => {
            ("TestNG", "take the files in its folder junitreports, or those of Surefire")
        }
        b"coverage" if has(b"line-rate") => ("a coverage report (Cobertura)", NO_RESULTS),
        b"coverage" if has(b"generated") => ("a coverage report (Clover)", NO_RESULTS),
        b"coverage" => ("a coverage report (Cobertura or Clover)", NO_RESULTS),
        b"report" => ("a coverage report (JaCoCo)", NO_RESULTS),
        b"checkstyle" => ("Checkstyle", NO_RESULTS),
        b"pmd" | b"pmd-cpd" => ("PMD", NO_RESULTS),
        b"BugCollection" => ("SpotBugs", NO_RESULTS),
        b"failsafe-summary" => {
            ("Failsafe's summary, not its reports", "take target/failsafe-reports/TEST-*.xml")
        }
        b"Site" => ("CTest's submission to a dashboard", "run ctest --output-junit FILE"),
        b"TestLog" | b"TestResult" => {
            ("Boost.Test", "give the test program --log_format=JUNIT --log_sink=FILE")
        }
        b"TestCase" => ("Qt Test", "give the test program -o FILE,junitxml"),
        b"robot" => ("Robot Framework", "give robot or rebot --xunit FILE"),
        b"Catch" | b"Catch2TestRun" => ("Catch2", "give the test program --reporter junit"),
        b"doctest" => ("doctest", "give the test program --reporters=junit"),
        b"testExecutions" => {
            ("SonarQube's generic report", "have the runner write JUnit XML beside it")
        }
        b"html" | b"HTML" => {
            ("an HTML page", "take the report that the runner writes for machines")
        }
        b"testcase" => ("a single result without its suite", "put it into a <testsuite>"),
        _ => return None,
    })
}
