//! Every refused input, and the message at the user's own token: one `.rs` and one `.stderr` each.

use std::process::Command;

/// The compiler whose words stand in `ui/typed`.
const RECORDED_WITH: &str = "rustc 1.95.";

/// Those in `ui` get the macros' own words; those in `ui/typed` get the compiler's, which change from
/// release to release, so they are compared with the recording compiler only.
#[test]
fn each_mistake_has_one_message_at_its_token() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/ui/*.rs");
    if compiler().starts_with(RECORDED_WITH) {
        cases.compile_fail("tests/ui/typed/*.rs");
    }
}

fn compiler() -> String {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("--version").output().expect("cargo test runs where rustc does");
    String::from_utf8(output.stdout).expect("rustc prints text")
}
