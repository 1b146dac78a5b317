//! The grammar of label selectors (k8s.io/apimachinery/pkg/labels, Lexer and Parser).

use super::label::{Error, Operator, Requirement};
use crate::codec::text;
use crate::names;
use crate::value::Str;

const OPERATORS: &str = "in, notin, =, ==, !=, gt, lt";

/// A piece of a selector's text.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Token {
    /// A symbol, or the words `in` and `notin` where an operator may stand.
    Symbol,
    /// A key or a value.
    Word,
    /// The end of the text.
    End,
}

struct Parser<'t> {
    /// All tokens; the last is the end.
    tokens: Vec<(Token, &'t str)>,
    at: usize,
}

/// The requirements of a text, in its order.
pub(super) fn requirements(text: &str) -> Result<Vec<Requirement>, Error> {
    let mut parser = Parser { tokens: tokens(text), at: 0 };
    let mut requirements = Vec::new();
    loop {
        match parser.peek() {
            (Token::End, _) => return Ok(requirements),
            (Token::Word, _) | (_, "!") => {}
            (_, found) => {
                return Err(Error::Syntax(format!(
                    "found '{found}', expected: !, identifier, or 'end of string'"
                )));
            }
        }
        requirements.push(parser.requirement().map_err(Error::Requirement)?);
        match parser.next() {
            (Token::End, _) => return Ok(requirements),
            (Token::Symbol, ",") => match parser.peek() {
                (Token::Word, _) | (_, "!") => {}
                (_, found) => {
                    return Err(Error::Syntax(format!("found '{found}', expected: identifier after ','")));
                }
            },
            (_, found) => {
                return Err(Error::Syntax(format!("found '{found}', expected: ',' or 'end of string'")));
            }
        }
    }
}

fn tokens(text: &str) -> Vec<(Token, &str)> {
    let is_space = |c: char| matches!(c, ' ' | '\t' | '\r' | '\n');
    let is_symbol = |c: char| "=!(),<>".contains(c);
    let (mut rest, mut tokens) = (text, Vec::new());
    loop {
        rest = rest.trim_start_matches(is_space);
        let Some(first) = rest.chars().next() else {
            tokens.push((Token::End, ""));
            return tokens;
        };
        let (token, length) = match first {
            _ if rest.starts_with("==") || rest.starts_with("!=") => (Token::Symbol, 2),
            _ if is_symbol(first) => (Token::Symbol, 1),
            _ => {
                let end = rest.find(|c| is_space(c) || is_symbol(c)).unwrap_or(rest.len());
                (Token::Word, end)
            }
        };
        tokens.push((token, &rest[..length]));
        rest = &rest[length..];
    }
}

// === impl Parser ===

impl<'t> Parser<'t> {
    fn peek(&self) -> (Token, &'t str) {
        self.tokens.get(self.at).copied().unwrap_or((Token::End, ""))
    }

    fn next(&mut self) -> (Token, &'t str) {
        let token = self.peek();
        self.at += 1;
        token
    }

    fn requirement(&mut self) -> Result<Requirement, String> {
        let absent = self.peek() == (Token::Symbol, "!");
        self.at += usize::from(absent);
        let key = match self.next() {
            (Token::Word, key) => Str::from(key),
            (_, found) => return Err(format!("found '{found}', expected: identifier")),
        };
        let reasons = names::qualified_name(&key);
        if !reasons.is_empty() {
            return Err(format!("<nil>: Invalid value: {}: {}", text::quote(&key), reasons.join("; ")));
        }
        let ends = matches!(self.peek(), (Token::End, _) | (_, ","));
        let (operator, values) = match (absent, ends) {
            (true, _) => (Operator::DoesNotExist, Vec::new()),
            (_, true) => (Operator::Exists, Vec::new()),
            _ => self.condition()?,
        };
        let requirement = Requirement { key, operator, values };
        requirement.check().map(|()| requirement)
    }

    fn condition(&mut self) -> Result<(Operator, Vec<Str>), String> {
        let operator = match self.next().1 {
            "in" => Operator::In,
            "notin" => Operator::NotIn,
            "=" => Operator::Equals,
            "==" => Operator::DoubleEquals,
            "!=" => Operator::NotEquals,
            ">" => Operator::GreaterThan,
            "<" => Operator::LessThan,
            found => return Err(format!("found '{found}', expected: {OPERATORS}")),
        };
        let values = match operator {
            Operator::In | Operator::NotIn => self.values()?,
            _ => vec![self.value()?],
        };
        Ok((operator, values))
    }

    /// The one value of a comparison; nothing is the empty value.
    fn value(&mut self) -> Result<Str, String> {
        match self.peek() {
            (Token::End, _) | (_, ",") => return Ok(Str::default()),
            _ => {}
        }
        match self.next() {
            (Token::Word, value) => Ok(value.into()),
            (_, found) => Err(format!("found '{found}', expected: identifier")),
        }
    }

    /// The values in parentheses, sorted, each once; nothing between commas is the empty value.
    fn values(&mut self) -> Result<Vec<Str>, String> {
        match self.next() {
            (_, "(") => {}
            (_, found) => return Err(format!("found '{found}' expected: '('")),
        }
        let mut values: Vec<Str> = Vec::new();
        match self.peek() {
            (Token::Word, _) | (_, ",") => self.list(&mut values)?,
            (_, ")") => values.push(Str::default()),
            (_, found) => return Err(format!("found '{found}', expected: ',', ')' or identifier")),
        }
        // The closing parenthesis, which was seen.
        self.at += 1;
        values.sort();
        values.dedup();
        Ok(values)
    }

    fn list(&mut self, values: &mut Vec<Str>) -> Result<(), String> {
        loop {
            match self.next() {
                (Token::Word, value) => {
                    values.push(value.into());
                    match self.peek() {
                        (_, ",") => {}
                        (_, ")") => return Ok(()),
                        (_, found) => return Err(format!("found '{found}', expected: ',' or ')'")),
                    }
                }
                (_, ",") => {
                    let next = self.peek().1;
                    if values.is_empty() || next == ")" || next == "," {
                        values.push(Str::default());
                    }
                    if next == ")" {
                        return Ok(());
                    }
                }
                (_, found) => return Err(format!("found '{found}', expected: ',', or identifier")),
            }
        }
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
            assert_eq!(
                requirements(text).map_err(|error| error.to_string()),
                Err(expected.to_owned()),
                "{text}"
            );
        }
    }

    #[test]
    fn sets_may_hold_the_empty_value() {
        let values = |text| requirements(text).map(|found| found[0].values.join("|"));
        for (text, expected) in
            [("a in ()", ""), ("a in (,b)", "|b"), ("a in (c,b,)", "|b|c"), ("a in (in)", "in")]
        {
            assert_eq!(values(text), Ok(expected.to_owned()), "{text}");
        }
    }
}
