use domain::limits::PAGE_ROWS_MAX;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::StoreError;
use crate::types::column;

/// The request for a page of a list. Lists are newest first, by id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageRequest {
    /// Only rows with a smaller id; None: from the newest.
    pub before: Option<Uuid>,
    /// The number of rows at most; more than [`PAGE_ROWS_MAX`] are not given.
    pub rows: u32,
}

impl PageRequest {
    /// The number of rows that is given at most.
    pub(crate) fn rows_max(&self) -> i64 {
        i64::from(self.rows.clamp(1, PAGE_ROWS_MAX))
    }
}

/// One page of a list.
#[derive(Clone, Debug, PartialEq)]
pub struct Page<T> {
    /// The rows, newest first.
    pub rows: Vec<T>,
    /// [`PageRequest::before`] of the next page; None: this is the last one.
    pub next: Option<Uuid>,
}

/// Bytes of large columns (data, configuration) that a page may hold. The rest of the page's limit
/// is for the other columns of 200 rows.
pub(crate) const PAGE_COLUMN_BYTES_MAX: i64 = (domain::limits::PAGE_BYTES_MAX - 512 * 1024) as i64;

/// Reads the rows of a page.
///
/// The statement has a column `id` and a column `candidates`: the number of rows before the page
/// was cut, at most one more than the request.
pub(crate) fn read_page<T>(
    rows: &[Row],
    from_row: impl Fn(&Row) -> Result<T, StoreError>,
) -> Result<Page<T>, StoreError> {
    let next = match rows.last() {
        Some(last) => {
            let candidates: i64 = column(last, "candidates")?;
            let given = i64::try_from(rows.len()).unwrap_or(i64::MAX);
            if candidates > given { Some(column(last, "id")?) } else { None }
        }
        None => None,
    };
    let rows = rows.iter().map(from_row).collect::<Result<_, _>>()?;
    Ok(Page { rows, next })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_a_limit_on_both_sides() {
        let check = |rows, expected| assert_eq!(PageRequest { before: None, rows }.rows_max(), expected);
        check(0, 1);
        check(1, 1);
        check(PAGE_ROWS_MAX, i64::from(PAGE_ROWS_MAX));
        check(PAGE_ROWS_MAX + 1, i64::from(PAGE_ROWS_MAX));
    }
}
