//! What one evaluation may cost, and what goes wrong in it.

use std::borrow::Cow;

use crate::{
    error::{Error, ErrorKind, Span},
    limits::{FUEL_MAX, MEMORY_BYTES_MAX, VALUE_NESTING_MAX},
    value::Value,
};

/// Bytes of text that count as one unit of work.
const BYTES_PER_UNIT: u64 = 16;

/// What is left of an evaluation's work and memory.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    fuel: u64,
    memory: u64,
}

impl Default for Budget {
    fn default() -> Budget {
        Budget { fuel: FUEL_MAX, memory: MEMORY_BYTES_MAX }
    }
}

/// What went wrong, before the node adds where. Never holds a value.
#[derive(Debug)]
pub(crate) struct Fault {
    kind: ErrorKind,
    message: Cow<'static, str>,
}

impl Budget {
    /// Takes `units` of work.
    #[inline]
    pub fn work(&mut self, units: u64) -> Result<(), Fault> {
        match self.fuel.checked_sub(units) {
            Some(left) => {
                self.fuel = left;
                Ok(())
            }
            None => Err(Fault::limit("the expression takes too many steps")),
        }
    }

    /// Takes the work of looking through `bytes` of text.
    #[inline]
    pub fn read(&mut self, bytes: usize) -> Result<(), Fault> {
        self.work(1 + bytes as u64 / BYTES_PER_UNIT)
    }

    /// Takes the memory and the work of making `bytes`.
    pub fn grow(&mut self, bytes: usize) -> Result<(), Fault> {
        self.read(bytes)?;
        self.take_memory(bytes)
    }

    /// Takes the memory and the work of a list of `items`.
    pub fn grow_list(&mut self, items: usize) -> Result<(), Fault> {
        self.work(items as u64)?;
        self.take_memory(items.saturating_mul(size_of::<Value<'_>>()))
    }

    fn take_memory(&mut self, bytes: usize) -> Result<(), Fault> {
        match self.memory.checked_sub(bytes as u64) {
            Some(left) => {
                self.memory = left;
                Ok(())
            }
            None => Err(Fault::limit("the expression makes too much data")),
        }
    }

    /// Refuses what is nested too deeply to be handled without recursion running wild.
    pub fn check_depth<'a>(&self, value: Value<'a>) -> Result<Value<'a>, Fault> {
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

    /// A number, index or slice outside of what is allowed.
    pub fn range(message: impl Into<Cow<'static, str>>) -> Fault {
        Fault::new(ErrorKind::Range, message)
    }

    /// A limit is reached.
    pub fn limit(message: impl Into<Cow<'static, str>>) -> Fault {
        Fault::new(ErrorKind::Limit, message)
    }

    /// Text that does not hold what it should.
    pub fn other(message: impl Into<Cow<'static, str>>) -> Fault {
        Fault::new(ErrorKind::Other, message)
    }

    /// The error, where it happened.
    pub fn at(self, span: Span) -> Box<Error> {
        Box::new(Error::new(self.kind, self.message, span))
    }

    /// The error in function `name`, where it happened.
    pub fn within(self, name: &str, span: Span) -> Box<Error> {
        match self.kind {
            ErrorKind::Limit | ErrorKind::Secret => self.at(span),
            kind => Box::new(Error::new(kind, format!("{name}(): {}", self.message), span)),
        }
    }
}
