//! The share of the executors that one organization may use.

/// The numbers of executors that may work for one organization at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// The number while another organization has a due execution.
    pub beside_others: u32,
    /// The number while no other organization has a due execution: all executors but one, which
    /// stays free for the next organization. With fewer than four executors, all of them.
    pub alone: u32,
}

impl Share {
    /// The share of `executors`: while others have work, half of them, or `given`. With fewer than
    /// four none is kept free, for a crashed executor counts until its lease ends.
    #[must_use]
    pub fn of(executors: u32, given: Option<u32>) -> Self {
        let alone = if executors < 4 { executors.max(1) } else { executors - 1 };
        Self { beside_others: given.unwrap_or(executors / 2).clamp(1, alone), alone }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_half_and_never_all_and_never_none() {
        let check = |executors, given, expected: (u32, u32)| {
            let share = Share::of(executors, given);
            assert_eq!((share.beside_others, share.alone), expected, "{executors} {given:?}");
        };
        check(15, None, (7, 14));
        check(4, None, (2, 3));
        check(3, None, (1, 3));
        check(2, None, (1, 2));
        check(1, None, (1, 1));
        check(15, Some(12), (12, 14));
        check(15, Some(18), (14, 14));
    }
}
