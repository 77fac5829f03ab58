//! Statements that a connection keeps prepared, and the order in which they are sent.

use std::collections::HashMap;
use std::sync::PoisonError;

use futures_util::{join, poll};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Error, Row, Statement};

use super::Param;

/// The number of statements that one connection keeps; the one with the longest time without use
/// goes first.
pub(crate) const STATEMENTS_MAX: usize = 200;

/// The prepared statements of one connection. Planning a statement takes up to ten times as long as
/// running it, so each is prepared once, with the types of its parameters. They end with the
/// connection.
#[derive(Default)]
pub(crate) struct Statements {
    kept: std::sync::Mutex<Kept<Statement>>,
    /// A statement holds this from its request until it is sent. So statements whose futures are
    /// polled together are sent in that order, whether they must be prepared or not: a decision
    /// rests on a lock that was sent before it.
    turn: tokio::sync::Mutex<()>,
}

/// Values that are kept by a text.
struct Kept<T> {
    statements: HashMap<String, (T, u64)>,
    uses: u64,
}

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self { statements: HashMap::new(), uses: 0 }
    }
}

impl<T: Clone> Kept<T> {
    fn get(&mut self, sql: &str) -> Option<T> {
        self.uses += 1;
        let (statement, used) = self.statements.get_mut(sql)?;
        *used = self.uses;
        Some(statement.clone())
    }

    fn put(&mut self, sql: &str, statement: T) {
        self.uses += 1;
        if self.statements.len() >= STATEMENTS_MAX && !self.statements.contains_key(sql) {
            let oldest =
                self.statements.iter().min_by_key(|(_, (_, used))| *used).map(|(sql, _)| sql.clone());
            oldest.into_iter().for_each(|sql| drop(self.statements.remove(&sql)));
        }
        self.statements.insert(sql.to_owned(), (statement, self.uses));
    }
}

impl Statements {
    async fn prepared(&self, client: &Client, sql: &str, types: &[Type]) -> Result<Statement, Error> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).get(sql);
        if let Some(statement) = kept {
            return Ok(statement);
        }
        // Boxed: this future is deep and rare, and part of every future of every function.
        let statement = Box::pin(client.prepare_typed(sql, types)).await?;
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).put(sql, statement.clone());
        Ok(statement)
    }

    /// Runs a statement.
    ///
    /// # Errors
    /// The error of the server or of the connection.
    pub(crate) async fn query(
        &self,
        client: &Client,
        sql: &str,
        params: &[Param<'_>],
    ) -> Result<Vec<Row>, Error> {
        self.query_behind(client, || None, sql, params).await.1
    }

    /// As [`Statements::query`]. Where `first` gives a pair, plain SQL and a statement without
    /// parameters, the two are sent before this statement in the same flight, and the rows of the
    /// pair's statement come back too. `first` is called when it is this statement's turn.
    ///
    /// # Errors
    /// As [`Statements::query`].
    pub(crate) async fn query_behind(
        &self,
        client: &Client,
        first: impl FnOnce() -> Option<(&'static str, &'static str)>,
        sql: &str,
        params: &[Param<'_>],
    ) -> (Option<Vec<Row>>, Result<Vec<Row>, Error>) {
        let types: Vec<Type> = params.iter().map(|(_, ty)| ty.clone()).collect();
        let values: Vec<&(dyn ToSql + Sync)> = params.iter().map(|(value, _)| *value).collect();
        // The place in the order is taken first, and the statements that must be prepared are all
        // sent to the server at once.
        let (turn, statement) = join!(self.turn.lock(), self.prepared(client, sql, &types));
        let statement = match statement {
            Ok(statement) => statement,
            Err(error) => return (None, Err(error)),
        };
        let before = first();
        let prepared = match before {
            None => None,
            Some((_, facts)) => self.prepared(client, facts, &[]).await.ok(),
        };
        let begin = async {
            let Some((begin, _)) = before else { return (Ok(()), None) };
            let facts = async {
                match &prepared {
                    Some(prepared) => client.query(prepared, &[]).await.ok(),
                    None => None,
                }
            };
            join!(client.batch_execute(begin), facts)
        };
        let mut all = Box::pin(async { join!(begin, client.query(&statement, &values)) });
        // The first poll sends the statement. The next one is sent while its answer is on the way.
        let polled = poll!(all.as_mut());
        drop(turn);
        let ((begun, facts), rows) = match polled {
            std::task::Poll::Ready(answers) => answers,
            std::task::Poll::Pending => all.await,
        };
        (facts, begun.and(rows))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_kept_up_to_a_number_and_the_unused_go_first_i10() {
        let mut kept: Kept<usize> = Kept::default();
        for number in 0..STATEMENTS_MAX {
            kept.put(&number.to_string(), number);
        }
        assert_eq!(kept.get("0"), Some(0), "used again");
        for number in STATEMENTS_MAX..STATEMENTS_MAX + 1 {
            kept.put(&number.to_string(), number);
        }
        assert_eq!(kept.statements.len(), STATEMENTS_MAX);
        assert_eq!((kept.get("0"), kept.get("1"), kept.get("2")), (Some(0), None, Some(2)));
    }
}
