use std::sync::Arc;

use jiff::Timestamp;
use uuid::{ContextV7, Timestamp as UuidTimestamp, Uuid};

/// Makes UUIDv7, monotonic within the process.
#[derive(Clone)]
pub struct Ids {
    context: Arc<std::sync::Mutex<ContextV7>>,
}

impl Ids {
    /// A source of ids.
    #[must_use]
    pub fn new() -> Self {
        Self { context: Arc::new(std::sync::Mutex::new(ContextV7::new())) }
    }

    /// The next id. It is larger than every earlier id of this source, as long as the clock does
    /// not go back.
    #[must_use]
    pub fn next<T: From<Uuid>>(&self, now: Timestamp) -> T {
        let seconds = u64::try_from(now.as_second()).unwrap_or(0);
        let nanoseconds = u32::try_from(now.subsec_nanosecond()).unwrap_or(0);
        let context = self.context.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        T::from(Uuid::new_v7(UuidTimestamp::from_unix(&*context, seconds, nanoseconds)))
    }

    /// A random token of 122 bits, such as a lease's.
    #[must_use]
    pub fn random<T: From<Uuid>>(&self) -> T {
        T::from(Uuid::new_v4())
    }
}

impl Default for Ids {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_one_moment_still_grow() {
        let ids = Ids::new();
        let now = Timestamp::from_millisecond(1_700_000_000_123).unwrap();
        let made: Vec<Uuid> = (0..10_000).map(|_| ids.next(now)).collect();
        assert!(made.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(made.iter().all(|id| id.get_version_num() == 7));
    }
}
