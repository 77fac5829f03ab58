use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::connect::{Connection, Param};
use crate::error::{ROLLED_BACK, statement_name};
use crate::{Store, StoreError};

/// An open transaction. Cheap to clone; statements whose futures are polled together are sent
/// together, in that order.
#[derive(Clone)]
pub struct Tx {
    connection: Arc<Connection>,
    begun: Arc<AtomicBool>,
    failed: Arc<AtomicBool>,
    /// Whether the server has answered one of its statements.
    answered: Arc<AtomicBool>,
    /// The server's id of the transaction, by which a lost COMMIT is found again.
    id: Arc<OnceLock<String>>,
}

/// The number of runs of a closure that loses against other transactions.
const RUNS_MAX: u32 = 5;
/// The number of questions after a COMMIT that was not answered, and the pause between two:
/// together as long as an idle transaction may last.
const LOST_COMMIT_LOOKS_MAX: u32 = 50;
const LOST_COMMIT_PAUSE: Duration = Duration::from_millis(100);
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";
const TRANSACTION_ID: &str = "/* transaction_id */ SELECT pg_current_xact_id()::text";

impl Store {
    /// Runs `work` in one READ COMMITTED transaction and commits it.
    ///
    /// `work` may run again (serialization failure, deadlock, a lost COMMIT that did not hold, a
    /// connection that was lost before its first answer), so it makes no ids, and calls nothing but
    /// this transaction. BEGIN travels with the first statement. When COMMIT is not answered, the
    /// server is asked whether the transaction was committed, so that a commit is a success.
    ///
    /// # Errors
    /// The error of `work`, or [`StoreError::Unavailable`] when the connection was lost and the
    /// server can't tell whether the transaction was committed.
    pub async fn run_tx<T, W, F>(&self, name: &'static str, work: W) -> Result<T, StoreError>
    where
        W: Fn(Tx) -> F,
        F: Future<Output = Result<T, StoreError>>,
    {
        let mut runs = 1;
        let mut held = self.hold().await?;
        loop {
            let tx = Tx::new(&held.connection);
            match self.run_once(name, &tx, &work).await {
                Err(error) if error.is_serialization_failure() && runs < RUNS_MAX => {
                    tracing::debug!(transaction = name, runs, "transaction runs again");
                    runs += 1;
                    drop(held);
                    held = self.hold().await?;
                }
                // The server had ended the reused connection: nothing has begun.
                Err(error) if held.is_reused && error.is_lost_connection() && !tx.is_answered() => {
                    tracing::info!(transaction = name, "the connection was lost; the transaction runs again");
                    drop(held);
                    held = self.hold_new().await?;
                }
                // The server no longer knows a statement, or the statement's result has other types
                // since a migration: nothing was written.
                Err(error) if held.is_reused && error.is_stale_statement() => {
                    tracing::info!(
                        transaction = name,
                        "a prepared statement is out of date; the transaction runs again"
                    );
                    drop(held);
                    held = self.hold_new().await?;
                }
                result => return result,
            }
        }
    }

    async fn run_once<T, W, F>(&self, name: &'static str, tx: &Tx, work: &W) -> Result<T, StoreError>
    where
        W: Fn(Tx) -> F,
        F: Future<Output = Result<T, StoreError>>,
    {
        let connection = &tx.connection;
        connection.in_transaction.store(true, Ordering::Release);
        let result = work(tx.clone()).await;
        let begun = tx.begun.load(Ordering::Acquire);
        let result = match result {
            // COMMIT of an aborted transaction answers as if it had passed, so a failed statement
            // forbids it here.
            Ok(_) if tx.failed.load(Ordering::Acquire) => {
                connection.client.batch_execute("ROLLBACK").await?;
                Err(StoreError::Refused { sqlstate: Some("25P02".into()) })
            }
            Ok(value) if begun => self.commit(name, tx).await.map(|()| value),
            Ok(value) => Ok(value),
            Err(error) => {
                if begun && connection.client.batch_execute("ROLLBACK").await.is_err() {
                    // The connection stays marked as in a transaction, so it is not used again.
                    return Err(error);
                }
                Err(error)
            }
        };
        connection.in_transaction.store(false, Ordering::Release);
        connection.note_use();
        result
    }

    async fn commit(&self, name: &str, tx: &Tx) -> Result<(), StoreError> {
        failpoint::step(name, "before_commit");
        let committed = match tx.connection.client.batch_execute("COMMIT").await {
            Ok(()) => Ok(()),
            Err(error) if error.as_db_error().is_some() => Err(StoreError::from(error)),
            Err(_) => self.find_lost_commit(tx).await,
        };
        failpoint::step(name, "after_commit");
        committed
    }

    /// Asks the server, on another connection, for the result of a transaction whose COMMIT was not
    /// answered.
    async fn find_lost_commit(&self, tx: &Tx) -> Result<(), StoreError> {
        let Some(id) = tx.id.get() else { return Err(StoreError::Unavailable { sqlstate: None }) };
        tracing::warn!(transaction_id = id, "a COMMIT was not answered");
        let connection = self.connect().await?;
        let sql = "/* find_lost_commit */ SELECT pg_xact_status($1::text::xid8)";
        for _ in 0..LOST_COMMIT_LOOKS_MAX {
            let rows = connection.client.query_typed(sql, &[(id, Type::TEXT)]).await?;
            match rows.first().map(|row| row.try_get::<_, Option<&str>>(0)) {
                Some(Ok(Some("committed"))) => return Ok(()),
                // Its session is not over yet.
                Some(Ok(Some("in progress"))) => tokio::time::sleep(LOST_COMMIT_PAUSE).await,
                Some(Ok(Some("aborted"))) => {
                    return Err(StoreError::Unavailable { sqlstate: Some(ROLLED_BACK.into()) });
                }
                _ => break,
            }
        }
        Err(StoreError::Unavailable { sqlstate: None })
    }
}

impl Tx {
    fn new(connection: &Arc<Connection>) -> Self {
        Self {
            connection: Arc::clone(connection),
            begun: Arc::default(),
            failed: Arc::default(),
            answered: Arc::default(),
            id: Arc::default(),
        }
    }

    fn is_answered(&self) -> bool {
        self.answered.load(Ordering::Acquire)
    }

    /// Runs a statement; the transaction's first one carries BEGIN with it.
    pub(crate) async fn query(&self, sql: &str, params: &[Param<'_>]) -> Result<Vec<Row>, StoreError> {
        let Connection { client, statements, .. } = &*self.connection;
        let first = || (!self.begun.swap(true, Ordering::AcqRel)).then_some((BEGIN, TRANSACTION_ID));
        let (id, result) = statements.query_behind(client, first, sql, params).await;
        if let Some(id) = id.and_then(|rows| rows.first().and_then(|row| row.try_get(0).ok())) {
            let _ = self.id.set(id);
        }
        failpoint::step(statement_name(sql), "answered");
        if result.is_ok() {
            self.answered.store(true, Ordering::Release);
        }
        result.map_err(|error| {
            self.failed.store(true, Ordering::Release);
            StoreError::of_statement(sql, error)
        })
    }

    /// As [`Tx::query`], with parameters that the future keeps: for statements that are sent
    /// together.
    pub(crate) async fn query_with<const N: usize>(
        &self,
        sql: &str,
        params: [Param<'_>; N],
    ) -> Result<Vec<Row>, StoreError> {
        self.query(sql, &params).await
    }

    /// As [`Tx::query_with`]; where `wanted` is empty, the statement is not sent and gives no rows.
    pub(crate) async fn query_unless_empty<T, const N: usize>(
        &self,
        wanted: &[T],
        sql: &str,
        params: [Param<'_>; N],
    ) -> Result<Vec<Row>, StoreError> {
        if wanted.is_empty() { Ok(Vec::new()) } else { self.query(sql, &params).await }
    }
}
