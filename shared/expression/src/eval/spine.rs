//! The chain that is being walked: the nodes whose first child is evaluated before them. Most
//! chains are short and allocate nothing.

use crate::ast::Id;

/// A number of ids that is enough for most expressions.
const INLINE: usize = 16;

/// A stack of nodes.
#[derive(Default)]
pub(super) struct Spine {
    length: usize,
    first: [Id; INLINE],
    rest: Vec<Id>,
}

impl Spine {
    /// The number of nodes.
    #[inline]
    pub fn len(&self) -> usize {
        self.length
    }

    /// Adds a node.
    #[inline]
    pub fn push(&mut self, id: Id) {
        match self.first.get_mut(self.length) {
            Some(place) => *place = id,
            None => self.rest.push(id),
        }
        self.length += 1;
    }

    /// Removes the last node, if there are more than `base`.
    #[inline]
    pub fn pop_above(&mut self, base: usize) -> Option<Id> {
        if self.length <= base {
            return None;
        }
        self.length -= 1;
        match self.first.get(self.length) {
            Some(id) => Some(*id),
            None => self.rest.pop(),
        }
    }

    /// Removes nodes down to `base`, up to and including the first that `is_end`. Returns whether
    /// there was one.
    pub fn pop_until(&mut self, base: usize, is_end: impl Fn(Id) -> bool) -> bool {
        while let Some(id) = self.pop_above(base) {
            if is_end(id) {
                return true;
            }
        }
        false
    }

    /// Forgets all nodes from `length` on.
    #[inline]
    pub fn truncate(&mut self, length: usize) {
        self.length = self.length.min(length);
        self.rest.truncate(self.length.saturating_sub(INLINE));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_stack_also_where_it_is_long() {
        for length in [0, 1, INLINE - 1, INLINE, INLINE + 1, 5 * INLINE] {
            let mut spine = Spine::default();
            (0..length).for_each(|id| spine.push(id as Id));
            assert_eq!(spine.len(), length);
            for id in (2..length).rev() {
                assert_eq!(spine.pop_above(2), Some(id as Id));
            }
            assert_eq!(spine.pop_above(2), None);
        }
    }

    #[test]
    fn what_is_cut_off_is_gone() {
        let mut spine = Spine::default();
        (0..40).for_each(|id| spine.push(id));
        spine.truncate(30);
        spine.truncate(35);
        assert_eq!((spine.len(), spine.pop_above(0)), (30, Some(29)));
        assert!(spine.pop_until(0, |id| id == 20));
        assert_eq!(spine.pop_above(0), Some(19));
        assert!(!spine.pop_until(10, |id| id == 3));
        assert_eq!(spine.len(), 10);
        spine.truncate(0);
        spine.push(7);
        assert_eq!((spine.pop_above(0), spine.pop_above(0)), (Some(7), None));
    }
}
