//! Small conversions between rows and the model.

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
