//! The parser: from tokens to the flat tree. Expressions by precedence are parsed here; operands
//! and calls have files of their own.

mod call;
mod operand;

use std::sync::Arc;

use crate::{
    ast::{BinaryOp, Id, Kind, Node, UnaryOp},
    builtins::Loop,
    error::{Error, ErrorKind, Span},
    lexer::{Token, TokenKind, Until, lex},
    limits::{DEPTH_MAX, NESTING_MAX, NODES_MAX},
    template::{SecretRef, SecretRole},
    value::Value,
};

/// The result of parsing the expressions of one template.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tree {
    /// The nodes of all its expressions.
    pub nodes: Vec<Node>,
    /// The secrets, each once; [`Kind::Secret`] is an index into it.
    pub refs: Vec<(String, String)>,
    /// The value node of each `let` slot.
    pub slots: Vec<Id>,
    /// The number of closures.
    pub scopes: u32,
}

/// Recursive calls of the parser, brackets and operators together. It bounds the stack.
const RECURSION_MAX: usize = 200;

/// The operators with their precedence, as in Go's `expr`; a higher number binds more strongly.
const OPERATORS: &[(&str, u8, Operator)] = &[
    ("|", 0, Operator::Pipe),
    ("or", 10, Operator::Or),
    ("||", 10, Operator::Or),
    ("and", 15, Operator::And),
    ("&&", 15, Operator::And),
    ("==", 20, Operator::Binary(BinaryOp::Equal)),
    ("!=", 20, Operator::Binary(BinaryOp::NotEqual)),
    ("<", 20, Operator::Comparison(BinaryOp::Less)),
    (">", 20, Operator::Comparison(BinaryOp::Greater)),
    ("<=", 20, Operator::Comparison(BinaryOp::LessOrEqual)),
    (">=", 20, Operator::Comparison(BinaryOp::GreaterOrEqual)),
    ("in", 20, Operator::Binary(BinaryOp::In)),
    ("contains", 20, Operator::Binary(BinaryOp::Contains)),
    ("startsWith", 20, Operator::Binary(BinaryOp::StartsWith)),
    ("endsWith", 20, Operator::Binary(BinaryOp::EndsWith)),
    ("matches", 20, Operator::Binary(BinaryOp::Matches)),
    ("..", 25, Operator::Binary(BinaryOp::Range)),
    ("+", 30, Operator::Binary(BinaryOp::Add)),
    ("-", 30, Operator::Binary(BinaryOp::Subtract)),
    ("*", 60, Operator::Binary(BinaryOp::Multiply)),
    ("/", 60, Operator::Binary(BinaryOp::Divide)),
    ("%", 60, Operator::Binary(BinaryOp::Modulo)),
    ("**", 100, Operator::Binary(BinaryOp::Power)),
    ("^", 100, Operator::Binary(BinaryOp::Power)),
    ("??", 250, Operator::Coalesce),
];

/// The operators that `not` may stand before.
const NEGATABLE: &[&str] = &["in", "contains", "startsWith", "endsWith", "matches"];

#[derive(Clone, Copy)]
enum Operator {
    Pipe,
    Or,
    And,
    Coalesce,
    Binary(BinaryOp),
    /// May be chained: `1 < a < 3`.
    Comparison(BinaryOp),
}

/// A closure that is being parsed.
struct Scope {
    number: u32,
    which: Loop,
}

/// Parses the expressions of one template into one tree.
pub(crate) struct Parser<'s> {
    source: &'s str,
    tokens: Vec<Token>,
    at: usize,
    tree: Tree,
    /// For each node, the depth of its subtree.
    depths: Vec<u16>,
    nesting: usize,
    recursion: usize,
    scopes: Vec<Scope>,
    locals: Vec<(Arc<str>, u32)>,
}

/// The result of a step of the parser; errors are boxed to keep it small.
type Step<T> = Result<T, Box<Error>>;

