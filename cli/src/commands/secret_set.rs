use clap::Args;
use serde_json::Value;
use zeroize::Zeroizing;

use crate::api::{Body, segment};
use crate::context::Context;
use crate::failure::Failure;
use crate::input::{check_is_standard_input, read_value};
use crate::output::{Format, print_json, printable, say};

/// Set one key of a secret; the value comes from standard input.
///
/// printf %s "$TOKEN" | sealflow secret set github token --host api.github.com --in authorization -
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Set {
    /// The secret's name.
    name: String,
    /// The key in it.
    key: String,
    /// `-`: the value is read from standard input.
    #[arg(value_name = "-", allow_hyphen_values = true)]
    input: Option<String>,
    /// A host that the value may be sent to, `name` or `name:port`; may be given more than once.
    /// Not given: the hosts that the key has already. A new key needs --host or --any-host.
    #[arg(long = "host", value_name = "HOST")]
    hosts: Vec<String>,
    /// The value may be sent anywhere, whatever hosts the key has already.
    #[arg(long, conflicts_with = "hosts")]
    any_host: bool,
    /// A place in a request where the value may stand: authorization, header:NAME, path, query,
    /// query:NAME, url (the whole URL), body, or signing (the key of a signature); may be given
    /// more than once. Not given: the places that the key has already. A new key with --host needs
    /// --in or --anywhere.
    #[arg(long = "in", value_name = "PLACE")]
    placements: Vec<String>,
    /// The value may stand anywhere in a request, whatever places the key has already.
    #[arg(long, conflicts_with = "placements")]
    anywhere: bool,
    /// Take a value under 8 bytes, which can't be scrubbed from outputs.
    #[arg(long)]
    allow_short: bool,
}

impl Set {
    /// Refuses a value on the command line, without repeating it.
    pub(crate) fn check_usage(&self) -> Result<(), Failure> {
        check_is_standard_input(self.input.as_deref(), "sealflow secret set NAME KEY -")
    }

    pub(crate) fn run(&self, context: &Context) -> Result<(), Failure> {
        let value = read_value()?;
        let path = format!("/v1/secrets/{}/{}", segment(&self.name), segment(&self.key));
        let body = Body { content_type: "application/json", bytes: self.body(&value)? };
        let answer = context.api.put(&path, &[], &body)?;
        match context.format {
            Format::Json => print_json(&answer),
            Format::Human => say!("set {}.{}", printable(&self.name), printable(&self.key)),
        }
        for warning in answer["warnings"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            eprintln!("warning: {}", printable(warning));
        }
        Ok(())
    }

    fn body(&self, value: &str) -> Result<Zeroizing<Vec<u8>>, Failure> {
        #[derive(serde::Serialize)]
        struct SecretBody<'a> {
            value: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            hosts: Option<&'a [String]>,
            #[serde(rename = "in", skip_serializing_if = "Option::is_none")]
            placements: Option<&'a [String]>,
            allow_short: bool,
        }
        let hosts = (self.any_host || !self.hosts.is_empty()).then_some(self.hosts.as_slice());
        let placements = (self.anywhere || !self.placements.is_empty()).then_some(self.placements.as_slice());
        let body = SecretBody { value, hosts, placements, allow_short: self.allow_short };
        // Room for the worst case of escapes, so that the buffer doesn't move and leave copies
        // behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(value.len() * 6 + 4_096));
        serde_json::to_writer(&mut *bytes, &body)
            .map_err(|_| Failure::Failed("the value can't be written as JSON".to_owned()))?;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(input: Option<&str>, hosts: &[&str]) -> Set {
        Set {
            name: "github".into(),
            key: "token".into(),
            input: input.map(str::to_owned),
            hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
            any_host: false,
            placements: Vec::new(),
            anywhere: false,
            allow_short: false,
        }
    }

    #[test]
    fn a_value_on_the_command_line_is_refused_and_not_repeated_i1() {
        assert!(set(Some("-"), &[]).check_usage().is_ok());
        for input in [None, Some("hunter2hunter2")] {
            let Err(Failure::Usage(text)) = set(input, &[]).check_usage() else { panic!("taken") };
            assert!(text.contains("never given on the command line") && !text.contains("hunter2"), "{text}");
        }
    }

    #[test]
    fn hosts_and_places_that_are_not_given_are_left_as_they_are() {
        let body = |set: &Set| String::from_utf8(set.body("va\"lue").unwrap().to_vec()).unwrap();
        assert_eq!(body(&set(Some("-"), &[])), r#"{"value":"va\"lue","allow_short":false}"#);
        assert_eq!(
            body(&set(Some("-"), &["a.example"])),
            r#"{"value":"va\"lue","hosts":["a.example"],"allow_short":false}"#
        );
        let anywhere = Set { any_host: true, ..set(Some("-"), &[]) };
        assert_eq!(body(&anywhere), r#"{"value":"va\"lue","hosts":[],"allow_short":false}"#);
        let placed = Set { placements: vec!["body".into()], ..set(Some("-"), &[]) };
        assert_eq!(body(&placed), r#"{"value":"va\"lue","in":["body"],"allow_short":false}"#);
        let anywhere = Set { anywhere: true, ..set(Some("-"), &[]) };
        assert_eq!(body(&anywhere), r#"{"value":"va\"lue","in":[],"allow_short":false}"#);
    }
}
