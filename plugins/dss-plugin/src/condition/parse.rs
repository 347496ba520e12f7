//! From text to an expression.

use serde_json::{Number, Value as Json};

use crate::json::quoted;

/// The longest condition that is looked at.
const MAX_BYTES: usize = 4096;

/// The deepest expression.
const MAX_DEPTH: usize = 100;

/// A part of a condition.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expression {
    /// All parameters.
    Model,
    /// What isn't there.
    Undefined,
    Literal(Json),
    List(Vec<Self>),
    Not(Box<Self>),
    Negative(Box<Self>),
    And(Box<Self>, Box<Self>),
    Or(Box<Self>, Box<Self>),
    /// Condition, then, else.
    Choice(Box<[Self; 3]>),
    Compare(Box<Self>, Comparison, Box<Self>),
    /// `a.b` or `a[b]`.
    Member(Box<Self>, Box<Self>),
    Call(Box<Self>, Function, Vec<Self>),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Comparison {
    Equal,
    Unequal,
    Same,
    NotSame,
    Less,
    AtMost,
    More,
    AtLeast,
}

/// The functions of texts and lists.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Function {
    Includes,
    IndexOf,
    StartsWith,
    EndsWith,
    ToLowerCase,
    ToUpperCase,
    Trim,
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Name(String),
    Text(String),
    Number(Number),
    Sign(&'static str),
}

/// Longer ones first: `==` is the beginning of `===`.
const SIGNS: [&str; 20] =
    ["===", "!==", "==", "!=", "<=", ">=", "&&", "||", "<", ">", "!", "(", ")", "[", "]", ",", ".", "?", ":", "-"];

pub(super) fn parse(text: &str) -> Result<Expression, String> {
    if text.len() > MAX_BYTES {
        return Err(format!("it has {} bytes; at most {MAX_BYTES} are looked at", text.len()));
    }
    let tokens = tokens(text)?;
    if tokens.is_empty() {
        return Err("there is nothing in it".to_owned());
    }
    let mut parser = Parser { tokens, next: 0, depth: 0 };
    let expression = parser.choice()?;
    match parser.tokens.get(parser.next) {
        None => Ok(expression),
        Some((token, at)) => Err(unexpected(token, *at)),
    }
}

fn unexpected(token: &Token, at: usize) -> String {
    let what = match token {
        Token::Name(name) => quoted(name),
        Token::Text(text) => format!("the text {}", quoted(text)),
        Token::Number(number) => format!("the number {number}"),
        Token::Sign(sign) => quoted(sign),
    };
    format!("{what} isn't expected, at character {at}")
}

/// The tokens, each with the number of its first character, from 1.
fn tokens(text: &str) -> Result<Vec<(Token, usize)>, String> {
    let mut tokens = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start();
        let at = text[..text.len() - rest.len()].chars().count() + 1;
        let Some(first) = rest.chars().next() else { return Ok(tokens) };
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '$';
        let digit_follows = rest[first.len_utf8()..].starts_with(|c: char| c.is_ascii_digit());
        let (token, length) = if first == '\'' || first == '"' {
            literal_text(rest, first).ok_or_else(|| format!("a quote isn't closed, at character {at}"))?
        } else if first.is_ascii_digit() || (first == '.' && digit_follows) {
            number(rest).ok_or_else(|| format!("a number isn't understood, at character {at}"))?
        } else if is_name(first) {
            let length = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
            (Token::Name(rest[..length].to_owned()), length)
        } else if let Some(sign) = SIGNS.into_iter().find(|sign| rest.starts_with(sign)) {
            (Token::Sign(sign), sign.len())
        } else {
            return Err(format!("{} isn't known, at character {at}", quoted(&first.to_string())));
        };
        tokens.push((token, at));
        rest = &rest[length..];
    }
}

fn literal_text(rest: &str, quote: char) -> Option<(Token, usize)> {
    let mut text = String::new();
    let mut chars = rest.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            _ if c == quote => return Some((Token::Text(text), at + 1)),
            '\\' => text.push(match chars.next()?.1 {
                'n' => '\n',
                't' => '\t',
                other => other,
            }),
            _ => text.push(c),
        }
    }
    None
}

fn number(rest: &str) -> Option<(Token, usize)> {
    let mut length = 0;
    let bytes = rest.as_bytes();
    while let Some(byte) = bytes.get(length) {
        let sign_of_exponent = matches!(byte, b'+' | b'-') && length > 0 && matches!(bytes[length - 1], b'e' | b'E');
        if !(byte.is_ascii_alphanumeric() || *byte == b'.' || sign_of_exponent) {
            break;
        }
        length += 1;
    }
    Some((Token::Number(crate::json::to_number(&rest[..length])?), length))
}

struct Parser {
    tokens: Vec<(Token, usize)>,
    next: usize,
    depth: usize,
}

type Parsed = Result<Expression, String>;

impl Parser {
    fn is_next(&self, sign: &str) -> bool {
        matches!(self.tokens.get(self.next), Some((Token::Sign(next), _)) if *next == sign)
    }

    fn take(&mut self, sign: &str) -> bool {
        let there = self.is_next(sign);
        self.next += usize::from(there);
        there
    }

    fn require(&mut self, sign: &str) -> Result<(), String> {
        if self.take(sign) {
            return Ok(());
        }
        let (token, at) = self.peek()?;
        Err(unexpected(token, *at))
    }

