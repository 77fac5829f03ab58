//! Stops a step of a test until another has gone by.

use tokio::sync::Semaphore;

use crate::WAIT_MAX;

/// A point that one side passes only when the other side lets it.
pub struct Gate {
    arrived: Semaphore,
    open: Semaphore,
}

impl Gate {
    /// A closed gate.
    #[must_use]
    pub fn closed() -> Self {
        Self { arrived: Semaphore::new(0), open: Semaphore::new(0) }
    }

    /// A gate that is always open.
    #[must_use]
    pub fn open() -> Self {
        Self { arrived: Semaphore::new(0), open: Semaphore::new(Semaphore::MAX_PERMITS) }
    }

    /// Says that this point is reached and waits to be let through.
    pub async fn pass(&self) {
        self.arrived.add_permits(1);
        take(&self.open).await;
    }

    /// Waits until a step has reached the gate.
    pub async fn wait_for_arrival(&self) {
        take(&self.arrived).await;
    }

    /// Lets one through.
    pub fn let_through(&self) {
        self.open.add_permits(1);
    }
}

async fn take(semaphore: &Semaphore) {
    let taken = tokio::time::timeout(WAIT_MAX, semaphore.acquire()).await;
    taken.expect("the other side comes within the limit").expect("gates are never torn down").forget();
}
