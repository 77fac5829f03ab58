//! The cache that a warm instance keeps, within a weight.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};

/// A cache whose entries weigh no more than `weight_max` together. Where there would be more, the
/// heaviest are forgotten, so that somebody's large ones push out nobody's small ones.
pub struct Cache<K, V> {
    weight_max: usize,
    entries: Mutex<HashMap<K, (usize, V)>>,
}

impl<K: Clone + Eq + Hash, V: Clone> Cache<K, V> {
    /// An empty one.
    #[must_use]
    pub fn new(weight_max: usize) -> Self {
        Self { weight_max, entries: Mutex::default() }
    }

    /// The entry of that key.
    #[must_use]
    pub fn get(&self, key: &K) -> Option<V> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.get(key).map(|(_, value)| value.clone())
    }

    /// Keeps an entry instead of the one that the key has. One that weighs more than all may is not
    /// kept.
    pub fn insert(&self, key: K, weight: usize, value: V) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.remove(&key);
        let Some(room) = self.weight_max.checked_sub(weight) else { return };
        let mut total: usize = entries.values().map(|(weight, _)| weight).sum();
        if total > room {
            let mut by_weight: Vec<(usize, K)> =
                entries.iter().map(|(key, (weight, _))| (*weight, key.clone())).collect();
            by_weight.sort_unstable_by_key(|(weight, _)| Reverse(*weight));
            for (weight, heaviest) in by_weight {
                if total <= room {
                    break;
                }
                entries.remove(&heaviest);
                total -= weight;
            }
        }
        entries.insert(key, (weight, value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WEIGHT_MAX: usize = 100;

    #[test]
    fn a_cache_has_a_weight_on_both_sides_and_forgets_the_heaviest_i10() {
        let cache = Cache::new(WEIGHT_MAX);
        let known = |cache: &Cache<&'static str, ()>| {
            ["small", "large", "new", "huge"].map(|key| cache.get(&key).is_some())
        };
        cache.insert("small", 10, ());
        cache.insert("large", 60, ());
        cache.insert("new", WEIGHT_MAX - 70, ());
        assert_eq!(known(&cache), [true, true, true, false]);
        cache.insert("new", WEIGHT_MAX - 70 + 1, ());
        assert_eq!(known(&cache), [true, false, true, false], "above it the heaviest goes");
        cache.insert("huge", WEIGHT_MAX + 1, ());
        assert_eq!(known(&cache), [true, false, true, false], "it isn't kept");
        cache.insert("small", WEIGHT_MAX, ());
        assert_eq!(known(&cache), [true, false, false, false], "an entry takes the place of its key's");
    }
}
