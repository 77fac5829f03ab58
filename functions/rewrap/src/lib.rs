//! Moves all sealed values from one KMS key to another, without opening any (docs/deploying.md,
//! "Another key").
//!
//! Invoked by hand (`sealflow admin rewrap`) with `{}`, and again with `{"after": …}` as long as an
//! answer says `next`. Everything goes on meanwhile: a row that somebody changes is left alone and
//! found by the next run, and each run finds only what is still under the old key. So it is over
//! when a whole run has moved nothing.

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

/// The time that is left of an invocation when it reads no more rows: enough for those that it has.
pub const RESERVE: Duration = Duration::from_secs(45);
/// Values that an answer names as unreadable; the others are counted.
pub const UNREADABLE_MAX: usize = 100;

/// Where to go on.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The `next` of the last answer; not given: from the start.
    #[serde(default)]
    pub after: Option<Position>,
}

/// A place in the order of the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Position {
    /// The part that is at work.
    pub part: Part,
    /// The last row that was done there; null: none.
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
    /// Signing keys from before a rotation. After the current ones, for a rotation moves them here.
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
    /// Values that are under the new key now and were under the old one.
    pub moved: usize,
    /// Values that were not under the old key.
    pub elsewhere: usize,
    /// Rows that somebody changed meanwhile: the next run looks at them.
    pub changed: usize,
    /// Values that don't open in their place, damaged or moved there from another:
    /// [`UNREADABLE_MAX`] are named.
    pub unreadable: Vec<Unreadable>,
    /// All of these.
    pub unreadable_count: usize,
    /// Where to go on; null when all were looked at.
    pub next: Option<Position>,
}

/// A value that does not open in its place.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Unreadable {
    /// The part of the work.
    pub part: Part,
    /// `secrets.id` or `webhooks.id`.
    pub id: Uuid,
    /// Whose it is.
    pub organization_id: OrganizationId,
    /// The key in the secret; null when the row can't be read at all.
    pub key: Option<String>,
}

/// Why an invocation did not get past its first page. What it moved of that stays moved: the next
/// one finds the rest.
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

/// Moves what is left, until it is through or the time is nearly over.
///
/// # Errors
/// [`Error`], when not even the first page could be done. Later ones that can't be done are the
/// next invocation's.
pub async fn handle(request: Request, deps: &Deps, deadline: Deadline) -> Result<Response, Error> {
    let mut response = Response::default();
    let mut next = Some(request.after.unwrap_or(Position { part: Part::Secrets, id: None }));
    let mut is_first = true;
    // At least one page each time, so that whoever repeats gets to the end.
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

/// Moves the rows that come next, and says where to go on.
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
    // Only once the page is done, for one that isn't comes again.
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
