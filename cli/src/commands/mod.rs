//! The commands, one file each: what it takes, and what it does.

pub(crate) mod admin;
pub(crate) mod completion;
pub(crate) mod dlq_list;
pub(crate) mod dlq_redrive;
pub(crate) mod event_list;
pub(crate) mod execution_cancel;
pub(crate) mod execution_list;
pub(crate) mod execution_show;
pub(crate) mod expr;
pub(crate) mod queue_list;
pub(crate) mod run_cancel;
pub(crate) mod run_list;
pub(crate) mod run_start;
pub(crate) mod run_watch;
pub(crate) mod secret_delete;
pub(crate) mod secret_list;
pub(crate) mod secret_set;
pub(crate) mod token_create;
pub(crate) mod token_list;
pub(crate) mod token_revoke;
pub(crate) mod webhook_list;
pub(crate) mod webhook_rotate;
pub(crate) mod webhook_set;
pub(crate) mod workflow_apply;
pub(crate) mod workflow_delete;
pub(crate) mod workflow_list;
pub(crate) mod workflow_show;

use serde_json::{Value, json};

use crate::api::Api;
use crate::arguments::{
    Arguments, Command, Dlq, Event, Execution, Queue, Run, Secret, Token, Webhook, Workflow,
};
use crate::failure::Failure;
use crate::output::{Format, print_json, print_table};

/// What a command that asks the API works with.
pub(crate) struct Context {
    pub(crate) api: Api,
    pub(crate) format: Format,
}

/// Runs the command of the command line.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let format = arguments.global.format();
    match &arguments.command {
        Command::Admin(command) => return command.run(format),
        Command::Completion(command) => return command.run(),
        Command::Expr(command) => return command.run(format),
        _ => {}
    }
    // A value on the command line is refused before anything else is looked at.
    match &arguments.command {
        Command::Secret(Secret::Set(command)) => command.check_usage()?,
        Command::Webhook(Webhook::Set(command)) => command.check_usage()?,
        _ => {}
    }
    let context = Context { api: Api::new(&arguments.global)?, format };
    match &arguments.command {
        Command::Workflow(Workflow::Apply(command)) => command.run(&context),
        Command::Workflow(Workflow::List(command)) => command.run(&context),
        Command::Workflow(Workflow::Show(command)) => command.run(&context),
        Command::Workflow(Workflow::Delete(command)) => command.run(&context),
        Command::Secret(Secret::Set(command)) => command.run(&context),
        Command::Secret(Secret::List(command)) => command.run(&context),
        Command::Secret(Secret::Delete(command)) => command.run(&context),
        Command::Webhook(Webhook::List(command)) => command.run(&context),
        Command::Webhook(Webhook::Rotate(command)) => command.run(&context),
        Command::Webhook(Webhook::Set(command)) => command.run(&context),
        Command::Run(Run::Start(command)) => command.run(&context),
        Command::Run(Run::Watch(command)) => command.run(&context),
        Command::Run(Run::List(command)) => command.run(&context),
        Command::Run(Run::Cancel(command)) => command.run(&context),
        Command::Execution(Execution::List(command)) => command.run(&context),
        Command::Execution(Execution::Show(command)) => command.run(&context),
        Command::Execution(Execution::Cancel(command)) => command.run(&context),
        Command::Dlq(Dlq::List(command)) => command.run(&context),
        Command::Dlq(Dlq::Redrive(command)) => command.run(&context),
        Command::Token(Token::Create(command)) => command.run(&context),
        Command::Token(Token::List(command)) => command.run(&context),
        Command::Token(Token::Revoke(command)) => command.run(&context),
        Command::Event(Event::List(command)) => command.run(&context),
        Command::Queue(Queue::List(command)) => command.run(&context),
        Command::Admin(_) | Command::Completion(_) | Command::Expr(_) => {
            unreachable!("these have returned above")
        }
    }
}

/// A list: where it is, what filters it, and how a row is shown.
pub(crate) struct Listing<'a> {
    pub(crate) path: &'a str,
    pub(crate) resource: &'a str,
    pub(crate) query: Vec<(&'a str, String)>,
    pub(crate) limit: u32,
    pub(crate) header: &'a [&'a str],
    pub(crate) row: fn(&Value) -> Vec<String>,
}

/// Fetches and prints a list.
pub(crate) fn print_listing(context: &Context, listing: &Listing<'_>) -> Result<(), Failure> {
    let (rows, next) = context.api.list(listing.path, listing.resource, &listing.query, listing.limit)?;
    match context.format {
        Format::Json => print_json(&json!({ listing.resource: rows, "next_cursor": next })),
        Format::Human => {
            print_table(listing.header, rows.iter().map(listing.row).collect());
            if !next.is_null() {
                eprintln!("there are more; --limit N shows them");
            }
        }
    }
    Ok(())
}

/// The query's pairs of those filters that are given.
pub(crate) fn filters<'a>(given: &[(&'a str, &Option<String>)]) -> Vec<(&'a str, String)> {
    given.iter().filter_map(|(name, value)| Some((*name, (*value).clone()?))).collect()
}
