//! How often something may happen.

/// A rate, as a bucket: `burst` at once, and `per_second` after that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// So many a second, once the burst is used up; at least 1.
    pub per_second: u32,
    /// So many at once; at least 1.
    pub burst: u32,
}

impl Rate {
    /// The lower of both, in each of its parts.
    #[must_use]
    pub fn at_most(self, most: Self) -> Self {
        Self { per_second: self.per_second.min(most.per_second), burst: self.burst.min(most.burst) }
    }
}
