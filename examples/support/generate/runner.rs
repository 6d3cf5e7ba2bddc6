//! What runners write themselves: the JSON of `RSpec`, Jest, Playwright and Cucumber.
//!
//! A function for each makes one element of the array that holds all: an example, a file, a suite
//! of specs, a feature. `RSpec` and Jest write on one line, the others indent.

use super::json::{FILES, FRAMES, LINES, NAMES, REASONS, SCOPES, push_strings};
use super::{AREAS, Generated, PARTS, Rng, push_hex};

const RSPEC: &str = r#"{"id":"$[1:$]","description":"$","full_description":"$ $","status":"$","file_path":"$","line_number":$,"run_time":0.$,"pending_message":$"#;

pub fn push_rspec(to: &mut String, total: &mut Generated, rng: &mut Rng) {
    let fate = draw(total, rng);
    let (file, name) = (rng.pick(FILES), rng.pick(NAMES));
    let status = fate.word("pending");
    let reason = if fate == Fate::Skipped { r#""Temporarily skipped with xit""# } else { "null" };
    let [number, line, time] =
        [total.results, rng.between(1, 900), rng.between(100_000, 1_000_000)].map(text);
    let scope = rng.pick(SCOPES);
    fill(to, RSPEC, &[file, &number, name, scope, name, status, file, &line, &time, reason]);
    if fate == Fate::Failed {
        let class = "RSpec::Expectations::ExpectationNotMetError";
        let reason = rng.pick(REASONS);
        fill(to, r#","exception":{"class":"$","message":"$","backtrace":"#, &[class, reason]);
        push_strings(to, FRAMES, rng.between(10, 60), rng);
        to.push('}');
    }
    to.push('}');
}

const JEST: &str = r#"{"ancestorTitles":["$"],"duration":$,"failureDetails":[],"failureMessages":[$],"fullName":"$ $ ($)","invocations":1,"location":null,"numPassingAsserts":1,"retryReasons":[],"status":"$","title":"$ ($)"}"#;
const JEST_MESSAGE: &str = r#""Error: \u001b[2mexpect(\u001b[22m\u001b[31mreceived\u001b[39m\u001b[2m).\u001b[22mtoBe\u001b[2m(\u001b[22m\u001b[32mexpected\u001b[39m\u001b[2m)\u001b[22m\n\n$\n    at Object.<anonymous> (/home/ci/shop/src/$/$.test.js:17:24)""#;

pub fn push_jest(to: &mut String, total: &mut Generated, rng: &mut Rng) {
    let (area, part, before) = (rng.pick(AREAS), rng.pick(PARTS), *total);
    to.push_str("{\"assertionResults\":[");
    for index in 0..rng.between(5, 60) {
        let fate = draw(total, rng);
        let mut message = String::new();
        if fate == Fate::Failed {
            fill(&mut message, JEST_MESSAGE, &[rng.pick(LINES), area, part]);
        }
        let status = fate.word("pending");
        let (scope, name) = (rng.pick(SCOPES), rng.pick(NAMES));
        let [number, time] = [index, rng.between(0, 80)].map(text);
        separate(to, index);
        fill(to, JEST, &[scope, &time, &message, scope, name, &number, status, name, &number]);
    }
    let status = if total.failures > before.failures { "failed" } else { "passed" };
    let [start, end] = [before.results, total.results].map(|at| text(1_771_496_400_000 + at));
    fill(
        to,
        r#"],"endTime":$,"message":"","name":"/home/ci/shop/src/$/$.test.js","startTime":$,"status":"$","summary":""}"#,
        &[&end, area, part, &start, status],
    );
}

const PLAYWRIGHT_SUITE: &str = r#"    {
      "title": "$/$.spec.ts",
      "file": "$/$.spec.ts",
      "column": 0,
      "line": 0,
      "specs": ["#;
const PLAYWRIGHT_SPEC: &str = r#"
        {
          "title": "$",
          "ok": $,
          "tags": [],
          "tests": [
            {
              "timeout": 30000,
              "annotations": [],
              "expectedStatus": "passed",
              "projectId": "chromium",
              "projectName": "chromium",
              "results": ["#;
const PLAYWRIGHT_RESULT: &str = r#"
                {
                  "workerIndex": $,
                  "parallelIndex": 0,
                  "status": "$",
                  "duration": $,
                  "errors": [$],
                  "stdout": [{"text": "$\n"}],
                  "stderr": [],
                  "retry": $,
                  "startTime": "2026-03-11T18:20:05.113Z",
                  "annotations": [],
                  "attachments": []
                }"#;
const PLAYWRIGHT_ERROR: &str = r#"{"message": "Error: $", "stack": "Error: $\n    at /home/ci/shop/e2e/$.spec.ts:31:40", "location": {"file": "/home/ci/shop/e2e/$.spec.ts", "column": 40, "line": 31}}"#;
const PLAYWRIGHT_END: &str = r#"
              ],
              "status": "$"
            }
          ],
          "id": "$",
          "file": "$/$.spec.ts",
          "line": $,
          "column": 5
        }"#;

/// A spec that fails is tried again, and passes or not: each try is a result.
pub fn push_playwright(to: &mut String, total: &mut Generated, rng: &mut Rng) {
    let (area, part) = (rng.pick(AREAS), rng.pick(PARTS));
    fill(to, PLAYWRIGHT_SUITE, &[area, part, area, part]);
    for index in 0..rng.between(3, 30) {
        separate(to, index);
        let name = rng.pick(NAMES);
        let mut spec = String::new();
        let mut tries = 0;
        let last = loop {
            let fate = draw(total, rng);
            let status = fate.word("skipped");
            let mut error = String::new();
            if fate == Fate::Failed {
                let message = rng.pick(REASONS);
                fill(&mut error, PLAYWRIGHT_ERROR, &[message, message, area, area]);
            }
            separate(&mut spec, tries);
            let [worker, time, retry] = [index % 8, rng.between(20, 9_000), tries].map(text);
            let line = rng.pick(LINES);
            fill(&mut spec, PLAYWRIGHT_RESULT, &[&worker, status, &time, &error, line, &retry]);
            tries += 1;
            if fate != Fate::Failed || tries == 3 {
                break fate;
            }
        };
        let status = match (last, tries) {
            (Fate::Failed, _) => "unexpected",
            (Fate::Skipped, _) => "skipped",
            (_, 1) => "expected",
            _ => "flaky",
        };
        let is_well = if last == Fate::Failed { "false" } else { "true" };
        fill(to, PLAYWRIGHT_SPEC, &[name, is_well]);
        to.push_str(&spec);
        let mut id = String::new();
        push_hex(&mut id, rng.next(), 20);
        let line = text(rng.between(1, 400));
        fill(to, PLAYWRIGHT_END, &[status, &id, area, part, &line]);
    }
    to.push_str("\n      ]\n    }");
}

const CUCUMBER_FEATURE: &str = r#"  {
    "uri": "features/$/$.feature",
    "id": "$-$",
    "keyword": "Feature",
    "name": "$",
    "description": "  As a customer\n  I want $ to work",
    "line": 2,
    "tags": [{"name": "@$", "line": 1}],
    "elements": ["#;
const CUCUMBER_BACKGROUND: &str = r#"
      {
        "keyword": "Background",
        "name": "",
        "description": "",
        "line": 5,
        "type": "background",
        "steps": ["#;
const CUCUMBER_SCENARIO: &str = r#"
      {
        "id": "$;$",
        "keyword": "Scenario",
        "name": "$",
        "description": "",
        "line": $,
        "type": "scenario",
        "steps": ["#;
const CUCUMBER_STEP: &str = r#"
          {
            "keyword": "$ ",
            "name": "the customer $",
            "line": $,
            "match": {"location": "features/step_definitions/$_steps.rb:4"},
            "result": {"status": "$"$, "duration": $}$
          }"#;
const CUCUMBER_END: &str = "\n        ]\n      }";

/// Every scenario has a background before it. The step that fails carries a screenshot.
pub fn push_cucumber(to: &mut String, total: &mut Generated, rng: &mut Rng) {
    let (area, part) = (rng.pick(AREAS), rng.pick(PARTS));
    fill(to, CUCUMBER_FEATURE, &[area, part, area, part, rng.pick(SCOPES), area, area]);
    for index in 0..rng.between(2, 30) {
        separate(to, index);
        to.push_str(CUCUMBER_BACKGROUND);
        push_step(to, 0, area, Fate::Passed, rng);
        to.push_str(CUCUMBER_END);
        to.push(',');
        let (fate, name) = (draw(total, rng), rng.pick(NAMES));
        fill(to, CUCUMBER_SCENARIO, &[area, name, name, &text(8 + index * 9)]);
        let steps = rng.between(3, 9);
        for step in 0..steps {
            separate(to, step);
            // What follows the step that fails is skipped.
            let fate = match step {
                0 => Fate::Passed,
                1 => fate,
                _ if fate == Fate::Passed => Fate::Passed,
                _ => Fate::Skipped,
            };
            push_step(to, step, area, fate, rng);
        }
        to.push_str(CUCUMBER_END);
    }
    to.push_str("\n    ]\n  }");
}

fn push_step(to: &mut String, step: u64, area: &str, fate: Fate, rng: &mut Rng) {
    let (mut message, mut embedding) = (String::new(), String::new());
    if fate == Fate::Failed {
        let reason = rng.pick(REASONS);
        fill(&mut message, r#", "error_message": "$""#, &[reason]);
        embedding.push_str(
            ",\n            \"embeddings\": [{\"mime_type\": \"image/png\", \"data\": \"",
        );
        for _ in 0..rng.between(100, 2_000) {
            push_hex(&mut embedding, rng.next(), 16);
        }
        embedding.push_str("\"}]");
    }
    let keyword = ["Given", "When", "Then"][step.min(2) as usize];
    let [line, time] = [9 + step, rng.between(10_000, 90_000_000)].map(text);
    let status = fate.word("skipped");
    let name = rng.pick(NAMES);
    fill(to, CUCUMBER_STEP, &[keyword, name, &line, area, status, &message, &time, &embedding]);
}

/// How a result ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Passed,
    Failed,
    Skipped,
}

impl Fate {
    /// The runner's word for it: they agree on two of the three.
    fn word(self, skipped: &'static str) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Skipped => skipped,
        }
    }
}

/// Draws how a result ends, and counts it.
fn draw(total: &mut Generated, rng: &mut Rng) -> Fate {
    total.results += 1;
    match rng.between(0, 1000) {
        0..30 => {
            total.failures += 1;
            Fate::Failed
        }
        30..50 => {
            total.skipped += 1;
            Fate::Skipped
        }
        _ => Fate::Passed,
    }
}

/// A comma before every element but the first.
fn separate(to: &mut String, index: u64) {
    if index > 0 {
        to.push(',');
    }
}

fn text(number: u64) -> String {
    number.to_string()
}

/// Appends a template, with a value in place of each `$`.
fn fill(to: &mut String, template: &str, values: &[&str]) {
    let mut values = values.iter();
    for (index, part) in template.split('$').enumerate() {
        if index > 0 {
            to.push_str(values.next().copied().unwrap_or_default());
        }
        to.push_str(part);
    }
}
