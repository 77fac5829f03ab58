//! Outputs: what a run that has passed gives to the execution that called it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use components::Results;
use domain::execution::ExecutionResult;
use serde_json::json;
use store::builder::{WokenExecution, load_called_runs, load_last_events, load_routes};
use store::{JsonText, StoreError, Tx};

use crate::PlanDeps;
use crate::definitions::{Workflows, cache_definitions};
use crate::plan::outputs_of;

/// Adds their outputs to called runs that have passed and were not taken. Where they fail, the reason
/// stands with the run.
///
/// # Errors
/// See [`StoreError`].
pub(crate) async fn add_outputs(
    tx: &Tx,
    executions: &mut [WokenExecution],
    deps: &PlanDeps,
) -> Result<(), StoreError> {
    let is_caller = |execution: &&mut WokenExecution| {
        (deps.components.owner)(&execution.component).is_some_and(|owner| owner.results() == Results::Called)
    };
    let mut ended: Vec<_> = executions
        .iter_mut()
        .filter(is_caller)
        .filter_map(|execution| execution.owner.as_mut()?.ended.first_mut())
        .filter(|run| run.result == ExecutionResult::Passed && !run.is_taken)
        .collect();
    if ended.is_empty() {
        return Ok(());
    }
    let ids: Vec<_> = ended.iter().map(|run| run.id).collect();
    let called = load_called_runs(tx, &ids).await?;
    let (mut workflows, mut uncached) = (Workflows::new(), Vec::new());
    for run in &called {
        match deps.definitions.get(run.workflow_id, run.workflow_version) {
            Some(workflow) => {
                workflows.insert(run.workflow_id, workflow);
            }
            None if !uncached.contains(&run.workflow_id) => uncached.push(run.workflow_id),
            None => {}
        }
    }
    if !uncached.is_empty() {
        let (definitions, _) = load_routes(tx, &[], &uncached).await?;
        cache_definitions(&mut workflows, definitions, deps);
    }
    let now = deps.clock.now();
    for run in &called {
        let Some(taken) = ended.iter_mut().find(|taken| taken.id == run.facts.id) else { continue };
        // One that this version can't read waits for newer code.
        let workflow = workflows.get(&run.workflow_id).ok_or(StoreError::Corrupt("workflows.nodes"))?;
        let node_ids =
            workflow.compiled.outputs().map(|outputs| outputs.node_ids.clone()).unwrap_or_default();
        let events = load_last_events(tx, run.facts.id, &node_ids).await?;
        let outputs =
            catch_unwind(AssertUnwindSafe(|| outputs_of(workflow, run, &events, &deps.public_url, now)));
        let failed = "resolving them failed inside sealflow; please report it";
        match outputs.unwrap_or_else(|_| Err(failed.to_owned())) {
            Ok(outputs) => taken.data = outputs.map(|outputs| JsonText::of(&outputs)),
            Err(message) => taken.error = Some(JsonText::of(&json!({ "message": message }))),
        }
    }
    Ok(())
}
