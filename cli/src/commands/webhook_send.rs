use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use components::webhook::{TokenForm, WebhookConfiguration};
use domain::webhook::Authentication;
use jiff::Timestamp;
use serde_json::{Value, json};
use webhook_signature::{SentRequest, prepare, sign};

use crate::api::{Delivery, deliver, segment};
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::input::read_value;
use crate::output::{Format, print_json, printable, printable_lines, say, text};

/// The content type of a file without a better one.
const JSON: &str = "application/json";

/// Send an event to a webhook as its sender would: signed, with the header by which a repeated delivery is known. The key comes
/// from standard input.
///
/// printf %s "$KEY" | sealflow webhook send notify-on-push/push -f event.json
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Send {
    /// The webhook: WORKFLOW/NODE.
    #[arg(value_name = "WEBHOOK")]
    webhook: String,
    /// The body.
    #[arg(short = 'f', long, value_name = "FILE")]
    file: PathBuf,
    /// A header of the event, such as `X-GitHub-Event: push`; more than one may be given.
    #[arg(long = "header", value_name = "NAME:VALUE")]
    headers: Vec<String>,
    /// The content type of the body.
    #[arg(long, value_name = "TYPE", default_value = JSON)]
    content_type: String,
}

impl Send {
    pub(crate) fn run(&self, context: &Context) -> Result<(), Failure> {
        let (workflow, node) = self.webhook.rsplit_once('/').ok_or_else(|| {
            Failure::Usage("the webhook is named WORKFLOW/NODE, such as notify-on-push/push".to_owned())
        })?;
        let body = std::fs::read(&self.file)
            .map_err(|error| Failure::Failed(format!("{} can't be read: {error}", self.file.display())))?;
        let mut headers = self.given_headers()?;
        let definition = context.api.get(&format!("/v1/workflows/{}", segment(workflow)), &[])?;
        let hooks = context.api.get("/v1/webhooks", &[("workflow", workflow.to_owned())])?;
        let url = url_of(&hooks, node)?;
        let configuration = configuration_of(&definition, node)?;
        #[expect(
            clippy::disallowed_methods,
            reason = "the edge: what is below takes the time as it is given"
        )]
        let now = Timestamp::now();
        let is_form = self.content_type.contains("x-www-form-urlencoded");
        let id = format!("sealflow-{}", now.as_microsecond());
        let request = SentRequest { url: &url, body: &body, is_form, id: &id };
        let (url, body) = prepare(&configuration.scheme, request, now).ok_or_else(|| {
            Failure::Usage("this sender's events are maps of JSON, with their time in them".to_owned())
        })?;
        if configuration.authentication != Authentication::None {
            let key = read_value()?;
            let request = SentRequest { url: &url, body: &body, is_form, id: &id };
            headers.extend(credential(&configuration, &key, request, now));
        }
        if let Some(name) = &configuration.deduplication_header
            && !headers.iter().any(|(given, _)| given.eq_ignore_ascii_case(name))
        {
            headers.push((name.clone(), id));
        }
        headers.push(("content-type".to_owned(), self.content_type.clone()));
        let answer = deliver(&Delivery { url: &url, headers: &headers, body: &body })?;
        show(context, answer.status, &answer.body)
    }

    fn given_headers(&self) -> Result<Vec<(String, String)>, Failure> {
        let read = |header: &String| {
            let (name, value) = header.split_once(':')?;
            Some((name.trim().to_owned(), value.trim().to_owned()))
        };
        let read =
            |header| read(header).ok_or_else(|| Failure::Usage("a header is given as NAME:VALUE".to_owned()));
        self.headers.iter().map(read).collect()
    }
}

