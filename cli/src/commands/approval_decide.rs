use clap::Args;
use serde_json::{Map, Value, json};

use crate::api::{Body, segment};
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Format, print_json, printable, say, text};

/// The vote and its words.
#[derive(Args)]
pub(crate) struct Vote {
    /// The id of the approval.
    approval: String,
    /// Your comment.
    #[arg(long, value_name = "TEXT")]
    comment: Option<String>,
    /// A field of the form. Can be given more than once.
    #[arg(long = "field", value_name = "NAME=VALUE")]
    fields: Vec<String>,
}

/// Vote for what an approval asks.
#[derive(Args)]
#[command(
    after_help = "Example: sealflow approval approve 01a2… --comment 'looks good' --field window=tonight"
)]
pub(crate) struct Approve {
    #[command(flatten)]
    vote: Vote,
}

/// Vote against what an approval asks.
#[derive(Args)]
#[command(after_help = "Example: sealflow approval reject 01a2… --comment 'not on a Friday'")]
pub(crate) struct Reject {
    #[command(flatten)]
    vote: Vote,
}

impl Approve {
    pub(crate) fn run(&self, context: &Context) -> Result<(), Failure> {
        self.vote.send(context, "approve")
    }
}

impl Reject {
    pub(crate) fn run(&self, context: &Context) -> Result<(), Failure> {
        self.vote.send(context, "reject")
    }
}

impl Vote {
    fn send(&self, context: &Context, decision: &str) -> Result<(), Failure> {
        let body = json!({ "decision": decision, "comment": self.comment, "form": form(&self.fields)? });
        let path = format!("/v1/approvals/{}", segment(&self.approval));
        let answer = context.api.post(&path, &Body::json(&body))?;
        match context.format {
            Format::Json => print_json(&answer),
            Format::Human => {
                let node = printable(&text(&answer, "node_name"));
                let verb = if decision == "approve" { "approved" } else { "rejected" };
                say!("{verb}: {node} of {}", printable(&text(&answer, "workflow_name")));
            }
        }
        Ok(())
    }
}

/// The fields of a form, as texts: the API knows their types.
fn form(fields: &[String]) -> Result<Map<String, Value>, Failure> {
    let mut form = Map::new();
    for field in fields {
        let Some((name, value)) = field.split_once('=').filter(|(name, _)| !name.is_empty()) else {
            return Err(Failure::Usage("--field takes NAME=VALUE".to_owned()));
        };
        form.insert(name.to_owned(), json!(value));
    }
    Ok(form)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_a_name_and_a_text() {
        let form =
            |fields: &[&str]| form(&fields.iter().map(|field| (*field).to_owned()).collect::<Vec<_>>());
        let found = form(&["a=1.10", "b=true", "c=x=y", "d="]).unwrap();
        assert_eq!(Value::Object(found), json!({ "a": "1.10", "b": "true", "c": "x=y", "d": "" }));
        for wrong in ["a", "=1"] {
            assert!(form(&[wrong]).is_err(), "{wrong}");
        }
    }
}
