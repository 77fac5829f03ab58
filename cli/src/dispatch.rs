//! From the command line to the command.

use clap::CommandFactory as _;

use crate::api::Api;
use crate::arguments::{
    Approval, Arguments, Audit, Auth, Blueprint, Command, Dlq, Event, Execution, Member, Organization, Queue,
    Run, Schedule, Secret, Token, Webhook, Workflow,
};
use crate::context::Context;
use crate::failure::Failure;

/// Runs the command of the command line.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let format = arguments.global.format();
    match &arguments.command {
        Command::Admin(command) => return command.run(format),
        Command::Completion(command) => return command.run(Arguments::command()),
        Command::Expr(command) => return command.run(format),
        Command::Schedule(Schedule::Next(command)) => {
            return command.run(|| Api::new(arguments.global.api_url.as_deref()), format);
        }
        _ => {}
    }
    // A value on the command line is refused before anything else is looked at.
    match &arguments.command {
        Command::Secret(Secret::Set(command)) => command.check_usage()?,
        Command::Webhook(Webhook::Set(command)) => command.check_usage()?,
        _ => {}
    }
    let context = Context { api: Api::new(arguments.global.api_url.as_deref())?, format };
    match &arguments.command {
        Command::Workflow(Workflow::Apply(command)) => command.run(&context),
        Command::Workflow(Workflow::List(command)) => command.run(&context),
        Command::Workflow(Workflow::Show(command)) => command.run(&context),
        Command::Workflow(Workflow::Delete(command)) => command.run(&context),
        Command::Blueprint(Blueprint::Apply(command)) => command.run(&context),
        Command::Blueprint(Blueprint::List(command)) => command.run(&context),
        Command::Blueprint(Blueprint::Show(command)) => command.run(&context),
        Command::Blueprint(Blueprint::Upgrade(command)) => command.run(&context),
        Command::Blueprint(Blueprint::Delete(command)) => command.run(&context),
        Command::Secret(Secret::Set(command)) => command.run(&context),
        Command::Secret(Secret::List(command)) => command.run(&context),
        Command::Secret(Secret::Delete(command)) => command.run(&context),
        Command::Webhook(Webhook::List(command)) => command.run(&context),
        Command::Webhook(Webhook::Rotate(command)) => command.run(&context),
        Command::Webhook(Webhook::Set(command)) => command.run(&context),
        Command::Webhook(Webhook::Send(command)) => command.run(&context),
        Command::Run(Run::Start(command)) => command.run(&context),
        Command::Run(Run::Watch(command)) => command.run(&context),
        Command::Run(Run::List(command)) => command.run(&context),
        Command::Run(Run::Cancel(command)) => command.run(&context),
        Command::Execution(Execution::List(command)) => command.run(&context),
        Command::Execution(Execution::Show(command)) => command.run(&context),
        Command::Execution(Execution::Cancel(command)) => command.run(&context),
        Command::Execution(Execution::Release(command)) => command.run(&context),
        Command::Approval(Approval::List(command)) => command.run(&context),
        Command::Approval(Approval::Approve(command)) => command.run(&context),
        Command::Approval(Approval::Reject(command)) => command.run(&context),
        Command::Dlq(Dlq::List(command)) => command.run(&context),
        Command::Dlq(Dlq::Redrive(command)) => command.run(&context),
        Command::Token(Token::Create(command)) => command.run(&context),
        Command::Token(Token::List(command)) => command.run(&context),
        Command::Token(Token::Revoke(command)) => command.run(&context),
        Command::Member(Member::Invite(command)) => command.run(&context),
        Command::Member(Member::List(command)) => command.run(&context),
        Command::Member(Member::Set(command)) => command.run(&context),
        Command::Member(Member::Remove(command)) => command.run(&context),
        Command::Audit(Audit::List(command)) => command.run(&context),
        Command::Auth(Auth::Status(command)) => command.run(&context),
        Command::Organization(Organization::Show(command)) => command.run(&context),
        Command::Organization(Organization::Set(command)) => command.run(&context),
        Command::Event(Event::List(command)) => command.run(&context),
        Command::Queue(Queue::List(command)) => command.run(&context),
        Command::Admin(_) | Command::Completion(_) | Command::Expr(_) | Command::Schedule(_) => {
            unreachable!("these have returned above")
        }
    }
}
