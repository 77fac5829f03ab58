//! What the operator does with organizations, as the owner of the schema. Each change has a line in
//! the organization's audit log.

use domain::access::Action;
use domain::actor::{Actor, ActorKind};
use domain::ids::{AuditLineId, OrganizationId, TokenId};
use jiff::Timestamp;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::audit::{AuditLine, AuditObject, Audited};
use crate::types::column;
use crate::{Store, StoreError};

/// An organization as the operator sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperatedOrganization {
    /// `organizations.id`
    pub id: OrganizationId,
    /// Its name.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// Since when it is suspended.
    pub suspended_at: Option<Timestamp>,
    /// Requests a second that an instance of the API takes of it at most.
    pub requests_per_second_max: Option<i32>,
    /// Live workflows.
    pub workflows: i64,
    /// Live tokens and members.
    pub tokens: i64,
}

impl OperatedOrganization {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: column(row, "id")?,
            name: column(row, "name")?,
            created_at: column(row, "created_at")?,
            suspended_at: column(row, "suspended_at")?,
            requests_per_second_max: column(row, "requests_per_second_max")?,
            workflows: column(row, "workflows")?,
            tokens: column(row, "tokens")?,
        })
    }
}

/// The columns of an [`OperatedOrganization`].
macro_rules! columns {
    () => {
        "o.id, o.name, o.created_at, o.suspended_at, o.requests_per_second_max,
         (SELECT count(*) FROM workflows w
          WHERE w.organization_id = o.id AND w.deleted_at IS NULL) AS workflows,
         (SELECT count(*) FROM api_tokens t
          WHERE t.organization_id = o.id AND t.revoked_at IS NULL) AS tokens"
    };
}

/// Organizations of one list.
pub const ORGANIZATIONS_LISTED_MAX: i64 = 1_000;

/// The live organizations, the newest first, up to a thousand.
///
/// # Errors
/// See [`StoreError`].
pub async fn list_organizations(store: &Store) -> Result<Vec<OperatedOrganization>, StoreError> {
    let rows = store
        .query(
            concat!(
                "/* list_organizations */ SELECT ",
                columns!(),
                " FROM organizations o WHERE o.deleted_at IS NULL ORDER BY o.id DESC LIMIT $1"
            ),
            &[(&ORGANIZATIONS_LISTED_MAX, Type::INT8)],
        )
        .await?;
    rows.iter().map(OperatedOrganization::from_row).collect()
}

/// A change of an organization by the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrganizationChange {
    /// Its tokens and webhooks are refused from now on. What runs goes on.
    Suspend,
    /// It is as before.
    Resume,
    /// Requests a second that an instance of the API takes of it at most; None: as many as its
    /// tokens may make.
    Limit(Option<i32>),
}

/// The one live organization of that id or name.
///
/// # Errors
/// [`StoreError::NotFound`]; [`StoreError::Conflict`] when several have the name.
pub async fn find_organization(store: &Store, reference: &str) -> Result<OrganizationId, StoreError> {
    let rows = store
        .query(
            "/* find_organization */ SELECT o.id FROM organizations o
             WHERE o.deleted_at IS NULL AND (o.id::text = $1 OR o.name = $1)
             ORDER BY (o.id::text = $1) DESC LIMIT 2",
            &[(&reference, Type::TEXT)],
        )
        .await?;
    match rows.as_slice() {
        [] => Err(StoreError::NotFound),
        [one] => column(one, "id"),
        [first, ..] if column::<OrganizationId>(first, "id")?.to_string() == reference => column(first, "id"),
        _ => Err(StoreError::Conflict("several organizations have this name: give the id of one")),
    }
}

/// The line of what the operator does.
fn line(
    id: AuditLineId,
    organization_id: OrganizationId,
    action: Action,
    object: AuditObject,
    at: Timestamp,
) -> AuditLine {
    AuditLine { id, organization_id, actor: Actor::operator(), action, object, source_ip: None, at }
}

/// Changes an organization.
///
/// # Errors
/// [`StoreError::NotFound`] when it was deleted.
pub async fn change_organization(
    store: &Store,
    organization_id: OrganizationId,
    change: OrganizationChange,
    line_id: AuditLineId,
    now: Timestamp,
) -> Result<OperatedOrganization, StoreError> {
    let word = match change {
        OrganizationChange::Suspend => "suspended",
        OrganizationChange::Resume => "resumed",
        OrganizationChange::Limit(_) => "limited",
    };
    let object = AuditObject::new("organization", organization_id).named(word);
    let line = line(line_id, organization_id, Action::OrganizationWrite, object, now);
    let (sets_suspended, suspended_at) = match change {
        OrganizationChange::Suspend => (true, Some(now)),
        OrganizationChange::Resume => (true, None),
        OrganizationChange::Limit(_) => (false, None),
    };
    let limit = match change {
        OrganizationChange::Limit(limit) => Some(limit),
        OrganizationChange::Suspend | OrganizationChange::Resume => None,
    };
    Audited::new(store, &line)
        .run_tx("change_organization", |tx| async move {
            let rows = tx
                .query(
                    concat!(
                        "/* change_organization */ UPDATE organizations o
                         SET suspended_at = CASE WHEN $3 THEN $4 ELSE o.suspended_at END,
                             requests_per_second_max =
                                 CASE WHEN $5 THEN $6 ELSE o.requests_per_second_max END,
                             updated_at = $2
                         WHERE o.id = $1 AND o.deleted_at IS NULL
                         RETURNING ",
                        columns!()
                    ),
                    &[
                        (&organization_id, Type::UUID),
                        (&now, Type::TIMESTAMPTZ),
                        (&sets_suspended, Type::BOOL),
                        (&suspended_at, Type::TIMESTAMPTZ),
                        (&limit.is_some(), Type::BOOL),
                        (&limit.flatten(), Type::INT4),
                    ],
                )
                .await?;
            rows.first().map_or(Err(StoreError::NotFound), OperatedOrganization::from_row)
        })
        .await
}

/// Makes an owner's token for an organization that has lost its own.
///
/// # Errors
/// [`StoreError::Rejected`] when a live token has the name.
pub async fn make_owner(
    store: &Store,
    organization_id: OrganizationId,
    (token_id, line_id): (TokenId, AuditLineId),
    name: &str,
    token_sha256: &[u8],
    now: Timestamp,
) -> Result<(), StoreError> {
    let object = AuditObject::new(ActorKind::Token.as_str(), token_id).named(name);
    let line = line(line_id, organization_id, Action::TokensWrite, object, now);
    Audited::new(store, &line)
        .run_tx("make_owner", |tx| async move {
            tx.query(
                "/* make_owner */
                 INSERT INTO api_tokens
                     (id, organization_id, name, token_sha256, created_at, created_by, role)
                 VALUES ($1, $2, $3, $4, $5, $6, 'owner')",
                &[
                    (&token_id, Type::UUID),
                    (&organization_id, Type::UUID),
                    (&name, Type::TEXT),
                    (&token_sha256, Type::BYTEA),
                    (&now, Type::TIMESTAMPTZ),
                    (&Actor::operator().to_string(), Type::TEXT),
                ],
            )
            .await
            .map(drop)
        })
        .await
}
