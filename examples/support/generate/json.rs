//! JSON: an array of elements in an envelope. Test Engine's own records, with the spans of their
//! history, are made here; what runners write, in `runner`.

use std::io::{self, Write};

use super::{
    AREAS, Generated, PARTS, Rng, Shape, push_all, push_hex, push_millis, push_number, runner,
};

/// Elements are written out whenever this many bytes have gathered.
const JSON_BUFFER_BYTES: usize = 128 * 1024;

/// Strings of JSON, escaped, without their quotes.
pub const SCOPES: &[&str] = &[
    "Checkout when the cart is empty",
    "Billing::Invoice#total",
    "Api::V2::OrdersController GET /orders",
    "Größenprüfung",
    "検索 › ページング",
    "Ledger \\\"double entry\\\" invariants",
];
pub const NAMES: &[&str] = &[
    "returns 404 for an unknown id",
    "rejects an expired token",
    "rounds half to even",
    "renders \\u003cscript\\u003e as text",
    "shows 🎉 after checkout",
    "keeps \\\\ and / and \\\" apart",
    "is idempotent",
    "prüft Größe und Maß",
    "sends the receipt once, and only once, per order",
];
pub const FILES: &[&str] = &[
    "./spec/models/billing/invoice_spec.rb",
    "./spec/requests/api/v2/orders_spec.rb",
    "./spec/system/checkout/empty_cart_spec.rb",
    "./spec/lib/ledger/double_entry_spec.rb",
];
pub const REASONS: &[&str] = &[
    "expected: 200\\n     got: 503\\n\\n(compared using ==)",
    "Failure/Error: expect(page).to have_content(\\\"Zahlung\\\")",
    "Timeout::Error: execution expired",
];
pub const LINES: &[&str] = &[
    "expected \\\"open\\\" to equal \\\"closed\\\"",
    "  Diff:",
    "  @@ -1 +1 @@",
    "  -größe: 3",
    "  +größe: 4",
    "\\tRuntimeError: connection reset by peer",
];
pub const FRAMES: &[&str] = &[
    "./spec/models/billing/invoice_spec.rb:118:in `block (3 levels) in <top (required)>'",
    "/usr/local/bundle/gems/rspec-core-3.13.0/lib/rspec/core/example.rb:263:in `instance_exec'",
    "/usr/local/bundle/gems/activesupport-7.1.3/lib/active_support/execution_wrapper.rb:88:in `wrap'",
    "./app/models/billing/invoice.rb:42:in `total'",
];
/// What stands before and after the times of a span.
const SPANS: &[(&str, &str)] = &[
    (
        "sql",
        "{\"query\":\"SELECT orders.* FROM orders WHERE orders.account_id = $1 ORDER BY created_at DESC LIMIT 100\"}",
    ),
    (
        "sql",
        "{\"query\":\"INSERT INTO ledger_entries (account_id, amount) VALUES ($1, $2) RETURNING \\\"id\\\"\"}",
    ),
    (
        "http",
        "{\"method\":\"POST\",\"url\":\"https://payments.example.test/v1/charges?expand[]=customer\",\"lib\":\"net-http\"}",
    ),
    ("annotation", "{\"content\":\"clicked \\\"Pay now\\\"\"}"),
    ("sleep", ""),
];

pub fn write(
    shape: Shape,
    target_bytes: u64,
    seed: u64,
    out: &mut impl Write,
) -> io::Result<Generated> {
    let mut rng = Rng(seed);
    let mut total = Generated::default();
    let (open, separator, close) = envelope(shape);
    let mut buffer = open.to_owned();
    // Microseconds since the run began.
    let mut clock = 0_u64;
    loop {
        match shape {
            Shape::RspecJson => runner::push_rspec(&mut buffer, &mut total, &mut rng),
            Shape::JestJson => runner::push_jest(&mut buffer, &mut total, &mut rng),
            Shape::PlaywrightJson => runner::push_playwright(&mut buffer, &mut total, &mut rng),
            Shape::CucumberJson => runner::push_cucumber(&mut buffer, &mut total, &mut rng),
            _ => push_record(&mut buffer, &mut clock, &mut total, &mut rng),
        }
        let close = close(&total);
        let done = total.bytes + (buffer.len() + close.len()) as u64 >= target_bytes;
        buffer.push_str(if done { &close } else { separator });
        if done || buffer.len() >= JSON_BUFFER_BYTES {
            total.bytes += buffer.len() as u64;
            out.write_all(buffer.as_bytes())?;
            buffer.clear();
        }
        if done {
            out.flush()?;
            return Ok(total);
        }
    }
}

