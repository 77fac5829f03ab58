//! Moves all sealed values from one KMS key to another, without opening any (docs/deploying.md,
//! "Another key").
//!
//! The function is invoked by hand (`sealflow admin rewrap`) with `{}`, and again with `{"after":
//! …}` as long as an answer has `next`. The other functions keep working meanwhile. A row that
//! changes meanwhile is skipped, and the next run finds it. Each run moves only values that are
//! still under the old key, so the move is complete when a whole run has moved nothing.

use std::time::Duration;

use domain::ids::OrganizationId;
use process::Deadline;
use serde::{Deserialize, Serialize};
use store::rewrap::{SealedColumn, SealedRow, next_sealed_rows, replace_sealed};
use store::{Store, StoreError};
use uuid::Uuid;
use vault_format::{Entries, Purpose, Scope};
use vault_rewrap::{RewrapError, RewrapRequest, Rewrapped, Rewrapper, SameKey};

/// The dependencies of the function.
pub struct Deps {
    /// Postgres.
    pub store: Store,
    /// The vault.
    pub rewrapper: Rewrapper,
}

/// The time left at which an invocation reads no more rows: enough to finish the rows that it has
/// read.
pub const RESERVE: Duration = Duration::from_secs(45);
/// The most unreadable values that an answer names; further ones are only counted.
pub const UNREADABLE_MAX: usize = 100;

/// The input of an invocation.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The `next` of the last answer; not given: the work begins at its start.
    #[serde(default)]
    pub after: Option<Position>,
}

/// A place in the order of the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Position {
    /// The part of the work.
    pub part: Part,
    /// The last row of the part that was done; null: none.
    pub id: Option<Uuid>,
}

/// The parts of the work, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// Secrets of organizations.
    Secrets,
    /// Signing keys of webhooks.
    SigningKeys,
    /// Signing keys from before a rotation. They come after the current keys, because a rotation
    /// moves current keys here.
    PreviousSigningKeys,
}

impl Part {
    fn next(self) -> Option<Self> {
        match self {
            Self::Secrets => Some(Self::SigningKeys),
            Self::SigningKeys => Some(Self::PreviousSigningKeys),
            Self::PreviousSigningKeys => None,
        }
    }

    fn column(self) -> SealedColumn {
        match self {
            Self::Secrets => SealedColumn::Secrets,
            Self::SigningKeys => SealedColumn::SigningKeys,
            Self::PreviousSigningKeys => SealedColumn::PreviousSigningKeys,
        }
    }

    fn purpose(self) -> Purpose {
        match self {
            Self::Secrets => Purpose::Secret,
            Self::SigningKeys | Self::PreviousSigningKeys => Purpose::Webhook,
        }
    }
}

/// The work of one invocation. Names, ids and counts; no value.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Response {
    /// Values that were moved from the old key to the new one.
    pub moved: usize,
    /// Values that were not under the old key.
    pub elsewhere: usize,
    /// Rows that changed meanwhile: the next run finds them.
    pub changed: usize,
    /// Values that don't open in their place, because they are damaged or come from another place.
    /// At most [`UNREADABLE_MAX`] are named.
    pub unreadable: Vec<Unreadable>,
    /// The number of all unreadable values.
    pub unreadable_count: usize,
    /// The position from which to go on; null when all values were done.
    pub next: Option<Position>,
}

/// A value that does not open in its place.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Unreadable {
    /// The part of the work.
    pub part: Part,
    /// `secrets.id` or `webhooks.id`.
    pub id: Uuid,
    /// The organization that owns it.
    pub organization_id: OrganizationId,
    /// The key in the secret; null when the row can't be read at all.
    pub key: Option<String>,
}

