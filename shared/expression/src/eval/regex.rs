//! `matches`: regular expressions without look-around and back-references, capped.

use std::collections::HashMap;

use regex_lite::{Regex, RegexBuilder};

use super::{Budget, Fault};
use crate::{
    limits::{REGEX_PATTERN_BYTES_MAX, REGEX_PROGRAM_BYTES_MAX},
    value::Value,
};

/// The most compiled expressions of one evaluation's cache.
const CACHED_MAX: usize = 16;

/// The size classes of compiled programs, bytes. The class decides the cost of a match.
const SIZES: [usize; 4] = [1024, 4 * 1024, 12 * 1024, REGEX_PROGRAM_BYTES_MAX];

/// The size that separates too large patterns from malformed ones: a pattern outside of [`SIZES`]
/// that compiles within this size is too large.
const LARGE: usize = 1024 * 1024;

/// Bytes of a program that cost one unit of work for each byte of the haystack.
const PROGRAM_BYTES_PER_UNIT: usize = 256;

/// The expressions that an evaluation compiled, by their pattern.
#[derive(Default)]
pub(super) struct Cache(HashMap<String, Compiled>);

struct Compiled {
    regex: Regex,
    /// Work units for each byte of the haystack.
    cost: u64,
}

/// Whether `left` holds a match of the pattern `right`; false where a side is nil.
pub(super) fn matches(
    left: &Value<'_>,
    right: &Value<'_>,
    cache: &mut Cache,
    budget: &mut Budget,
) -> Result<bool, Fault> {
    let (hay, pattern) = match (left, right) {
        (Value::Nil, _) | (_, Value::Nil) => return Ok(false),
        (Value::Text(hay), Value::Text(pattern)) => (hay, pattern),
        (left, right) => {
            let (left, right) = (left.type_name(), right.type_name());
            return Err(Fault::of_type(format!("`matches` does not go with {left} and {right}")));
        }
    };
    let Cache(cache) = cache;
    if !cache.contains_key(&**pattern) {
        if cache.len() >= CACHED_MAX {
            cache.clear();
        }
        cache.insert(pattern.to_string(), compile(pattern, budget)?);
    }
    let Some(compiled) = cache.get(&**pattern) else { return Ok(false) };
    budget.work(1 + hay.len() as u64 * compiled.cost)?;
    Ok(compiled.regex.is_match(hay))
}

fn compile(pattern: &str, budget: &mut Budget) -> Result<Compiled, Fault> {
    if pattern.len() > REGEX_PATTERN_BYTES_MAX {
        return Err(Fault::limit(format!("a pattern of more than {REGEX_PATTERN_BYTES_MAX} bytes")));
    }
    for size in SIZES {
        budget.work(size as u64 / 16 + pattern.len() as u64)?;
        if let Ok(regex) = RegexBuilder::new(pattern).size_limit(size).build() {
            return Ok(Compiled { regex, cost: (size / PROGRAM_BYTES_PER_UNIT) as u64 });
        }
    }
    budget.work(LARGE as u64 / 16)?;
    match RegexBuilder::new(pattern).size_limit(LARGE).build() {
        Ok(_) => Err(Fault::limit("the pattern is too large")),
        Err(_) => Err(Fault::other("the pattern is malformed, too large, or uses what is not supported")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_patterns_are_kept_and_then_it_starts_anew_i10() {
        let (mut cache, mut budget) = (Cache::default(), Budget::default());
        let mut look = |pattern: usize| {
            let pattern = Value::string(format!("^{pattern}$"));
            matches(&Value::str("1"), &pattern, &mut cache, &mut budget).ok();
            cache.0.len()
        };
        assert_eq!((0..CACHED_MAX).map(&mut look).last(), Some(CACHED_MAX));
        assert_eq!(look(0), CACHED_MAX, "a known one takes no place");
        assert_eq!(look(CACHED_MAX + 1), 1);
    }
}
