use domain::actor::Actor;
use domain::definition::Definition;
use domain::ids::{OrganizationId, WorkflowId};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::page::{Page, PageRequest, read_page};
use crate::types::{actor, column};
use crate::{Store, StoreError};

/// A workflow without its definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkflowRow {
    /// `workflows.id`
    pub id: WorkflowId,
    /// The name; unique in the organization among live workflows.
    pub name: String,
    /// The purpose of the workflow.
    pub description: String,
    /// `workflows.timeout_seconds`
    pub timeout_seconds: Option<i64>,
    /// The number that each apply with a change raises.
    pub version: i64,
    /// The token or user that made it.
    pub created_by: Actor,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last applied with a change.
    pub updated_at: Timestamp,
    /// When it was deleted; None for a live one.
    pub deleted_at: Option<Timestamp>,
}

impl WorkflowRow {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: column(row, "id")?,
            name: column(row, "name")?,
            description: column(row, "description")?,
            timeout_seconds: column::<Option<i32>>(row, "timeout_seconds")?.map(i64::from),
            version: column(row, "version")?,
            created_by: actor(row, "created_by")?,
            created_at: column(row, "created_at")?,
            updated_at: column(row, "updated_at")?,
            deleted_at: column(row, "deleted_at")?,
        })
    }
}

/// The live workflows of the organization.
///
/// # Errors
/// [`StoreError::Unavailable`] when the database can't be reached.
pub async fn list_workflows(
    store: &Store,
    organization_id: OrganizationId,
    page: PageRequest,
) -> Result<Page<WorkflowRow>, StoreError> {
    let rows = store
        .query(
            "/* list_workflows */
             SELECT q.id, q.name, q.description, q.timeout_seconds, q.version, q.created_by,
                    q.created_at, q.updated_at, q.deleted_at, q.candidates
             FROM (SELECT c.*, count(*) OVER () AS candidates
                   FROM (SELECT w.id, w.name, w.description, w.timeout_seconds, w.version,
                                w.created_by, w.created_at, w.updated_at, w.deleted_at
                         FROM workflows w
                         WHERE w.organization_id = $1 AND w.deleted_at IS NULL
                           AND ($2::uuid IS NULL OR w.id < $2)
                         ORDER BY w.id DESC LIMIT $3 + 1) c) q
             ORDER BY q.id DESC LIMIT $3",
            &[(&organization_id, Type::UUID), (&page.before, Type::UUID), (&page.rows_max(), Type::INT8)],
        )
        .await?;
    read_page(&rows, WorkflowRow::from_row)
}

/// The workflow that a person means: by id (a deleted one too, for its history stays), else the
/// live one of that name.
///
/// # Errors
/// [`StoreError::NotFound`] when there is none, or it is another organization's.
pub async fn find_workflow(
    store: &Store,
    organization_id: OrganizationId,
    reference: &str,
) -> Result<WorkflowRow, StoreError> {
    let id = Uuid::parse_str(reference).ok();
    let rows = store
        .query(
            "/* find_workflow */
             SELECT id, name, description, timeout_seconds, version, created_by, created_at,
                    updated_at, deleted_at
             FROM workflows
             WHERE organization_id = $1 AND (id = $2 OR (name = $3 AND deleted_at IS NULL))
             ORDER BY (id = $2) DESC NULLS LAST LIMIT 1",
            &[(&organization_id, Type::UUID), (&id, Type::UUID), (&reference, Type::TEXT)],
        )
        .await?;
    rows.first().map_or(Err(StoreError::NotFound), WorkflowRow::from_row)
}

/// The workflow that a person means, as [`find_workflow`] finds it, with its definition.
///
/// # Errors
/// [`StoreError::NotFound`] when there is none, or it is another organization's;
/// [`StoreError::Corrupt`] when the stored definition can't be read.
pub async fn load_workflow(
    store: &Store,
    organization_id: OrganizationId,
    reference: &str,
) -> Result<(WorkflowRow, Definition), StoreError> {
    let id = Uuid::parse_str(reference).ok();
    let rows = store
        .query(
            "/* load_workflow */
             SELECT id, name, description, timeout_seconds, version, created_by, created_at,
                    updated_at, deleted_at, nodes, edges, applied_edges, outputs
             FROM workflows
             WHERE organization_id = $1 AND (id = $2 OR (name = $3 AND deleted_at IS NULL))
             ORDER BY (id = $2) DESC NULLS LAST LIMIT 1",
            &[(&organization_id, Type::UUID), (&id, Type::UUID), (&reference, Type::TEXT)],
        )
        .await?;
    rows.first().map_or(Err(StoreError::NotFound), with_definition)
}

/// The live workflow of that name with its definition, if there is one.
///
/// # Errors
/// [`StoreError::Corrupt`] when the stored definition can't be read.
pub async fn load_workflow_named(
    store: &Store,
    organization_id: OrganizationId,
    name: &str,
) -> Result<Option<(WorkflowRow, Definition)>, StoreError> {
    let rows = store
        .query(
            "/* load_workflow_named */
             SELECT id, name, description, timeout_seconds, version, created_by, created_at,
                    updated_at, deleted_at, nodes, edges, applied_edges, outputs
             FROM workflows
             WHERE organization_id = $1 AND name = $2 AND deleted_at IS NULL",
            &[(&organization_id, Type::UUID), (&name, Type::TEXT)],
        )
        .await?;
    rows.first().map(with_definition).transpose()
}

fn with_definition(row: &Row) -> Result<(WorkflowRow, Definition), StoreError> {
    let workflow = WorkflowRow::from_row(row)?;
    let (nodes, edges): (Value, Value) = (column(row, "nodes")?, column(row, "edges")?);
    let applied_edges: Option<Value> = column(row, "applied_edges")?;
    let outputs: Option<Value> = column(row, "outputs")?;
    let definition = json!({
        "name": workflow.name, "description": workflow.description, "timeout_seconds": workflow.timeout_seconds, "nodes": nodes,
        "edges": edges, "applied_edges": applied_edges, "outputs": outputs.unwrap_or_else(|| json!({})),
    });
    let definition =
        serde_json::from_value(definition).map_err(|_| StoreError::Corrupt("workflows.nodes"))?;
    Ok((workflow, definition))
}