/// The reason why an invocation did not finish its first page. Values that it moved stay moved, and
/// the next invocation finds the rest.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no key to move from.
    #[error(
        "SEALFLOW_REWRAP_FROM_KEY_ID is not set: it is the KMS key that sealed values are moved from (docs/deploying.md, \"Another key\")"
    )]
    NoSource,
    /// Both keys are the same.
    #[error(transparent)]
    SameKey(#[from] SameKey),
    /// Postgres.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// KMS.
    #[error(transparent)]
    Vault(#[from] RewrapError),
}

/// Moves values until all are done or the time is nearly over.
///
/// # Errors
/// [`Error`], when the first page failed. A later page that fails is left to the next invocation.
pub async fn handle(request: Request, deps: &Deps, deadline: Deadline) -> Result<Response, Error> {
    let mut response = Response::default();
    let mut next = Some(request.after.unwrap_or(Position { part: Part::Secrets, id: None }));
    let mut is_first = true;
    // Each invocation does at least one page, so that repeated invocations reach the end.
    while let Some(position) = next
        && (is_first || deadline.left() > RESERVE)
    {
        match move_page(position, deps, &mut response).await {
            Ok(after) => next = after,
            Err(error) if is_first => return Err(error),
            Err(error) => {
                tracing::warn!(%error, "the rest is left to the next invocation");
                break;
            }
        }
        is_first = false;
    }
    response.next = next;
    tracing::info!(
        moved = response.moved,
        elsewhere = response.elsewhere,
        changed = response.changed,
        unreadable = response.unreadable_count,
        is_through = response.next.is_none(),
        "rewrapped"
    );
    Ok(response)
}

/// Moves the next rows, and returns the position after them.
async fn move_page(
    position: Position,
    deps: &Deps,
    response: &mut Response,
) -> Result<Option<Position>, Error> {
    let Position { part, id } = position;
    let rows = next_sealed_rows(&deps.store, part.column(), id).await?;
    let Some(last) = rows.last().map(|row| row.id) else {
        return Ok(part.next().map(|part| Position { part, id: None }));
    };
    move_rows(part, rows, deps, response).await?;
    Ok(Some(Position { part, id: Some(last) }))
}

async fn move_rows(
    part: Part,
    rows: Vec<SealedRow>,
    deps: &Deps,
    response: &mut Response,
) -> Result<(), Error> {
    let (mut read, mut requests) = (Vec::new(), Vec::new());
    let mut unreadable = Vec::new();
    for row in rows {
        match Entries::parse(&row.data) {
            Ok(entries) => {
                let scope = Scope {
                    organization_id: row.organization_id,
                    secret_id: row.id,
                    purpose: part.purpose(),
                };
                requests.push(RewrapRequest { scope, entries });
                read.push(row);
            }
            Err(_) => unreadable.push((row, None)),
        }
    }
    let rewrapped = deps.rewrapper.rewrap(requests).await?;
    let mut elsewhere = 0;
    for (row, rewrapped) in read.into_iter().zip(rewrapped) {
        let Rewrapped { entries, moved, elsewhere: others, unreadable: keys } = rewrapped;
        if moved > 0 {
            if replace_sealed(&deps.store, part.column(), &row, &entries.to_bytes()).await? {
                response.moved += moved;
            } else {
                response.changed += 1;
            }
        }
        elsewhere += others;
        unreadable.extend(keys.into_iter().map(|key| (row.clone(), Some(key))));
    }
    // Counted only after the whole page: a page that failed is done again.
    response.elsewhere += elsewhere;
    for (row, key) in unreadable {
        response.add_unreadable(part, &row, key);
    }
    Ok(())
}

impl Response {
    fn add_unreadable(&mut self, part: Part, row: &SealedRow, key: Option<String>) {
        self.unreadable_count += 1;
        if self.unreadable.len() < UNREADABLE_MAX {
            self.unreadable.push(Unreadable { part, id: row.id, organization_id: row.organization_id, key });
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_answers_next_is_a_requests_after() {
        let next = Position { part: Part::SigningKeys, id: Some(Uuid::from_u128(7)) };
        let response = serde_json::to_value(Response { next: Some(next), ..Response::default() }).unwrap();
        let request: Request = serde_json::from_value(json!({ "after": response["next"] })).unwrap();
        assert_eq!(request.after, Some(next));
        let request: Request = serde_json::from_value(json!({})).unwrap();
        assert_eq!(request.after, None);
        assert!(serde_json::from_value::<Request>(json!({ "from": null })).is_err());
    }

    #[test]
    fn each_part_comes_once() {
        let mut parts = vec![Part::Secrets];
        while let Some(next) = parts.last().and_then(|part| part.next()) {
            parts.push(next);
        }
        assert_eq!(parts, [Part::Secrets, Part::SigningKeys, Part::PreviousSigningKeys]);
    }

    #[test]
    fn unreadable_values_are_named_up_to_a_limit_i10() {
        let row =
            SealedRow { id: Uuid::nil(), organization_id: OrganizationId::from_u128(0), data: Vec::new() };
        let mut response = Response::default();
        for _ in 0..UNREADABLE_MAX + 1 {
            response.add_unreadable(Part::Secrets, &row, None);
        }
        assert_eq!(
            (response.unreadable.len(), response.unreadable_count),
            (UNREADABLE_MAX, UNREADABLE_MAX + 1)
        );
    }
}
