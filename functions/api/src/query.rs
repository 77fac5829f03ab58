//! The query of a request, with errors as problems.

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use crate::error::ApiError;

/// Characters of the reader's words that are passed on: they quote names of the query and no values of ours.
const DETAIL_CHARS_MAX: usize = 300;

/// The query, read into `T`.
pub(crate) struct ApiQuery<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for ApiQuery<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match Query::<T>::from_request_parts(parts, state).await {
            Ok(Query(query)) => Ok(Self(query)),
            Err(rejection) => {
                Err(ApiError::Invalid(rejection.body_text().chars().take(DETAIL_CHARS_MAX).collect()))
            }
        }
    }
}
