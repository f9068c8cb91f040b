//! The attribute macros #[global_transactional] and #[global_lock].
mod args;
mod expand;
#[cfg(test)]
mod expansions;
mod function;

use proc_macro::TokenStream;

/// doc
#[proc_macro_attribute]
pub fn global_transactional(args: TokenStream, item: TokenStream) -> TokenStream {
    expand::global_transactional(args.into(), item.into()).into()
}

/// doc
#[proc_macro_attribute]
pub fn global_lock(args: TokenStream, item: TokenStream) -> TokenStream {
    expand::global_lock(args.into(), item.into()).into()
}