/// The headers that prove the sender.
fn credential(
    configuration: &WebhookConfiguration,
    key: &str,
    request: SentRequest<'_>,
    now: Timestamp,
) -> Vec<(String, String)> {
    let header = configuration.header_name.clone().unwrap_or_default();
    match (configuration.authentication, configuration.token_form) {
        (Authentication::Signature, _) => sign(&configuration.scheme, &header, key.as_bytes(), request, now),
        (Authentication::Bearer, _) => vec![(header, format!("Bearer {key}"))],
        (Authentication::HeaderToken, TokenForm::Plain) => vec![(header, key.to_owned())],
        (Authentication::HeaderToken, TokenForm::Basic) => {
            vec![(header, format!("Basic {}", STANDARD.encode(format!("sealflow:{key}"))))]
        }
        (Authentication::None, _) => Vec::new(),
    }
}

fn url_of(hooks: &Value, node: &str) -> Result<String, Failure> {
    let hooks = hooks["webhooks"].as_array().map(Vec::as_slice).unwrap_or_default();
    let found = hooks.iter().find(|hook| hook["node_id"] == node);
    found.map(|hook| text(hook, "url")).ok_or_else(|| {
        let known: Vec<String> = hooks.iter().map(|hook| text(hook, "node_id")).collect();
        Failure::Failed(format!(
            "the workflow has no webhook at a node `{node}`; it has: {}",
            known.join(", ")
        ))
    })
}

fn configuration_of(definition: &Value, node: &str) -> Result<WebhookConfiguration, Failure> {
    let nodes = definition["nodes"].as_array().map(Vec::as_slice).unwrap_or_default();
    let node = nodes.iter().find(|found| found["id"] == node);
    node.and_then(|node| WebhookConfiguration::read(&node["configuration"]).ok()).ok_or_else(|| {
        Failure::Failed("this version of the command line can't read the webhook's configuration".to_owned())
    })
}

/// Shows the answer. What was not taken is a failure.
fn show(context: &Context, status: u16, body: &str) -> Result<(), Failure> {
    match context.format {
        Format::Json => {
            let body = serde_json::from_str(body).unwrap_or_else(|_| Value::String(body.to_owned()));
            print_json(&json!({ "status": status, "body": body }));
        }
        Format::Human => say!("{} {}", status, printable_lines(printable(body).as_str())),
    }
    match status {
        200..=299 => Ok(()),
        401 | 403 => Err(Failure::Silent(Exit::NotAllowed)),
        404 => Err(Failure::Silent(Exit::NotFound)),
        429 | 500.. => Err(Failure::Silent(Exit::Unavailable)),
        _ => Err(Failure::Silent(Exit::Failed)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_authentication_is_proved_as_its_sender_does() {
        let headers = |configuration: Value| {
            let configuration = WebhookConfiguration::read(&configuration).unwrap();
            let request = SentRequest { url: "https://x/hooks/1", body: b"{}", is_form: false, id: "i" };
            credential(&configuration, "the-key-of-the-sender", request, Timestamp::UNIX_EPOCH)
        };
        let one = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
        assert_eq!(
            headers(json!({ "authentication": "bearer" })),
            one("authorization", "Bearer the-key-of-the-sender")
        );
        assert_eq!(headers(json!({ "sender": "gitlab" })), one("x-gitlab-token", "the-key-of-the-sender"));
        let basic = format!("Basic {}", STANDARD.encode("sealflow:the-key-of-the-sender"));
        assert_eq!(headers(json!({ "authentication": "basic" })), one("authorization", &basic));
        assert_eq!(headers(json!({ "authentication": "none" })), []);
        let stripe = headers(json!({ "sender": "stripe" }));
        assert!(stripe[0].0 == "stripe-signature" && stripe[0].1.starts_with("t=0,v1="), "{stripe:?}");
    }

    #[test]
    fn a_webhook_that_is_not_there_is_said_with_those_that_are() {
        let hooks = json!({ "webhooks": [{ "node_id": "push", "url": "https://x/hooks/1" }] });
        assert_eq!(url_of(&hooks, "push").unwrap(), "https://x/hooks/1");
        let Err(Failure::Failed(text)) = url_of(&hooks, "puhs") else { panic!("found") };
        assert!(text.ends_with("it has: push"), "{text}");
    }
}
