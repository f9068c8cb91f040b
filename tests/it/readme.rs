//! What the README says that works is shown by a test that it names.

use std::{fs, path::Path};

#[test]
fn each_row_that_works_names_tests_that_exist_and_no_other_row_does() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let readme = fs::read_to_string(root.join("README.md")).expect("the README");
    let mut works = 0;
    for row in rows(&readme) {
        let [what, state, shown_by] = row[..] else { panic!("{row:?} has not three cells") };
        let tests: Vec<&str> = shown_by.split('`').skip(1).step_by(2).collect();
        match state {
            "✔" => assert!(!tests.is_empty(), "{what:?} names no test"),
            "not yet" => assert!(tests.is_empty(), "{what:?} does not work, but names {tests:?}"),
            other => panic!("{what:?} is {other:?}, which is neither ✔ nor \"not yet\""),
        }
        for test in tests {
            works += 1;
            let text = fs::read_to_string(root.join(test)).unwrap_or_else(|error| panic!("{test}: {error}"));
            let is_run =
                text.contains("#[test]") || text.contains("#[tokio::test") || text.contains("\nmod ");
            assert!(is_run, "{test} holds no test");
        }
    }
    assert!(works > 0, "the table was not found");
}

/// The cells of the table under "What works today".
fn rows(readme: &str) -> impl Iterator<Item = Vec<&str>> {
    let (_, after) = readme.split_once("## What works today").expect("the heading");
    let table = after.trim_start().lines().take_while(|line| line.starts_with('|')).skip(2);
    table.map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
}
