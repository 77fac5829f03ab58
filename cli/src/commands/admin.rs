mod rewrap;

use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::api::invoke;
use crate::failure::{Exit, Failure};
use crate::output::{Format, emit, print_json, printable, say, text, time};

/// The longest time of an invocation: Lambda's limit for a function.
const TIMEOUT: Duration = Duration::from_secs(900);

/// The manual tasks of operators: schema, organizations, another KMS key.
#[derive(Subcommand)]
pub(crate) enum Admin {
    /// Bring the database's schema up to date.
    Migrate(Migrate),
    /// Set the passwords of the functions' roles to what their parameters say.
    Passwords(Passwords),
    /// Make an organization and its first token, which is shown once.
    Bootstrap(Bootstrap),
    /// List organizations.
    Organizations(Organizations),
    /// Refuse the tokens and webhooks of an organization; what runs goes on.
    Suspend(OfOrganization),
    /// Take the tokens and webhooks of an organization again.
    Resume(OfOrganization),
    /// Set how many requests a second an instance of the API takes of an organization.
    Limit(Limit),
    /// Make an owner's token, shown once, for an organization that has lost its own.
    Token(OfOrganization),
    /// Move all sealed values from the KMS key that the rewrap function is told of to the present
    /// one; none is opened.
    Rewrap(Rewrap),
}

#[derive(Args)]
pub(crate) struct Migrate {
    #[command(flatten)]
    invocation: Invocation,
}

#[derive(Args)]
pub(crate) struct Passwords {
    #[command(flatten)]
    invocation: Invocation,
}

#[derive(Args)]
pub(crate) struct Bootstrap {
    /// The organization's name.
    organization: String,
    #[command(flatten)]
    invocation: Invocation,
}

#[derive(Args)]
pub(crate) struct Organizations {
    #[command(flatten)]
    invocation: Invocation,
}

#[derive(Args)]
pub(crate) struct OfOrganization {
    /// The organization's name or id.
    organization: String,
    #[command(flatten)]
    invocation: Invocation,
}

#[derive(Args)]
pub(crate) struct Limit {
    /// The organization's name or id.
    organization: String,
    /// Requests a second; `none` for as many as its tokens may make.
    #[arg(value_name = "N", value_parser = requests)]
    requests_per_second: Requests,
    #[command(flatten)]
    invocation: Invocation,
}

/// Requests a second; None: no limit of its own.
#[derive(Clone, Copy)]
struct Requests(Option<u32>);

fn requests(text: &str) -> Result<Requests, String> {
    match text {
        "none" => Ok(Requests(None)),
        number => match number.parse() {
            Ok(number) if number > 0 => Ok(Requests(Some(number))),
            _ => Err("a number from 1, or none".to_owned()),
        },
    }
}

#[derive(Args)]
pub(crate) struct Rewrap {
    #[command(flatten)]
    invocation: Invocation,
}

#[derive(Args)]
struct Invocation {
    /// The address at which functions are invoked, as the local stack offers it. Not given: the
    /// command for AWS is printed.
    #[arg(long, env = "SEALFLOW_INVOKE_URL", value_name = "URL")]
    invoke_url: Option<String>,
}

impl Admin {
    pub(crate) fn run(&self, format: Format) -> Result<(), Failure> {
        match self {
            Self::Migrate(command) => migrate(&command.invocation, &json!({ "migrate": {} }), format),
            Self::Passwords(command) => migrate(&command.invocation, &json!({ "passwords": {} }), format),
            Self::Bootstrap(command) => {
                let payload = json!({ "bootstrap": { "organization": command.organization } });
                migrate(&command.invocation, &payload, format)
            }
            Self::Organizations(command) => {
                migrate(&command.invocation, &json!({ "organizations": {} }), format)
            }
            Self::Suspend(command) => command.run("suspend", format),
            Self::Resume(command) => command.run("resume", format),
            Self::Token(command) => command.run("token", format),
            Self::Limit(command) => {
                let most = command.requests_per_second.0;
                let payload =
                    json!({ "limit": { "organization": command.organization, "requests_per_second": most } });
                migrate(&command.invocation, &payload, format)
            }
            Self::Rewrap(command) => rewrap::run(&command.invocation, format),
        }
    }
}

impl OfOrganization {
    fn run(&self, request: &str, format: Format) -> Result<(), Failure> {
        let payload = json!({ request: { "organization": self.organization } });
        migrate(&self.invocation, &payload, format)
    }
}

