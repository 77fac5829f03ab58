//! Blueprints: versions of sub-graphs that workflows use.

use domain::actor::Actor;
use domain::ids::{OrganizationId, WorkflowId};
use domain::limits::PAGE_ROWS_MAX;
use jiff::Timestamp;
use serde_json::Value;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::Audited;
use super::workflow_apply::share_organization;
use crate::types::{actor, column};
use crate::{Store, StoreError, Tx};

/// A version of a blueprint without its definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlueprintRow {
    /// The name.
    pub name: String,
    /// The version, from 1.
    pub version: i64,
    /// The purpose of the blueprint.
    pub description: String,
    /// The token or user that applied it.
    pub created_by: Actor,
    /// When it was applied.
    pub created_at: Timestamp,
}

impl BlueprintRow {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            name: column(row, "name")?,
            version: column(row, "version")?,
            description: column(row, "description")?,
            created_by: actor(row, "created_by")?,
            created_at: column(row, "created_at")?,
        })
    }
}

/// A version of a blueprint with its definition.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredBlueprint {
    /// The part without the definition.
    pub row: BlueprintRow,
    /// `blueprints.definition`
    pub definition: Value,
}

impl StoredBlueprint {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self { row: BlueprintRow::from_row(row)?, definition: column(row, "definition")? })
    }
}

/// A new version of a blueprint.
#[derive(Clone, Debug)]
pub struct NewBlueprint {
    /// The tenant.
    pub organization_id: OrganizationId,
    /// The name.
    pub name: String,
    /// The version: the one after the newest, deleted ones among them.
    pub version: i64,
    /// The definition.
    pub definition: Value,
    /// The blueprints that its nodes name, as name and version.
    pub blueprints: Vec<(String, i64)>,
    /// The token or user that applies it.
    pub created_by: Actor,
    /// Now.
    pub now: Timestamp,
}

/// A workflow or blueprint that uses a version of a blueprint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlueprintUser {
    /// The workflow; None: it is a blueprint.
    pub workflow_id: Option<WorkflowId>,
    /// The name of the workflow, or name and version of the blueprint.
    pub name: String,
    /// The version that it uses.
    pub version: i64,
}

/// The result of a deletion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeletedBlueprints {
    /// These versions were deleted.
    Deleted(Vec<i64>),
    /// Something uses them: nothing was deleted.
    InUse(Vec<BlueprintUser>),
}

/// The live blueprints of the organization by name, each in its newest version: those after `after`.
///
/// # Errors
/// [`StoreError::Unavailable`] when the database can't be reached.
pub async fn list_blueprints(
    store: &Store,
    organization_id: OrganizationId,
    after: Option<&str>,
    rows: u32,
) -> Result<(Vec<BlueprintRow>, Option<String>), StoreError> {
    let rows_max = rows.clamp(1, PAGE_ROWS_MAX);
    let rows = store
        .query(
            "/* list_blueprints */
             SELECT DISTINCT ON (b.name) b.name, b.version,
                 coalesce(b.definition ->> 'description', '') AS description, b.created_by,
                 b.created_at
             FROM blueprints b
             WHERE b.organization_id = $1::uuid AND b.deleted_at IS NULL
               AND ($2::text IS NULL OR b.name > $2)
             ORDER BY b.name, b.version DESC LIMIT $3::int8 + 1",
            &[(&organization_id, Type::UUID), (&after, Type::TEXT), (&i64::from(rows_max), Type::INT8)],
        )
        .await?;
    let mut found: Vec<BlueprintRow> = rows.iter().map(BlueprintRow::from_row).collect::<Result<_, _>>()?;
    let is_cut = found.len() > rows_max as usize;
    found.truncate(rows_max as usize);
    let next = found.last().filter(|_| is_cut).map(|last| last.name.clone());
    Ok((found, next))
}

