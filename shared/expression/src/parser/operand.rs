//! Operands: literals, names, brackets, prefix operators, and their postfixes (`.name`, `[i]`,
//! `[a:b]`, calls).

use std::sync::Arc;

use super::{Parser, Step};
use crate::{
    ast::{Id, Kind, UnaryOp},
    error::{ErrorKind, Span},
    lexer::TokenKind,
    value::Value,
};

/// The precedence of `not` and `!`.
const NOT_BINDS: u8 = 50;
/// The precedence of the signs: lower than that of `**`.
const SIGN_BINDS: u8 = 90;

/// The way in which a part of a value is looked up.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    /// `.` or `[`: a part of nil is an error.
    Plain,
    /// `?.`: a part of nil is nil.
    Optional,
}

impl Parser<'_> {
    /// An operand with its prefixes and postfixes.
    pub(super) fn operand(&mut self) -> Step<Id> {
        let span = self.token().span;
        let first = self.next_id();
        let TokenKind::Symbol(symbol) = self.token().kind else {
            return self.simple();
        };
        let unary = match symbol {
            "not" | "!" => Some((UnaryOp::Not, NOT_BINDS)),
            "-" => Some((UnaryOp::Minus, SIGN_BINDS)),
            "+" => Some((UnaryOp::Plus, SIGN_BINDS)),
            _ => None,
        };
        if let Some((op, binds)) = unary {
            self.advance();
            let operand = self.nested(|p| p.expression(binds))?;
            let node = self.push(Kind::Unary(op, operand), Span::new(span.start, self.end()), first)?;
            return self.postfix(node);
        }
        let node = match symbol {
            "(" => {
                self.advance();
                let node = self.nested(Self::sequence)?;
                self.expect(")")?;
                node
            }
            "[" => self.nested(Self::list)?,
            "{" => self.nested(Self::map)?,
            "#" | "." => self.pointer()?,
            "::" => {
                self.advance();
                let name = self.advance();
                if name.kind != TokenKind::Name || !self.is("(") {
                    return Err(self.unexpected());
                }
                self.call(name.span, first, None)?
            }
            _ => return Err(self.unexpected()),
        };
        self.postfix(node)
    }

    /// A literal or a name.
    fn simple(&mut self) -> Step<Id> {
        let first = self.next_id();
        let token = self.token().clone();
        match &token.kind {
            TokenKind::Number => {
                self.advance();
                let value = self.number(token.span)?;
                self.leaf(Kind::Literal(value), token.span)
            }
            TokenKind::Text(text) => {
                self.advance();
                let node = self.text_literal(text.clone(), token.span)?;
                self.postfix(node)
            }
            TokenKind::Name => {
                self.advance();
                let constant = match &self.source[token.span.start..token.span.end] {
                    "true" => Some(Value::Bool(true)),
                    "false" => Some(Value::Bool(false)),
                    "nil" => Some(Value::Nil),
                    _ => None,
                };
                if let Some(value) = constant {
                    return self.leaf(Kind::Literal(value), token.span);
                }
                let node = if self.is("(") {
                    self.call(token.span, first, None)?
                } else {
                    self.variable(token.span)?
                };
                self.postfix(node)
            }
            TokenKind::Symbol(_) | TokenKind::End => Err(self.unexpected()),
        }
    }

    fn variable(&mut self, span: Span) -> Step<Id> {
        let name = &self.source[span.start..span.end];
        if name == "secrets" {
            return Err(self.secrets_misused(span));
        }
        let local = self.locals.iter().rev().find(|(local, _)| **local == *name).map(|(_, slot)| *slot);
        let kind = match local {
            Some(slot) => Kind::Local(slot),
            None => Kind::Variable(name.into()),
        };
        self.leaf(kind, span)
    }

    fn number(&mut self, span: Span) -> Step<Value<'static>> {
        let text = self.source[span.start..span.end].replace('_', "");
        let lower = text.to_ascii_lowercase();
        let radix = match lower.get(..2) {
            Some("0x") => 16,
            Some("0o") => 8,
            Some("0b") => 2,
            _ => 10,
        };
        let value = if radix != 10 {
            i64::from_str_radix(&lower[2..], radix).ok().map(Value::Int)
        } else if lower.contains(['.', 'e']) {
            lower.parse().ok().filter(|x: &f64| x.is_finite()).map(Value::Float)
        } else {
            lower.parse().ok().map(Value::Int)
        };
        value.ok_or_else(|| self.error(ErrorKind::Syntax, "this number is malformed or too large", span))
    }

    /// `#`, `#acc`, `#index`, and the `#` that an author leaves out before `.name`.
    fn pointer(&mut self) -> Step<Id> {
        let span = self.token().span;
        let Some(scope) = self.scopes.last() else {
            return Err(self.error(ErrorKind::Syntax, "`#` means something in a closure only", span));
        };
        let (number, which) = (scope.number, scope.which);
        if self.is(".") {
            return self.leaf(Kind::Item(number), Span::new(span.start, span.start));
        }
        self.advance();
        if self.token().kind != TokenKind::Name {
            return self.leaf(Kind::Item(number), span);
        }
        let name = self.advance().span;
        let span = Span::new(span.start, name.end);
        let kind = match &self.source[name.start..name.end] {
            "acc" if which.has_acc() => Kind::Acc,
            "index" if which.has_index() => Kind::Index,
            other => {
                let message = format!("`#{other}` does not exist in `{}`", which.name());
                return Err(self.error(ErrorKind::Name, message, span));
            }
        };
        self.leaf(kind, span)
    }

    fn list(&mut self) -> Step<Id> {
        let (first, start) = (self.next_id(), self.advance().span.start);
        let mut items = Vec::new();
        while !self.is("]") {
            if !items.is_empty() {
                self.expect(",")?;
                if self.is("]") {
                    break;
                }
            }
            items.push(self.expression(0)?);
        }
        let end = self.expect("]")?.end;
        self.push(Kind::List(items), Span::new(start, end), first)
    }

    pub(super) fn map(&mut self) -> Step<Id> {
        let (first, start) = (self.next_id(), self.advance().span.start);
        let mut pairs = Vec::new();
        while !self.is("}") {
            if !pairs.is_empty() {
                self.expect(",")?;
                if self.is("}") {
                    break;
                }
            }
            let key = self.map_key()?;
            self.expect(":")?;
            pairs.push((key, self.expression(0)?));
        }
        let end = self.expect("}")?.end;
        self.push(Kind::Map(pairs), Span::new(start, end), first)
    }

    fn map_key(&mut self) -> Step<Id> {
        let token = self.token().clone();
        match token.kind {
            TokenKind::Text(text) => {
                self.advance();
                self.text_literal(text, token.span)
            }
            TokenKind::Name | TokenKind::Number => {
                self.advance();
                let text = &self.source[token.span.start..token.span.end];
                self.text_literal(text.into(), token.span)
            }
            TokenKind::Symbol("(") => self.nested(|p| p.expression(0)),
            _ => {
                let message = "a map key is a name, a text, a number, or an expression in parentheses";
                Err(self.error(ErrorKind::Syntax, message, token.span))
            }
        }
    }

    /// The postfixes of an operand.
    pub(super) fn postfix(&mut self, mut node: Id) -> Step<Id> {
        loop {
            let TokenKind::Symbol(symbol) = self.token().kind else { return Ok(node) };
            node = match symbol {
                "." => {
                    self.advance();
                    self.member(node, Access::Plain)?
                }
                "?." if self.follows("[") => {
                    self.advance();
                    self.nested(|p| p.brackets(node, Access::Optional))?
                }
                "?." => {
                    self.advance();
                    self.member(node, Access::Optional)?
                }
                "[" => self.nested(|p| p.brackets(node, Access::Plain))?,
                _ => return Ok(node),
            };
        }
    }

    /// The name after `.` or `?.`; with parentheses it is a method.
    fn member(&mut self, object: Id, access: Access) -> Step<Id> {
        let optional = access == Access::Optional;
        let token = self.advance();
        let name: Arc<str> = match token.kind {
            TokenKind::Name => self.source[token.span.start..token.span.end].into(),
            TokenKind::Symbol(word) if word.starts_with(|c: char| c.is_ascii_alphabetic()) => word.into(),
            _ => return Err(self.error(ErrorKind::Syntax, "expected a name after the dot", token.span)),
        };
        // A name continues the chain before it; a bracket ends the chain.
        let (object, chained) = match *self.kind(object) {
            Kind::Chain(inner) => (inner, true),
            _ => (object, optional),
        };
        let (first, start) = (self.first(object), self.start_of(object));
        let kind = if self.is("(") {
            let arguments = self.arguments(Vec::new())?;
            Kind::Method(object, name, arguments, optional)
        } else {
            let key = self.text_literal(name, token.span)?;
            Kind::Member(object, key, optional)
        };
        let span = Span::new(start, self.end());
        let node = self.push(kind, span, first)?;
        if chained { self.push(Kind::Chain(node), span, first) } else { Ok(node) }
    }

    /// `[i]` or `[from:to]`.
    fn brackets(&mut self, object: Id, access: Access) -> Step<Id> {
        let optional = access == Access::Optional;
        let (first, start) = (self.first(object), self.start_of(object));
        self.expect("[")?;
        let from = if self.is(":") { None } else { Some(self.expression(0)?) };
        if self.accept(":") {
            let to = if self.is("]") { None } else { Some(self.expression(0)?) };
            let end = self.expect("]")?.end;
            return self.push(Kind::Slice(object, from, to), Span::new(start, end), first);
        }
        let end = self.expect("]")?.end;
        let Some(key) = from else { return Err(self.unexpected()) };
        let span = Span::new(start, end);
        let node = self.push(Kind::Member(object, key, optional), span, first)?;
        if optional { self.push(Kind::Chain(node), span, first) } else { Ok(node) }
    }
}
