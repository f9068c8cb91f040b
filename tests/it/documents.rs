//! What the documents name is there: dependencies, files, sections.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

const DOCUMENTS: [&str; 11] = [
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "docs/compatibility.md",
    "docs/console.md",
    "docs/from-java-server.md",
    "docs/performance.md",
    "examples/README.md",
    "fuzz/README.md",
    "seata-protocol/tests/golden/README.md",
];

#[test]
fn every_dependency_has_its_line_of_why_and_no_line_is_left_over() {
    let used = dependencies(&read("Cargo.toml"));
    let architecture = read("ARCHITECTURE.md");
    let told: BTreeSet<String> = table_under(&architecture, "## Dependencies")
        .flat_map(|row| row.split('(').next().unwrap_or_default().split(','))
        .map(|name| name.trim().to_owned())
        .collect();
    assert!(used.contains("tokio"), "{used:?}");
    assert_eq!(used.difference(&told).collect::<Vec<_>>(), [""; 0], "ARCHITECTURE.md does not say why");
    assert_eq!(told.difference(&used).collect::<Vec<_>>(), [""; 0], "Cargo.toml does not have them");
}

#[test]
fn every_crate_is_told_of() {
    let manifest = read("Cargo.toml");
    let (_, members) = manifest.split_once("members = [").expect("members");
    let (members, _) = members.split_once(']').expect("their end");
    let architecture = read("ARCHITECTURE.md");
    let (_, table) = architecture.split_once("| crate | knows |").expect("the table of crates");
    let (table, _) = table.split_once("\n\n").expect("its end");
    for member in members.split('"').skip(1).step_by(2) {
        assert!(table.contains(&format!("`{member}`")), "ARCHITECTURE.md does not say what {member} knows");
    }
}

#[test]
fn every_file_that_a_document_names_is_there() {
    let mut seen = 0;
    for document in DOCUMENTS {
        let text = read(document);
        for path in text.split('`').skip(1).step_by(2).filter(|code| is_path(code)) {
            // From the root on, or from the document on.
            let found = [root(), root().join(document).parent().expect("a directory").to_owned()]
                .iter()
                .any(|directory| directory.join(path).exists());
            assert!(found, "{document} names {path}, which is not there");
            seen += 1;
        }
    }
    assert!(seen > 50, "only {seen} paths were found");
}

#[test]
fn every_link_leads_somewhere() {
    let mut seen = 0;
    for document in DOCUMENTS {
        let text = read(document);
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.contains("://") {
                continue;
            }
            let (path, section) = link.split_once('#').unwrap_or((link, ""));
            let target = match path {
                "" => root().join(document),
                path => root().join(document).parent().expect("a directory").join(path),
            };
            assert!(target.exists(), "{document} links to {link}, which is not there");
            if !section.is_empty() {
                let headings = fs::read_to_string(&target).expect("text");
                let there =
                    headings.lines().filter(|line| line.starts_with('#')).any(|line| anchor(line) == section);
                assert!(there, "{document} links to {link}, a section that is not there");
            }
            seen += 1;
        }
    }
    assert!(seen > 10, "only {seen} links were found");
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// What other people's crates the workspace names.
fn dependencies(manifest: &str) -> BTreeSet<String> {
    let (_, section) = manifest.split_once("[workspace.dependencies]").expect("the section");
    let lines = section.lines().take_while(|line| !line.starts_with('['));
    let names = lines.filter_map(|line| line.split_once(" = ")).map(|(name, _)| name.trim().to_owned());
    names.filter(|name| name != "seata" && !name.starts_with("seata-")).collect()
}

/// The first cells of the table under this heading.
fn table_under<'a>(text: &'a str, heading: &str) -> impl Iterator<Item = &'a str> {
    let (_, section) = text.split_once(&format!("\n{heading}\n")).expect("the heading");
    let rows =
        section.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    rows.skip(2).filter_map(|row| row.split('|').nth(1))
}

/// A file or directory from the root on, in what stands between backticks.
fn is_path(code: &str) -> bool {
    let first = code.split('/').next().unwrap_or_default();
    let is_ours = !matches!(first, "" | "." | ".." | "target") && root().join(first).is_dir();
    is_ours && code.contains('/') && !code.contains([' ', '*', '{', '<', '\n'])
}

/// The name of a section in a link.
fn anchor(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    text.chars()
        .filter(|letter| letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '_'))
        .map(|letter| if letter == ' ' { '-' } else { letter })
        .collect()
}
