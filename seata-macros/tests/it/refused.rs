//! Every refused input, and the message at the user's own token: one `.rs` and one `.stderr` each.

#[test]
fn each_mistake_has_one_message_at_its_token() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
