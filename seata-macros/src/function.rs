//! The annotated function, and which of the three accepted forms it has.

use proc_macro2::{Span, TokenStream};
use syn::parse::{Parse, ParseStream};
use syn::spanned::Spanned;
use syn::token::Brace;
use syn::{
    Attribute, Block, Error, Expr, ExprAsync, GenericArgument, PathArguments, Result, ReturnType, Signature,
    Stmt, Token, Type, TypeParamBound, TypePath, Visibility, braced,
};

/// A function whose work is a future.
pub(crate) struct TxFn {
    pub(crate) attrs: Vec<Attribute>,
    pub(crate) vis: Visibility,
    pub(crate) sig: Signature,
    pub(crate) inner_attrs: Vec<Attribute>,
    pub(crate) brace: Brace,
    pub(crate) form: Form,
}

/// Where the future is.
pub(crate) enum Form {
    /// `async fn buy() -> R { BODY }`. The body stays raw tokens, so that half-typed code still completes
    /// in an editor.
    Async { body: TokenStream },
    /// `fn buy() -> Pin<Box<dyn Future<Output = R>>> { Box::pin(async move { BODY }) }`, which is what
    /// async_trait makes of a method; or the same without the box.
    AsyncBlock { expr: Expr },
    /// A function that makes its future in any other way.
    Future { block: Block, boxed: bool },
}

impl Parse for TxFn {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let attrs = input.call(Attribute::parse_outer)?;
        let vis = input.parse()?;
        let sig: Signature = not_a_function(input)?;
        if input.peek(Token![;]) {
            return Err(Error::new(
                input.span(),
                format!("`{}` has no body; put the attribute on the implementations", sig.ident),
            ));
        }
        let content;
        let brace = braced!(content in input);
        let inner_attrs = content.call(Attribute::parse_inner)?;
        let form = match sig.asyncness {
            Some(_) => Form::Async { body: content.parse()? },
            None => {
                let stmts = content.call(Block::parse_within)?;
                Form::of_future(&sig, Block { brace_token: brace, stmts })?
            }
        };
        Ok(Self { attrs, vis, sig, inner_attrs, brace, form })
    }
}

impl TxFn {
    /// What the future resolves to, where the signature tells.
    pub(crate) fn output(&self) -> Option<Type> {
        match (&self.form, &self.sig.output) {
            (Form::Async { .. }, ReturnType::Default) => Some(Type::Tuple(syn::TypeTuple {
                paren_token: syn::token::Paren(Span::mixed_site()),
                elems: syn::punctuated::Punctuated::new(),
            })),
            (Form::Async { .. }, ReturnType::Type(_, declared)) => Some(Type::clone(declared)),
            (_, ReturnType::Type(_, declared)) => output_of_future(declared).cloned(),
            (_, ReturnType::Default) => None,
        }
    }

    /// Where a complaint about the output belongs: its type, or the name of a function without one.
    pub(crate) fn output_span(&self) -> Span {
        match (&self.form, &self.sig.output) {
            (_, ReturnType::Default) => self.sig.ident.span(),
            (Form::Async { .. }, ReturnType::Type(_, declared)) => declared.span(),
            (_, ReturnType::Type(_, declared)) => output_of_future(declared).unwrap_or(declared).span(),
        }
    }

    /// Where a complaint about the error type belongs: `E` of `Result<T, E>`, else the whole output.
    pub(crate) fn error_span(&self) -> Span {
        let output = self.output();
        match output.as_ref().map(ungrouped) {
            Some(Type::Path(path)) => {
                type_arguments(path).nth(1).map_or_else(|| self.output_span(), Spanned::span)
            }
            _ => self.output_span(),
        }
    }

    /// Refuses a function that certainly returns no `Result`. What is a type alias, the compiler decides.
    pub(crate) fn check_returns_result(&self) -> Result<()> {
        match self.output() {
            Some(output) if is_no_result(&output) => Err(Error::new(
                self.output_span(),
                format!(
                    "`{}` returns no `Result`, so nothing says when to roll back; a global transaction returns \
                     `Result<T, E>` where `E: From<seata::Error>`",
                    self.sig.ident
                ),
            )),
            _ => Ok(()),
        }
    }
}

impl Form {
    fn of_future(sig: &Signature, block: Block) -> Result<Self> {
        let returned = match &sig.output {
            ReturnType::Default => None,
            ReturnType::Type(_, declared) => Returned::of(declared),
        };
        let Some(returned) = returned else {
            return Err(Error::new(
                sig.fn_token.span,
                format!(
                    "`{}` is not async: expected an `async fn`, or a function that returns `impl Future` or a \
                     boxed future",
                    sig.ident
                ),
            ));
        };
        if let [Stmt::Expr(expr, None)] = &block.stmts[..]
            && async_block(expr).is_some()
        {
            return Ok(Self::AsyncBlock { expr: expr.clone() });
        }
        Ok(Self::Future { block, boxed: matches!(returned, Returned::Boxed) })
    }
}

/// How a function that is not async returns its future.
enum Returned {
    Opaque,
    Boxed,
}