/// What stands before the elements, between them, and behind them, given what was counted.
fn envelope(shape: Shape) -> (&'static str, &'static str, fn(&Generated) -> String) {
    match shape {
        Shape::RspecJson => (r#"{"version":"3.13.5","seed":11873,"examples":["#, ",", |total| {
            let Generated { results, failures, skipped, .. } = total;
            format!(
                "],\"summary\":{{\"duration\":1.5,\"example_count\":{results},\
                 \"failure_count\":{failures},\"pending_count\":{skipped},\
                 \"errors_outside_of_examples_count\":0}},\
                 \"summary_line\":\"{results} examples, {failures} failures, {skipped} pending\"}}\n"
            )
        }),
        Shape::JestJson => {
            (r#"{"openHandles":[],"startTime":1771496400120,"testResults":["#, ",", |total| {
                let Generated { results, failures, skipped, .. } = total;
                let passed = results - failures - skipped;
                format!(
                    "],\"numTotalTests\":{results},\"numFailedTests\":{failures},\
                 \"numPassedTests\":{passed},\"numPendingTests\":{skipped},\
                 \"success\":false,\"wasInterrupted\":false}}\n"
                )
            })
        }
        Shape::PlaywrightJson => (
            "{\n  \"config\": {\"rootDir\": \"/home/ci/shop/e2e\", \"version\": \"1.55.0\"},\n  \"suites\": [\n",
            ",\n",
            |_| "\n  ],\n  \"errors\": []\n}\n".to_owned(),
        ),
        _ => ("[\n", ",\n", |_| "\n]\n".to_owned()),
    }
}

fn push_record(to: &mut String, clock: &mut u64, total: &mut Generated, rng: &mut Rng) {
    total.results += 1;
    let fate = rng.between(0, 1000);
    let result = if fate < 30 {
        total.failures += 1;
        "failed"
    } else if fate < 50 {
        total.skipped += 1;
        "skipped"
    } else if fate < 52 {
        "unknown"
    } else {
        "passed"
    };

    to.push_str("{\"id\":\"");
    push_uuid(to, rng);
    push_all(to, &["\",\"scope\":\"", rng.pick(SCOPES), "\",\"name\":\"", rng.pick(NAMES), " ("]);
    push_number(to, total.results);
    let file = rng.pick(FILES);
    push_all(to, &[")\",\"location\":\"", file, ":"]);
    push_number(to, rng.between(1, 900));
    push_all(to, &["\",\"file_name\":\"", file, "\",\"result\":\"", result, "\""]);
    if result == "failed" {
        push_all(
            to,
            &[
                ",\"failure_reason\":\"",
                rng.pick(REASONS),
                "\",\"failure_expanded\":[{\"expanded\":",
            ],
        );
        push_strings(to, LINES, rng.between(2, 12), rng);
        to.push_str(",\"backtrace\":");
        push_strings(to, FRAMES, rng.between(4, 18), rng);
        to.push_str("}]");
    }
    push_history(to, clock, rng);
    push_all(
        to,
        &[",\"tags\":{\"team\":\"", rng.pick(AREAS), "\",\"layer\":\"", rng.pick(PARTS), "\"}}"],
    );
}

fn push_history(to: &mut String, clock: &mut u64, rng: &mut Rng) {
    let start = *clock;
    let duration = rng.between(200, 60_000);
    *clock += duration;
    to.push_str(",\"history\":{\"section\":\"top\"");
    push_times(to, start, duration);
    to.push_str(",\"children\":[");
    let spans = rng.between(0, 6);
    for index in 0..spans {
        if index > 0 {
            to.push(',');
        }
        let (section, detail) = rng.pick(SPANS);
        push_all(to, &["{\"section\":\"", section, "\""]);
        let part = duration / spans;
        push_times(to, start + index * part, part);
        if !detail.is_empty() {
            push_all(to, &[",\"detail\":", detail]);
        }
        to.push('}');
    }
    to.push_str("]}");
}

/// `start_at`, `end_at` and `duration`, in seconds, from microseconds.
fn push_times(to: &mut String, start: u64, duration: u64) {
    for (key, micros) in [
        (",\"start_at\":", start),
        (",\"end_at\":", start + duration),
        (",\"duration\":", duration),
    ] {
        to.push_str(key);
        push_number(to, micros / 1_000_000);
        to.push('.');
        push_millis(to, micros / 1_000 % 1_000);
        push_millis(to, micros % 1_000);
    }
}

pub fn push_strings(to: &mut String, choices: &[&str], count: u64, rng: &mut Rng) {
    for index in 0..count {
        push_all(to, &[if index == 0 { "[\"" } else { ",\"" }, rng.pick(choices), "\""]);
    }
    to.push_str(if count == 0 { "[]" } else { "]" });
}

/// Of the form of a UUID of version 4.
fn push_uuid(to: &mut String, rng: &mut Rng) {
    let (high, low) = (rng.next(), rng.next());
    push_hex(to, high, 8);
    to.push('-');
    push_hex(to, high >> 32, 4);
    to.push_str("-4");
    push_hex(to, high >> 48, 3);
    to.push_str("-a");
    push_hex(to, low >> 48, 3);
    to.push('-');
    push_hex(to, low, 12);
}
