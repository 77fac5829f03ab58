//! The query of a request, with errors as problems.

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use crate::error::ApiError;

/// Characters of the reader's words that are passed on: they quote names of the query and no values
/// of ours.
const DETAIL_CHARS_MAX: usize = 300;

/// The query, read into `T`.
pub(crate) struct ApiQuery<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for ApiQuery<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match Query::<T>::from_request_parts(parts, state).await {
            Ok(Query(query)) => Ok(Self(query)),
            Err(rejection) => {
                let text = rejection.body_text();
                let said = text.strip_prefix("Failed to deserialize query string: ").unwrap_or(&text);
                let detail = format!("the query can't be read: {said}");
                Err(ApiError::Invalid(detail.chars().take(DETAIL_CHARS_MAX).collect()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Known {
        #[expect(dead_code, reason = "only that it is known counts")]
        known: Option<u32>,
    }

    #[tokio::test]
    async fn what_is_said_about_a_query_has_a_limit_on_both_sides_i10() {
        let detail = async |name_chars: usize| {
            let uri = format!("/?{}=1", "n".repeat(name_chars));
            let (mut parts, ()) = axum::http::Request::get(uri).body(()).unwrap().into_parts();
            let error = ApiQuery::<Known>::from_request_parts(&mut parts, &()).await.err().unwrap();
            error.to_string().chars().count()
        };
        // The name may be repeated more than once.
        let each = detail(2).await - detail(1).await;
        let beside = detail(1).await - each;
        let fits = (DETAIL_CHARS_MAX - beside) / each;
        assert_eq!(detail(fits).await, beside + fits * each, "whole");
        assert!(beside + (fits + 1) * each > DETAIL_CHARS_MAX, "the next goes past it");
        assert_eq!(detail(fits + 1).await, DETAIL_CHARS_MAX, "cut");
    }
}
