//! Gathers the texts that an evaluation makes of secrets, so that they can be scrubbed.

use std::collections::HashSet;

use super::{Budget, Fault};
use crate::value::{Key, Map, Value};

/// Shorter texts are never searched for, or `true` and `1` would blank every output.
pub(crate) const DERIVED_BYTES_MIN: usize = 8;

/// Gathers texts.
pub(crate) struct Tracker {
    /// For each node, whether its value holds something of a secret.
    tainted: Vec<bool>,
    texts: HashSet<String>,
    /// Its own, so that gathering takes nothing away from the expression.
    budget: Budget,
}

impl Tracker {
    /// A tracker for nodes of which `tainted` says whether their values hold something of a secret.
    pub fn new(tainted: Vec<bool>) -> Tracker {
        Tracker { tainted, texts: HashSet::new(), budget: Budget::default() }
    }

    /// Notes the value of a node.
    pub fn note(&mut self, id: u32, value: &Value<'_>) -> Result<(), Fault> {
        if !self.tainted.get(id as usize).copied().unwrap_or(true) {
            return Ok(());
        }
        self.gather(value)
    }

    /// What was gathered, in a stable order.
    pub fn finish(self) -> Vec<String> {
        let mut texts: Vec<String> = self.texts.into_iter().collect();
        texts.sort();
        texts
    }

    fn gather(&mut self, value: &Value<'_>) -> Result<(), Fault> {
        self.budget.work(1)?;
        match value {
            Value::Text(text) => self.keep(text)?,
            Value::Int(n) => self.keep(&n.to_string())?,
            Value::Float(_) | Value::Time(_) | Value::Duration(_) => {
                let mut text = String::new();
                crate::builtins::print::template(value, &mut text, &mut self.budget)?;
                self.keep(&text)?;
                let mut nested = String::new();
                crate::builtins::print::verbatim(value, &mut nested, &mut self.budget)?;
                self.keep(&nested)?;
            }
            Value::List(list) => {
                for item in list.iter() {
                    self.gather(&item)?;
                }
            }
            Value::Map(Map::Lookup(_)) => {}
            Value::Map(map) => {
                for (key, item) in map.entries() {
                    if let Key::Text(key) = &key {
                        self.keep(key)?;
                    }
                    self.gather(&item)?;
                }
            }
            Value::Nil | Value::Bool(_) | Value::Zone(_) | Value::Calendar(_) => {}
        }
        Ok(())
    }

    fn keep(&mut self, text: &str) -> Result<(), Fault> {
        if text.len() >= DERIVED_BYTES_MIN && !self.texts.contains(text) {
            self.budget.grow(text.len())?;
            self.texts.insert(text.to_owned());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_kept_from_its_limit_on_i10() {
        let kept = |bytes: usize| {
            let mut tracker = Tracker::new(vec![true]);
            tracker.note(0, &Value::string("d".repeat(bytes))).ok();
            tracker.finish().len()
        };
        assert_eq!((kept(DERIVED_BYTES_MIN), kept(DERIVED_BYTES_MIN - 1)), (1, 0));
    }
}
