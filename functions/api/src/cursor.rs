//! Pages: opaque cursors and the size of a page.

use axum::Json;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::limits::{PAGE_ROWS_DEFAULT, PAGE_ROWS_MAX};
use jiff::Timestamp;
use store::api::{Page, PageRequest, QueueItemPlace, WebhookPlace};
use uuid::Uuid;

use crate::error::ApiError;

/// The page that `cursor` and `limit` of a query ask for.
pub(crate) fn page_request(cursor: Option<&str>, limit: Option<u32>) -> Result<PageRequest, ApiError> {
    let rows = page_rows(limit)?;
    let before =
        cursor.map(|cursor| read_cursor(cursor, |bytes| Uuid::from_slice(bytes).ok())).transpose()?;
    Ok(PageRequest { before, rows })
}

/// The number of rows that `limit` of a query asks for.
pub(crate) fn page_rows(limit: Option<u32>) -> Result<u32, ApiError> {
    let rows = limit.unwrap_or(PAGE_ROWS_DEFAULT);
    if !(1..=PAGE_ROWS_MAX).contains(&rows) {
        return Err(ApiError::Invalid(format!("`limit` must be 1 to {PAGE_ROWS_MAX}")));
    }
    Ok(rows)
}

fn read_cursor<T>(cursor: &str, read: impl Fn(&[u8]) -> Option<T>) -> Result<T, ApiError> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok();
    bytes
        .and_then(|bytes| read(&bytes))
        .ok_or_else(|| ApiError::Invalid("`cursor` is none of ours".to_owned()))
}

/// The place in the list of queue items that `cursor` of a query names: the microsecond, then the
/// id.
pub(crate) fn read_item_cursor(cursor: &str) -> Result<QueueItemPlace, ApiError> {
    read_cursor(cursor, |bytes| {
        let (microsecond, id) = bytes.split_first_chunk::<8>()?;
        Some(QueueItemPlace {
            created_at: Timestamp::from_microsecond(i64::from_be_bytes(*microsecond)).ok()?,
            id: Uuid::from_slice(id).ok()?.into(),
        })
    })
}

/// The cursor that [`read_item_cursor`] reads.
pub(crate) fn item_cursor(place: QueueItemPlace) -> String {
    let mut bytes = place.created_at.as_microsecond().to_be_bytes().to_vec();
    bytes.extend_from_slice(place.id.0.as_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The place in the list of webhooks that `cursor` of a query names: the workflow, then the node.
pub(crate) fn read_webhook_cursor(cursor: &str) -> Result<WebhookPlace, ApiError> {
    read_cursor(cursor, |bytes| {
        let (workflow_id, node_id) = bytes.split_first_chunk::<16>()?;
        let node_id = String::from_utf8(node_id.to_vec()).ok().filter(|node_id| !node_id.contains('\0'))?;
        Some(WebhookPlace { workflow_id: Uuid::from_bytes(*workflow_id).into(), node_id })
    })
}

/// The cursor that [`read_webhook_cursor`] reads.
pub(crate) fn webhook_cursor(place: &WebhookPlace) -> String {
    URL_SAFE_NO_PAD.encode([place.workflow_id.0.as_bytes(), place.node_id.as_bytes()].concat())
}

/// The name in a list of names, after which `cursor` of a query goes on.
pub(crate) fn read_name_cursor(cursor: &str) -> Result<String, ApiError> {
    read_cursor(cursor, |bytes| String::from_utf8(bytes.to_vec()).ok().filter(|name| !name.contains('\0')))
}

/// The cursor that [`read_name_cursor`] reads.
pub(crate) fn name_cursor(name: &str) -> String {
    URL_SAFE_NO_PAD.encode(name)
}

/// The cursor that a page's answer has; None on the last page.
pub(crate) fn next_cursor(next: Option<Uuid>) -> Option<String> {
    next.map(|id| URL_SAFE_NO_PAD.encode(id.as_bytes()))
}

/// The answer of a list: a view of each row, and the cursor of the next page.
pub(crate) fn list_answer<R, V, L: From<(Vec<V>, Option<String>)>>(
    page: Page<R>,
    view: impl FnMut(R) -> V,
) -> Json<L> {
    let rows = page.rows.into_iter().map(view).collect();
    Json(L::from((rows, next_cursor(page.next))))
}

/// [`list_answer`] of rows that may be unreadable.
pub(crate) fn read_list_answer<R, V, L: From<(Vec<V>, Option<String>)>>(
    page: Page<R>,
    view: impl FnMut(R) -> Result<V, ApiError>,
) -> Result<Json<L>, ApiError> {
    let rows = page.rows.into_iter().map(view).collect::<Result<Vec<V>, ApiError>>()?;
    Ok(Json(L::from((rows, next_cursor(page.next)))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back() {
        let id = Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001);
        let cursor = next_cursor(Some(id));
        assert_eq!(page_request(cursor.as_deref(), None).unwrap().before, Some(id));
        assert_eq!(next_cursor(None), None);
    }

    #[test]
    fn a_place_among_items_reads_back() {
        let place = QueueItemPlace {
            created_at: "2026-01-02T03:04:05.678901Z".parse().unwrap(),
            id: Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001).into(),
        };
        assert_eq!(read_item_cursor(&item_cursor(place)).unwrap(), place);
        for cursor in ["", "AAAA", next_cursor(Some(place.id.0)).unwrap().as_str()] {
            assert!(matches!(read_item_cursor(cursor), Err(ApiError::Invalid(_))), "{cursor}");
        }
    }

    #[test]
    fn a_place_among_webhooks_reads_back() {
        let place = WebhookPlace { workflow_id: Uuid::from_u128(7).into(), node_id: "hook".to_owned() };
        assert_eq!(read_webhook_cursor(&webhook_cursor(&place)).unwrap(), place);
        for cursor in
            ["", "AAAA", URL_SAFE_NO_PAD.encode([b"0123456789abcdef".as_slice(), b"\0"].concat()).as_str()]
        {
            assert!(matches!(read_webhook_cursor(cursor), Err(ApiError::Invalid(_))), "{cursor}");
        }
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
