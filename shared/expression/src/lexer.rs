//! The lexer: from source text to tokens.

use std::sync::Arc;

use crate::error::{Error, ErrorKind, Span};

/// One token and its place.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    pub kind: TokenKind,
    pub span: Span,
}

/// The kind of a token.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum TokenKind {
    /// A name; its text is in the source.
    Name,
    /// A number; its text is in the source.
    Number,
    /// A string literal, unescaped.
    Text(Arc<str>),
    /// An operator, a bracket, or a word that is an operator.
    Symbol(&'static str),
    /// The end of the expression.
    End,
}

/// The end of an expression.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Until {
    /// The end of the source.
    End,
    /// The first `}}` that is neither in a string nor closes brackets of the expression.
    Braces,
}

/// The words that are operators.
const WORDS: &[&str] =
    &["not", "in", "or", "and", "matches", "contains", "startsWith", "endsWith", "let", "if", "else"];

/// Operators and brackets, longer ones first.
const SYMBOLS: &[&str] = &[
    "**", "==", "!=", "<=", ">=", "&&", "||", "??", "?.", "..", "::", "+", "-", "*", "/", "%", "^", "<", ">",
    "!", "?", ":", ".", ",", ";", "|", "=", "#", "(", ")", "[", "]", "{", "}",
];

/// Splits `source` from byte `start` into tokens; the last one is [`TokenKind::End`], whose span
/// covers the closing `}}` if there is one.
pub(crate) fn lex(source: &str, start: usize, until: Until) -> Result<Vec<Token>, Error> {
    Lexer { source, at: start, tokens: Vec::new(), open: 0 }.run(until)
}

struct Lexer<'s> {
    source: &'s str,
    at: usize,
    tokens: Vec<Token>,
    /// Brackets that are open.
    open: usize,
}

