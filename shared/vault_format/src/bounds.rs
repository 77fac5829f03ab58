//! The bounds of a secret value.

use domain::placement::Placement;

use domain::allowed_host::AllowedHost;

/// The bounds of a value: the hosts that it may be sent to, and the places in a request where it
/// may stand. Both are bound to the ciphertext, and change only with the value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    allowed_hosts: Vec<AllowedHost>,
    placements: Vec<Placement>,
}

impl Bounds {
    /// The bounds of these hosts and places; empty means anywhere. Places are sorted, each once.
    #[must_use]
    pub fn new(allowed_hosts: Vec<AllowedHost>, mut placements: Vec<Placement>) -> Self {
        placements.sort();
        placements.dedup();
        Self { allowed_hosts, placements }
    }

    /// The hosts that the value may be sent to; empty means any host.
    #[must_use]
    pub fn allowed_hosts(&self) -> &[AllowedHost] {
        &self.allowed_hosts
    }

    /// The places in a request where the value may stand, in order; empty means any place.
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