/// The newest live version of each of `names` that is there, and of some others.
///
/// # Errors
/// See [`StoreError`].
pub async fn newest_blueprints(
    store: &Store,
    organization_id: OrganizationId,
    names: &[&str],
) -> Result<Vec<(String, i64)>, StoreError> {
    let rows = store
        .query(
            "/* newest_blueprints */
             SELECT name, max(version) AS version FROM blueprints
             WHERE organization_id = $1::uuid AND deleted_at IS NULL
             GROUP BY name ORDER BY name <> ALL($3::text[]), name
             LIMIT $2::int8 + cardinality($3)",
            &[
                (&organization_id, Type::UUID),
                (&i64::from(PAGE_ROWS_MAX), Type::INT8),
                (&names, Type::TEXT_ARRAY),
            ],
        )
        .await?;
    rows.iter().map(|row| Ok((column(row, "name")?, column(row, "version")?))).collect()
}

/// The live ones of these versions, with their definitions. None: they have more than `bytes_max`
/// bytes together, and were not loaded.
///
/// # Errors
/// See [`StoreError`].
pub async fn load_blueprints(
    store: &Store,
    organization_id: OrganizationId,
    versions: &[(String, i64)],
    bytes_max: i64,
) -> Result<Option<Vec<StoredBlueprint>>, StoreError> {
    let (names, numbers): (Vec<&str>, Vec<i64>) =
        versions.iter().map(|(name, version)| (name.as_str(), *version)).unzip();
    let rows = store
        .query(
            "/* load_blueprints */
             WITH found AS MATERIALIZED (
                 SELECT b.name, b.version, octet_length(b.definition::text) AS bytes
                 FROM unnest($2::text[], $3::int8[]) AS wanted (name, version)
                 JOIN blueprints b
                   ON b.organization_id = $1::uuid AND b.name = wanted.name
                     AND b.version = wanted.version
                 WHERE b.deleted_at IS NULL),
             total AS MATERIALIZED (
                 SELECT coalesce(sum(bytes), 0) > $4::int8 AS is_too_much FROM found)
             SELECT b.name, b.version, coalesce(b.definition ->> 'description', '') AS description,
                 b.created_by, b.created_at, total.is_too_much,
                 CASE WHEN NOT total.is_too_much THEN b.definition END AS definition
             FROM found CROSS JOIN total
             JOIN blueprints b
               ON b.organization_id = $1 AND b.name = found.name AND b.version = found.version",
            &[
                (&organization_id, Type::UUID),
                (&names, Type::TEXT_ARRAY),
                (&numbers, Type::INT8_ARRAY),
                (&bytes_max, Type::INT8),
            ],
        )
        .await?;
    if let Some(row) = rows.first()
        && column(row, "is_too_much")?
    {
        return Ok(None);
    }
    rows.iter().map(StoredBlueprint::from_row).collect::<Result<_, _>>().map(Some)
}

/// A blueprint in a version, or in its newest; with the numbers of its live versions, the newest
/// first.
///
/// # Errors
/// [`StoreError::NotFound`] when there is no such live version.
pub async fn find_blueprint(
    store: &Store,
    organization_id: OrganizationId,
    name: &str,
    version: Option<i64>,
) -> Result<(StoredBlueprint, Vec<i64>), StoreError> {
    let rows = store
        .query(
            "/* find_blueprint */
             SELECT b.name, b.version, coalesce(b.definition ->> 'description', '') AS description,
                 b.created_by, b.created_at, b.definition,
                 ARRAY(
                     SELECT o.version FROM blueprints o
                     WHERE o.organization_id = $1 AND o.name = $2 AND o.deleted_at IS NULL
                     ORDER BY o.version DESC) AS versions
             FROM blueprints b
             WHERE b.organization_id = $1::uuid AND b.name = $2::text AND b.deleted_at IS NULL
               AND ($3::int8 IS NULL OR b.version = $3)
             ORDER BY b.version DESC LIMIT 1",
            &[(&organization_id, Type::UUID), (&name, Type::TEXT), (&version, Type::INT8)],
        )
        .await?;
    let row = rows.first().ok_or(StoreError::NotFound)?;
    Ok((StoredBlueprint::from_row(row)?, column(row, "versions")?))
}

/// Writes a new version of a blueprint.
///
/// # Errors
/// [`StoreError::Conflict`] when another version was applied meanwhile, or a blueprint inside was
/// deleted; [`StoreError::NotFound`] when the organization was deleted.
pub async fn apply_blueprint(store: Audited<'_>, new: &NewBlueprint) -> Result<(), StoreError> {
    let applied = store.run_tx("apply_blueprint", |tx| apply_in(tx, new)).await;
    match applied {
        Err(StoreError::Rejected { constraint: Some(name), .. }) if name == "blueprints_pkey" => {
            Err(StoreError::Conflict("another version of the blueprint was applied meanwhile"))
        }
        applied => applied,
    }
}

