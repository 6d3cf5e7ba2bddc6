//! `JUnit` XML: suites of results, in five mixes of attributes, text and CDATA.

use std::fmt::Write as _;
use std::io::{self, Write};

use super::{AREAS, Generated, PARTS, Rng, Shape, push_all, push_millis, push_number};

const COMPANIES: &[&str] = &["com.example", "org.acme", "io.tanuki", "com.example.internal"];
const CLASSES: &[&str] = &[
    "InvoiceService",
    "OrderRepository",
    "TokenIssuer",
    "QueryPlanner",
    "RateLimiter",
    "PriceCalculator",
    "SessionStore",
    "WebhookDispatcher",
    "LedgerEntry",
    "CsvExporter",
];
/// Names of results, escaped for an attribute in double quotes.
const NAMES: &[&str] = &[
    "returnsNotFoundForUnknownId",
    "rejectsExpiredToken",
    "roundsHalfToEven",
    "retriesOnConnectionReset",
    "keepsOrderOfEntries",
    "shouldCalculateTaxWhenCountryIsMissing",
    "isIdempotent",
    "parsesEmptyInput",
    "writesNothingOnRollback",
    "streamsLargeResponses",
    "paginatesPastTheLastPage",
    "invalidatesCacheAfterUpdate",
    "sendsReceiptOnce",
];
/// Names of the odd sort: entities, references, and letters outside ASCII.
const ODD_NAMES: &[&str] = &[
    "compares a &lt; b &amp;&amp; b &gt; c",
    "renders &lt;script&gt; as text",
    "quotes &quot;double&quot; and &apos;single&apos;",
    "prüft Größe und Maß",
    "日本語の入力を受け付ける",
    "работает с кириллицей",
    "shows 🎉 after checkout",
    "Map&lt;String, List&lt;T&gt;&gt; is copied",
    "splits on &#9; and &#10;",
    "naïve café — “smart quotes”",
];
const MESSAGES: &[&str] = &[
    "expected: &lt;200&gt; but was: &lt;503&gt;",
    "Expected &quot;open&quot; to equal &quot;closed&quot;",
    "Condition not satisfied: a &amp;&amp; b",
    "timed out after 30000 ms",
    "assert 41.999999 == 42 ± 1e-9",
    "Cannot invoke &quot;Order.id()&quot; because &quot;order&quot; is null",
];
const EXCEPTIONS: &[&str] = &[
    "java.lang.AssertionError",
    "org.opentest4j.AssertionFailedError",
    "AssertionError",
    "java.util.concurrent.TimeoutException",
    "java.lang.NullPointerException",
];
/// Lines of a stack trace, escaped, each with its line break.
const TRACE: &[&str] = &[
    "\tat com.example.billing.core.InvoiceService.lambda$total$3(InvoiceService.java:214)\n",
    "\tat com.example.billing.core.InvoiceServiceTest.&lt;init&gt;(InvoiceServiceTest.java:38)\n",
    "\tat java.base/java.util.stream.ReferencePipeline$3$1.accept(ReferencePipeline.java:197)\n",
    "\tat org.junit.jupiter.engine.execution.MethodInvocation.proceed(MethodInvocation.java:60)\n",
    "\tat org.junit.platform.engine.support.hierarchical.NodeTestTask.execute(NodeTestTask.java:95)\n",
    "\tat java.base/jdk.internal.reflect.DirectMethodHandleAccessor.invoke(DirectMethodHandleAccessor.java:103)\n",
    "  File &quot;/srv/app/tests/test_ledger.py&quot;, line 118, in test_rounding\n",
    "    assert balance &gt;= 0 and balance &lt; limit, f&quot;{balance!r}&quot;\n",
    "Caused by: java.net.SocketException: Connection reset by peer &amp; closed\n",
    "\t... 42 more\n",
    "E       AssertionError: assert {'größe': 3} == {'größe': 4}\n",
];
/// Lines of output as a program printed them: to be put in CDATA, or in JSON after escaping.
const OUTPUT: &[&str] = &[
    "2024-05-17T09:12:44.218Z INFO  [main] c.e.b.InvoiceService - computed total=1294.50 currency=EUR lines=14\n",
    "2024-05-17T09:12:44.221Z DEBUG [pool-3-thread-2] o.h.SQL - select * from orders where id = ? and total < ?\n",
    "2024-05-17T09:12:44.230Z WARN  [http-nio-8080] c.e.w.Retry - attempt 2 of 5 failed: <timeout> & retrying\n",
    "GET /api/v2/orders?page=3&per_page=100 HTTP/1.1 -> 200 OK (14 ms)\n",
    "<order id=\"42\"><line sku=\"A-1\" qty=\"3\"/></order>\n",
    "{\"event\":\"order.created\",\"id\":42,\"tags\":[\"a\",\"b\"],\"nested\":[[1,2],[3]]}\n",
    "Übertragung abgeschlossen: 3 Dateien – 1,2 MB in 0,4 s ✓\n",
    "  if (a[b[0]] > 1 && c < d) { return x[y[i]]; }\n",
    "\n",
];
/// The same kind of lines, escaped for character data and dense in entities.
const ESCAPED_OUTPUT: &[&str] = &[
    "2024-05-17T09:12:44.221Z DEBUG [pool-3] o.h.SQL - select * from orders where total &lt; ? &amp;&amp; id &gt; ?\n",
    "&lt;order id=&quot;42&quot;&gt;&lt;line sku=&quot;A-1&quot; qty=&quot;3&quot;/&gt;&lt;/order&gt;\n",
    "GET /api/v2/orders?page=3&amp;per_page=100 HTTP/1.1 -&gt; 200 OK (14 ms)\n",
    "Übertragung abgeschlossen: 3 Dateien – 1,2 MB in 0,4 s &#x2713;\n",
    "plain text without anything that would have to be escaped, as most of the output of most tests is\n",
    "tab&#9;separated&#9;values and a carriage return&#13;\n",
];
const PROPERTIES: &[(&str, &str)] = &[
    ("java.version", "21.0.3"),
    ("os.name", "Linux"),
    ("user.timezone", "Etc/UTC"),
    ("build.label", "main &amp; nightly"),
    ("spring.profiles.active", "test,postgres"),
    ("file.encoding", "UTF-8"),
];

