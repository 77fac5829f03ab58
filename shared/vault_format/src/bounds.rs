//! Where a value may go.

use domain::placement::Placement;

use domain::allowed_host::AllowedHost;

/// Where a value may go: the hosts that it may be sent to, and the places in a request where it may
/// stand. Both are bound to the ciphertext, and change only with the value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    allowed_hosts: Vec<AllowedHost>,
    placements: Vec<Placement>,
}

impl Bounds {
    /// Bounds of hosts and places; empty means anywhere. Places are put in order, each once.
    #[must_use]
    pub fn new(allowed_hosts: Vec<AllowedHost>, mut placements: Vec<Placement>) -> Self {
        placements.sort();
        placements.dedup();
        Self { allowed_hosts, placements }
    }

    /// Where the value may be sent; empty means anywhere.
    #[must_use]
    pub fn allowed_hosts(&self) -> &[AllowedHost] {
        &self.allowed_hosts
    }

    /// Where in a request the value may stand, in order; empty means anywhere.
    #[must_use]
    pub fn placements(&self) -> &[Placement] {
        &self.placements
    }

    /// Whether the value may stand at `used`.
    #[must_use]
    pub fn admit(&self, used: &Placement) -> bool {
        self.placements.is_empty() || self.placements.iter().any(|placement| placement.admits(used))
    }
}