async fn apply_in(tx: Tx, new: &NewBlueprint) -> Result<(), StoreError> {
    share_organization(&tx, new.organization_id).await?;
    share_blueprints(&tx, new.organization_id, &new.blueprints).await?;
    let uses: Vec<String> =
        new.blueprints.iter().map(|(name, version)| format!("{name}@{version}")).collect();
    tx.query(
        "/* apply_blueprint */
         INSERT INTO blueprints
             (organization_id, name, version, definition, created_by, created_at, uses)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
        &[
            (&new.organization_id, Type::UUID),
            (&new.name, Type::TEXT),
            (&new.version, Type::INT8),
            (&new.definition, Type::JSONB),
            (&new.created_by.to_string(), Type::TEXT),
            (&new.now, Type::TIMESTAMPTZ),
            (&uses, Type::TEXT_ARRAY),
        ],
    )
    .await
    .map(drop)
}

/// The number of the version that the next apply makes.
///
/// # Errors
/// See [`StoreError`].
pub async fn next_version(
    store: &Store,
    organization_id: OrganizationId,
    name: &str,
) -> Result<i64, StoreError> {
    let rows = store
        .query(
            "/* next_version */
             SELECT coalesce(max(version), 0) + 1 AS version FROM blueprints
             WHERE organization_id = $1::uuid AND name = $2::text",
            &[(&organization_id, Type::UUID), (&name, Type::TEXT)],
        )
        .await?;
    rows.first().map_or(Ok(1), |row| column(row, "version"))
}

/// Keeps blueprints from being deleted during a transaction that uses them.
pub(super) async fn share_blueprints(
    tx: &Tx,
    organization_id: OrganizationId,
    versions: &[(String, i64)],
) -> Result<(), StoreError> {
    if versions.is_empty() {
        return Ok(());
    }
    let (names, numbers): (Vec<&str>, Vec<i64>) =
        versions.iter().map(|(name, version)| (name.as_str(), *version)).unzip();
    let rows = tx
        .query(
            "/* share_blueprints */
             SELECT b.name FROM blueprints b
             WHERE b.organization_id = $1::uuid AND b.deleted_at IS NULL
               AND (b.name, b.version) IN (
                   SELECT * FROM unnest($2::text[], $3::int8[]) AS used (name, version))
             ORDER BY b.name, b.version FOR SHARE OF b",
            &[(&organization_id, Type::UUID), (&names, Type::TEXT_ARRAY), (&numbers, Type::INT8_ARRAY)],
        )
        .await?;
    if rows.len() == versions.len() {
        Ok(())
    } else {
        Err(StoreError::Conflict("a blueprint was deleted meanwhile"))
    }
}

/// The users of a blueprint that one answer has.
pub const USERS_SHOWN: i64 = 1_000;

/// The live workflows that use a blueprint, by id and those after `after`, and then the live
/// blueprints: `USERS_SHOWN` at most.
///
/// # Errors
/// See [`StoreError`].
pub async fn find_users(
    store: &Store,
    organization_id: OrganizationId,
    name: &str,
    after: Option<WorkflowId>,
) -> Result<Vec<BlueprintUser>, StoreError> {
    let (all, none): (Option<&[i64]>, &[i64]) = (None, &[]);
    let rows = store
        .query(
            USERS,
            &[
                (&organization_id, Type::UUID),
                (&name, Type::TEXT),
                (&all, Type::INT8_ARRAY),
                (&after, Type::UUID),
                (&none, Type::INT8_ARRAY),
                (&USERS_SHOWN, Type::INT8),
            ],
        )
        .await?;
    rows.iter().map(user).collect()
}