/// How a `JUnit` shape spreads its bytes.
struct Mix {
    /// Bytes a result takes on average, all told: only to fit the last suite to the target.
    result_bytes: u64,
    /// The results of a suite, on average.
    suite_results: u64,
    /// Of a thousand results, how many fail, end in error, are skipped.
    failures: u64,
    errors: u64,
    skipped: u64,
    /// The text of a failure, in bytes.
    trace: (u64, u64),
    /// The output of a suite in CDATA, in bytes.
    suite_output: (u64, u64),
    /// Of a thousand suites, how many have output of `huge_output` bytes instead.
    huge_suites: u64,
    huge_output: (u64, u64),
}

impl Mix {
    fn of(shape: Shape) -> Self {
        let common = Self {
            result_bytes: 445,
            suite_results: 300,
            failures: 30,
            errors: 5,
            skipped: 20,
            trace: (2_000, 6_000),
            suite_output: (3_000, 14_000),
            huge_suites: 45,
            huge_output: (100_000, 1_000_000),
        };
        match shape {
            Shape::JunitTextHeavy => {
                Self { result_bytes: 4_000, suite_results: 60, failures: 300, ..common }
            }
            Shape::JunitCdataHeavy => Self {
                result_bytes: 6_000,
                suite_results: 60,
                suite_output: (20_000, 60_000),
                huge_suites: 50,
                huge_output: (500_000, 4_000_000),
                ..common
            },
            Shape::JunitAttributeHeavy => Self {
                result_bytes: 1_100,
                suite_output: (0, 1),
                huge_suites: 0,
                failures: 5,
                ..common
            },
            Shape::JunitFewLarge => {
                Self { result_bytes: 45_000, suite_results: 20, huge_suites: 0, ..common }
            }
            _ => common,
        }
    }
}

/// Where a suite is made: its results, and the output that follows them.
struct Suite {
    head: String,
    body: String,
    millis: u64,
    counts: Generated,
}

