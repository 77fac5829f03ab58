//! Small conversions between rows and the domain types.

use std::str::FromStr;

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

/// One field of many values, as an array for `unnest`.
pub(crate) fn collect<'a, R, T>(rows: &'a [R], column: impl Fn(&'a R) -> T) -> Vec<T> {
    rows.iter().map(column).collect()
}
