//! The list of the audit log.

use domain::actor::Actor;
use domain::ids::{AuditLineId, OrganizationId};
use jiff::Timestamp;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::page::{Page, PageRequest};
use super::search::{SEARCH_ROWS_MAX, read_search};
use crate::types::column;
use crate::{Store, StoreError};

/// A line as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRow {
    /// `audit_log.id`
    pub id: AuditLineId,
    /// When.
    pub created_at: Timestamp,
    /// The actor.
    pub actor: Actor,
    /// The action.
    pub action: String,
    /// Such as `workflow`.
    pub object_kind: String,
    /// Its id, or its name where it has none.
    pub object_id: String,
    /// Its name at that time.
    pub object_name: Option<String>,
    /// The address that the request came from.
    pub source_ip: Option<String>,
}

impl AuditRow {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        let Ok(actor) = column::<&str>(row, "actor")?.parse();
        Ok(Self {
            id: column(row, "id")?,
            created_at: column(row, "created_at")?,
            actor,
            action: column(row, "action")?,
            object_kind: column(row, "object_kind")?,
            object_id: column(row, "object_id")?,
            object_name: column(row, "object_name")?,
            source_ip: column(row, "source_ip")?,
        })
    }
}

/// The filter of a list of lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Only of this action.
    pub action: Option<String>,
    /// Only of the actor of this name.
    pub actor: Option<String>,
    /// Only of the object with this id or name.
    pub object: Option<String>,
    /// Only those at this time or later.
    pub since: Option<Timestamp>,
}

/// The lines of an organization, newest first. With a filter a page looks at a limited number of
/// lines: it may be empty and have a next one.
///
/// # Errors
/// See [`StoreError`].
pub async fn list_audit_lines(
    store: &Store,
    organization_id: OrganizationId,
    filter: &AuditFilter,
    page: PageRequest,
) -> Result<Page<AuditRow>, StoreError> {
    // Without a filter every line matches, and a page looks at no more than it gives.
    let has_filter = filter.action.is_some() || filter.actor.is_some() || filter.object.is_some();
    let looks = if has_filter { SEARCH_ROWS_MAX } else { page.rows_max() + 1 };
    let rows = store
        .query(
            LIST,
            &[
                (&organization_id, Type::UUID),
                (&page.before, Type::UUID),
                (&page.rows_max(), Type::INT8),
                (&filter.action, Type::TEXT),
                (&filter.actor, Type::TEXT),
                (&filter.object, Type::TEXT),
                (&filter.since, Type::TIMESTAMPTZ),
                (&looks, Type::INT8),
                (&filter.since.map(id_before), Type::UUID),
            ],
        )
        .await?;
    read_search(&rows, AuditRow::from_row)
}

/// Milliseconds by which an id may be earlier than its line.
const ID_SLACK_MILLIS: i64 = 60_000;

/// An id that is smaller than those of lines from this time on: ids begin with the time (UUIDv7,
/// RFC 9562 section 5.7), so that older lines are not looked at.
fn id_before(since: Timestamp) -> AuditLineId {
    let millis = since.as_millisecond().saturating_sub(ID_SLACK_MILLIS);
    AuditLineId::from_u128(u128::try_from(millis).unwrap_or(0) << 80)
}

const LIST: &str = "/* list_audit_lines */
    WITH looked_at AS MATERIALIZED (
        SELECT id, created_at, actor, action, object_kind, object_id, object_name, source_ip
        FROM audit_log
        WHERE organization_id = $1 AND ($2::uuid IS NULL OR id < $2)
          AND ($7::timestamptz IS NULL OR created_at >= $7)
          AND ($9::uuid IS NULL OR id >= $9)
        ORDER BY id DESC LIMIT $8),
    cut AS MATERIALIZED (
        SELECT id FROM looked_at ORDER BY id DESC OFFSET greatest($8, $3 + 2) - 1 LIMIT 1),
    found AS MATERIALIZED (
        SELECT * FROM looked_at
        WHERE ($4::text IS NULL OR action = $4)
          AND ($5::text IS NULL
            OR regexp_replace(actor, '^(token|member):([0-9a-f-]{36}:)?', '') = $5)
          AND ($6::text IS NULL OR object_id = $6 OR object_name = $6)
        ORDER BY id DESC LIMIT $3 + 1)
    SELECT page.*, (SELECT id FROM cut) AS looked_to
    FROM (SELECT) one
    LEFT JOIN (
        SELECT found.*, count(*) OVER () AS candidates
        FROM found ORDER BY found.id DESC LIMIT $3) page ON true
    ORDER BY page.id DESC";
