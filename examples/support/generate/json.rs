//! Test Engine's own JSON: an array of records, with the spans of their history.

use std::io::{self, Write};

use super::{AREAS, Generated, PARTS, Rng, push_all, push_hex, push_millis, push_number};

/// JSON records are written out whenever this many bytes have gathered.
const JSON_BUFFER_BYTES: usize = 128 * 1024;

/// Strings of JSON, escaped, without their quotes.
const JSON_SCOPES: &[&str] = &[
    "Checkout when the cart is empty",
    "Billing::Invoice#total",
    "Api::V2::OrdersController GET /orders",
    "Größenprüfung",
    "検索 › ページング",
    "Ledger \\\"double entry\\\" invariants",
];
const JSON_NAMES: &[&str] = &[
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
const JSON_FILES: &[&str] = &[
    "./spec/models/billing/invoice_spec.rb",
    "./spec/requests/api/v2/orders_spec.rb",
    "./spec/system/checkout/empty_cart_spec.rb",
    "./spec/lib/ledger/double_entry_spec.rb",
];
const JSON_REASONS: &[&str] = &[
    "expected: 200\\n     got: 503\\n\\n(compared using ==)",
    "Failure/Error: expect(page).to have_content(\\\"Zahlung\\\")",
    "Timeout::Error: execution expired",
];
const JSON_LINES: &[&str] = &[
    "expected \\\"open\\\" to equal \\\"closed\\\"",
    "  Diff:",
    "  @@ -1 +1 @@",
    "  -größe: 3",
    "  +größe: 4",
    "\\tRuntimeError: connection reset by peer",
];
const JSON_FRAMES: &[&str] = &[
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

pub fn write(target_bytes: u64, seed: u64, out: &mut impl Write) -> io::Result<Generated> {
    let mut rng = Rng(seed);
    let mut total = Generated::default();
    let mut buffer = String::from("[\n");
    // Microseconds since the run began.
    let mut clock = 0_u64;
    loop {
        push_record(&mut buffer, &mut clock, &mut total, &mut rng);
        let done = total.bytes + buffer.len() as u64 + 3 >= target_bytes;
        buffer.push_str(if done { "\n]\n" } else { ",\n" });
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
    push_all(
        to,
        &["\",\"scope\":\"", rng.pick(JSON_SCOPES), "\",\"name\":\"", rng.pick(JSON_NAMES), " ("],
    );
    push_number(to, total.results);
    let file = rng.pick(JSON_FILES);
    push_all(to, &[")\",\"location\":\"", file, ":"]);
    push_number(to, rng.between(1, 900));
    push_all(to, &["\",\"file_name\":\"", file, "\",\"result\":\"", result, "\""]);
    if result == "failed" {
        push_all(
            to,
            &[
                ",\"failure_reason\":\"",
                rng.pick(JSON_REASONS),
                "\",\"failure_expanded\":[{\"expanded\":",
            ],
        );
        push_strings(to, JSON_LINES, rng.between(2, 12), rng);
        to.push_str(",\"backtrace\":");
        push_strings(to, JSON_FRAMES, rng.between(4, 18), rng);
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

fn push_strings(to: &mut String, choices: &[&str], count: u64, rng: &mut Rng) {
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
