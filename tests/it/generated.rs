//! Generated files of every shape, and what the tool says of them.

use crate::generate::{self, Shape};
use crate::harness::{folder, tool};

#[tokio::test(flavor = "multi_thread")]
async fn every_shape_is_told_and_counted() {
    for shape in Shape::ALL {
        let mut content = Vec::new();
        let made = generate::write(shape, 1_000_000, 5, &mut content).unwrap();
        let name = format!("{}.{}", shape.name(), shape.extension());
        let files = folder(&[(&name, &content)]);
        let ran =
            tool(["--validate-only", "--report=json"]).arg(files.path().join(&name)).run().await;
        let report = ran.expect(0).report();
        let file = &report["files"][0];
        for (key, count) in [
            ("bytes", made.bytes),
            ("results", made.results),
            ("failures", made.failures),
            ("errors", made.errors),
            ("skipped", made.skipped),
        ] {
            assert_eq!(file[key], count, "{key} of {shape:?}");
        }
        let told = match shape {
            Shape::TestEngineJson => "json",
            Shape::RspecJson | Shape::JestJson | Shape::PlaywrightJson | Shape::CucumberJson => {
                shape.name()
            }
            _ => "junit",
        };
        assert_eq!(file["format"], told);
    }
}
