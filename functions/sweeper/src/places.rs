//! The places of searches that look at some rows in each tick, and go on in the next.

use std::sync::{Mutex, PoisonError};

use domain::ids::WorkflowId;
use store::NodeKey;

/// The place of each such search. A warm instance keeps them; a new one begins at the first row.
#[derive(Default)]
pub struct Places {
    /// Nodes with secret references, of which those of versions that are over go.
    pub(crate) secret_refs: Place<NodeKey>,
    /// Nodes that may have as many waiting items as are allowed.
    pub(crate) full_nodes: Place<NodeKey>,
    /// Workflows that may have as many held executions as are allowed.
    pub(crate) full_workflows: Place<WorkflowId>,
}

/// The last row that a search looked at; None: it begins anew.
pub(crate) struct Place<K>(Mutex<Option<K>>);

impl<K> Default for Place<K> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<K: Clone> Place<K> {
    /// The row after which the search goes on; `first` comes before all rows.
    pub(crate) fn after(&self, first: K) -> K {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone().unwrap_or(first)
    }

    /// Keeps the last row of a search; None: there were no more. Returns whether there may be more.
    pub(crate) fn keep(&self, last: Option<K>) -> bool {
        let may_be_more = last.is_some();
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = last;
        may_be_more
    }
}

/// Before all workflows.
pub(crate) const FIRST: WorkflowId = WorkflowId::from_u128(0);

/// Before all nodes.
pub(crate) fn first_node() -> NodeKey {
    (FIRST, String::new())
}
