//! Pages: opaque cursors and the size of a page.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::limits::{PAGE_ROWS_DEFAULT, PAGE_ROWS_MAX};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use store::api::{Page, PageRequest};
use uuid::Uuid;

use crate::error::ApiError;

/// The query of a list that has no filters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PageQuery {
    cursor: Option<String>,
    limit: Option<u32>,
}

impl PageQuery {
    /// See [`page_request`].
    pub(crate) fn page_request(&self) -> Result<PageRequest, ApiError> {
        page_request(self.cursor.as_deref(), self.limit)
    }
}

/// The page that `cursor` and `limit` of a query ask for.
pub(crate) fn page_request(cursor: Option<&str>, limit: Option<u32>) -> Result<PageRequest, ApiError> {
    let rows = limit.unwrap_or(PAGE_ROWS_DEFAULT);
    if !(1..=PAGE_ROWS_MAX).contains(&rows) {
        return Err(ApiError::Invalid(format!("`limit` must be 1 to {PAGE_ROWS_MAX}")));
    }
    let before = cursor.map(read_cursor).transpose()?;
    Ok(PageRequest { before, rows })
}

fn read_cursor(cursor: &str) -> Result<Uuid, ApiError> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok();
    bytes
        .and_then(|bytes| Uuid::from_slice(&bytes).ok())
        .ok_or_else(|| ApiError::Invalid("`cursor` is none of ours".to_owned()))
}

/// The answer of a list: the rows under the resource's name, and `next_cursor` (null on the last page).
pub(crate) fn page_answer(resource: &str, rows: Value, next: Option<Uuid>) -> Map<String, Value> {
    let next = next.map(|id| URL_SAFE_NO_PAD.encode(id.as_bytes()));
    Map::from_iter([(resource.to_owned(), rows), ("next_cursor".to_owned(), json!(next))])
}

/// [`page_answer`] of rows that are shown as they are.
pub(crate) fn rows_answer<T: serde::Serialize>(
    resource: &str,
    page: &Page<T>,
) -> Result<Map<String, Value>, ApiError> {
    let rows = serde_json::to_value(&page.rows).map_err(|_| ApiError::Internal)?;
    Ok(page_answer(resource, rows, page.next))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back() {
        let id = Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001);
        let answer = page_answer("runs", json!([]), Some(id));
        let cursor = answer["next_cursor"].as_str();
        assert_eq!(page_request(cursor, None).unwrap().before, Some(id));
        assert!(page_answer("runs", json!([]), None)["next_cursor"].is_null());
    }

    #[test]
    fn a_foreign_cursor_is_refused() {
        for cursor in ["", "x", "AAAA", "not base64!", "AAAAAAAAAAAAAAAAAAAAAAAAAAA"] {
            assert!(matches!(page_request(Some(cursor), None), Err(ApiError::Invalid(_))), "{cursor}");
        }
    }

    #[test]
    fn a_page_has_a_limit_on_both_sides() {
        assert!(page_request(None, Some(0)).is_err());
        assert_eq!(page_request(None, Some(PAGE_ROWS_MAX)).unwrap().rows, PAGE_ROWS_MAX);
        assert!(page_request(None, Some(PAGE_ROWS_MAX + 1)).is_err());
        assert_eq!(page_request(None, None).unwrap().rows, PAGE_ROWS_DEFAULT);
    }
}
