//! The command line's own documentation, and that the README does not drift from it.

use bktec_upload::cli::{Cli, EXIT_CODES};
use clap::CommandFactory;

use crate::harness::tool;

fn readme() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap()
}

#[tokio::test]
async fn version_and_help() {
    let ran = tool(["--version"]).run().await.expect(0);
    assert_eq!(ran.stdout, concat!("bktec-upload ", env!("CARGO_PKG_VERSION"), "\n"));
    let help = tool(["--help"]).run().await.expect(0).stdout;
    for section in ["Input:", "Checks:", "Service:", "Run (", "Delivery:", "Output:", "Exit codes:"]
    {
        assert!(help.contains(section), "no {section} in {help}");
    }
}

#[test]
fn the_readme_has_every_flag_with_its_variable_and_no_other() {
    let readme = readme();
    let section = readme.split("\n## ").find(|section| section.starts_with("Flags")).unwrap();
    let mut documented: Vec<&str> = section
        .split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'))
        .filter(|word| word.starts_with("--") && !word.starts_with("---"))
        .collect();
    documented.sort_unstable();
    documented.dedup();
    let command = Cli::command();
    let mut flags = Vec::new();
    for argument in command.get_arguments() {
        flags.extend(argument.get_long().map(|long| format!("--{long}")));
        flags.extend(
            argument
                .get_visible_aliases()
                .unwrap_or_default()
                .iter()
                .map(|alias| format!("--{alias}")),
        );
        let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
        if let Some((_, variable)) = help.split_once("[env: ") {
            let variable = variable.split([']', ',']).next().unwrap();
            assert!(section.contains(&format!("`{variable}`")), "{variable} is not in the README");
        }
    }
    flags.extend(["--help".to_owned(), "--version".to_owned()]);
    flags.sort();
    assert_eq!(documented, flags);
}

#[test]
fn the_readme_has_every_exit_code_as_the_help_has_it() {
    let readme = readme();
    for line in EXIT_CODES.lines().skip(1) {
        let (code, meaning) = line.trim().split_once(' ').unwrap();
        let row = format!("| {code} | {} |", meaning.trim());
        assert!(readme.contains(&row), "no {row:?} in the README");
    }
}
