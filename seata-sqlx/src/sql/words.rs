//! A statement as words, and its own words copied out of it.

use std::{ops::Range, thread};

use sqlparser::{
    ast,
    parser::{Parser, ParserError},
    tokenizer::{Span, Token, TokenWithSpan},
};

use super::{
    Flavor, Refusal,
    depth::depth,
    gaps, parameters,
    sharing::{self, Addition, Place},
    tokens::{Offsets, significant},
};

/// A statement's text and its words, whose parameters are numbered and whose gaps are bridged.
pub(super) struct Words<'a> {
    pub(super) flavor: Flavor,
    pub(super) sql: &'a str,
    pub(super) tokens: Vec<TokenWithSpan>,
    /// How many arguments the statement needs.
    pub(super) parameters: usize,
}

impl<'a> Words<'a> {
    pub(super) fn new(flavor: Flavor, sql: &'a str, mut tokens: Vec<TokenWithSpan>) -> Result<Self, Refusal> {
        let parameters = parameters::number(flavor, &mut tokens)?;
        while tokens.last().is_some_and(|token| token.token == Token::SemiColon) {
            tokens.pop();
        }
        let tokens = gaps::bridge(flavor, tokens);
        Ok(Self { flavor, sql, tokens, parameters })
    }

    pub(super) fn read(flavor: Flavor, sql: &'a str) -> Result<Self, Refusal> {
        Self::new(flavor, sql, significant(flavor, sql)?)
    }

    pub(super) fn parse(&self) -> Result<ast::Statement, Refusal> {
        parse(self.flavor, self.tokens.clone())
    }

    /// These words as they were written, with the numbers of their arguments. (The syntax tree would print
    /// some of them as others: two quotes in a text as one.)
    pub(super) fn text(&self, range: Range<usize>) -> String {
        self.text_with(range, &[])
    }

    /// The same, with a share lock in each query that stands in them.
    pub(super) fn sharing_text(&self, range: Range<usize>) -> String {
        let additions = sharing::additions(&self.tokens[range.clone()]);
        self.text_with(range, &additions)
    }

    fn text_with(&self, range: Range<usize>, additions: &[Addition]) -> String {
        let mut text = String::new();
        let mut end = None;
        let mut offsets = Offsets::new(self.sql);
        let mut additions = additions.iter().peekable();
        for (index, token) in self.tokens[range].iter().enumerate() {
            let start = offsets.of(token.span.start);
            text.push_str(&self.sql[end.unwrap_or(start)..start]);
            while let Some(addition) = additions.next_if(|addition| addition.place == Place::Before(index)) {
                text.push_str(addition.text);
            }
            let after = offsets.of(token.span.end);
            match &token.token {
                Token::Placeholder(number) => text.push_str(number),
                _ => text.push_str(&self.sql[start..after]),
            }
            while let Some(addition) = additions.next_if(|addition| addition.place == Place::After(index)) {
                text.push_str(addition.text);
            }
            end = Some(after);
        }
        text
    }

    /// `ONLY t`, where ONLY is left out for the parser.
    pub(super) fn say_only(&self, tables: Range<usize>) -> bool {
        let text = self.text(tables.start..tables.end.min(tables.start + 1));
        let first = text.split_whitespace().next();
        self.flavor == Flavor::Postgres && first.is_some_and(|word| word.eq_ignore_ascii_case("ONLY"))
    }

    /// Where these words stand in the text, which are some.
    pub(super) fn place(&self, range: Range<usize>) -> Range<usize> {
        let tokens = &self.tokens[range];
        let mut offsets = Offsets::new(self.sql);
        let start = tokens.first().map_or(0, |first| offsets.of(first.span.start));
        start..tokens.last().map_or(start, |last| offsets.of(last.span.end))
    }

    /// The arguments that these words take, in their order.
    pub(super) fn arguments(&self, range: Range<usize>) -> Vec<usize> {
        let before = self.placeholders(0..range.start);
        let placeholders = self.tokens[range].iter().filter_map(|token| match &token.token {
            Token::Placeholder(text) => Some(text[1..].parse().ok()),
            _ => None,
        });
        placeholders.enumerate().map(|(index, number)| number.unwrap_or(before + index + 1)).collect()
    }

