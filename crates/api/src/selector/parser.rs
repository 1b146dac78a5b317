//! The text form of label selectors. The grammar and its errors are those of k8s.io/apimachinery/pkg/labels.

use super::label::{Error, Operator, Requirement};
use crate::names;
use crate::value::Str;

/// A piece of a selector, with its text.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Token<'a> {
    End,
    /// A key, a value, or the word `in` or `notin`.
    Word(&'a str),
    /// Made of characters that are no part of words.
    Symbol(&'a str),
}

/// The symbols, longer ones before those that they begin with.
const SYMBOLS: [&str; 9] = ["!=", "==", "=", "!", "(", ")", ",", ">", "<"];

struct Parser<'a> {
    rest: &'a str,
}

/// The requirements of a selector.
pub(super) fn parse(text: &str) -> Result<Vec<Requirement>, Error> {
    let mut parser = Parser { rest: text };
    let mut requirements: Vec<Requirement> = Vec::new();
    loop {
        match parser.peek() {
            Token::End => return Ok(requirements),
            Token::Word(_) | Token::Symbol("!") => requirements.push(parser.requirement()?),
            other => return Err(found(other, "expected: !, identifier, or 'end of string'")),
        }
        match parser.next() {
            Token::End => return Ok(requirements),
            Token::Symbol(",") => match parser.peek() {
                Token::Word(_) | Token::Symbol("!") => {}
                other => return Err(found(other, "expected: identifier after ','")),
            },
            other => return Err(found(other, "expected: ',' or 'end of string'")),
        }
    }
}

fn found(token: Token, expected: &str) -> Error {
    Error::Syntax(format!("found '{}', {expected}", token.text()))
}

// === impl Token ===

impl<'a> Token<'a> {
    fn text(self) -> &'a str {
        match self {
            Token::End => "",
            Token::Word(text) | Token::Symbol(text) => text,
        }
    }
}

// === impl Parser ===

impl<'a> Parser<'a> {
    fn next(&mut self) -> Token<'a> {
        let (token, rest) = self.split();
        self.rest = rest;
        token
    }

    fn peek(&self) -> Token<'a> {
        self.split().0
    }

    fn split(&self) -> (Token<'a>, &'a str) {
        let rest = self.rest.trim_start_matches([' ', '\t', '\r', '\n']);
        if rest.is_empty() {
            return (Token::End, rest);
        }
        if let Some(symbol) = SYMBOLS.into_iter().find(|symbol| rest.starts_with(symbol)) {
            let (symbol, rest) = rest.split_at(symbol.len());
            return (Token::Symbol(symbol), rest);
        }
        let end = rest.find([' ', '\t', '\r', '\n', '=', '!', '(', ')', ',', '>', '<']);
        let (word, rest) = rest.split_at(end.unwrap_or(rest.len()));
        (Token::Word(word), rest)
    }

    fn requirement(&mut self) -> Result<Requirement, Error> {
        self.clause().map_err(|error| match error {
            Error::Syntax(why) => Error::Syntax(format!("unable to parse requirement: {why}")),
            other => other,
        })
    }

    fn clause(&mut self) -> Result<Requirement, Error> {
        let absent = self.peek() == Token::Symbol("!");
        if absent {
            self.next();
        }
        let key = match self.next() {
            Token::Word(key) => key,
            other => return Err(found(other, "expected: identifier")),
        };
        let reasons = names::qualified_name(key);
        if !reasons.is_empty() {
            let why = format!("<nil>: Invalid value: {key:?}: {}", reasons.join("; "));
            return Err(Error::Syntax(why));
        }
        let with = |operator, values| Requirement { key: key.into(), operator, values };
        if absent {
            return Ok(with(Operator::DoesNotExist, vec![]));
        }
        if matches!(self.peek(), Token::End | Token::Symbol(",")) {
            return Ok(with(Operator::Exists, vec![]));
        }
        let operator = match self.next() {
            Token::Word("in") => return Ok(with(Operator::In, self.set()?)),
            Token::Word("notin") => return Ok(with(Operator::NotIn, self.set()?)),
            Token::Symbol("=" | "==") => Operator::In,
            Token::Symbol("!=") => Operator::NotIn,
            Token::Symbol(">") => Operator::GreaterThan,
            Token::Symbol("<") => Operator::LessThan,
            other => return Err(found(other, "expected: in, notin, =, ==, !=, gt, lt")),
        };
        Ok(with(operator, vec![self.value()?]))
    }

    /// The one value of an operator that is no set's; it may be empty.
    fn value(&mut self) -> Result<Str, Error> {
        match self.peek() {
            Token::End | Token::Symbol(",") => Ok("".into()),
            Token::Word(value) => {
                self.next();
                Ok(value.into())
            }
            other => Err(found(other, "expected: identifier")),
        }
    }

    /// The values in parentheses, sorted; an empty one where a comma has none beside it.
    fn set(&mut self) -> Result<Vec<Str>, Error> {
        match self.next() {
            Token::Symbol("(") => {}
            other => return Err(Error::Syntax(format!("found '{}' expected: '('", other.text()))),
        }
        if !matches!(self.peek(), Token::Word(_) | Token::Symbol("," | ")")) {
            return Err(found(self.peek(), "expected: ',', ')' or identifier"));
        }
        let mut values: Vec<Str> = Vec::new();
        loop {
            match self.peek() {
                Token::Word(value) => {
                    self.next();
                    values.push(value.into());
                }
                Token::Symbol("," | ")") => values.push("".into()),
                other => return Err(found(other, "expected: ',', or identifier")),
            }
            match self.next() {
                Token::Symbol(")") => break,
                Token::Symbol(",") => {}
                other => return Err(found(other, "expected: ',' or ')'")),
            }
        }
        values.sort();
        values.dedup();
        Ok(values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_in_upstreams_words() {
        let table = [
            ("=b", "found '=', expected: !, identifier, or 'end of string'"),
            ("a=b,", "found '', expected: identifier after ','"),
            ("a===b", "unable to parse requirement: found '=', expected: identifier"),
            ("a in b", "unable to parse requirement: found 'b' expected: '('"),
            ("a!!b", "unable to parse requirement: found '!', expected: in, notin, =, ==, !=, gt, lt"),
            ("a in (b c)", "unable to parse requirement: found 'c', expected: ',' or ')'"),
            ("a=b c", "found 'c', expected: ',' or 'end of string'"),
            ("!", "unable to parse requirement: found '', expected: identifier"),
        ];
        for (text, expected) in table {
            assert_eq!(parse(text).map_err(|error| error.to_string()), Err(expected.to_owned()), "{text}");
        }
    }

    #[test]
    fn sets_may_hold_the_empty_value() {
        let values = |text| parse(text).map(|requirements| requirements[0].values.join("|"));
        for (text, expected) in
            [("a in ()", ""), ("a in (,b)", "|b"), ("a in (c,b,)", "|b|c"), ("a in (in)", "in")]
        {
            assert_eq!(values(text), Ok(expected.to_owned()), "{text}");
        }
    }
}
