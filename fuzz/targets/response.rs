//! Any answer of a service: what is kept of it is short, fit to be shown, and without the token.

#![no_main]

use bktec_upload::deliver::answer::{Answer, refusal};
use bktec_upload::token::SuiteToken;

const TOKEN: &str = "s3cr3t";

libfuzzer_sys::fuzz_target!(|body: &[u8]| {
    let token = SuiteToken::new(TOKEN).unwrap();
    let refusal = refusal(body, &token);
    if let Some(text) = &refusal {
        assert!((1..=300).contains(&text.chars().count()), "{text:?}");
        assert!(!text.chars().any(char::is_control), "{text:?}");
        assert!(!text.contains(TOKEN), "{text:?}");
    }
    let is_object = matches!(serde_json::from_slice(body), Ok(serde_json::Value::Object(_)));
    let answer = Answer::parse(body, &token);
    assert_eq!(answer.is_some(), is_object);
    if let Some(Answer { id, run_id, run_url, upload_url, errors, .. }) = answer {
        assert!(errors.len() <= 50);
        for text in [id, run_id, run_url, upload_url].into_iter().flatten().chain(errors) {
            assert!(text.chars().count() <= 1000, "{text:?}");
            assert!(!text.contains(TOKEN), "{text:?}");
        }
    }
});
