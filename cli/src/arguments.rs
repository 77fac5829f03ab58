//! The command line: the commands and what they all take.

use clap::{Args, Parser, Subcommand};

use crate::commands::{
    admin, approval_decide, approval_list, audit_list, auth_status, blueprint_apply, blueprint_delete,
    blueprint_list, blueprint_show, blueprint_upgrade, completion, dlq_list, dlq_redrive, event_list,
    execution_cancel, execution_list, execution_release, execution_show, expr, member_invite, member_list,
    member_remove, member_set, organization_set, organization_show, queue_list, run_cancel, run_list,
    run_start, run_watch, schedule_next, secret_delete, secret_list, secret_set, token_create, token_list,
    token_revoke, webhook_list, webhook_rotate, webhook_send, webhook_set, workflow_apply, workflow_delete,
    workflow_list, workflow_show,
};
use crate::failure::EXIT_STATUSES;
use crate::output::Format;

/// Serverless workflows whose secrets stay sealed until the moment of use.
#[derive(Parser)]
#[command(name = "sealflow", version, propagate_version = true, arg_required_else_help = true, after_help = EXIT_STATUSES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The arguments of every command.
#[derive(Args)]
pub(crate) struct Global {
    /// Answer in JSON.
    #[arg(long, global = true)]
    json: bool,
    /// Where the API is.
    #[arg(long, global = true, env = "SEALFLOW_API_URL", value_name = "URL")]
    pub(crate) api_url: Option<String>,
}

impl Global {
    /// How answers are printed.
    pub(crate) fn format(&self) -> Format {
        if self.json { Format::Json } else { Format::Human }
    }
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Apply, list, show and delete workflows.
    #[command(subcommand)]
    Workflow(Workflow),
    /// Apply, list, show, upgrade and delete blueprints: sub-graphs that workflows share.
    #[command(subcommand)]
    Blueprint(Blueprint),
    /// Set, list and delete secrets; values go in and never come out.
    #[command(subcommand)]
    Secret(Secret),
    /// List webhooks, and change their keys.
    #[command(subcommand)]
    Webhook(Webhook),
    /// Start, watch, list and cancel runs.
    #[command(subcommand)]
    Run(Run),
    /// List approvals that wait, and decide.
    #[command(subcommand)]
    Approval(Approval),
    /// Show the coming times of schedules.
    #[command(subcommand)]
    Schedule(Schedule),
    /// List, show and cancel executions.
    #[command(subcommand)]
    Execution(Execution),
    /// List dead letters, and redrive them.
    #[command(subcommand)]
    Dlq(Dlq),
    /// List events.
    #[command(subcommand)]
    Event(Event),
    /// List queue items that wait.
    #[command(subcommand)]
    Queue(Queue),
    /// Make, list and revoke tokens of the API.
    #[command(subcommand)]
    Token(Token),
    /// Make, change and remove members: the people of the organization.
    #[command(subcommand)]
    Member(Member),
    /// Show who did what.
    #[command(subcommand)]
    Audit(Audit),
    /// Show whose token is used, and what it may do.
    #[command(subcommand)]
    Auth(Auth),
    /// Show the organization, and change how long its runs are kept.
    #[command(subcommand)]
    Organization(Organization),
    /// The manual tasks of operators: schema, organizations, another KMS key.
    #[command(subcommand)]
    Admin(admin::Admin),
    /// Try an expression on a recorded event; needs neither API nor token.
    Expr(expr::Expr),
    /// Print a completion script for a shell.
    Completion(completion::Completion),
}

#[derive(Subcommand)]
pub(crate) enum Workflow {
    /// Apply a definition: what differs is changed, and said.
    Apply(workflow_apply::Apply),
    /// List workflows.
    List(workflow_list::List),
    /// Show a workflow with its definition.
    Show(workflow_show::Show),
    /// Delete a workflow; its history stays.
    Delete(workflow_delete::Delete),
}

#[derive(Subcommand)]
pub(crate) enum Blueprint {
    /// Apply a blueprint: what differs from its newest version becomes the next one.
    Apply(blueprint_apply::Apply),
    /// List blueprints, each in its newest version.
    List(blueprint_list::List),
    /// Show a blueprint with its definition, its versions and what uses it.
    Show(blueprint_show::Show),
    /// Apply the workflows that use another version of a blueprint anew with this one.
    Upgrade(blueprint_upgrade::Upgrade),
    /// Delete a version of a blueprint, or all of them; none that is in use.
    Delete(blueprint_delete::Delete),
}

