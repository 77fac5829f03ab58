//! The cache of a warm instance, bounded by weight.

use std::borrow::Borrow;
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A cache whose entries weigh no more than `weight_max` together. To make room, it forgets the
/// heaviest entries first, and among equal ones the oldest. So the large entries of one
/// organization go before the small ones of others.
pub struct Cache<K, V> {
    weight_max: usize,
    kept: Mutex<Kept<K, V>>,
}

struct Kept<K, V> {
    entries: HashMap<K, Entry<V>>,
    /// The keys in the order in which they are forgotten.
    ranks: BTreeMap<Rank, K>,
    /// The weight of all entries.
    weight: usize,
    /// Entries that were ever kept.
    inserted: u64,
}

/// The heaviest first, and of those that weigh the same the oldest.
type Rank = (Reverse<usize>, u64);

struct Entry<V> {
    value: V,
    rank: Rank,
}

impl<K: Clone + Eq + Hash, V: Clone> Cache<K, V> {
    /// An empty cache.
    #[must_use]
    pub fn new(weight_max: usize) -> Self {
        Self {
            weight_max,
            kept: Mutex::new(Kept {
                entries: HashMap::new(),
                ranks: BTreeMap::new(),
                weight: 0,
                inserted: 0,
            }),
        }
    }

    /// The entry of that key.
    #[must_use]
    pub fn get<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        self.lock().entries.get(key).map(|entry| entry.value.clone())
    }

    /// Keeps an entry in the place of the key's earlier one. An entry heavier than `weight_max` is
    /// not kept.
    pub fn insert(&self, key: K, weight: usize, value: V) {
        self.lock().insert(key, weight, value, self.weight_max);
    }

    /// The entry of that key if it can still be used, else a new one. The cache is locked
    /// meanwhile, so that the entry is made once.
    pub fn get_or_insert(
        &self,
        key: K,
        weight: usize,
        is_usable: impl FnOnce(&V) -> bool,
        make: impl FnOnce() -> V,
    ) -> V {
        let mut kept = self.lock();
        match kept.entries.get(&key) {
            Some(entry) if is_usable(&entry.value) => entry.value.clone(),
            _ => {
                let value = make();
                kept.insert(key, weight, value.clone(), self.weight_max);
                value
            }
        }
    }

    /// Forgets the entries of which `is_kept` is false.
    pub fn retain(&self, mut is_kept: impl FnMut(&K, &V) -> bool) {
        let mut kept = self.lock();
        let is_forgotten = |(key, entry): &(&K, &Entry<V>)| !is_kept(key, &entry.value);
        let forgotten: Vec<K> =
            kept.entries.iter().filter(is_forgotten).map(|(key, _)| key.clone()).collect();
        forgotten.iter().for_each(|key| kept.remove(key));
    }

    /// Entries that are kept.
    #[must_use]
    pub fn count(&self) -> usize {
        self.lock().entries.len()
    }

    fn lock(&self) -> MutexGuard<'_, Kept<K, V>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Clone + Eq + Hash, V> Kept<K, V> {
    fn insert(&mut self, key: K, weight: usize, value: V, weight_max: usize) {
        self.remove(&key);
        let Some(room) = weight_max.checked_sub(weight) else { return };
        while self.weight > room {
            let Some((_, first)) = self.ranks.first_key_value() else { break };
            let first = first.clone();
            self.remove(&first);
        }
        self.inserted += 1;
        self.weight += weight;
        let rank = (Reverse(weight), self.inserted);
        self.ranks.insert(rank, key.clone());
        self.entries.insert(key, Entry { value, rank });
    }

    fn remove(&mut self, key: &K) {
        if let Some(Entry { rank, .. }) = self.entries.remove(key) {
            self.ranks.remove(&rank);
            self.weight -= rank.0.0;
        }
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
            ["small", "large", "new", "huge"].map(|key| cache.get(key).is_some())
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

    #[test]
    fn of_entries_that_weigh_the_same_the_oldest_goes() {
        let cache = Cache::new(2);
        for key in ["first", "second", "third"] {
            cache.insert(key, 1, ());
        }
        assert_eq!(["first", "second", "third"].map(|key| cache.get(key).is_some()), [false, true, true]);
        cache.insert("second", 1, ());
        cache.insert("fourth", 1, ());
        assert_eq!(["second", "third", "fourth"].map(|key| cache.get(key).is_some()), [true, false, true]);
    }

    #[test]
    fn an_entry_is_made_where_none_can_be_used_and_what_is_forgotten_weighs_nothing() {
        let cache = Cache::new(2);
        let get = |is_usable, made| cache.get_or_insert("key", 1, |_| is_usable, || made);
        assert_eq!([get(true, 1), get(true, 2), get(false, 3), get(true, 4)], [1, 1, 3, 3]);
        cache.insert("other", 1, 5);
        cache.retain(|key, _| *key != "key");
        assert_eq!((cache.get("key"), cache.count()), (None, 1));
        cache.insert("key", 1, 6);
        assert_eq!((cache.get("other"), cache.get("key")), (Some(5), Some(6)));
    }
}
