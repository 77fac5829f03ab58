//! The lines of the audit log. Each write of the API goes through [`Audited`], so that its line is committed with
//! it or not at all.

use domain::access::Action;
use domain::actor::Actor;
use domain::ids::{AuditLineId, OrganizationId};
use jiff::Timestamp;
use tokio_postgres::types::Type;

use crate::{Store, StoreError, Tx};

/// The object of an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditObject {
    /// Such as `workflow`.
    pub kind: &'static str,
    /// Its id, or its name where it has none.
    pub id: String,
    /// Its name.
    pub name: Option<String>,
}

impl AuditObject {
    /// An object that is known by its id or its name alone.
    pub fn new(kind: &'static str, id: impl ToString) -> Self {
        Self { kind, id: id.to_string(), name: None }
    }

    /// The object with its name.
    #[must_use]
    pub fn named(self, name: impl Into<String>) -> Self {
        Self { name: Some(name.into()), ..self }
    }
}

/// A line that is to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditLine {
    /// `audit_log.id`
    pub id: AuditLineId,
    /// The tenant.
    pub organization_id: OrganizationId,
    /// The actor.
    pub actor: Actor,
    /// The action.
    pub action: Action,
    /// The object that it was done to.
    pub object: AuditObject,
    /// The address that the request came from.
    pub source_ip: Option<String>,
    /// When.
    pub at: Timestamp,
}

/// The parameters of [`INSERT`].
macro_rules! params {
    ($line:expr, $read_key:expr) => {
        [
            (&$line.id, Type::UUID),
            (&$line.organization_id, Type::UUID),
            (&$line.at, Type::TIMESTAMPTZ),
            (&$line.actor.to_string(), Type::TEXT),
            (&$line.action.as_str(), Type::TEXT),
            (&$line.object.kind, Type::TEXT),
            (&$line.object.id, Type::TEXT),
            (&$line.object.name, Type::TEXT),
            (&$line.source_ip, Type::TEXT),
            ($read_key, Type::TEXT),
        ]
    };
}

impl AuditLine {
    /// The key by which reads of one actor and object have one line an hour.
    #[must_use]
    pub fn read_key(&self) -> String {
        let hour = self.at.as_second().div_euclid(3_600);
        let AuditObject { kind, id, .. } = &self.object;
        format!("{}|{}|{}|{kind}|{id}|{hour}", self.organization_id, self.actor, self.action)
    }

    async fn insert(&self, tx: &Tx) -> Result<(), StoreError> {
        tx.query(INSERT, &params!(self, &None::<String>)).await?;
        Ok(())
    }
}

/// A request may write in several transactions: it has one line.
const INSERT: &str = "/* insert_audit_line */
    INSERT INTO audit_log
        (id, organization_id, created_at, actor, action, object_kind, object_id, object_name,
         source_ip, read_key)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
    ON CONFLICT DO NOTHING";

/// A store for one write of a request, whose line is committed with it.
#[derive(Clone, Copy)]
pub struct Audited<'s> {
    store: &'s Store,
    line: &'s AuditLine,
}

impl<'s> Audited<'s> {
    /// The store for a write with this line.
    #[must_use]
    pub fn new(store: &'s Store, line: &'s AuditLine) -> Self {
        Self { store, line }
    }

    /// The line.
    pub(crate) fn line(self) -> &'s AuditLine {
        self.line
    }

    /// The store, for reads.
    pub(crate) fn store(self) -> &'s Store {
        self.store
    }

    /// As [`Store::run_tx`], with the line.
    pub(crate) async fn run_tx<T, W, F>(self, name: &'static str, work: W) -> Result<T, StoreError>
    where
        W: Fn(Tx) -> F,
        F: Future<Output = Result<T, StoreError>>,
    {
        let work = &work;
        self.store
            .run_tx(name, |tx| async move {
                let ((), done) = futures_util::try_join!(self.line.insert(&tx), work(tx.clone()))?;
                Ok(done)
            })
            .await
    }

    /// As [`Audited::run_tx`], for work that may write nothing: then there is no line.
    pub(crate) async fn run_tx_if<T, W, F>(
        self,
        name: &'static str,
        work: W,
        is_written: impl Fn(&T) -> bool,
    ) -> Result<T, StoreError>
    where
        W: Fn(Tx) -> F,
        F: Future<Output = Result<T, StoreError>>,
    {
        let (work, is_written) = (&work, &is_written);
        self.store
            .run_tx(name, |tx| async move {
                let done = work(tx.clone()).await?;
                if is_written(&done) {
                    self.line.insert(&tx).await?;
                }
                Ok(done)
            })
            .await
    }

    /// Writes the line by itself, before work of several transactions.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn note(self) -> Result<(), StoreError> {
        self.run_tx("audit", |_| async { Ok(()) }).await
    }
}

/// Writes the line of a read of data; one for each actor, object and hour.
///
/// # Errors
/// See [`StoreError`].
pub async fn note_read(store: &Store, line: &AuditLine) -> Result<(), StoreError> {
    store.query(INSERT, &params!(line, &Some(line.read_key()))).await?;
    Ok(())
}