impl Returned {
    fn of(declared: &Type) -> Option<Self> {
        match ungrouped(declared) {
            Type::ImplTrait(opaque) => future_bound(opaque.bounds.iter()).map(|_| Self::Opaque),
            Type::Path(path) => {
                let last = path.path.segments.last()?;
                let name = last.ident.to_string();
                let pinned_box =
                    name == "Pin" && matches!(type_arguments(path).next(), Some(inner) if is_box(inner));
                // `BoxFuture`, `LocalBoxFuture`, or an alias in their manner.
                (pinned_box || name.ends_with("BoxFuture") || name.ends_with("BoxedFuture"))
                    .then_some(Self::Boxed)
            }
            _ => None,
        }
    }
}

/// The async block of `async move { … }` or `Box::pin(async move { … })`.
pub(crate) fn async_block(expr: &Expr) -> Option<&ExprAsync> {
    match expr {
        Expr::Async(block) => Some(block),
        Expr::Call(call) if call.args.len() == 1 && is_box_pin(&call.func) => match &call.args[0] {
            Expr::Async(block) => Some(block),
            _ => None,
        },
        _ => None,
    }
}

/// The same, to put another expression in its place.
pub(crate) fn async_block_mut(expr: &mut Expr) -> Option<&mut Expr> {
    match expr {
        Expr::Async(_) => Some(expr),
        Expr::Call(call) if call.args.len() == 1 && is_box_pin(&call.func) => {
            Some(&mut call.args[0]).filter(|arg| matches!(arg, Expr::Async(_)))
        }
        _ => None,
    }
}

fn is_box_pin(function: &Expr) -> bool {
    let Expr::Path(path) = function else { return false };
    let mut segments = path.path.segments.iter().rev();
    matches!((segments.next(), segments.next()), (Some(pin), Some(of)) if pin.ident == "pin" && of.ident == "Box")
}

/// `R` of `impl Future<Output = R>`, `Pin<Box<dyn Future<Output = R>>>` or `BoxFuture<'_, R>`.
fn output_of_future(returned: &Type) -> Option<&Type> {
    match ungrouped(returned) {
        Type::ImplTrait(opaque) => future_bound(opaque.bounds.iter()).flatten(),
        Type::TraitObject(object) => future_bound(object.bounds.iter()).flatten(),
        Type::Path(path) => {
            let name = &path.path.segments.last()?.ident;
            let inner = type_arguments(path).next()?;
            if name == "Pin" || name == "Box" { output_of_future(inner) } else { Some(inner) }
        }
        _ => None,
    }
}

/// Whether there is a `Future` among the bounds, and its `Output`.
fn future_bound<'a>(bounds: impl Iterator<Item = &'a TypeParamBound>) -> Option<Option<&'a Type>> {
    bounds.into_iter().find_map(|bound| {
        let TypeParamBound::Trait(bound) = bound else { return None };
        let last = bound.path.segments.last().filter(|last| last.ident == "Future")?;
        let PathArguments::AngleBracketed(arguments) = &last.arguments else { return Some(None) };
        Some(arguments.args.iter().find_map(|argument| match argument {
            GenericArgument::AssocType(assoc) if assoc.ident == "Output" => Some(&assoc.ty),
            _ => None,
        }))
    })
}

fn is_box(ty: &Type) -> bool {
    matches!(ungrouped(ty), Type::Path(path) if path.path.segments.last().is_some_and(|last| last.ident == "Box"))
}

/// `T` and `E` of `Path<'a, T, E>`.
fn type_arguments(path: &TypePath) -> impl Iterator<Item = &Type> {
    let arguments = path.path.segments.last().and_then(|last| match &last.arguments {
        PathArguments::AngleBracketed(arguments) => Some(&arguments.args),
        _ => None,
    });
    arguments.into_iter().flatten().filter_map(|argument| match argument {
        GenericArgument::Type(ty) => Some(ty),
        _ => None,
    })
}

fn is_no_result(ty: &Type) -> bool {
    const NEVER_RESULTS: &[&str] = &[
        "bool", "char", "f32", "f64", "i8", "i16", "i32", "i64", "i128", "isize", "str", "u8", "u16", "u32",
        "u64", "u128", "usize", "Box", "Option", "String", "Vec",
    ];
    match ungrouped(ty) {
        Type::Path(path) => {
            path.path.segments.last().is_some_and(|last| NEVER_RESULTS.iter().any(|no| last.ident == no))
        }
        Type::Macro(_) | Type::Infer(_) | Type::Verbatim(_) => false,
        _ => true,
    }
}

/// A type that went through a `macro_rules!` parameter, or stands in parentheses.
fn ungrouped(ty: &Type) -> &Type {
    match ty {
        Type::Group(group) => ungrouped(&group.elem),
        Type::Paren(paren) => ungrouped(&paren.elem),
        other => other,
    }
}

fn not_a_function(input: ParseStream<'_>) -> Result<Signature> {
    let span = input.span();
    let what = ["impl", "struct", "enum", "trait", "mod", "type"];
    let found = input.fork().parse::<proc_macro2::TokenTree>().map(|token| token.to_string());
    match found {
        Ok(found) if what.contains(&found.as_str()) => Err(Error::new(
            span,
            format!("expected an async function, found `{found}`; annotate each function"),
        )),
        _ => input.parse(),
    }
}