pub fn write(
    shape: Shape,
    target_bytes: u64,
    seed: u64,
    out: &mut impl Write,
) -> io::Result<Generated> {
    let mix = Mix::of(shape);
    let mut rng = Rng(seed);
    let mut suite =
        Suite { head: String::new(), body: String::new(), millis: 0, counts: Generated::default() };
    let mut total = Generated::default();
    let mut put = |text: &str, total: &mut Generated| {
        total.bytes += text.len() as u64;
        out.write_all(text.as_bytes())
    };

    put(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"monorepo\">\n",
        &mut total,
    )?;
    let close = "</testsuites>\n";
    let mut number = 0_u64;
    while total.bytes + (close.len() as u64) < target_bytes || number == 0 {
        number += 1;
        let left = target_bytes.saturating_sub(total.bytes);
        suite.make(shape, &mix, number, left, &mut rng);
        put(&suite.head, &mut total)?;
        put(&suite.body, &mut total)?;
        total.results += suite.counts.results;
        total.failures += suite.counts.failures;
        total.errors += suite.counts.errors;
        total.skipped += suite.counts.skipped;
    }
    put(close, &mut total)?;
    out.flush()?;
    Ok(total)
}

impl Suite {
    /// Makes suite `number`, of no more than about `left` bytes, in the reused buffers.
    fn make(&mut self, shape: Shape, mix: &Mix, number: u64, left: u64, rng: &mut Rng) {
        self.head.clear();
        self.body.clear();
        self.millis = 0;
        self.counts = Generated::default();

        let class = format!(
            "{}.{}.{}.{}Test",
            rng.pick(COMPANIES),
            rng.pick(AREAS),
            rng.pick(PARTS),
            rng.pick(CLASSES)
        );
        let file = format!("services/{}.java", class.replace('.', "/"));
        let average = mix.suite_results;
        let results =
            rng.between(average * 2 / 3, average * 4 / 3 + 1).min((left / mix.result_bytes).max(1));

        self.body.push_str("    <properties>\n");
        for (name, value) in PROPERTIES {
            push_all(
                &mut self.body,
                &["      <property name=\"", name, "\" value=\"", value, "\"/>\n"],
            );
        }
        self.body.push_str("    </properties>\n");
        for index in 0..results {
            self.push_result(shape, mix, index, [&class, &file], rng);
        }
        self.push_output(mix, left, rng);
        self.body.push_str("  </testsuite>\n");

        let Generated { results, failures, errors, skipped, .. } = self.counts;
        let (seconds, millis) = (self.millis / 1000, self.millis % 1000);
        let (hour, minute, second) = (number / 3600 % 24, number / 60 % 60, number % 60);
        // Writing to a `String` cannot fail.
        let _ = writeln!(
            self.head,
            "  <testsuite name=\"{class}\" id=\"{number}\" tests=\"{results}\" failures=\"{failures}\" \
             errors=\"{errors}\" skipped=\"{skipped}\" time=\"{seconds}.{millis:03}\" \
             timestamp=\"2024-05-17T{hour:02}:{minute:02}:{second:02}\" hostname=\"ci-agent-{}\">",
            number % 64
        );
    }

    fn push_result(
        &mut self,
        shape: Shape,
        mix: &Mix,
        index: u64,
        place: [&str; 2],
        rng: &mut Rng,
    ) {
        let [class, file] = place;
        // Most tests take milliseconds, a few take seconds.
        let millis = if rng.per_mille(20) { rng.between(500, 30_000) } else { rng.between(0, 80) };
        self.millis += millis;
        self.counts.results += 1;

        let body = &mut self.body;
        let name = if rng.per_mille(60) { rng.pick(ODD_NAMES) } else { rng.pick(NAMES) };
        push_all(body, &["    <testcase name=\"", name, "["]);
        push_number(body, index);
        push_all(body, &["]\" classname=\"", class, "\" time=\""]);
        push_number(body, millis / 1000);
        body.push('.');
        push_millis(body, millis % 1000);
        push_all(body, &["\" file=\"", file, "\""]);
        if shape == Shape::JunitAttributeHeavy {
            push_attributes(body, rng);
        }

        let fate = rng.between(0, 1000);
        let plain_end = body.len();
        body.push_str(">\n");
        let content_start = body.len();
        match shape {
            Shape::JunitAttributeHeavy => push_result_properties(body, rng),
            Shape::JunitTextHeavy => {
                body.push_str("      <system-out>");
                let bytes = rng.between(500, 4_500);
                push_lines(body, ESCAPED_OUTPUT, bytes, rng);
                body.push_str("</system-out>\n");
            }
            Shape::JunitCdataHeavy => push_cdata(body, "      ", rng.between(500, 8_000), rng),
            Shape::JunitFewLarge => push_cdata(body, "      ", rng.between(36_000, 54_000), rng),
            _ => {}
        }
        if fate < mix.failures {
            self.counts.failures += 1;
            push_fault(body, "failure", mix, rng);
        } else if fate < mix.failures + mix.errors {
            self.counts.errors += 1;
            push_fault(body, "error", mix, rng);
        } else if fate < mix.failures + mix.errors + mix.skipped {
            self.counts.skipped += 1;
            body.push_str("      <skipped message=\"disabled: see &quot;flaky&quot; list\"/>\n");
        }
        if body.len() == content_start {
            body.truncate(plain_end);
            body.push_str("/>\n");
        } else {
            body.push_str("    </testcase>\n");
        }
    }

