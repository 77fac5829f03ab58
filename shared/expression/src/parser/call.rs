//! Calls: builtins, closures, functions of the environment, and the one form in which a secret may
//! be named.

use std::sync::Arc;

use super::{Parser, Scope, Step};
use crate::{
    ast::{Id, Kind, LoopNode},
    builtins::{Builtin, Loop},
    error::{Error, ErrorKind, Span},
    lexer::TokenKind,
};

impl Parser<'_> {
    /// `left | name(arguments)`, after the `|`.
    pub(super) fn pipe(&mut self, left: Id) -> Step<Id> {
        let name = self.advance();
        if name.kind == TokenKind::Name && !self.is("(") {
            let text = &self.source[name.span.start..name.span.end];
            let message = format!("a function behind `|` is called: `| {text}()`");
            return Err(self.error(ErrorKind::Syntax, message, name.span));
        }
        if name.kind != TokenKind::Name {
            self.at -= usize::from(name.kind != TokenKind::Name && name.kind != TokenKind::End);
            return Err(self.unexpected());
        }
        let first = self.first(left);
        let node = self.call(name.span, first, Some(left))?;
        self.postfix(node)
    }

    /// A call of the function named at `name`, whose `(` comes next. `piped` is the first argument.
    pub(super) fn call(&mut self, name: Span, first: Id, piped: Option<Id>) -> Step<Id> {
        let text = &self.source[name.start..name.end];
        if text == "secrets" {
            return self.secret(name, piped);
        }
        if let Some(which) = Loop::named(text) {
            return self.closure_call(which, name, first, piped);
        }
        let start = piped.map_or(name.start, |id| self.start_of(id));
        let arguments = self.arguments(piped.into_iter().collect())?;
        let span = Span::new(start, self.end());
        let kind = match Builtin::named(text) {
            Some(builtin) => {
                if let Err(message) = builtin.check_count(arguments.len()) {
                    return Err(self.error(ErrorKind::Type, message, span));
                }
                Kind::Builtin(builtin, arguments)
            }
            None if text.starts_with("bit") && crate::builtins::LEFT_OUT.contains(&text) => {
                let message = format!("the bit functions of Go's expr, `{text}` among them, are left out");
                return Err(self.error(ErrorKind::Name, message, name));
            }
            None => Kind::Host(text.into(), arguments),
        };
        self.push(kind, span, first)
    }

    /// `(a, b)`, added to the given arguments.
    pub(super) fn arguments(&mut self, mut arguments: Vec<Id>) -> Step<Vec<Id>> {
        let given = arguments.len();
        self.expect("(")?;
        while !self.is(")") {
            if arguments.len() > given {
                self.expect(",")?;
                if self.is(")") {
                    break;
                }
            }
            arguments.push(self.nested(|p| p.expression(0))?);
        }
        self.expect(")")?;
        Ok(arguments)
    }

    /// `which(list, closure, extra)`
    fn closure_call(&mut self, which: Loop, name: Span, first: Id, piped: Option<Id>) -> Step<Id> {
        self.expect("(")?;
        let list = match piped {
            Some(list) => list,
            None if self.is(")") => return Err(self.missing_argument(which, name)),
            None => {
                let list = self.nested(|p| p.expression(0))?;
                if !self.is(")") {
                    self.expect(",")?;
                }
                list
            }
        };
        let scope = self.tree.scopes;
        self.tree.scopes += 1;
        let mut body = None;
        if !self.is(")") {
            self.scopes.push(Scope { number: scope, which });
            body = Some(self.nested(Self::closure)?);
            self.scopes.pop();
        } else if !which.body_is_optional() {
            return Err(self.missing_argument(which, name));
        }
        let mut extra = None;
        if self.accept(",") && !self.is(")") {
            if !which.has_extra() {
                return Err(self.unexpected());
            }
            extra = Some(self.nested(|p| p.expression(0))?);
            self.accept(",");
        }
        let end = self.expect(")")?.end;
        let start = piped.map_or(name.start, |id| self.start_of(id));
        let node = LoopNode { which, scope, list, body, extra };
        self.push(Kind::Loop(node), Span::new(start, end), first)
    }

    fn missing_argument(&self, which: Loop, name: Span) -> Box<Error> {
        self.error(ErrorKind::Type, format!("`{}` needs a list and a closure", which.name()), name)
    }

    /// The body of a closure, with braces or without. Braces that hold a key hold a map.
    fn closure(&mut self) -> Step<Id> {
        if !self.is("{") || self.starts_map() {
            return self.sequence();
        }
        self.expect("{")?;
        let body = self.sequence()?;
        self.expect("}")?;
        Ok(body)
    }

    /// Whether `{ key :` comes next.
    fn starts_map(&self) -> bool {
        let kind = |ahead: usize| self.tokens.get(self.at + ahead).map(|token| &token.kind);
        let key = matches!(kind(1), Some(TokenKind::Name | TokenKind::Text(_) | TokenKind::Number));
        key && matches!(kind(2), Some(TokenKind::Symbol(":")))
    }

    /// `secrets("name").key` or `secrets("name")["key"]`: literals only, so that all references are
    /// known statically.
    fn secret(&mut self, name: Span, piped: Option<Id>) -> Step<Id> {
        let misused = |p: &Self| p.secrets_misused(Span::new(name.start, p.end().max(name.end)));
        self.expect("(")?;
        let TokenKind::Text(secret) = self.advance().kind else { return Err(misused(self)) };
        if piped.is_some() || !self.accept(")") {
            return Err(misused(self));
        }
        let key: Arc<str> = if self.accept(".") {
            let token = self.advance();
            match token.kind {
                TokenKind::Name => self.source[token.span.start..token.span.end].into(),
                TokenKind::Symbol(word) if word.starts_with(|c: char| c.is_ascii_alphabetic()) => word.into(),
                _ => return Err(misused(self)),
            }
        } else if self.accept("[") {
            let TokenKind::Text(key) = self.advance().kind else { return Err(misused(self)) };
            if !self.accept("]") {
                return Err(misused(self));
            }
            key
        } else {
            return Err(misused(self));
        };
        let span = Span::new(name.start, self.end());
        let reference = (secret.to_string(), key.to_string());
        let known = self.tree.refs.iter().position(|known| *known == reference);
        let index = known.unwrap_or_else(|| {
            self.tree.refs.push(reference);
            self.tree.refs.len() - 1
        }) as u32;
        self.leaf(Kind::Secret(index), span)
    }

    pub(super) fn secrets_misused(&self, span: Span) -> Box<Error> {
        let message =
            "a secret is written `secrets(\"name\").key` or `secrets(\"name\")[\"key\"]`, with literal texts";
        self.error(ErrorKind::Secret, message, span)
    }
}
