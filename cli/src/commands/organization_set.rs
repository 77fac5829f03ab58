use clap::Args;
use serde_json::json;

use super::organization_show::print_organization;
use crate::api::Body;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Format, print_json};

/// Change the organization of the token.
#[derive(Args)]
#[command(after_help = "Example: sealflow organization set --retention 30d")]
pub(crate) struct Set {
    /// How long finished runs are kept, with their events and executions: days such as `30d`, or
    /// `forever`. Older ones are deleted within minutes.
    #[arg(long, value_name = "DAYS", value_parser = parse_retention)]
    retention: Retention,
}

/// Days, or none: for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Retention(Option<i32>);

impl Set {
    pub(crate) fn run(&self, context: &Context) -> Result<(), Failure> {
        let body = json!({ "retention_days": self.retention.0 });
        let organization = context.api.patch("/v1/organization", &Body::json(&body))?;
        match context.format {
            Format::Json => print_json(&organization),
            Format::Human => print_organization(&organization),
        }
        Ok(())
    }
}

fn parse_retention(text: &str) -> Result<Retention, String> {
    if text == "forever" {
        return Ok(Retention(None));
    }
    let days = text.strip_suffix('d').and_then(|days| days.parse().ok()).filter(|days| *days > 0);
    days.map(|days| Retention(Some(days))).ok_or_else(|| "days such as `30d`, or `forever`".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retention_is_days_or_for_ever() {
        let check = |text, expected| assert_eq!(parse_retention(text).ok(), expected, "{text}");
        check("30d", Some(Retention(Some(30))));
        check("forever", Some(Retention(None)));
        for text in ["", "30", "0d", "-1d", "1.5d", "30h", "99999999999d"] {
            check(text, None);
        }
    }
}