impl Lexer<'_> {
    fn run(mut self, until: Until) -> Result<Vec<Token>, Error> {
        let begin = self.at;
        loop {
            self.skip_blank()?;
            let Some(c) = self.peek() else {
                if until == Until::Braces {
                    return Err(self.error("this `{{` is not closed by `}}`", begin - 2, begin));
                }
                self.push(TokenKind::End, self.at);
                return Ok(self.tokens);
            };
            let start = self.at;
            if until == Until::Braces && self.open == 0 && self.source[start..].starts_with("}}") {
                self.at += 2;
                self.push(TokenKind::End, start);
                return Ok(self.tokens);
            }
            match c {
                '"' | '\'' => self.quoted(c)?,
                '`' => self.raw()?,
                '0'..='9' => self.number()?,
                '.' if self.byte(1).is_some_and(|b| b.is_ascii_digit()) => self.number()?,
                c if is_name_start(c) => self.name(),
                _ => self.symbol()?,
            }
        }
    }

    fn peek(&self) -> Option<char> {
        self.source[self.at..].chars().next()
    }

    fn byte(&self, ahead: usize) -> Option<u8> {
        self.source.as_bytes().get(self.at + ahead).copied()
    }

    fn push(&mut self, kind: TokenKind, start: usize) {
        self.tokens.push(Token { kind, span: Span::new(start, self.at) });
    }

    fn error(&self, message: impl Into<String>, start: usize, end: usize) -> Error {
        Error::new(ErrorKind::Syntax, message, Span::new(start, end))
    }

    /// Skips white space and comments.
    fn skip_blank(&mut self) -> Result<(), Error> {
        loop {
            let rest = &self.source[self.at..];
            let trimmed = rest.trim_start();
            self.at += rest.len() - trimmed.len();
            if trimmed.starts_with("//") {
                self.at += trimmed.find('\n').unwrap_or(trimmed.len());
            } else if let Some(comment) = trimmed.strip_prefix("/*") {
                let Some(length) = comment.find("*/") else {
                    return Err(self.error("this comment is not closed by `*/`", self.at, self.at + 2));
                };
                self.at += length + 4;
            } else {
                return Ok(());
            }
        }
    }

    fn name(&mut self) {
        let start = self.at;
        let rest = &self.source[start..];
        self.at += rest.find(|c: char| !is_name_part(c)).unwrap_or(rest.len());
        let word = &self.source[start..self.at];
        let kind = match WORDS.iter().find(|w| **w == word) {
            Some(word) => TokenKind::Symbol(word),
            None => TokenKind::Name,
        };
        self.push(kind, start);
    }

    fn number(&mut self) -> Result<(), Error> {
        let start = self.at;
        let radix = match (self.byte(0), self.byte(1)) {
            (Some(b'0'), Some(b'x' | b'X')) => 16,
            (Some(b'0'), Some(b'o' | b'O')) => 8,
            (Some(b'0'), Some(b'b' | b'B')) => 2,
            _ => 10,
        };
        if radix != 10 {
            self.at += 2;
            self.digits(radix);
        } else {
            self.digits(10);
            // `1..2` is a range.
            if self.byte(0) == Some(b'.') && self.byte(1) != Some(b'.') {
                self.at += 1;
                self.digits(10);
            }
            if matches!(self.byte(0), Some(b'e' | b'E')) {
                self.at += 1;
                if matches!(self.byte(0), Some(b'+' | b'-')) {
                    self.at += 1;
                }
                self.digits(10);
            }
        }
        if let Some(c) = self.peek()
            && is_name_part(c)
        {
            return Err(self.error("this is no number", start, self.at + c.len_utf8()));
        }
        self.push(TokenKind::Number, start);
        Ok(())
    }

    fn digits(&mut self, radix: u32) {
        while self.byte(0).is_some_and(|b| b == b'_' || char::from(b).is_digit(radix)) {
            self.at += 1;
        }
    }

    fn symbol(&mut self) -> Result<(), Error> {
        let start = self.at;
        let rest = &self.source[start..];
        let Some(symbol) = SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol)) else {
            let length = rest.chars().next().map_or(1, char::len_utf8);
            return Err(self.error("this character means nothing here", start, start + length));
        };
        match *symbol {
            "(" | "[" | "{" => self.open += 1,
            ")" | "]" | "}" => self.open = self.open.saturating_sub(1),
            _ => {}
        }
        self.at += symbol.len();
        self.push(TokenKind::Symbol(symbol), start);
        Ok(())
    }

    /// A text in backquotes: it has no escapes, and a doubled backquote stands for one.
    fn raw(&mut self) -> Result<(), Error> {
        let start = self.at;
        let mut text = String::new();
        self.at += 1;
        loop {
            let Some(length) = self.source[self.at..].find('`') else {
                return Err(self.error("this text is not closed by a backquote", start, start + 1));
            };
            text.push_str(&self.source[self.at..self.at + length]);
            self.at += length + 1;
            if self.byte(0) != Some(b'`') {
                break;
            }
            text.push('`');
            self.at += 1;
        }
        self.push(TokenKind::Text(text.into()), start);
        Ok(())
    }

    fn quoted(&mut self, quote: char) -> Result<(), Error> {
        let start = self.at;
        let mut bytes: Vec<u8> = Vec::new();
        self.at += 1;
        loop {
            let Some(c) = self.peek() else {
                return Err(self.error("this text is not closed", start, start + 1));
            };
            if c == '\\' {
                self.escape(&mut bytes)?;
                continue;
            }
            self.at += c.len_utf8();
            if c == quote {
                break;
            }
            bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        }
        self.push(TokenKind::Text(crate::text::from_bytes(&bytes).into()), start);
        Ok(())
    }

    /// One escape sequence; `\x` and octal ones are bytes, as in Go.
    fn escape(&mut self, bytes: &mut Vec<u8>) -> Result<(), Error> {
        let start = self.at;
        self.at += 1;
        let Some(c) = self.peek() else {
            return Err(self.error("this text is not closed", start, start + 1));
        };
        self.at += c.len_utf8();
        match c {
            'a' => bytes.push(7),
            'b' => bytes.push(8),
            'f' => bytes.push(12),
            'n' => bytes.push(b'\n'),
            'r' => bytes.push(b'\r'),
            't' => bytes.push(b'\t'),
            'v' => bytes.push(11),
            '\\' | '\'' | '"' | '`' | '?' => bytes.push(c as u8),
            'x' => bytes.push(self.code(start, 2, 16)?.try_into().unwrap_or(0)),
            'u' | 'U' => {
                let code = self.code(start, if c == 'u' { 4 } else { 8 }, 16)?;
                let Some(c) = char::from_u32(code) else {
                    return Err(self.error("this escape is no character", start, self.at));
                };
                bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            }
            '0'..='3' => {
                self.at -= 1;
                bytes.push(self.code(start, 3, 8)?.try_into().unwrap_or(0));
            }
            _ => return Err(self.error("this escape does not exist", start, self.at)),
        }
        Ok(())
    }

    /// `length` digits of an escape.
    fn code(&mut self, start: usize, length: usize, radix: u32) -> Result<u32, Error> {
        let mut code: u32 = 0;
        for _ in 0..length {
            let digit = self.byte(0).and_then(|b| char::from(b).to_digit(radix));
            let Some(digit) = digit else {
                return Err(self.error("this escape is too short", start, self.at));
            };
            code = code.wrapping_mul(radix).wrapping_add(digit);
            self.at += 1;
        }
        Ok(code)
    }
}