#[derive(Subcommand)]
pub(crate) enum Secret {
    /// Set one key of a secret; the value comes from standard input.
    Set(secret_set::Set),
    /// List secrets: names, keys, hosts, places and times.
    List(secret_list::List),
    /// Delete a secret, or one key of it.
    Delete(secret_delete::Delete),
}

#[derive(Subcommand)]
pub(crate) enum Webhook {
    /// List the webhooks of a workflow.
    List(webhook_list::List),
    /// Make a new key or token; the present one is accepted for a while too.
    Rotate(webhook_rotate::Rotate),
    /// Set the key or token; it comes from standard input.
    Set(webhook_set::Set),
    /// Send an event as the webhook's sender would; the key comes from standard input.
    Send(webhook_send::Send),
}

#[derive(Subcommand)]
pub(crate) enum Run {
    /// Start a run of a workflow that has a `start` trigger.
    Start(run_start::Start),
    /// Show a run as it goes; exit status 3 if it fails, 9 if it is cancelled.
    Watch(run_watch::Watch),
    /// List runs.
    List(run_list::List),
    /// Cancel a run.
    Cancel(run_cancel::Cancel),
}

#[derive(Subcommand)]
pub(crate) enum Approval {
    /// List approvals that wait: what is asked, until when, and whether you may decide.
    List(approval_list::List),
    /// Vote for what an approval asks.
    Approve(approval_decide::Approve),
    /// Vote against what an approval asks.
    Reject(approval_decide::Reject),
}

#[derive(Subcommand)]
pub(crate) enum Schedule {
    /// Show the coming times of the schedules of a workflow, of a file, or of a description.
    Next(schedule_next::Next),
}

#[derive(Subcommand)]
pub(crate) enum Execution {
    /// List executions.
    List(execution_list::List),
    /// Show one execution.
    Show(execution_show::Show),
    /// Cancel one execution; the rest of its run goes on.
    Cancel(execution_cancel::Cancel),
    /// Let a held execution go on now.
    Release(execution_release::Release),
}

#[derive(Subcommand)]
pub(crate) enum Dlq {
    /// List dead letters: executions that failed, whose failure no edge took.
    List(dlq_list::List),
    /// Route the events of failed executions to their nodes once more.
    Redrive(dlq_redrive::Redrive),
}

#[derive(Subcommand)]
pub(crate) enum Event {
    /// List events.
    List(event_list::List),
}

#[derive(Subcommand)]
pub(crate) enum Queue {
    /// List queue items that wait.
    List(queue_list::List),
}

#[derive(Subcommand)]
pub(crate) enum Token {
    /// Make a token; it is shown once.
    Create(token_create::Create),
    /// List tokens: names and times.
    List(token_list::List),
    /// Revoke a token: it is refused from now on.
    Revoke(token_revoke::Revoke),
}

#[derive(Subcommand)]
pub(crate) enum Member {
    /// Make a member; its token is shown once.
    Invite(member_invite::Invite),
    /// List members.
    List(member_list::List),
    /// Give a member another role.
    Set(member_set::Set),
    /// Remove a member, and the tokens that it made.
    Remove(member_remove::Remove),
}

#[derive(Subcommand)]
pub(crate) enum Audit {
    /// List who did what.
    List(audit_list::List),
}

#[derive(Subcommand)]
pub(crate) enum Auth {
    /// Show whose token is used, and what it may do.
    Status(auth_status::Status),
}

#[derive(Subcommand)]
pub(crate) enum Organization {
    /// Show the organization of the token.
    Show(organization_show::Show),
    /// Change the organization of the token.
    Set(organization_set::Set),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn json_may_stand_anywhere() {
        for line in ["sealflow --json run list", "sealflow run list --json", "sealflow run --json list"] {
            let arguments = Arguments::try_parse_from(line.split(' ')).unwrap();
            assert_eq!(arguments.global.format(), Format::Json, "{line}");
        }
    }
}
