use clap::Args;
use zeroize::Zeroizing;

use super::webhook_rotate::{Keep, Webhook, render};
use crate::api::Body;
use crate::context::Context;
use crate::failure::Failure;
use crate::input::{check_is_standard_input, read_value};
use crate::output::{Format, emit, print_json};

/// Set a webhook's signing key or token to one that somebody else made; it comes from standard
/// input.
///
/// printf %s "$KEY" | sealflow webhook set notify-on-push/push -
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Set {
    #[command(flatten)]
    webhook: Webhook,
    /// `-`: the key is read from standard input.
    #[arg(value_name = "-", allow_hyphen_values = true)]
    input: Option<String>,
    #[command(flatten)]
    keep: Keep,
}

impl Set {
    /// Refuses a key on the command line, without repeating it.
    pub(crate) fn check_usage(&self) -> Result<(), Failure> {
        check_is_standard_input(self.input.as_deref(), "sealflow webhook set WORKFLOW/NODE -")
    }

    pub(crate) fn run(&self, context: &Context) -> Result<(), Failure> {
        let key = read_value()?;
        let body = Body { content_type: "application/json", bytes: self.body(&key)? };
        let answer = context.api.put(&self.webhook.path("key"), &[], &body)?;
        match context.format {
            Format::Json => print_json(&answer),
            Format::Human => emit(&render(&answer["webhook"])),
        }
        Ok(())
    }

    fn body(&self, key: &str) -> Result<Zeroizing<Vec<u8>>, Failure> {
        #[derive(serde::Serialize)]
        struct KeyBody<'a> {
            key: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            keep_previous_seconds: Option<u32>,
        }
        // Room for the worst case of escapes, so that the buffer doesn't move and leave copies
        // behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(key.len() * 6 + 128));
        let body = KeyBody { key, keep_previous_seconds: self.keep.keep_previous };
        serde_json::to_writer(&mut *bytes, &body)
            .map_err(|_| Failure::Failed("the key can't be written as JSON".to_owned()))?;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(input: Option<&str>, keep_previous: Option<u32>) -> Set {
        let webhook = Webhook { webhook: "w/push".into() };
        Set { webhook, input: input.map(str::to_owned), keep: Keep { keep_previous } }
    }

    #[test]
    fn a_key_on_the_command_line_is_refused_and_not_repeated_i1() {
        assert!(set(Some("-"), None).check_usage().is_ok());
        for input in [None, Some("hunter2hunter2")] {
            let Err(Failure::Usage(text)) = set(input, None).check_usage() else { panic!("taken") };
            assert!(text.contains("never given on the command line") && !text.contains("hunter2"), "{text}");
        }
    }

    #[test]
    fn the_body_leaves_to_the_api_what_is_not_given() {
        let body = |keep| String::from_utf8(set(Some("-"), keep).body("a\"b").unwrap().to_vec()).unwrap();
        assert_eq!(body(None), r#"{"key":"a\"b"}"#);
        assert_eq!(body(Some(0)), r#"{"key":"a\"b","keep_previous_seconds":0}"#);
    }
}
