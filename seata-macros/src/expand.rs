//! From arguments and function to the call of the runtime, which holds every rule.

use std::time::Duration;

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::visit_mut::VisitMut;
use syn::{Attribute, Block, Error, Expr, ExprAsync, Result, Stmt, Token, Type, parse_quote_spanned};

use crate::args::{LockRetryArgs, Rule, TransactionArgs};
use crate::function::{Form, TxFn, async_block, async_block_mut};

pub(crate) fn global_transactional(args: TokenStream, item: TokenStream) -> TokenStream {
    or_report(item, |item| {
        let args: TransactionArgs = syn::parse2(args)?;
        let mut function: TxFn = syn::parse2(item)?;
        function.check_returns_result()?;
        if let Some(second) = position(&function.attrs, "global_transactional") {
            return Err(Error::new_spanned(&function.attrs[second], "`global_transactional` is given twice"));
        }
        // As in Java: with both, the transaction counts.
        if let Some(lock) = position(&function.attrs, "global_lock") {
            let lock = function.attrs.remove(lock);
            if !matches!(lock.meta, syn::Meta::Path(_)) {
                lock.parse_args::<LockRetryArgs>()?;
            }
        }
        let span = runtime_span(function.error_span());
        let call = Call {
            options: transaction_options(&args, &function),
            function: quote_spanned!(span=> ::seata::__private::run),
            rule: Some(rule(&args)),
            span,
        };
        Ok(render(function, &call))
    })
}

pub(crate) fn global_lock(args: TokenStream, item: TokenStream) -> TokenStream {
    or_report(item, |item| {
        let args: LockRetryArgs = syn::parse2(args)?;
        let function: TxFn = syn::parse2(item.clone())?;
        if let Some(second) = position(&function.attrs, "global_lock") {
            return Err(Error::new_spanned(&function.attrs[second], "`global_lock` is given twice"));
        }
        if position(&function.attrs, "global_transactional").is_some() {
            return Ok(item);
        }
        let span = runtime_span(function.output_span());
        let call = Call {
            options: lock_retry(&args),
            function: quote_spanned!(span=> ::seata::__private::run_with_global_lock),
            rule: None,
            span,
        };
        Ok(render(function, &call))
    })
}

