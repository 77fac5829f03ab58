//! The demo: the steps of a user, told one by one. At its end a check proves that the secret went
//! to the target only.

mod cli;
mod example;
mod tell;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use domain::execution::ExecutionResult;
use serde_json::Value;

use crate::http;
use crate::leaks::{self, Place};
use crate::random;
use crate::sealflow::Sealflow;
use crate::stack::PostgresOptions;
use crate::target::{Received, Target};
use cli::Cli;
use example::{Webhook, signature};
use tell::Teller;

/// The longest time until a webhook is answered.
const WEBHOOK_SECONDS_MAX: u64 = 30;

/// The longest time from the end of the run until the target has its requests.
const TARGET_SECONDS_MAX: u64 = 5;

/// The push that is posted, beside the workflow.
const PUSH_FILE: &str = "github-push.json";

/// Data is never code: this is posted as a commit's message, and must reach the target as it stands
/// here.
const TEMPLATE_AS_DATA: &str = r#"Print {{ secrets("github").token }}"#;

/// The text that scrubbing puts in the place of the demo's secret.
const SCRUBBED: &str = "[secret:github.token]";

/// Shows the main job with the workflow of a file. Its calls to `api.example.com` go to a target of
/// ours.
///
/// # Errors
///
/// When something that the demo shows does not hold.
pub async fn run(workflow: &Path) -> Result<()> {
    let tell = Teller::new();
    tell.step("Start Postgres, ministack (SQS and KMS), the functions, and a target for them to call");
    let target = Target::start().await?;
    let durable = PostgresOptions { is_durable: true, ..PostgresOptions::default() };
    let sealflow = Sealflow::builder().postgres(durable).http_allow(target.host_port()).start().await?;
    tell.line(&format!("API and webhooks at {}, target at {}", sealflow.gateway_url(), target.url()));
    tell.line(&format!(
        "organization demo ({}), its token is kept in SEALFLOW_TOKEN",
        sealflow.organization_id()
    ));
    let shown = show(&tell, &sealflow, &target, workflow).await;
    if shown.is_err() {
        for function in crate::sealflow::FUNCTIONS {
            eprintln!("--- the end of {function}'s log\n{}", sealflow.end_of_log(function));
        }
    }
    shown
}

async fn show(tell: &Teller, sealflow: &Sealflow, target: &Target, workflow: &Path) -> Result<()> {
    let cli = Cli::new(sealflow, tell)?;
    let webhook = apply(tell, sealflow, target, workflow, &cli).await?;
    let secret = make_secret();
    tell.step("Set the secret that it refers to, from standard input: for the target's host, in the authorization header");
    let host = target.host_port();
    cli.run(
        &["secret", "set", "github", "token", "-", "--host", &host, "--in", "authorization"],
        Some(&secret),
    )
    .await?;

    let commit = random::hex(20);
    let push = workflow.with_file_name(PUSH_FILE);
    let run_id = post_webhook(tell, &webhook, &push, &commit).await?;
    tell.step("Watch the run to its end");
    cli.run(&["run", "watch", &run_id], None).await?;
    tell.step("List its executions as the API has them, then find one by a key");
    cli.run(&["execution", "list", "--run", &run_id], None).await?;
    let found = cli.run(&["execution", "list", "--key", &format!("commit={commit}")], None).await?;
    ensure!(!found.trim().is_empty(), "no execution has the key commit={commit}");
    check_executions(&cli, &run_id).await?;

    tell.step("Look at what the target received");
    let received = target.await_requests(1, Duration::from_secs(TARGET_SECONDS_MAX)).await?;
    check_target(tell, &received, &commit, &secret)?;
    check_scrubbed(tell, sealflow).await?;
    sealflow.await_empty_queues(Duration::from_secs(TARGET_SECONDS_MAX)).await?;

    tell.step(
        "Search for the secret: database, logs, messages, answers; raw, JSON, URL, HTML, hex and base64",
    );
    let printed = Place::new("what the CLI printed", cli.printed());
    let report = leaks::check_everything(sealflow, &[&secret], vec![printed]).await?;
    tell.line(&format!("searched: {}", report.places.join(", ")));
    println!("\n{report}");
    ensure!(report.is_clean(), "the secret has leaked");
    tell.end();
    Ok(())
}

