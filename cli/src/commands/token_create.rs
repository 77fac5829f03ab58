use clap::Args;
use serde_json::{Value, json};

use crate::api::Body;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Format, print_json, printable, say, text, time};

/// Make a token of the API. It is shown once, here.
#[derive(Args)]
#[command(after_help = "Example: sealflow token create ci --expires 90d")]
pub(crate) struct Create {
    /// Its name, which says its purpose.
    name: String,
    /// From when it is refused: a number with s, m, h or d behind it. Not given: it lasts until it
    /// is revoked.
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    expires: Option<u64>,
}

impl Create {
    pub(crate) fn run(&self, context: &Context) -> Result<(), Failure> {
        let mut body = json!({ "name": self.name });
        if let Some(seconds) = self.expires {
            body["expires_in_seconds"] = Value::from(seconds);
        }
        let made = context.api.post("/v1/tokens", &Body::json(&body))?;
        match context.format {
            Format::Json => print_json(&made),
            Format::Human => {
                eprintln!("the token {}, shown only now:", printable(&text(&made, "name")));
                say!("{}", printable(&text(&made, "token")));
                if !made["expires_at"].is_null() {
                    eprintln!("it is accepted until {}", time(&made, "expires_at"));
                }
            }
        }
        Ok(())
    }
}

/// A time such as `90d`, in seconds.
fn seconds(text: &str) -> Result<u64, String> {
    let unit = match text.chars().last() {
        Some('s') => 1,
        Some('m') => 60,
        Some('h') => 3_600,
        Some('d') => 86_400,
        _ => return Err("a number with s, m, h or d behind it, such as 90d".to_owned()),
    };
    let count = text[..text.len() - 1].parse::<u64>().ok();
    count
        .and_then(|count| count.checked_mul(unit))
        .ok_or_else(|| "a whole number with s, m, h or d behind it".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_a_unit() {
        let check = |text: &str, expected: Option<u64>| assert_eq!(seconds(text).ok(), expected, "{text}");
        check("90d", Some(7_776_000));
        check("1h", Some(3_600));
        check("30m", Some(1_800));
        check("5s", Some(5));
        check("5", None);
        check("", None);
        check("xd", None);
        check("-1d", None);
        check("999999999999999999d", None);
    }
}
