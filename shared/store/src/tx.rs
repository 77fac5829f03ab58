use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio_postgres::Row;

use crate::connect::{Connection, Param};
use crate::{Store, StoreError};

/// An open transaction. Cheap to clone; statements whose futures are polled together are sent together, in that order.
#[derive(Clone)]
pub struct Tx {
    connection: Arc<Connection>,
    begun: Arc<AtomicBool>,
    failed: Arc<AtomicBool>,
}

/// Times that a closure is run when it loses against other transactions.
const RUNS_MAX: u32 = 5;

impl Store {
    /// Runs `work` in one READ COMMITTED transaction and commits it.
    ///
    /// `work` may run again (serialization failure, deadlock), so it makes no ids, and no call to anything but this transaction.
    /// BEGIN travels with its first statement.
    ///
    /// # Errors
    /// What `work` returned, or [`StoreError::Unavailable`] when the connection was lost. After a lost COMMIT the caller can't know
    /// whether it held: a rerun that finds its own rows is success.
    pub async fn run_tx<T, W, F>(&self, name: &'static str, work: W) -> Result<T, StoreError>
    where
        W: Fn(Tx) -> F,
        F: Future<Output = Result<T, StoreError>>,
    {
        let mut runs = 1;
        loop {
            match self.run_once(&work).await {
                Err(error) if error.is_serialization_failure() && runs < RUNS_MAX => {
                    tracing::debug!(transaction = name, runs, "transaction runs again");
                    runs += 1;
                }
                result => return result,
            }
        }
    }

    async fn run_once<T, W, F>(&self, work: &W) -> Result<T, StoreError>
    where
        W: Fn(Tx) -> F,
        F: Future<Output = Result<T, StoreError>>,
    {
        let (_held, connection) = self.connected().await?;
        let tx = Tx {
            connection: Arc::clone(&connection),
            begun: Arc::new(AtomicBool::new(false)),
            failed: Arc::new(AtomicBool::new(false)),
        };
        connection.in_transaction.store(true, Ordering::Release);
        let result = work(tx.clone()).await;
        let begun = tx.begun.load(Ordering::Acquire);
        let result = match result {
            // COMMIT of an aborted transaction answers as if it had passed, so a failed statement forbids it here.
            Ok(_) if tx.failed.load(Ordering::Acquire) => {
                connection.client.batch_execute("ROLLBACK").await?;
                Err(StoreError::Refused { sqlstate: Some("25P02".into()) })
            }
            Ok(value) if begun => {
                connection.client.batch_execute("COMMIT").await.map(|()| value).map_err(StoreError::from)
            }
            Ok(value) => Ok(value),
            Err(error) => {
                if begun {
                    connection.client.batch_execute("ROLLBACK").await?;
                }
                Err(error)
            }
        };
        connection.in_transaction.store(false, Ordering::Release);
        result
    }
}

impl Tx {
    /// Runs a statement; the transaction's first one carries BEGIN with it.
    pub(crate) async fn query(&self, sql: &str, params: &[Param<'_>]) -> Result<Vec<Row>, StoreError> {
        let client = &self.connection.client;
        let result = if self.begun.swap(true, Ordering::AcqRel) {
            client.query_typed(sql, params).await
        } else {
            let begin = client.batch_execute("BEGIN ISOLATION LEVEL READ COMMITTED");
            let (begin, rows) = futures_util::join!(begin, client.query_typed(sql, params));
            begin.and(rows)
        };
        result.map_err(|error| {
            self.failed.store(true, Ordering::Release);
            StoreError::of_statement(sql, error)
        })
    }

    /// As [`Tx::query`], with parameters that the future keeps: for statements that are sent together.
    pub(crate) async fn query_with<const N: usize>(
        &self,
        sql: &str,
        params: [Param<'_>; N],
    ) -> Result<Vec<Row>, StoreError> {
        self.query(sql, &params).await
    }
}
