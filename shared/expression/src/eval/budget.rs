//! The cost that one evaluation may have, and the faults in it.

use std::borrow::Cow;

use crate::{
    error::{Error, ErrorKind, Span},
    limits::{FUEL_MAX, MEMORY_BYTES_MAX, VALUE_NESTING_MAX},
    value::Value,
};

/// Bytes of memory that a map takes beside its entries, however few they are.
const MAP_BYTES: usize = 640;

/// Bytes of text that count as one unit of work.
const BYTES_PER_UNIT: u64 = 16;

/// The rest of the work and the memory that evaluations may take. One budget serves all templates
/// of a record, so that many small ones cost no more than a large one.
#[derive(Clone, Debug)]
pub struct Budget {
    fuel: u64,
    memory: u64,
    is_used_up: bool,
}

impl Default for Budget {
    fn default() -> Budget {
        Budget { fuel: FUEL_MAX, memory: MEMORY_BYTES_MAX, is_used_up: false }
    }
}

/// A fault, before the node adds its place. It never holds a value.
#[derive(Debug)]
pub(crate) struct Fault {
    kind: ErrorKind,
    pub(crate) message: Cow<'static, str>,
}

impl Budget {
    /// Whether an evaluation needed more than was left.
    #[must_use]
    pub fn is_used_up(&self) -> bool {
        self.is_used_up
    }

    /// Takes `units` of work.
    #[inline]
    pub(crate) fn work(&mut self, units: u64) -> Result<(), Fault> {
        match self.fuel.checked_sub(units) {
            Some(left) => {
                self.fuel = left;
                Ok(())
            }
            None => {
                self.is_used_up = true;
                Err(Fault::limit("the expressions take too many steps"))
            }
        }
    }

    /// Takes the work of looking through `bytes` of text.
    #[inline]
    pub(crate) fn read(&mut self, bytes: usize) -> Result<(), Fault> {
        self.work(1 + bytes as u64 / BYTES_PER_UNIT)
    }

    /// Takes the memory and the work of making `bytes`.
    pub(crate) fn grow(&mut self, bytes: usize) -> Result<(), Fault> {
        self.read(bytes)?;
        self.take_memory(bytes)
    }

    /// Takes the memory and the work of a list of `items`.
    pub(crate) fn grow_list(&mut self, items: usize) -> Result<(), Fault> {
        self.work(items as u64)?;
        self.take_memory(items.saturating_mul(size_of::<Value<'_>>()))
    }

    /// Takes the memory and the work of a map of `entries`.
    pub(crate) fn grow_map(&mut self, entries: usize) -> Result<(), Fault> {
        self.grow_list(2 * entries)?;
        self.take_memory(MAP_BYTES)
    }

    fn take_memory(&mut self, bytes: usize) -> Result<(), Fault> {
        match self.memory.checked_sub(bytes as u64) {
            Some(left) => {
                self.memory = left;
                Ok(())
            }
            None => {
                self.is_used_up = true;
                Err(Fault::limit("the expressions make too much data"))
            }
        }
    }

    /// Refuses a value that is nested too deeply, so that every recursion is bounded.
    pub(crate) fn check_depth<'a>(&self, value: Value<'a>) -> Result<Value<'a>, Fault> {
        if value.depth() as usize > VALUE_NESTING_MAX {
            return Err(Fault::limit("the value is nested too deeply"));
        }
        Ok(value)
    }
}

impl Fault {
    /// A fault of any kind.
    pub fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Fault {
        Fault { kind, message: message.into() }
    }

    /// An operation that the types do not allow.
    pub fn of_type(message: impl Into<Cow<'static, str>>) -> Fault {
        Fault::new(ErrorKind::Type, message)
    }

    /// A number, index or slice out of range.
    pub fn range(message: impl Into<Cow<'static, str>>) -> Fault {
        Fault::new(ErrorKind::Range, message)
    }

    /// A limit is reached.
    pub fn limit(message: impl Into<Cow<'static, str>>) -> Fault {
        Fault::new(ErrorKind::Limit, message)
    }

    /// A text with unfit content.
    pub fn other(message: impl Into<Cow<'static, str>>) -> Fault {
        Fault::new(ErrorKind::Other, message)
    }

    /// The error with its place.
    pub fn at(self, span: Span) -> Box<Error> {
        Box::new(Error::new(self.kind, self.message, span))
    }

    /// The error in function `name`, with its place.
    pub fn within(self, name: &str, span: Span) -> Box<Error> {
        match self.kind {
            ErrorKind::Limit | ErrorKind::Secret => self.at(span),
            kind => Box::new(Error::new(kind, format!("{name}(): {}", self.message), span)),
        }
    }
}