fn is_name_start(c: char) -> bool {
    c == '_' || c == '$' || c.is_alphabetic()
}

fn is_name_part(c: char) -> bool {
    is_name_start(c) || c.is_numeric()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(source: &str, expected: &[&str]) {
        let tokens = lex(source, 0, Until::End).unwrap();
        let shown: Vec<String> = tokens
            .iter()
            .map(|token| match &token.kind {
                TokenKind::Text(text) => format!("{text:?}"),
                TokenKind::End => "end".to_owned(),
                _ => source[token.span.start..token.span.end].to_owned(),
            })
            .collect();
        assert_eq!(shown, expected, "{source}");
    }

    #[test]
    fn tokens_of_every_kind() {
        check("a.b?.c ?? 1..2", &["a", ".", "b", "?.", "c", "??", "1", "..", "2", "end"]);
        check("$[\"x y\"]", &["$", "[", "\"x y\"", "]", "end"]);
        check("1.5e-3 .5 0x1F 1_000", &["1.5e-3", ".5", "0x1F", "1_000", "end"]);
        check(r#"'it\'s' "\x41\u00e9\101\n" `a\``b`"#, &["\"it's\"", "\"AéA\\n\"", "\"a\\\\`b\"", "end"]);
        check("a // b\n /* c */ d", &["a", "d", "end"]);
        check("#acc", &["#", "acc", "end"]);
    }

    #[test]
    fn what_is_no_token_is_an_error_with_its_place() {
        for (source, span) in [
            ("a @ b", (2, 3)),
            ("'abc", (0, 1)),
            ("`abc", (0, 1)),
            ("/* x", (0, 2)),
            ("1abc", (0, 2)),
            (r"'\q'", (1, 3)),
            (r"'\u12'", (1, 5)),
            (r"'\ud800'", (1, 7)),
            ("é § ", (3, 5)),
        ] {
            let error = lex(source, 0, Until::End).unwrap_err();
            assert_eq!((error.span.start, error.span.end), span, "{source}");
        }
    }

    #[test]
    fn braces_in_texts_and_maps_do_not_end_a_template() {
        for (source, end) in [
            ("{{ a }} }}", 7),
            ("{{ '}}' }}", 10),
            ("{{ {a: {b: 1}} }}", 17),
            ("{{ {a: 1}}}", 11),
            ("{{ `}}` }} b", 10),
            ("{{ /* }} */ 1 }}", 16),
        ] {
            let tokens = lex(source, 2, Until::Braces).unwrap();
            assert_eq!(tokens.last().unwrap().span.end, end, "{source}");
        }
    }
}
