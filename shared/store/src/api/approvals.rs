//! Approvals that wait: held executions that ask people.

use domain::execution::ExecutionState;
use domain::held::Call;
use domain::ids::{ExecutionId, OrganizationId, RunId, TokenId, WorkflowId};
use jiff::Timestamp;
use serde_json::Value;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::page::{Page, PageRequest, read_page};
use crate::types::{column, word, word_if_any};
use crate::{Store, StoreError};

/// An approval.
#[derive(Clone, Debug, PartialEq)]
pub struct ApprovalRow {
    /// `workflow_node_executions.id`
    pub id: ExecutionId,
    /// The workflow.
    pub workflow_id: WorkflowId,
    /// `workflows.name`
    pub workflow_name: String,
    /// The node.
    pub node_id: String,
    /// `workflow_nodes.name`
    pub node_name: String,
    /// The run.
    pub run_id: RunId,
    /// The run's name.
    pub run_name: Option<String>,
    /// The member or token that started the run.
    pub started_by: Option<TokenId>,
    /// Their name.
    pub starter: Option<String>,
    /// Its state.
    pub state: ExecutionState,
    /// Its request, a `components::approval::Request`; null after its end.
    pub request: Value,
    /// The votes so far, those that no wake has read among them.
    pub votes: i64,
    /// The vote of the member or token that looks.
    pub own_vote: Option<Call>,
    /// When it was opened.
    pub created_at: Timestamp,
}

impl ApprovalRow {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: column(row, "id")?,
            workflow_id: column(row, "workflow_id")?,
            workflow_name: column(row, "workflow_name")?,
            node_id: column(row, "node_id")?,
            node_name: column(row, "node_name")?,
            run_id: column(row, "run_id")?,
            run_name: column(row, "run_name")?,
            started_by: column(row, "started_by")?,
            starter: column(row, "starter")?,
            state: word(row, "state")?,
            request: column(row, "request")?,
            votes: column(row, "votes")?,
            own_vote: word_if_any(row, "own_vote")?,
            created_at: column(row, "created_at")?,
        })
    }
}

const COLUMNS: &str = "x.id, x.workflow_id, w.name AS workflow_name, x.node_id, n.name AS node_name,
    x.run_id, run.name AS run_name, run.started_by,
    (SELECT name FROM api_tokens WHERE id = run.started_by) AS starter, x.state,
    coalesce(x.held, 'null') AS request,
    (SELECT count(*) FROM workflow_execution_calls c
     WHERE c.workflow_id = x.workflow_id AND c.execution_id = x.id) AS votes,
    (SELECT c.call FROM workflow_execution_calls c
     WHERE c.execution_id = x.id AND c.voter = $2::uuid) AS own_vote, x.created_at";

/// Loads an approval of the organization, with the vote of `voter`.
///
/// # Errors
/// [`StoreError::NotFound`] when there is none with this id.
pub async fn load_approval(
    store: &Store,
    organization_id: OrganizationId,
    voter: TokenId,
    id: ExecutionId,
) -> Result<ApprovalRow, StoreError> {
    let sql = format!(
        "/* load_approval */
         SELECT {COLUMNS}
         FROM workflow_node_executions x
         JOIN workflows w ON w.id = x.workflow_id
         JOIN workflow_nodes n ON n.workflow_id = x.workflow_id AND n.node_id = x.node_id
         JOIN workflow_runs run ON run.id = x.root_event_id
         WHERE x.id = $3::uuid AND w.organization_id = $1::uuid AND x.component = 'approval'"
    );
    let rows =
        store.query(&sql, &[(&organization_id, Type::UUID), (&voter, Type::UUID), (&id, Type::UUID)]).await?;
    rows.first().map(ApprovalRow::from_row).ok_or(StoreError::NotFound)?
}

/// The approvals that wait, along their own index.
///
/// # Errors
/// [`StoreError::Unavailable`] when the database can't be reached.
pub async fn list_approvals(
    store: &Store,
    organization_id: OrganizationId,
    voter: TokenId,
    page: PageRequest,
) -> Result<Page<ApprovalRow>, StoreError> {
    let sql = format!(
        "/* list_approvals */
         WITH found AS MATERIALIZED (
             SELECT e.id, count(*) OVER () AS candidates
             FROM (SELECT e.id
                   FROM workflows w
                   CROSS JOIN LATERAL (
                       SELECT x.id FROM workflow_node_executions x
                       WHERE (x.workflow_id, x.id)
                             >= (w.id, '00000000-0000-0000-0000-000000000000')
                         AND (x.workflow_id, x.id) < (w.id,
                             coalesce($3::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
                         AND x.component = 'approval' AND x.state = 'held'
                       ORDER BY x.workflow_id DESC, x.id DESC LIMIT $4::int8 + 1) e
                   WHERE w.organization_id = $1::uuid
                   ORDER BY e.id DESC LIMIT $4 + 1) e)
         SELECT {COLUMNS}, found.candidates
         FROM found
         JOIN workflow_node_executions x ON x.id = found.id
         JOIN workflows w ON w.id = x.workflow_id
         JOIN workflow_nodes n ON n.workflow_id = x.workflow_id AND n.node_id = x.node_id
         JOIN workflow_runs run ON run.id = x.root_event_id
         ORDER BY x.id DESC LIMIT $4"
    );
    let rows = store
        .query(
            &sql,
            &[
                (&organization_id, Type::UUID),
                (&voter, Type::UUID),
                (&page.before, Type::UUID),
                (&page.rows_max(), Type::INT8),
            ],
        )
        .await?;
    read_page(&rows, ApprovalRow::from_row)
}
