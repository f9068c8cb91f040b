//! What the accepted forms become: `tests/expansions/NAME.rs` against `NAME.expanded.rs` beside it.
//! `UPDATE_EXPANSIONS=1 cargo test -p seata-macros` writes the latter anew.

use std::fs;
use std::path::Path;

use quote::ToTokens;
use syn::visit_mut::VisitMut;
use syn::{Attribute, ImplItem, Item, Meta, parse_quote};

use crate::expand;

#[test]
fn every_accepted_form_expands_as_written_down() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/expansions");
    let mut seen = 0;
    for entry in fs::read_dir(&directory).unwrap() {
        let input = entry.unwrap().path();
        if input.to_string_lossy().ends_with(".expanded.rs") {
            continue;
        }
        let output = input.with_extension("expanded.rs");
        let expanded = expand_file(&fs::read_to_string(&input).unwrap());
        if std::env::var_os("UPDATE_EXPANSIONS").is_some() {
            fs::write(&output, &expanded).unwrap();
        }
        let expected = fs::read_to_string(&output)
            .unwrap_or_else(|error| panic!("{}: {error}; run with UPDATE_EXPANSIONS=1", output.display()));
        assert!(expanded == expected, "{} is not what came out:\n{expanded}", output.display());
        seen += 1;
    }
    assert_eq!(seen, 8, "accepted forms in {}", directory.display());
}

fn expand_file(text: &str) -> String {
    let mut file = syn::parse_file(text).unwrap();
    Expander.visit_file_mut(&mut file);
    prettyplease::unparse(&file)
}

/// Expands the outermost of our attributes on each function, as the compiler would.
struct Expander;

impl VisitMut for Expander {
    fn visit_item_mut(&mut self, item: &mut Item) {
        match item {
            Item::Fn(function) => {
                if let Some(attribute) = take_attribute(&mut function.attrs) {
                    *item = syn::parse2(expand(&attribute, function.to_token_stream())).unwrap();
                }
            }
            other => syn::visit_mut::visit_item_mut(self, other),
        }
    }

    fn visit_impl_item_mut(&mut self, item: &mut ImplItem) {
        if let ImplItem::Fn(function) = item
            && let Some(attribute) = take_attribute(&mut function.attrs)
        {
            *item = syn::parse2(expand(&attribute, function.to_token_stream())).unwrap();
        }
    }
}

fn take_attribute(attrs: &mut Vec<Attribute>) -> Option<Attribute> {
    let ours = |attr: &Attribute| ["global_transactional", "global_lock"].contains(&name(attr).as_str());
    attrs.iter().position(ours).map(|at| attrs.remove(at))
}

fn name(attribute: &Attribute) -> String {
    attribute.path().segments.last().map(|last| last.ident.to_string()).unwrap_or_default()
}

fn expand(attribute: &Attribute, item: proc_macro2::TokenStream) -> proc_macro2::TokenStream {
    let args = match &attribute.meta {
        Meta::List(list) => list.tokens.clone(),
        _ => parse_quote!(),
    };
    match name(attribute).as_str() {
        "global_lock" => expand::global_lock(args, item),
        _ => expand::global_transactional(args, item),
    }
}
