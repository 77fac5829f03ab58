//! The fields that an approver fills in.

use domain::json::compact_bytes;
use domain::limits::VOTE_BYTES_MAX;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::Request;

/// A field of a form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FormField {
    /// Its name.
    pub name: String,
    /// What is asked.
    pub label: Option<String>,
    /// The type of its value.
    #[serde(rename = "type")]
    pub kind: FormType,
    /// Whether an approval must have it.
    pub required: bool,
    /// The values of a choice.
    pub options: Vec<String>,
}

/// The type of a field's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FormType {
    /// A text.
    Text,
    /// A number.
    Number,
    /// True or false.
    Boolean,
    /// One of the options.
    Choice,
}

impl Request {
    /// Checks what comes with a vote. A rejection needs no field of the form.
    ///
    /// # Errors
    /// A sentence for each thing that is wrong.
    pub fn check_vote(
        &self,
        comment: Option<&str>,
        form: &Map<String, Value>,
        is_approval: bool,
    ) -> Result<(), Vec<String>> {
        if compact_bytes(&json!([comment, form])) > VOTE_BYTES_MAX {
            return Err(vec![format!("comment and form have more than {VOTE_BYTES_MAX} bytes together")]);
        }
        let known = |name: &str| self.form.iter().find(|field| field.name == name);
        let mut problems: Vec<String> = form
            .keys()
            .filter(|name| known(name).is_none())
            .map(|name| {
                let name: String = name.chars().take(64).collect();
                format!("the form has no field `{name}`")
            })
            .collect();
        for field in &self.form {
            match form.get(&field.name) {
                None if field.required && is_approval => {
                    problems.push(format!("the field `{}` is missing", field.name));
                }
                Some(value) if !field.takes(value) => {
                    problems.push(format!("the field `{}` must be {}", field.name, field.meaning()));
                }
                _ => {}
            }
        }
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }
}

impl FormField {
    fn takes(&self, value: &Value) -> bool {
        match self.kind {
            FormType::Text => value.is_string(),
            FormType::Number => value.is_number(),
            FormType::Boolean => value.is_boolean(),
            FormType::Choice => {
                value.as_str().is_some_and(|text| self.options.iter().any(|option| option == text))
            }
        }
    }

    fn meaning(&self) -> String {
        match self.kind {
            FormType::Text => "a text".to_owned(),
            FormType::Number => "a number".to_owned(),
            FormType::Boolean => "true or false".to_owned(),
            FormType::Choice => format!("one of {}", self.options.join(", ")),
        }
    }
}
