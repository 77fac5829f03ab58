//! Small conversions between rows and the domain types.

use std::str::FromStr;

use domain::actor::Actor;
use tokio_postgres::Row;
use tokio_postgres::types::FromSql;

use crate::StoreError;

/// Reads one column by name.
///
/// # Errors
/// [`StoreError::Corrupt`] when the column is not there or has another type.
pub fn column<'row, T: FromSql<'row>>(row: &'row Row, name: &'static str) -> Result<T, StoreError> {
    row.try_get(name).map_err(|_| StoreError::Corrupt(name))
}

/// Reads one column that holds a word of a closed set ([`domain::words`]).
///
/// # Errors
/// [`StoreError::Corrupt`] when the column is not there, or this version does not know its word.
pub fn word<T: FromStr>(row: &Row, name: &'static str) -> Result<T, StoreError> {
    column::<&str>(row, name)?.parse().map_err(|_| StoreError::Corrupt(name))
}

/// As [`word`], for a column that may be null.
///
/// # Errors
/// As [`word`].
pub fn word_if_any<T: FromStr>(row: &Row, name: &'static str) -> Result<Option<T>, StoreError> {
    let text: Option<&str> = column(row, name)?;
    text.map(|text| text.parse().map_err(|_| StoreError::Corrupt(name))).transpose()
}

/// Reads one column that holds an actor.
///
/// # Errors
/// As [`column()`].
pub fn actor(row: &Row, name: &'static str) -> Result<Actor, StoreError> {
    actor_if_any(row, name)?.ok_or(StoreError::Corrupt(name))
}

/// Reads one column that holds an actor, and may be null.
///
/// # Errors
/// As [`column()`].
pub fn actor_if_any(row: &Row, name: &'static str) -> Result<Option<Actor>, StoreError> {
    let text: Option<&str> = column(row, name)?;
    Ok(text.map(|text| {
        let Ok(actor) = text.parse();
        actor
    }))
}

/// One field of many values, as an array for `unnest`.
pub(crate) fn collect<'a, R, T>(rows: &'a [R], column: impl Fn(&'a R) -> T) -> Vec<T> {
    rows.iter().map(column).collect()
}