impl<'s> Parser<'s> {
    /// A parser for expressions in `source`.
    pub fn new(source: &'s str) -> Parser<'s> {
        Parser {
            source,
            tokens: Vec::new(),
            at: 0,
            tree: Tree::default(),
            depths: Vec::new(),
            nesting: 0,
            recursion: 0,
            scopes: Vec::new(),
            locals: Vec::new(),
        }
    }

    /// Parses the expression that begins at byte `start`. Returns its node and the byte after it
    /// (after the `}}`).
    pub fn parse(&mut self, start: usize, until: Until) -> Result<(Id, usize), Error> {
        self.tokens = lex(self.source, start, until)?;
        self.at = 0;
        (self.nesting, self.recursion) = (0, 0);
        self.scopes.clear();
        self.locals.clear();
        let root = self.sequence().map_err(|error| *error)?;
        if self.token().kind != TokenKind::End {
            return Err(*self.unexpected());
        }
        Ok((root, self.token().span.end))
    }

    /// Wraps a parsed expression, for example in an encoding.
    pub fn wrap(&mut self, kind: Kind, span: Span, first: Id) -> Result<Id, Error> {
        self.push(kind, span, first).map_err(|error| *error)
    }

    /// The kind of a parsed node.
    pub fn kind(&self, id: Id) -> &Kind {
        &self.tree.nodes[id as usize].kind
    }

    /// The first node of a subtree.
    pub fn first(&self, id: Id) -> Id {
        self.tree.nodes[id as usize].first
    }

    /// The place of a parsed node.
    pub fn span(&self, id: Id) -> Span {
        self.tree.nodes[id as usize].span()
    }

    /// The reference that a secret node stands for.
    pub fn secret_ref(&self, index: u32, id: Id) -> SecretRef {
        let (name, key) = self.tree.refs[index as usize].clone();
        SecretRef { name, key, span: self.span(id), role: SecretRole::Placed }
    }

    /// The tree of everything that was parsed.
    pub fn finish(self) -> Tree {
        self.tree
    }

    fn token(&self) -> &Token {
        // The last token is `End` and is never passed.
        &self.tokens[self.at]
    }

    fn advance(&mut self) -> Token {
        let token = self.tokens[self.at].clone();
        if token.kind != TokenKind::End {
            self.at += 1;
        }
        token
    }

    fn is(&self, symbol: &str) -> bool {
        matches!(self.token().kind, TokenKind::Symbol(s) if s == symbol)
    }

    /// Whether the token after the next one is `symbol`.
    fn follows(&self, symbol: &str) -> bool {
        let token = self.tokens.get(self.at + 1);
        token.is_some_and(|token| matches!(token.kind, TokenKind::Symbol(s) if s == symbol))
    }

    fn accept(&mut self, symbol: &str) -> bool {
        let found = self.is(symbol);
        if found {
            self.at += 1;
        }
        found
    }

    fn expect(&mut self, symbol: &str) -> Step<Span> {
        if self.is(symbol) {
            return Ok(self.advance().span);
        }
        let token = self.token();
        let message = match self.shown(token) {
            Some(text) => format!("expected `{symbol}`, found `{text}`"),
            None => format!("expected `{symbol}`, found the end of the expression"),
        };
        Err(self.error(ErrorKind::Syntax, message, token.span))
    }

    fn shown(&self, token: &Token) -> Option<String> {
        match token.kind {
            TokenKind::End => None,
            TokenKind::Text(_) => Some("a text".to_owned()),
            _ => Some(self.source[token.span.start..token.span.end].to_owned()),
        }
    }

    fn error(&self, kind: ErrorKind, message: impl Into<String>, span: Span) -> Box<Error> {
        Box::new(Error::new(kind, message, span))
    }

    fn unexpected(&self) -> Box<Error> {
        let token = self.token();
        let message = match self.shown(token) {
            Some(text) => format!("`{text}` is unexpected here"),
            None => "the expression ends too early".to_owned(),
        };
        self.error(ErrorKind::Syntax, message, token.span)
    }

    /// The end of the token before this one.
    fn end(&self) -> usize {
        self.at.checked_sub(1).map_or(0, |before| self.tokens[before].span.end)
    }

    /// The first byte of the subtree of `id` in the source, without brackets around it.
    fn start_of(&self, id: Id) -> usize {
        self.tree.nodes[id as usize].span[0] as usize
    }

    /// Adds a node whose subtree begins with node `first`.
    fn push(&mut self, kind: Kind, span: Span, first: Id) -> Step<Id> {
        if self.tree.nodes.len() >= NODES_MAX {
            return Err(self.error(
                ErrorKind::Limit,
                format!("more than {NODES_MAX} parts in one field"),
                span,
            ));
        }
        let spine = kind.spine();
        let mut depth = 1;
        kind.each_child(|child| {
            let below = self.depths[child as usize];
            depth = depth.max(if Some(child) == spine { below } else { below + 1 });
        });
        if usize::from(depth) > DEPTH_MAX {
            return Err(self.error(ErrorKind::Limit, format!("nested deeper than {DEPTH_MAX} levels"), span));
        }
        let id = self.tree.nodes.len() as Id;
        self.tree.nodes.push(Node { span: [span.start as u32, span.end as u32], first, kind });
        self.depths.push(depth);
        Ok(id)
    }

    /// The index that the next node gets.
    fn next_id(&self) -> Id {
        self.tree.nodes.len() as Id
    }

    fn leaf(&mut self, kind: Kind, span: Span) -> Step<Id> {
        let first = self.next_id();
        self.push(kind, span, first)
    }

    fn text_literal(&mut self, text: Arc<str>, span: Span) -> Step<Id> {
        self.leaf(Kind::Literal(Value::string(&*text)), span)
    }

    /// Runs `parse` one level of brackets deeper.
    fn nested<T>(&mut self, parse: impl FnOnce(&mut Self) -> Step<T>) -> Step<T> {
        self.nesting += 1;
        if self.nesting > NESTING_MAX {
            return Err(self.too_deep());
        }
        let result = parse(self)?;
        self.nesting -= 1;
        Ok(result)
    }

    fn too_deep(&self) -> Box<Error> {
        self.error(ErrorKind::Limit, format!("nested deeper than {NESTING_MAX} levels"), self.token().span)
    }

    /// `a; b; c`
    fn sequence(&mut self) -> Step<Id> {
        let first = self.next_id();
        let node = self.expression(0)?;
        if !self.is(";") {
            return Ok(node);
        }
        let mut nodes = vec![node];
        while self.accept(";") {
            if self.token().kind == TokenKind::End {
                break;
            }
            nodes.push(self.expression(0)?);
        }
        if nodes.len() == 1 {
            return Ok(node);
        }
        let span = Span::new(self.start_of(node), self.end());
        self.push(Kind::Sequence(nodes), span, first)
    }

    /// An expression of operators that bind at least as strongly as `precedence`.
    fn expression(&mut self, precedence: u8) -> Step<Id> {
        self.recursion += 1;
        if self.recursion > RECURSION_MAX {
            return Err(self.too_deep());
        }
        let node = if precedence == 0 && self.is("let") {
            self.nested(Self::declaration)?
        } else if precedence == 0 && self.is("if") {
            self.nested(Self::if_else)?
        } else {
            let left = self.operand()?;
            let node = self.operators(left, precedence)?;
            if precedence == 0 { self.conditional(node)? } else { node }
        };
        self.recursion -= 1;
        Ok(node)
    }

    /// The operators after a first operand.
    fn operators(&mut self, mut left: Id, precedence: u8) -> Step<Id> {
        let mut after_coalesce = false;
        loop {
            let negate = self.is("not");
            let start = self.at;
            if negate {
                self.at += 1;
                if !NEGATABLE.iter().any(|word| self.is(word)) {
                    return Err(self.unexpected());
                }
            }
            let Some((symbol, binds, operator)) =
                self.operator().filter(|(_, binds, _)| *binds >= precedence)
            else {
                self.at = start;
                return Ok(left);
            };
            let span = self.advance().span;
            if after_coalesce && symbol != "??" && symbol != "|" {
                let message = format!("`{symbol}` after `??` needs parentheses around one of them");
                return Err(self.error(ErrorKind::Syntax, message, span));
            }
            after_coalesce = symbol == "??";
            left = self.apply(left, operator, binds)?;
            if negate {
                let (first, end) = (self.first(left), self.end());
                let span = Span::new(self.start_of(left), end);
                left = self.push(Kind::Unary(UnaryOp::Not, left), span, first)?;
            }
        }
    }

    fn operator(&self) -> Option<(&'static str, u8, Operator)> {
        let TokenKind::Symbol(symbol) = self.token().kind else { return None };
        OPERATORS.iter().find(|(s, _, _)| *s == symbol).copied()
    }

    /// Parses the right side of an operator and adds the node that joins both sides.
    fn apply(&mut self, left: Id, operator: Operator, binds: u8) -> Step<Id> {
        let first = self.first(left);
        let kind = match operator {
            Operator::Pipe => return self.pipe(left),
            Operator::Comparison(op) => return self.comparison(left, op, binds),
            Operator::Or => Kind::Or(left, self.expression(binds + 1)?),
            Operator::And => Kind::And(left, self.expression(binds + 1)?),
            Operator::Coalesce => Kind::Coalesce(left, self.expression(binds + 1)?),
            // Right-associative: `2 ** 3 ** 2` is `2 ** (3 ** 2)`.
            Operator::Binary(BinaryOp::Power) => Kind::Binary(BinaryOp::Power, left, self.expression(binds)?),
            Operator::Binary(op) => Kind::Binary(op, left, self.expression(binds + 1)?),
        };
        let span = Span::new(self.start_of(left), self.end());
        self.push(kind, span, first)
    }

    /// `a < b < c` is `a < b && b < c`; the operand in the middle is parsed twice.
    fn comparison(&mut self, left: Id, op: BinaryOp, binds: u8) -> Step<Id> {
        let (first, start) = (self.first(left), self.start_of(left));
        let mut middle = self.at;
        let right = self.expression(binds + 1)?;
        let mut node = self.push(Kind::Binary(op, left, right), Span::new(start, self.end()), first)?;
        while let Some((_, _, Operator::Comparison(op))) = self.operator() {
            self.advance();
            let after = self.at;
            self.at = middle;
            let left = self.expression(binds + 1)?;
            let (second, start_left) = (self.first(left), self.start_of(left));
            (middle, self.at) = (after, after);
            let right = self.expression(binds + 1)?;
            let end = self.end();
            let next = self.push(Kind::Binary(op, left, right), Span::new(start_left, end), second)?;
            node = self.push(Kind::And(node, next), Span::new(start, end), first)?;
        }
        Ok(node)
    }

    /// `condition ? a : b` and `condition ?: b`, if one follows.
    fn conditional(&mut self, mut node: Id) -> Step<Id> {
        while self.is("?") {
            self.advance();
            let (first, start) = (self.first(node), self.start_of(node));
            let kind = if self.accept(":") {
                Kind::Or(node, self.nested(|p| p.expression(0))?)
            } else {
                let (question, is_index) = (self.end(), self.is("["));
                let yes = self.nested(|p| p.expression(0))?;
                if is_index && !self.is(":") {
                    let message = "an index that may be missing is written `?.[…]`";
                    return Err(self.error(ErrorKind::Syntax, message, Span::new(question - 1, question)));
                }
                self.expect(":")?;
                let no = self.nested(|p| p.expression(0))?;
                Kind::Choose(node, yes, no)
            };
            node = self.push(kind, Span::new(start, self.end()), first)?;
        }
        Ok(node)
    }

    /// `if condition { a } else { b }`
    fn if_else(&mut self) -> Step<Id> {
        let (first, start) = (self.next_id(), self.advance().span.start);
        let condition = self.expression(0)?;
        let yes = self.block()?;
        self.expect("else")?;
        let no = if self.is("if") { self.nested(Self::if_else)? } else { self.block()? };
        self.push(Kind::Choose(condition, yes, no), Span::new(start, self.end()), first)
    }

    /// `{ a; b }`
    fn block(&mut self) -> Step<Id> {
        self.expect("{")?;
        let node = self.nested(Self::sequence)?;
        self.expect("}")?;
        Ok(node)
    }

    /// `let name = value; body`
    fn declaration(&mut self) -> Step<Id> {
        let (first, start) = (self.next_id(), self.advance().span.start);
        let token = self.advance();
        if token.kind != TokenKind::Name {
            self.at -= usize::from(token.kind != TokenKind::End);
            return Err(self.unexpected());
        }
        let name: Arc<str> = self.source[token.span.start..token.span.end].into();
        if &*name == "secrets" {
            let message = "`secrets` is no name for a variable; a secret is written `secrets(\"name\").key`";
            return Err(self.error(ErrorKind::Secret, message, token.span));
        }
        if self.locals.iter().any(|(local, _)| *local == name) || crate::builtins::is_builtin(&name) {
            let message = format!("`{name}` is already taken");
            return Err(self.error(ErrorKind::Name, message, token.span));
        }
        self.expect("=")?;
        let value = self.expression(0)?;
        self.expect(";")?;
        let slot = self.tree.slots.len() as u32;
        self.tree.slots.push(value);
        self.locals.push((name, slot));
        let body = self.sequence()?;
        self.locals.pop();
        self.push(Kind::Let(slot, value, body), Span::new(start, self.end()), first)
    }
}