fn migrate(invocation: &Invocation, payload: &Value, format: Format) -> Result<(), Failure> {
    let answer = invocation.invoke("migrate", payload, format)?;
    match format {
        Format::Json => print_json(&answer),
        Format::Human => emit(&render(&answer)),
    }
    Ok(())
}

impl Invocation {
    /// Invokes `function`. Without a URL the command for AWS is printed in its stead, and that is a
    /// failure: nothing was done.
    fn invoke(&self, function: &str, payload: &Value, format: Format) -> Result<Value, Failure> {
        let Some(url) = &self.invoke_url else {
            print_aws_command(payload, format);
            // Nothing was done yet.
            return Err(Failure::Silent(Exit::Usage));
        };
        invoke(url, function, payload, TIMEOUT)
    }
}

fn print_aws_command(payload: &Value, format: Format) {
    let command = aws_command(payload);
    match format {
        Format::Json => print_json(&json!({ "command": command })),
        Format::Human => {
            eprintln!("SEALFLOW_INVOKE_URL is not set; on AWS, invoke the stack's function:");
            say!("{command}");
        }
    }
}

/// `FUNCTION` is the name that the stack's output `MigrateFunction` or `RewrapFunction` shows.
/// `--cli-read-timeout 0` turns the AWS CLI's time-out off. With the time-out, the AWS CLI would
/// invoke a second time after a minute.
fn aws_command(payload: &Value) -> String {
    let payload = payload.to_string().replace('\'', r"'\''");
    format!(
        "aws lambda invoke --function-name \"$FUNCTION\" --cli-read-timeout 0 --cli-binary-format raw-in-base64-out --payload '{payload}' answer.json; cat answer.json"
    )
}

fn render(answer: &Value) -> String {
    if let Some(roles) = answer["roles"].as_array() {
        let lines =
            roles.iter().filter_map(Value::as_str).map(|role| format!("password set: {}\n", printable(role)));
        return lines.collect();
    }
    if let Some(organizations) = answer["organizations"].as_array() {
        let line = |row: &Value| {
            let state = if row["suspended_at"].is_null() {
                "active".to_owned()
            } else {
                format!("suspended since {}", time(row, "suspended_at"))
            };
            let most = match text(row, "requests_per_second_max") {
                none if none.is_empty() => String::new(),
                most => format!(", {most} requests a second at most"),
            };
            let (name, id) = (printable(&text(row, "name")), text(row, "id"));
            let (workflows, tokens) = (text(row, "workflows"), text(row, "tokens"));
            format!("{id}  {name}: {state}, {workflows} workflows, {tokens} tokens{most}\n")
        };
        return organizations.iter().map(line).collect();
    }
    match answer["applied"].as_array() {
        Some(applied) if applied.is_empty() => "the schema is up to date\n".to_owned(),
        Some(applied) => {
            let names =
                applied.iter().filter_map(Value::as_str).map(|name| format!("applied {}\n", printable(name)));
            names.collect()
        }
        None => format!(
            "organization {}\ntoken, shown only now: {}\n",
            printable(&text(answer, "organization_id")),
            printable(&text(answer, "token"))
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_for_aws_survives_any_name() {
        let command = aws_command(&json!({ "bootstrap": { "organization": "O'Neil & Co" } }));
        assert!(
            command.contains(r#"--payload '{"bootstrap":{"organization":"O'\''Neil & Co"}}'"#),
            "{command}"
        );
    }

    #[test]
    fn answers_read_well() {
        assert_eq!(render(&json!({ "applied": [] })), "the schema is up to date\n");
        assert_eq!(render(&json!({ "applied": ["V1__core"] })), "applied V1__core\n");
        assert_eq!(render(&json!({ "roles": ["sealflow_api"] })), "password set: sealflow_api\n");
        let organizations = json!({ "organizations": [{
            "id": "1", "name": "a", "suspended_at": null, "requests_per_second_max": 5, "workflows": 2, "tokens": 3,
        }] });
        assert_eq!(
            render(&organizations),
            "1  a: active, 2 workflows, 3 tokens, 5 requests a second at most\n"
        );
        assert!(requests("0").is_err() && requests("x").is_err());
        assert_eq!((requests("none").unwrap().0, requests("7").unwrap().0), (None, Some(7)));
        let made = json!({ "organization_id": "1", "token": "sf_x" });
        assert_eq!(render(&made), "organization 1\ntoken, shown only now: sf_x\n");
    }
}