    pub(super) fn placeholders(&self, range: Range<usize>) -> usize {
        self.tokens[range].iter().filter(|token| matches!(token.token, Token::Placeholder(_))).count()
    }

    /// What these words mean as a list of tables.
    pub(super) fn tables(&self, range: Range<usize>) -> Result<Vec<ast::TableWithJoins>, Refusal> {
        let nowhere = self.tokens[range.start.min(self.tokens.len() - 1)].span.start;
        let added = |token| TokenWithSpan { token, span: Span::new(nowhere, nowhere) };
        let mut tokens: Vec<_> = [
            Token::make_keyword("SELECT"),
            Token::Number("1".to_owned(), false),
            Token::make_keyword("FROM"),
        ]
        .map(added)
        .into();
        tokens.extend_from_slice(&self.tokens[range]);
        if let ast::Statement::Query(query) = parse(self.flavor, tokens)?
            && let ast::SetExpr::Select(select) = *query.body
        {
            return Ok(select.from);
        }
        Err(Refusal::NotReproducible("the list of tables"))
    }

    /// The words found must mean what the statement means: a word mistaken for the end of the
    /// condition would select other rows than the statement changes.
    pub(super) fn check_condition(
        &self,
        range: Range<usize>,
        condition: Option<&ast::Expr>,
    ) -> Result<(), Refusal> {
        let found = &self.tokens[range];
        let same = match condition {
            None => found.is_empty(),
            Some(condition) => read_all(self.flavor, found, |parser| parser.parse_expr())
                .is_ok_and(|found| found == *condition),
        };
        if same { Ok(()) } else { Err(Refusal::NotReproducible("the condition")) }
    }
}

pub(super) fn parse(flavor: Flavor, tokens: Vec<TokenWithSpan>) -> Result<ast::Statement, Refusal> {
    read_all(flavor, &tokens, |parser| parser.parse_statement())
}

/// What `read` makes of all these words.
fn read_all<T: Send>(
    flavor: Flavor,
    tokens: &[TokenWithSpan],
    read: impl Fn(&mut Parser<'_>) -> Result<T, ParserError> + Sync,
) -> Result<T, Refusal> {
    /// SQLite itself takes 1000 levels, but trees are compared and dropped level by level of the stack, and
    /// an unoptimized build needs some kilobytes for each: two megabytes held 400.
    const DEPTH: usize = 300;
    /// Each level of parentheses takes about 40 kilobytes of such a build.
    const ON_THIS_STACK: usize = 15;
    const ON_A_LARGE_STACK: usize = 50;
    const LARGE_STACK: usize = 16 << 20;
    if depth(tokens) > DEPTH {
        return Err(Refusal::NotUnderstood(format!(
            "more than {DEPTH} operators stand in a row, where IN might do"
        )));
    }
    let read = |levels: usize| {
        let parser = Parser::new(flavor.grammar()).with_recursion_limit(levels);
        let mut parser = parser.with_tokens_with_locations(tokens.to_vec());
        let understood = read(&mut parser)?;
        let rest = parser.peek_token();
        match rest.token {
            Token::EOF => Ok(understood),
            _ => parser.expected("the end of the statement", rest),
        }
    };
    let understood = match read(ON_THIS_STACK) {
        Err(ParserError::RecursionLimitExceeded) => thread::scope(|scope| {
            let reader = thread::Builder::new().stack_size(LARGE_STACK);
            let reader = reader.spawn_scoped(scope, || read(ON_A_LARGE_STACK));
            let understood = reader.ok().and_then(|reader| reader.join().ok());
            understood.unwrap_or(Err(ParserError::RecursionLimitExceeded))
        }),
        understood => understood,
    };
    understood.map_err(|error| match error {
        ParserError::RecursionLimitExceeded => {
            Refusal::NotUnderstood(format!("more than {ON_A_LARGE_STACK} levels of parentheses"))
        }
        error => Refusal::NotUnderstood(error.to_string()),
    })
}
