use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::types::column;
use crate::{StoreError, Tx};

/// A node's key: workflow and node id.
pub type NodeKey = (Uuid, String);

/// What a batch of messages asks to look at.
#[derive(Clone, Debug, Default)]
pub struct Wakes {
    /// Events whose queue items wait.
    pub event_ids: Vec<Uuid>,
    /// Nodes that may have a free slot.
    pub nodes: Vec<NodeKey>,
}

/// A node that something waits at, or that was named.
#[derive(Clone, Debug)]
pub struct WokenNode {
    /// Its key.
    pub key: NodeKey,
    /// Whether it has a limit, and so needs its lock.
    pub is_limited: bool,
    /// Whether its limit holds for each value of a key by itself.
    pub is_keyed: bool,
    /// Whether an item waits that took a process along before.
    pub has_suspects: bool,
    /// `workflows.version`.
    pub workflow_version: i64,
    /// `workflows.organization_id`.
    pub organization_id: Uuid,
}

/// What to do about a node that another transaction holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockMode {
    /// Leave it out.
    SkipLocked,
    /// Wait a moment ([`LOCK_WAIT_MILLIS`]); then the transaction fails, see [`StoreError::is_lock_timeout`].
    Wait,
}

impl LockMode {
    /// Lets the transaction wait no longer than that for a lock, from here on, if it waits at all.
    pub(crate) async fn limit_wait(self, tx: &Tx, millis: u32) -> Result<(), StoreError> {
        match self {
            Self::SkipLocked => Ok(()),
            Self::Wait => wait_no_longer(tx, millis).await,
        }
    }
}

/// How long the builder waits with [`LockMode::Wait`], milliseconds.
pub const LOCK_WAIT_MILLIS: u32 = 300;

/// The nodes of a batch, and which of the limited ones this transaction holds.
#[derive(Clone, Debug, Default)]
pub struct LockedNodes {
    /// All nodes.
    pub woken: Vec<WokenNode>,
    /// Limited nodes whose lock this transaction holds.
    pub locked: Vec<NodeKey>,
}

impl LockedNodes {
    /// Limited nodes that another transaction holds.
    pub fn skipped(&self) -> impl Iterator<Item = &WokenNode> {
        self.woken.iter().filter(|node| node.is_limited && !self.locked.contains(&node.key))
    }

    /// Nodes with a concurrency key whose lock this transaction holds.
    #[must_use]
    pub fn locked_keyed(&self) -> Vec<NodeKey> {
        let keyed = self.woken.iter().filter(|node| node.is_keyed && self.locked.contains(&node.key));
        keyed.map(|node| node.key.clone()).collect()
    }
}

/// Finds the nodes of the wakes and locks the limited ones.
///
/// The lock is a statement of its own: what is decided on is read by later ones.
///
/// # Errors
/// See [`StoreError`].
pub async fn lock_woken_nodes(tx: &Tx, wakes: &Wakes, mode: LockMode) -> Result<LockedNodes, StoreError> {
    let (workflow_ids, node_ids) = key_arrays(&wakes.nodes);
    let params: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 3] = [
        (&wakes.event_ids, Type::UUID_ARRAY),
        (&workflow_ids, Type::UUID_ARRAY),
        (&node_ids, Type::TEXT_ARRAY),
    ];
    let (woken, (), locked) = futures_util::try_join!(
        tx.query(FIND_WOKEN, &params),
        mode.limit_wait(tx, LOCK_WAIT_MILLIS),
        tx.query(if mode == LockMode::Wait { LOCK_WAITING } else { LOCK_SKIPPING }, &params),
    )?;
    Ok(LockedNodes {
        woken: woken.iter().map(woken_node).collect::<Result<_, _>>()?,
        locked: locked.iter().map(node_key).collect::<Result<_, _>>()?,
    })
}

/// From here on the transaction waits no longer than [`LOCK_WAIT_MILLIS`] for a lock.
pub(crate) async fn wait_briefly(tx: &Tx) -> Result<(), StoreError> {
    wait_no_longer(tx, LOCK_WAIT_MILLIS).await
}

async fn wait_no_longer(tx: &Tx, millis: u32) -> Result<(), StoreError> {
    let wait = format!("{millis}ms");
    tx.query("/* set_lock_wait */ SELECT set_config('lock_timeout', $1, true)", &[(&wait, Type::TEXT)])
        .await?;
    Ok(())
}

const FIND_WOKEN: &str = "/* find_woken_nodes */
    WITH woken AS (
        SELECT workflow_id, node_id FROM workflow_node_queue_items WHERE event_id = ANY($1)
        UNION
        SELECT * FROM unnest($2, $3) AS named (workflow_id, node_id))
    SELECT n.workflow_id, n.node_id, n.concurrency_max IS NOT NULL AS is_limited,
        n.concurrency_max IS NOT NULL AND n.concurrency_key IS NOT NULL AS is_keyed, w.version, w.organization_id,
        (SELECT true FROM workflow_node_queue_items i
         WHERE i.workflow_id = n.workflow_id AND i.node_id = n.node_id AND i.crashes > 0 LIMIT 1) IS NOT NULL AS has_suspects
    FROM woken
    JOIN workflow_nodes n ON n.workflow_id = woken.workflow_id AND n.node_id = woken.node_id
    JOIN workflows w ON w.id = n.workflow_id
    ORDER BY n.workflow_id, n.node_id";

/// Both lock statements but for their last words.
macro_rules! lock_nodes_sql {
    ($wait:literal) => {
        concat!(
            "/* lock_woken_nodes */
    WITH woken AS MATERIALIZED (
        SELECT workflow_id, node_id FROM workflow_node_queue_items WHERE event_id = ANY($1)
        UNION
        SELECT * FROM unnest($2, $3) AS named (workflow_id, node_id))
    SELECT n.workflow_id, n.node_id
    FROM woken JOIN workflow_nodes n ON n.workflow_id = woken.workflow_id AND n.node_id = woken.node_id
    WHERE n.concurrency_max IS NOT NULL
    ORDER BY n.workflow_id, n.node_id
    FOR NO KEY UPDATE OF n",
            $wait
        )
    };
}

const LOCK_SKIPPING: &str = lock_nodes_sql!(" SKIP LOCKED");
const LOCK_WAITING: &str = lock_nodes_sql!("");

fn woken_node(row: &Row) -> Result<WokenNode, StoreError> {
    Ok(WokenNode {
        key: node_key(row)?,
        is_limited: column(row, "is_limited")?,
        is_keyed: column(row, "is_keyed")?,
        has_suspects: column(row, "has_suspects")?,
        workflow_version: column(row, "version")?,
        organization_id: column(row, "organization_id")?,
    })
}

pub(crate) fn node_key(row: &Row) -> Result<NodeKey, StoreError> {
    Ok((column(row, "workflow_id")?, column(row, "node_id")?))
}

/// Node keys as the two arrays that `unnest` takes.
pub(crate) fn key_arrays(keys: &[NodeKey]) -> (Vec<Uuid>, Vec<&str>) {
    keys.iter().map(|(workflow_id, node_id)| (*workflow_id, node_id.as_str())).unzip()
}
