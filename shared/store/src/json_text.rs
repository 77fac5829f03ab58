//! JSON as its text: a batch of rows stays small, however many maps and lists it has.

use std::error::Error;
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};
use tokio_postgres::types::{FromSql, Json, Type};

use crate::StoreError;

/// A `jsonb` column as text. Its value takes up to a hundred times as much memory, so it is read
/// where it is used, and dropped. Cheap to clone.
#[derive(Clone, Debug)]
pub struct JsonText(Arc<RawValue>);

impl JsonText {
    /// The text of a value.
    ///
    /// # Panics
    /// If a map in it has keys that are no texts.
    #[must_use]
    pub fn of(value: &impl Serialize) -> Self {
        Self(to_raw_value(value).expect("what is stored has texts as keys").into())
    }

    /// The value.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] where it holds a number beyond this code's range: Postgres takes
    /// larger ones.
    pub fn read(&self) -> Result<Value, StoreError> {
        serde_json::from_str(self.0.get()).map_err(|_| StoreError::Corrupt("json"))
    }

    /// Whether it is a list without values.
    #[must_use]
    pub fn is_empty_list(&self) -> bool {
        self.0.get() == "[]"
    }

    /// The length of the text.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.0.get().len()
    }

    pub(crate) fn as_parameter(&self) -> Json<&RawValue> {
        Json(&self.0)
    }
}

impl FromSql<'_> for JsonText {
    fn from_sql(ty: &Type, raw: &[u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Json::<Box<RawValue>>::from_sql(ty, raw).map(|Json(text)| Self(text.into()))
    }

    fn accepts(ty: &Type) -> bool {
        <Json<Box<RawValue>> as FromSql>::accepts(ty)
    }
}
