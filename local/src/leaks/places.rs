//! The places of a running product that must not hold a secret.

use anyhow::Result;

use super::{Place, Report, check};
use crate::http;
use crate::sealflow::Sealflow;

/// Searches the database, every log, every message and every answer for the secrets; `more` are the
/// caller's places.
///
/// # Errors
///
/// When a place can't be read: a check that searched less than it says would be worthless.
pub async fn check_everything(sealflow: &Sealflow, secrets: &[&str], more: Vec<Place>) -> Result<Report> {
    let postgres = sealflow.stack().postgres();
    let mut places = vec![
        Place::new("database dump", postgres.dump(sealflow.database()).await?),
        Place::file(&sealflow.messages_file())?,
        Place::file(&sealflow.answers_file())?,
        Place::new("messages still in the queues", waiting_messages(sealflow).await?),
    ];
    let stack_logs = sealflow.stack().folder().join("logs");
    // A Postgres of the stack's own logs into its folder, a shared one elsewhere.
    let shared_log = postgres.log().filter(|log| !log.starts_with(&stack_logs));
    places.extend(shared_log.map(Place::file).transpose()?);
    places.extend(Place::files(&stack_logs)?);
    places.extend(Place::files(&sealflow.logs_dir())?);
    places.extend(more);
    let secrets: Vec<String> = secrets.iter().map(|secret| (*secret).to_owned()).collect();
    let check = move || check(&secrets.iter().map(String::as_str).collect::<Vec<_>>(), places);
    Ok(tokio::task::spawn_blocking(check).await?)
}

/// ministack shows what its queues hold without receiving it.
async fn waiting_messages(sealflow: &Sealflow) -> Result<Vec<u8>> {
    let url = format!("{}/_ministack/sqs/messages", sealflow.stack().ministack().url());
    let answer = http::get(&url).await?;
    anyhow::ensure!(answer.status() == 200, "ministack doesn't show its messages: {}", answer.status());
    Ok(answer.into_body().to_vec())
}
