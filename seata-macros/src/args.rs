//! The arguments of the attributes: typed values, each mistake reported at the user's own token.

use std::time::Duration;

use proc_macro2::{Ident, Span};
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream};
use syn::spanned::Spanned;
use syn::{Error, Expr, ExprClosure, Lit, LitStr, Pat, Path, Result, Token};

/// What stands in `#[global_transactional(…)]`.
#[derive(Default)]
pub(crate) struct TransactionArgs {
    pub(crate) name: Option<LitStr>,
    pub(crate) timeout: Option<Duration>,
    /// A variant of `Propagation`.
    pub(crate) propagation: Option<Ident>,
    pub(crate) rollback_for: Option<Rule>,
    pub(crate) no_rollback_for: Option<Rule>,
    pub(crate) lock_retry: LockRetryArgs,
    /// A variant of `LockStrategy`.
    pub(crate) lock_strategy: Option<Ident>,
    pub(crate) client: Option<Expr>,
}

/// What stands in `#[global_lock(…)]`.
#[derive(Default)]
pub(crate) struct LockRetryArgs {
    pub(crate) interval: Option<Duration>,
    pub(crate) times: Option<u32>,
}

/// Which errors `rollback_for` or `no_rollback_for` means.
pub(crate) enum Rule {
    Pattern { pattern: Pat, guard: Option<Expr> },
    Predicate(ExprClosure),
}

impl LockRetryArgs {
    pub(crate) fn is_empty(&self) -> bool {
        self.interval.is_none() && self.times.is_none()
    }
}

impl Parse for TransactionArgs {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let mut args = Self::default();
        let mut keys = Keys::new(&[
            "name",
            "timeout",
            "propagation",
            "rollback_for",
            "no_rollback_for",
            "lock_retry_interval",
            "lock_retry_times",
            "lock_strategy",
            "client",
        ]);
        while let Some(key) = keys.next(input)? {
            match key {
                "name" => args.name = Some(name(input)?),
                "timeout" => args.timeout = Some(duration(key, input)?),
                "propagation" => args.propagation = Some(variant(key, PROPAGATIONS, input)?),
                "rollback_for" => args.rollback_for = Some(rule(key, input)?),
                "no_rollback_for" => args.no_rollback_for = Some(rule(key, input)?),
                "lock_retry_interval" => args.lock_retry.interval = Some(duration(key, input)?),
                "lock_retry_times" => args.lock_retry.times = Some(count(key, input)?),
                "lock_strategy" => args.lock_strategy = Some(variant(key, LOCK_STRATEGIES, input)?),
                _ => args.client = Some(input.parse()?),
            }
            comma(input)?;
        }
        Ok(args)
    }
}

impl Parse for LockRetryArgs {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let mut args = Self::default();
        let mut keys = Keys::new(&["lock_retry_interval", "lock_retry_times"]);
        while let Some(key) = keys.next(input)? {
            match key {
                "lock_retry_interval" => args.interval = Some(duration(key, input)?),
                _ => args.times = Some(count(key, input)?),
            }
            comma(input)?;
        }
        Ok(args)
    }
}

/// The keys of one attribute, and those already read.
struct Keys {
    known: &'static [&'static str],
    seen: Vec<&'static str>,
}

impl Keys {
    fn new(known: &'static [&'static str]) -> Self {
        Self { known, seen: Vec::new() }
    }

    /// Reads the next `key =`; `None` at the end of the arguments.
    fn next(&mut self, input: ParseStream<'_>) -> Result<Option<&'static str>> {
        if input.is_empty() {
            return Ok(None);
        }
        let ident = Ident::parse_any(input)
            .map_err(|error| Error::new(error.span(), format!("expected `key = value`; {}", self.list())))?;
        let Some(key) = self.known.iter().find(|key| ident == **key) else {
            return Err(Error::new(ident.span(), self.unknown(&ident)));
        };
        if self.seen.contains(key) {
            return Err(Error::new(ident.span(), format!("`{key}` is given twice")));
        }
        self.seen.push(key);
        if !input.peek(Token![=]) {
            return Err(Error::new(ident.span(), format!("`{key}` needs a value: `{key} = …`")));
        }
        input.parse::<Token![=]>()?;
        if input.is_empty() || input.peek(Token![,]) {
            return Err(Error::new(ident.span(), format!("`{key}` needs a value: `{key} = …`")));
        }
        Ok(Some(key))
    }

    fn unknown(&self, ident: &Ident) -> String {
        let name = ident.unraw().to_string();
        match nearest(&name, self.known) {
            Some(key) => format!("unknown argument `{name}`; did you mean `{key}`?"),
            None => format!("unknown argument `{name}`; {}", self.list()),
        }
    }

    fn list(&self) -> String {
        format!("known arguments are {}", quoted(self.known.iter().copied()))
    }
}

fn comma(input: ParseStream<'_>) -> Result<()> {
    if !input.is_empty() {
        input.parse::<Token![,]>()?;
    }
    Ok(())
}

