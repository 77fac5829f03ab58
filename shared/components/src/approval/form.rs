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
    /// The question to the approver.
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
    /// Checks what comes with a vote, and gives the form's values in their types: a text that is the
    /// number or the boolean that a field takes counts as such. A rejection needs no field of the form.
    ///
    /// # Errors
    /// A sentence for each thing that is wrong.
    pub fn check_vote(
        &self,
        comment: Option<&str>,
        form: &Map<String, Value>,
        is_approval: bool,
    ) -> Result<Map<String, Value>, Vec<String>> {
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
        let mut taken = Map::new();
        for field in &self.form {
            match form.get(&field.name) {
                None if field.required && is_approval => {
                    problems.push(format!("the field `{}` is missing", field.name));
                }
                None => {}
                Some(value) => match field.take(value) {
                    Some(value) => {
                        taken.insert(field.name.clone(), value);
                    }
                    None => problems.push(format!("the field `{}` must be {}", field.name, field.meaning())),
                },
            }
        }
        if problems.is_empty() { Ok(taken) } else { Err(problems) }
    }
}

impl FormField {
    /// The value in the type of the field; None: it is of another.
    fn take(&self, value: &Value) -> Option<Value> {
        match self.kind {
            FormType::Text => value.is_string().then(|| value.clone()),
            FormType::Choice => {
                let text = value.as_str()?;
                self.options.iter().any(|option| option == text).then(|| value.clone())
            }
            FormType::Number => {
                let number = match value {
                    Value::String(text) => serde_json::from_str::<Value>(text.trim()).ok()?,
                    value => value.clone(),
                };
                // As everywhere in data: what is no integer of 64 bits is a float.
                number.as_i64().map(Value::from).or_else(|| number.as_f64().map(Value::from))
            }
            FormType::Boolean => match value {
                Value::Bool(_) => Some(value.clone()),
                Value::String(text) => text.trim().parse::<bool>().ok().map(Value::Bool),
                _ => None,
            },
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