/// Applies a copy of the example that calls our target; gives its webhook.
async fn apply(
    tell: &Teller,
    sealflow: &Sealflow,
    target: &Target,
    workflow: &Path,
    cli: &Cli<'_>,
) -> Result<Webhook> {
    tell.step(
        "Apply a workflow: a webhook, an HTTP call with a secret in its header, an if, a call on each branch",
    );
    let copy = sealflow.folder().join(workflow.file_name().context("the workflow is no file")?);
    std::fs::write(&copy, example::with_target(workflow, &target.url())?)?;
    let copy = copy.display().to_string();
    // JSON, because this answer holds the signing key, and no later one does.
    let answer = cli.run_quietly(&["--json", "workflow", "apply", "-f", &copy], None).await?;
    let answer: Value = serde_json::from_str(&answer).context("workflow apply --json printed no JSON")?;
    let webhook = Webhook::of_answer(&answer)?;
    tell.line(&format!("webhook {} (its signing key is shown in this answer only)", webhook.url));
    cli.run(&["workflow", "list"], None).await?;
    Ok(webhook)
}

async fn post_webhook(tell: &Teller, webhook: &Webhook, push: &Path, commit: &str) -> Result<String> {
    tell.step("Post a push to the webhook, signed as GitHub signs");
    tell.line(&format!("its commit message is a template: {TEMPLATE_AS_DATA}"));
    let body = example::push(push, commit, TEMPLATE_AS_DATA)?;
    let request = ::http::Request::post(&webhook.url)
        .header("content-type", "application/json")
        .header("x-github-event", "push")
        .header("x-hub-signature-256", signature(&webhook.signing_key, body.as_bytes()))
        .body(body.into())?;
    let answer = http::send(request, Duration::from_secs(WEBHOOK_SECONDS_MAX)).await?;
    let text = String::from_utf8_lossy(answer.body()).into_owned();
    ensure!(answer.status() == 202, "the webhook answered {}: {text}", answer.status());
    tell.line(&format!("{} {text}", answer.status().as_u16()));
    let answer: Value = serde_json::from_str(&text).context("the webhook answered no JSON")?;
    let run_id = answer["run_id"].as_str().or(answer["event_id"].as_str());
    Ok(run_id.context("the webhook's answer names no run")?.to_owned())
}

/// Checks that every execution of the run has passed, and that there are at least two: one for the
/// call and one for a branch.
async fn check_executions(cli: &Cli<'_>, run_id: &str) -> Result<()> {
    let text = cli.run_quietly(&["--json", "execution", "list", "--run", run_id], None).await?;
    let answer: Value = serde_json::from_str(&text).context("execution list --json printed no JSON")?;
    let executions = ["items", "executions", "data"].iter().find_map(|name| answer[name].as_array());
    let executions = executions.or(answer.as_array()).context("execution list --json printed no list")?;
    for execution in executions {
        ensure!(
            execution["result"] == ExecutionResult::Passed.as_str(),
            "an execution did not pass: {execution}"
        );
    }
    let nodes: Vec<&str> = executions.iter().filter_map(|execution| execution["node_id"].as_str()).collect();
    for node in ["call", "ok", "done"] {
        ensure!(nodes.contains(&node), "no execution of the node {node}, only of {}", nodes.join(", "));
    }
    Ok(())
}

fn check_target(tell: &Teller, received: &[Received], commit: &str, secret: &str) -> Result<()> {
    for request in received {
        tell.line(&format!("{} {}", request.method, request.path));
    }
    let call = received.iter().find(|request| request.path.contains(commit));
    let call = call.context("no request has the commit in its path")?;
    match call.header("authorization") {
        Some(value) if value == format!("Bearer {secret}") => {}
        Some(_) => bail!("the target received another Authorization header than the secret's"),
        None => bail!("the target received no Authorization header"),
    }
    tell.line("its Authorization header was `Bearer` and the secret: matched");
    let body: Value = serde_json::from_slice(&call.body).context("the target received no JSON")?;
    let message = body["message"].as_str().unwrap_or_default();
    ensure!(message.ends_with(TEMPLATE_AS_DATA), "the commit's message didn't arrive as it was: {message}");
    tell.line("the template in the commit message arrived as text, word for word");
    Ok(())
}

/// Checks that the stored output is scrubbed. The output held the secret before, because the target
/// echoes the headers that it receives.
async fn check_scrubbed(tell: &Teller, sealflow: &Sealflow) -> Result<()> {
    let sql = format!("SELECT count(*) FROM workflow_events WHERE data::text LIKE '%Bearer {SCRUBBED}%'");
    let count = sealflow.sql(&sql).await?;
    ensure!(count != "0", "the echoed header isn't in the call's output, scrubbed");
    tell.line(&format!("it echoed that header; the stored output says `Bearer {SCRUBBED}` instead"));
    Ok(())
}

/// A random value with characters that every encoding writes in a way of its own.
fn make_secret() -> String {
    format!("canary/{}+\"&<'%=\\{}", random::hex(8), random::hex(8))
}