    fn peek(&self) -> Result<&(Token, usize), String> {
        self.tokens.get(self.next).ok_or_else(|| "it ends too early".to_owned())
    }

    /// Each level of nesting comes through here.
    fn choice(&mut self) -> Parsed {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err("it is nested too deep".to_owned());
        }
        let condition = self.either()?;
        let expression = if self.take("?") {
            let yes = self.choice()?;
            self.require(":")?;
            let no = self.choice()?;
            Expression::Choice(Box::new([condition, yes, no]))
        } else {
            condition
        };
        self.depth -= 1;
        Ok(expression)
    }

    fn either(&mut self) -> Parsed {
        let mut left = self.both()?;
        let mut count = 0;
        while self.take("||") {
            left = Expression::Or(Box::new(left), Box::new(self.both()?));
            Self::counted(&mut count)?;
        }
        Ok(left)
    }

    fn both(&mut self) -> Parsed {
        let mut left = self.equality()?;
        let mut count = 0;
        while self.take("&&") {
            left = Expression::And(Box::new(left), Box::new(self.equality()?));
            Self::counted(&mut count)?;
        }
        Ok(left)
    }

    /// A chain is as deep as it is long: it is evaluated from its end.
    fn counted(count: &mut usize) -> Result<(), String> {
        *count += 1;
        if *count > MAX_DEPTH { Err("it is too long".to_owned()) } else { Ok(()) }
    }

    fn equality(&mut self) -> Parsed {
        const SIGNS: [(&str, Comparison); 4] = [
            ("===", Comparison::Same),
            ("!==", Comparison::NotSame),
            ("==", Comparison::Equal),
            ("!=", Comparison::Unequal),
        ];
        self.comparisons(&SIGNS, Self::order)
    }

    fn order(&mut self) -> Parsed {
        const SIGNS: [(&str, Comparison); 4] =
            [("<=", Comparison::AtMost), (">=", Comparison::AtLeast), ("<", Comparison::Less), (">", Comparison::More)];
        self.comparisons(&SIGNS, Self::unary)
    }

    fn comparisons(&mut self, signs: &[(&str, Comparison)], operand: fn(&mut Self) -> Parsed) -> Parsed {
        let mut left = operand(self)?;
        let mut count = 0;
        while let Some((_, comparison)) = signs.iter().find(|(sign, _)| self.is_next(sign)) {
            self.next += 1;
            left = Expression::Compare(Box::new(left), *comparison, Box::new(operand(self)?));
            Self::counted(&mut count)?;
        }
        Ok(left)
    }

    fn unary(&mut self) -> Parsed {
        let not = self.take("!");
        if !not && !self.take("-") {
            return self.postfix();
        }
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err("it is nested too deep".to_owned());
        }
        let operand = Box::new(self.unary()?);
        self.depth -= 1;
        Ok(if not { Expression::Not(operand) } else { Expression::Negative(operand) })
    }

    fn postfix(&mut self) -> Parsed {
        let mut value = self.primary()?;
        let mut count = 0;
        loop {
            if self.take(".") {
                let (token, at) = self.peek()?.clone();
                let Token::Name(name) = token else { return Err(unexpected(&token, at)) };
                self.next += 1;
                value = if self.take("(") {
                    let function = function(&name)
                        .ok_or_else(|| format!("the function {} isn't known, at character {at}", quoted(&name)))?;
                    Expression::Call(Box::new(value), function, self.list(")")?)
                } else {
                    Expression::Member(Box::new(value), Box::new(Expression::Literal(Json::String(name))))
                };
            } else if self.take("[") {
                let index = self.choice()?;
                self.require("]")?;
                value = Expression::Member(Box::new(value), Box::new(index));
            } else {
                return Ok(value);
            }
            Self::counted(&mut count)?;
        }
    }

    /// Expressions up to a closing sign; a comma may stand before it.
    fn list(&mut self, close: &str) -> Result<Vec<Expression>, String> {
        let mut list = Vec::new();
        while !self.take(close) {
            list.push(self.choice()?);
            if !self.is_next(close) {
                self.require(",")?;
            }
        }
        Ok(list)
    }

    fn primary(&mut self) -> Parsed {
        let (token, at) = self.peek()?.clone();
        self.next += 1;
        Ok(match token {
            Token::Text(text) => Expression::Literal(Json::String(text)),
            Token::Number(number) => Expression::Literal(Json::Number(number)),
            Token::Sign("(") => {
                let inner = self.choice()?;
                self.require(")")?;
                inner
            }
            Token::Sign("[") => Expression::List(self.list("]")?),
            Token::Sign(_) => return Err(unexpected(&token, at)),
            Token::Name(name) => match name.as_str() {
                "model" => Expression::Model,
                // Authors who write Python spell some as Python does, and mean the same.
                "undefined" | "None" => Expression::Undefined,
                "null" => Expression::Literal(Json::Null),
                "true" | "True" => Expression::Literal(Json::Bool(true)),
                "false" | "False" => Expression::Literal(Json::Bool(false)),
                _ => return Err(format!("{} isn't known, at character {at}", quoted(&name))),
            },
        })
    }
}

fn function(name: &str) -> Option<Function> {
    Some(match name {
        "includes" => Function::Includes,
        "indexOf" => Function::IndexOf,
        "startsWith" => Function::StartsWith,
        "endsWith" => Function::EndsWith,
        "toLowerCase" => Function::ToLowerCase,
        "toUpperCase" => Function::ToUpperCase,
        "trim" => Function::Trim,
        _ => return None,
    })
}