fn name(input: ParseStream<'_>) -> Result<LitStr> {
    let literal: LitStr = expect(input, || "`name` takes a string: `name = \"purchase\"`".into())?;
    if literal.value().trim().is_empty() {
        return Err(Error::new(
            literal.span(),
            "`name` is blank; leave it out for the default, the path of the function",
        ));
    }
    Ok(literal)
}

fn count(key: &str, input: ParseStream<'_>) -> Result<u32> {
    let expected = || format!("`{key}` takes a whole number from 0 to {}: `{key} = 30`", u32::MAX);
    match expect(input, expected)? {
        Lit::Int(literal) => literal.base10_parse().map_err(|_| Error::new(literal.span(), expected())),
        other => Err(Error::new(other.span(), expected())),
    }
}

fn duration(key: &str, input: ParseStream<'_>) -> Result<Duration> {
    let expected =
        || format!("`{key}` takes a duration such as \"30s\" or \"500ms\", or a number of milliseconds");
    let literal: Lit = expect(input, expected)?;
    let refused = |cause: String| Error::new(literal.span(), format!("`{key}`: {cause}"));
    let millis = match &literal {
        Lit::Str(text) => millis(&text.value()).map_err(refused)?,
        Lit::Int(number) if number.base10_digits().starts_with('-') => {
            return Err(refused(format!("{} is negative", number.base10_digits())));
        }
        Lit::Int(number) => number.base10_parse().map_err(|_| refused(too_long(number.base10_digits())))?,
        _ => return Err(Error::new(literal.span(), expected())),
    };
    match millis {
        0 => Err(refused("a duration of zero is not possible; leave it out for the default".into())),
        1..=LONGEST_MILLIS => Ok(Duration::from_millis(millis)),
        _ => Err(refused(too_long(&format!("{millis} ms")))),
    }
}

/// Durations cross the wire as signed 32-bit numbers of milliseconds.
const LONGEST_MILLIS: u64 = i32::MAX as u64;

fn too_long(found: &str) -> String {
    format!("{found} is too long; the longest is {LONGEST_MILLIS} ms, which is 24 days")
}

/// The milliseconds in a number with a unit, `"30s"`.
fn millis(text: &str) -> std::result::Result<u64, String> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor = match unit.trim_start() {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "" if !number.is_empty() => {
            return Err(format!("\"{text}\" has no unit; write \"{text}s\" or \"{text}ms\""));
        }
        _ => return Err(format!("\"{text}\" is not a whole number followed by ms, s, m or h")),
    };
    if number.is_empty() {
        return Err(format!("\"{text}\" has no number; write \"30{}\"", unit.trim_start()));
    }
    number.parse::<u64>().ok().and_then(|number| number.checked_mul(factor)).ok_or_else(|| too_long(text))
}

/// Variants as `seata` names them; Java's spelling is found by leaving out the underscores.
const PROPAGATIONS: &[&str] = &["Required", "RequiresNew", "NotSupported", "Supports", "Never", "Mandatory"];
const LOCK_STRATEGIES: &[&str] = &["Pessimistic", "Optimistic"];

