//! Answers, made of the store's rows: a column that is added or renamed changes no answer by
//! itself.

mod approval;
mod execution;
mod history;
mod run;
mod webhook;
mod workflow;

pub(crate) use approval::approval;
pub(crate) use execution::{dead_letter, execution};
pub(crate) use history::{event, queue_item};
pub(crate) use run::{run, run_detail};
pub(crate) use webhook::{listed_webhook, webhook, webhook_url};
pub(crate) use workflow::{
    audit_line, blueprint, blueprint_user, changes, definition_problem, node, organization, token, workflow,
};