    fn push_output(&mut self, mix: &Mix, left: u64, rng: &mut Rng) {
        let (low, high) =
            if rng.per_mille(mix.huge_suites) { mix.huge_output } else { mix.suite_output };
        // What is left of the target bounds the output, so that a small file stays small.
        let room = left.saturating_sub(self.body.len() as u64);
        let bytes = rng.between(low, high).min(room);
        if bytes > 0 {
            push_cdata(&mut self.body, "    ", bytes, rng);
        }
    }
}

/// Whole lines of `lines` until `bytes` are reached.
fn push_lines(to: &mut String, lines: &[&str], bytes: u64, rng: &mut Rng) {
    let mut left = bytes;
    while left > 0 {
        let line = rng.pick(lines);
        to.push_str(line);
        left = left.saturating_sub(line.len() as u64);
    }
}

/// A `<system-out>` in CDATA. Now and then the output holds `]]>` itself, which writers split into
/// two sections.
fn push_cdata(to: &mut String, indent: &str, bytes: u64, rng: &mut Rng) {
    push_all(to, &[indent, "<system-out><![CDATA["]);
    if rng.per_mille(100) {
        push_lines(to, OUTPUT, bytes / 2, rng);
        to.push_str("x[y[0]]]]><![CDATA[> 1\n");
        push_lines(to, OUTPUT, bytes / 2, rng);
    } else {
        push_lines(to, OUTPUT, bytes, rng);
    }
    to.push_str("]]></system-out>\n");
}

/// A `<failure>` or an `<error>`, with its stack trace.
fn push_fault(to: &mut String, element: &str, mix: &Mix, rng: &mut Rng) {
    let (message, kind) = (rng.pick(MESSAGES), rng.pick(EXCEPTIONS));
    push_all(to, &["      <", element, " message=\"", message, "\" type=\"", kind, "\">"]);
    push_all(to, &[kind, ": ", message, "\n"]);
    push_lines(to, TRACE, rng.between(mix.trace.0, mix.trace.1), rng);
    push_all(to, &["</", element, ">\n"]);
}

/// Attributes beyond the usual, as some runners write them: long, quoted either way, escaped.
fn push_attributes(to: &mut String, rng: &mut Rng) {
    to.push_str(" line=\"");
    push_number(to, rng.between(1, 4_000));
    to.push_str("\" assertions='");
    push_number(to, rng.between(1, 40));
    push_all(to, &["' description=\"", rng.pick(ODD_NAMES), "; ", rng.pick(MESSAGES)]);
    push_all(
        to,
        &[
            "\"\n      owner = 'team \"",
            rng.pick(AREAS),
            "\"' parameters=\"{&quot;area&quot;: &quot;",
        ],
    );
    push_all(to, &[rng.pick(AREAS), "&quot;, &quot;limit&quot;: ["]);
    for _ in 0..rng.between(0, 24) {
        push_number(to, rng.between(0, 100_000));
        to.push_str(", ");
    }
    to.push_str("null]}\"");
}

fn push_result_properties(to: &mut String, rng: &mut Rng) {
    to.push_str("      <properties>\n");
    for _ in 0..rng.between(1, 8) {
        push_all(to, &["        <property name=\"step[", rng.pick(PARTS), "]\" value=\""]);
        push_all(to, &[rng.pick(NAMES), " &#x2192; ", rng.pick(ODD_NAMES), "\"/>\n"]);
    }
    to.push_str("      </properties>\n");
}