/// Reads `RequiresNew`, `Propagation::RequiresNew`, `REQUIRES_NEW` or `"REQUIRES_NEW"`.
fn variant(key: &str, variants: &[&'static str], input: ParseStream<'_>) -> Result<Ident> {
    let expected = || format!("`{key}` is one of {}", quoted(variants.iter().copied()));
    let (written, span) = if input.peek(LitStr) {
        let literal: LitStr = input.parse()?;
        (literal.value(), literal.span())
    } else {
        let path: Path = expect(input, expected)?;
        let last = &path.segments[path.segments.len() - 1].ident;
        (last.to_string(), last.span())
    };
    let plain = written.replace('_', "");
    match variants.iter().find(|variant| variant.eq_ignore_ascii_case(&plain)) {
        Some(variant) => Ok(Ident::new(variant, Span::mixed_site().located_at(span))),
        None => Err(Error::new(span, format!("unknown `{key}` `{written}`; {}", expected()))),
    }
}

fn rule(key: &str, input: ParseStream<'_>) -> Result<Rule> {
    if input.peek(Token![|]) || input.peek(Token![||]) || input.peek(Token![move]) {
        return input.parse().map(Rule::Predicate);
    }
    if input.peek(LitStr) {
        return Err(Error::new(
            input.span(),
            format!(
                "`{key}` takes a pattern of the error, `{key} = ShopError::SoldOut {{ .. }}`, or a closure, not a name"
            ),
        ));
    }
    let pattern = Pat::parse_multi(input)?;
    let guard = match input.parse::<Option<Token![if]>>()? {
        Some(_) => Some(input.parse()?),
        None => None,
    };
    if guard.is_none()
        && let Some(binding) = catch_all(&pattern)
    {
        return Err(Error::new(
            pattern.span(),
            format!(
                "as a pattern, `{binding}` matches every error; write `{key} = |error| {binding}(error)` to ask \
                 a function, or `{key} = _` to mean every error"
            ),
        ));
    }
    Ok(Rule::Pattern { pattern, guard })
}

/// The name of a binding, which somebody wrote who meant a function. A variant or constant starts with a capital.
fn catch_all(pattern: &Pat) -> Option<&Ident> {
    match pattern {
        Pat::Ident(binding) if binding.subpat.is_none() => Some(&binding.ident)
            .filter(|ident| ident.unraw().to_string().starts_with(|first: char| !first.is_uppercase())),
        _ => None,
    }
}

/// Parses a `T`, or says at the first token of the value what was expected.
fn expect<T: Parse>(input: ParseStream<'_>, expected: impl FnOnce() -> String) -> Result<T> {
    let span = input.span();
    input.parse().map_err(|_| Error::new(span, expected()))
}

/// The known word that was probably meant. Java's spelling, `rollbackFor`, finds ours.
fn nearest(word: &str, known: &[&'static str]) -> Option<&'static str> {
    let likeness = |key: &str| strsim::jaro_winkler(&word.to_lowercase(), key);
    let best = known.iter().copied().max_by(|a, b| likeness(a).total_cmp(&likeness(b)))?;
    (likeness(best) > 0.8).then_some(best)
}

fn quoted<'a>(words: impl Iterator<Item = &'a str>) -> String {
    words.map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use quote::quote;

    use super::*;

    fn parse(args: proc_macro2::TokenStream) -> std::result::Result<TransactionArgs, String> {
        syn::parse2(args).map_err(|error| error.to_string())
    }

    #[test]
    fn durations_carry_their_unit() {
        for (text, expected) in [
            ("250ms", 250),
            ("30s", 30_000),
            (" 2 m ", 120_000),
            ("1h", 3_600_000),
            ("2147483647ms", LONGEST_MILLIS),
        ] {
            assert_eq!(millis(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn a_bad_duration_names_its_fault() {
        for (value, fault) in [
            (quote!(""), "not a whole number"),
            (quote!("s"), "no number"),
            (quote!("30"), "no unit"),
            (quote!("1.5s"), "not a whole number"),
            (quote!("-1s"), "not a whole number"),
            (quote!("30 sec"), "not a whole number"),
            (quote!("0s"), "zero"),
            (quote!("2147483648ms"), "too long"),
            (quote!("99999999999999999999s"), "too long"),
            (quote!("9223372036854775807h"), "too long"),
            (quote!(99999999999999999999), "too long"),
            (quote!(-1), "negative"),
            (quote!(true), "takes a duration"),
            (quote!(thirty), "takes a duration"),
        ] {
            let error =
                parse(quote!(timeout = #value)).err().unwrap_or_else(|| panic!("{value} was accepted"));
            assert!(error.contains(fault), "{value}: {error}");
        }
    }

    #[test]
    fn a_propagation_has_four_spellings() {
        for value in [
            quote!(NotSupported),
            quote!(seata::Propagation::NotSupported),
            quote!(NOT_SUPPORTED),
            quote!("NOT_SUPPORTED"),
        ] {
            let args = parse(quote!(propagation = #value)).unwrap_or_else(|error| panic!("{value}: {error}"));
            assert_eq!(args.propagation.unwrap(), "NotSupported", "{value}");
        }
    }

    #[test]
    fn a_mistyped_key_finds_the_one_meant() {
        for (key, meant) in [
            ("tiemout", "timeout"),
            ("timeoutMills", "timeout"),
            ("rollbackFor", "rollback_for"),
            ("noRollbackFor", "no_rollback_for"),
            ("lock_retry_time", "lock_retry_times"),
            ("lockStrategyMode", "lock_strategy"),
            ("clinet", "client"),
        ] {
            let ident = Ident::new(key, Span::call_site());
            let error = parse(quote!(#ident = 1)).err().unwrap();
            assert_eq!(error, format!("unknown argument `{key}`; did you mean `{meant}`?"));
        }
        assert!(parse(quote!(xa = 1)).err().unwrap().contains("known arguments are `name`, "));
    }

    #[test]
    fn a_rule_is_a_pattern_a_guarded_pattern_or_a_closure() {
        let rule =
            |tokens| parse(quote!(no_rollback_for = #tokens, name = "n")).unwrap().no_rollback_for.unwrap();
        assert!(matches!(rule(quote!(E::A | E::B(_))), Rule::Pattern { guard: None, .. }));
        assert!(matches!(rule(quote!(_)), Rule::Pattern { guard: None, .. }));
        assert!(matches!(rule(quote!(SoldOut)), Rule::Pattern { guard: None, .. }));
        assert!(matches!(rule(quote!(e if e.is_a(1, 2))), Rule::Pattern { guard: Some(_), .. }));
        assert!(matches!(rule(quote!(|e| e.is_a(1, 2))), Rule::Predicate(_)));
        assert!(matches!(rule(quote!(move |e: &E| { e.is_a() })), Rule::Predicate(_)));
    }

    #[test]
    fn commas_separate_and_may_trail() {
        assert!(parse(quote!(name = "a", timeout = 1,)).is_ok());
        assert!(parse(quote!()).is_ok());
        assert_eq!(parse(quote!(name = "a" timeout = 1)).err().unwrap(), "expected `,`");
        assert_eq!(parse(quote!(name = , timeout = 1)).err().unwrap(), "`name` needs a value: `name = …`");
    }
}