/// After a mistake the item is emitted as it was, so that one mistake gives one message.
fn or_report(item: TokenStream, expand: impl FnOnce(TokenStream) -> Result<TokenStream>) -> TokenStream {
    expand(item.clone()).unwrap_or_else(|error| {
        let error = error.into_compile_error();
        quote!(#error #item)
    })
}

/// The call of the runtime: `FUNCTION(OPTIONS, RULE, body)`.
struct Call {
    options: TokenStream,
    function: TokenStream,
    rule: Option<TokenStream>,
    /// The user's output type, shown when it does not fit the runtime's bounds.
    span: Span,
}

/// Names of the expansion neither see the user's nor are seen by them.
fn runtime_span(place: Span) -> Span {
    Span::mixed_site().located_at(place)
}

fn render(function: TxFn, call: &Call) -> TokenStream {
    let output = function.output();
    let body = match function.form {
        Form::Async { body } => {
            let capture = Some(Token![move](Span::mixed_site()));
            in_async(call, capture, output.as_ref(), function.brace, body)
        }
        Form::AsyncBlock { expr } => in_async_block(call, output.as_ref(), expr),
        Form::Future { block, boxed } => {
            around_future(call, output.as_ref(), block, boxed, &function.sig.output)
        }
    };
    let TxFn { attrs, vis, sig, inner_attrs, brace, .. } = function;
    let mut tokens = quote!(#(#attrs)* #vis #sig);
    brace.surround(&mut tokens, |tokens| tokens.extend(quote!(#(#inner_attrs)* #body)));
    tokens
}

/// ```text
/// let options = OPTIONS;
/// let body = async move { BODY };
/// run(options, RULE, body).await
/// ```
fn in_async(
    call: &Call,
    capture: Option<Token![move]>,
    output: Option<&Type>,
    brace: syn::token::Brace,
    body: TokenStream,
) -> TokenStream {
    let Call { options, function, rule, span } = call;
    let returned = output.map(never_run_return);
    let mut block = TokenStream::new();
    brace.surround(&mut block, |tokens| tokens.extend(quote!(#returned #body)));
    let rule = rule.iter();
    // The body is bound before the call, so that the closures of a rule know the type of the error.
    quote_spanned! {*span=>
        let options = #options;
        let body = async #capture #block;
        #function(options, #(#rule,)* body).await
    }
}

/// `Box::pin(async move { BODY })` keeps its shape, so that `#[instrument]` still finds it.
fn in_async_block(call: &Call, output: Option<&Type>, mut expr: Expr) -> TokenStream {
    if let Some(place) = async_block_mut(&mut expr)
        && let Expr::Async(ExprAsync { attrs, async_token, capture, block }) = place
    {
        let stmts = &block.stmts;
        let inner = in_async(call, *capture, output, block.brace_token, quote!(#(#stmts)*));
        *place = Expr::Verbatim(quote!(#(#attrs)* #async_token #capture { #inner }));
    }
    expr.into_token_stream()
}

/// ```text
/// let options = OPTIONS;
/// let body = (move || -> RETURNED { BODY })();
/// run(options, RULE, body)
/// ```
/// The closure catches an early `return` of the body.
fn around_future(
    call: &Call,
    output: Option<&Type>,
    mut block: Block,
    boxed: bool,
    returned: &syn::ReturnType,
) -> TokenStream {
    let Call { options, function, rule, span } = call;
    if let (Some(output), Some(Stmt::Expr(last, None))) = (output, block.stmts.last_mut()) {
        declare_output(last, output);
    }
    let returned = match returned {
        syn::ReturnType::Type(arrow, declared) => {
            let declared = without_impl_trait(declared);
            Some(quote!(#arrow #declared))
        }
        syn::ReturnType::Default => None,
    };
    let rule = rule.iter();
    let future = quote_spanned!(*span=> #function(options, #(#rule,)* body));
    let future = if boxed { quote_spanned!(*span=> ::std::boxed::Box::pin(#future)) } else { future };
    quote_spanned! {*span=>
        let options = #options;
        #[allow(clippy::redundant_closure_call)]
        let body = (move || #returned #block)();
        #future
    }
}

/// Tells an async block in last place what it resolves to, which the compiler could have told from the
/// signature as long as the block stood there itself.
fn declare_output(last: &mut Expr, output: &Type) {
    if async_block(last).is_some()
        && let Some(Expr::Async(ExprAsync { block, .. })) = async_block_mut(last)
    {
        block.stmts.insert(0, Stmt::Expr(Expr::Verbatim(never_run_return(output)), None));
    }
}

/// Makes the declared type known before the body, so that a type error points at the user's line and
/// `return Err(Box::new(error))` becomes the boxed trait object that the signature names.
fn never_run_return(output: &Type) -> TokenStream {
    let output = without_impl_trait(output);
    quote_spanned! {Span::mixed_site()=>
        if let ::core::option::Option::Some(output) = ::core::option::Option::None::<#output> {
            #[allow(unreachable_code)]
            return output;
        }
    }
}

/// `impl Trait` may stand in a signature but not in its body: there the compiler infers it.
fn without_impl_trait(ty: &Type) -> Type {
    struct Eraser;
    impl VisitMut for Eraser {
        fn visit_type_mut(&mut self, ty: &mut Type) {
            match ty {
                Type::ImplTrait(_) => *ty = parse_quote_spanned!(Span::mixed_site()=> _),
                other => syn::visit_mut::visit_type_mut(self, other),
            }
        }
    }
    let mut ty = ty.clone();
    Eraser.visit_type_mut(&mut ty);
    ty
}

fn transaction_options(args: &TransactionArgs, function: &TxFn) -> TokenStream {
    let name = match &args.name {
        Some(name) => quote!(#name),
        None => {
            let function = function.sig.ident.unraw().to_string();
            quote!(::seata::__private::default_name(::core::module_path!(), #function))
        }
    };
    let mut options = quote!(::seata::__private::TransactionOptions::new(#name));
    if let Some(timeout) = args.timeout {
        let timeout = duration(timeout);
        options.extend(quote!(.timeout(#timeout)));
    }
    if let Some(propagation) = &args.propagation {
        options.extend(quote!(.propagation(::seata::__private::Propagation::#propagation)));
    }
    if !args.lock_retry.is_empty() {
        let retry = lock_retry(&args.lock_retry);
        options.extend(quote!(.lock_retry(#retry)));
    }
    if let Some(strategy) = &args.lock_strategy {
        options.extend(quote!(.lock_strategy(::seata::__private::LockStrategy::#strategy)));
    }
    if let Some(client) = &args.client {
        let span = runtime_span(client.span());
        let client = quote_spanned!(span=> ::seata::__private::IntoClient::into_client(&(#client)));
        options.extend(quote!(.client(#client)));
    }
    options
}

fn lock_retry(args: &LockRetryArgs) -> TokenStream {
    let interval = option(args.interval.map(duration));
    let times = option(args.times.map(|times| quote!(#times)));
    quote!(::seata::__private::LockRetry { interval: #interval, times: #times })
}

/// The closure that is asked about an error: `rollback_for` first, then `no_rollback_for`.
fn rule(args: &TransactionArgs) -> TokenStream {
    let arms: Vec<_> = [(&args.rollback_for, quote!(Rollback)), (&args.no_rollback_for, quote!(Commit))]
        .into_iter()
        .filter_map(|(rule, decision)| rule.as_ref().map(|rule| arm(rule, &decision)))
        .collect();
    if arms.is_empty() {
        return quote!(|_| ::seata::__private::OnError::Rollback);
    }
    let span = Span::mixed_site();
    quote_spanned! {span=>
        |error| {
            #[allow(unreachable_patterns)]
            match error {
                #(#arms)*
                _ => ::seata::__private::OnError::Rollback,
            }
        }
    }
}

fn arm(rule: &Rule, decision: &TokenStream) -> TokenStream {
    let pattern = match rule {
        Rule::Pattern { pattern, guard: None } => quote!(#pattern),
        Rule::Pattern { pattern, guard: Some(guard) } => quote!(#pattern if #guard),
        // `is_some_and` gives the closure the type of its argument, which a call in place would not.
        Rule::Predicate(closure) => quote_spanned! {Span::mixed_site()=>
            error if ::core::option::Option::is_some_and(::core::option::Option::Some(error), #closure)
        },
    };
    quote!(#pattern => ::seata::__private::OnError::#decision,)
}

fn duration(duration: Duration) -> TokenStream {
    let millis = duration.as_millis() as u64;
    quote!(::core::time::Duration::from_millis(#millis))
}

fn option(value: Option<TokenStream>) -> TokenStream {
    match value {
        Some(value) => quote!(::core::option::Option::Some(#value)),
        None => quote!(::core::option::Option::None),
    }
}

/// Where an attribute of this name stands, under any path.
fn position(attrs: &[Attribute], name: &str) -> Option<usize> {
    attrs.iter().position(|attr| attr.path().segments.last().is_some_and(|last| last.ident == name))
}