/// Nodes of blueprints inside of others count too: their rows are those of the workflow. What goes
/// itself uses nothing.
const USERS: &str = "/* find_blueprint_users */
    SELECT DISTINCT used.workflow_id, used.name, used.version
    FROM (
        SELECT w.id AS workflow_id, w.name, split_part(n.ref ->> 'blueprint', '@', 1) AS blueprint,
            split_part(n.ref ->> 'blueprint', '@', 2)::int8 AS version
        FROM workflows w
        JOIN workflow_nodes n
          ON n.workflow_id = w.id AND n.type = 'blueprint' AND n.deleted_at IS NULL
        WHERE w.organization_id = $1::uuid AND w.deleted_at IS NULL
        UNION ALL
        SELECT NULL, b.name || '@' || b.version, split_part(use, '@', 1),
            split_part(use, '@', 2)::int8
        FROM blueprints b CROSS JOIN LATERAL unnest(b.uses) AS use
        WHERE b.organization_id = $1 AND b.deleted_at IS NULL
          AND NOT (b.name = $2 AND b.version = ANY($5::int8[]))) used
    WHERE used.blueprint = $2::text AND ($3::int8[] IS NULL OR used.version = ANY($3))
      AND ($4::uuid IS NULL OR used.workflow_id IS NULL OR used.workflow_id > $4)
    ORDER BY used.workflow_id NULLS LAST, used.name, used.version LIMIT $6::int8";

fn user(row: &Row) -> Result<BlueprintUser, StoreError> {
    Ok(BlueprintUser {
        workflow_id: column(row, "workflow_id")?,
        name: column(row, "name")?,
        version: column(row, "version")?,
    })
}

/// Deletes a version of a blueprint, or all; nothing where one is in use.
///
/// # Errors
/// [`StoreError::NotFound`] when there is no such live version.
pub async fn delete_blueprints(
    store: Audited<'_>,
    organization_id: OrganizationId,
    name: &str,
    version: Option<i64>,
    now: Timestamp,
) -> Result<DeletedBlueprints, StoreError> {
    let work = |tx| delete_in(tx, organization_id, name, version, now);
    let is_deleted = |deleted: &DeletedBlueprints| matches!(deleted, DeletedBlueprints::Deleted(_));
    store.run_tx_if("delete_blueprints", work, is_deleted).await
}

async fn delete_in(
    tx: Tx,
    organization_id: OrganizationId,
    name: &str,
    version: Option<i64>,
    now: Timestamp,
) -> Result<DeletedBlueprints, StoreError> {
    share_organization(&tx, organization_id).await?;
    // An apply that uses one holds its row until it has committed, and is then among the users.
    let rows = tx
        .query(
            "/* delete_blueprints: lock */
             SELECT version FROM blueprints
             WHERE organization_id = $1::uuid AND name = $2::text AND deleted_at IS NULL
               AND ($3::int8 IS NULL OR version = $3)
             ORDER BY version FOR NO KEY UPDATE",
            &[(&organization_id, Type::UUID), (&name, Type::TEXT), (&version, Type::INT8)],
        )
        .await?;
    let versions: Vec<i64> = rows.iter().map(|row| column(row, "version")).collect::<Result<_, _>>()?;
    if versions.is_empty() {
        return Err(StoreError::NotFound);
    }
    let (wanted, nobody) = (Some(versions.as_slice()), None::<WorkflowId>);
    let users = tx
        .query(
            USERS,
            &[
                (&organization_id, Type::UUID),
                (&name, Type::TEXT),
                (&wanted, Type::INT8_ARRAY),
                (&nobody, Type::UUID),
                (&versions, Type::INT8_ARRAY),
                (&USERS_SHOWN, Type::INT8),
            ],
        )
        .await?;
    let users: Vec<BlueprintUser> = users.iter().map(user).collect::<Result<_, _>>()?;
    if !users.is_empty() {
        return Ok(DeletedBlueprints::InUse(users));
    }
    tx.query(
        "/* delete_blueprints */
         UPDATE blueprints SET deleted_at = $4::timestamptz
         WHERE organization_id = $1::uuid AND name = $2::text AND version = ANY($3::int8[])",
        &[
            (&organization_id, Type::UUID),
            (&name, Type::TEXT),
            (&versions, Type::INT8_ARRAY),
            (&now, Type::TIMESTAMPTZ),
        ],
    )
    .await?;
    Ok(DeletedBlueprints::Deleted(versions))
}
