//! Concurrency keys of items that the builder sees for the first time.

use domain::ids::ItemId;
use std::panic::{AssertUnwindSafe, catch_unwind};

use domain::execution::ResultReason;
use store::EndedWork;
use store::builder::{ClaimedItem, RunFacts, WriteBatch};
use uuid::Uuid;

use super::record::Record;
use super::{PlanInput, RunProgress, Slots, asked_joins, ending_of, merge};

/// The plan for items whose key was not known yet.
#[derive(Default)]
pub struct KeyPlan {
    /// Items with their keys: they go on waiting.
    pub keys: Vec<(ItemId, String)>,
    /// Items that end, for their key can't be known or their run or node is over.
    pub ended: Vec<ItemId>,
    /// The runs of those, and joins behind them; whether the runs have other work is seen when the
    /// transaction has done all of its own.
    pub ended_work: EndedWork,
    /// Their executions. They take no slot.
    pub rows: WriteBatch,
}

/// Plans the keys of a batch. `ids` makes the ids of new rows.
#[must_use]
pub fn plan_keys(input: &PlanInput<'_>, ids: &mut dyn FnMut() -> Uuid) -> KeyPlan {
    let mut plan = KeyPlan::default();
    for item in input.items {
        let Some(run) = input.loaded.runs.iter().find(|run| run.id == item.run_id) else {
            continue;
        };
        let record = Record::new(input, item, run);
        match key_of(&record, input, item, run) {
            Ok(key) => plan.keys.push((item.id, key)),
            Err((reason, message)) => {
                plan.ended.push(item.id);
                plan.ended_work.runs.push(item.run_id);
                plan.ended_work.joins.extend(asked_joins(input, item, &WriteBatch::default()));
                merge(&mut plan.rows, record.end(Slots::default(), ids().into(), reason, message).rows);
            }
        }
    }
    plan.rows.versions = input.versions();
    plan
}

fn key_of(
    record: &Record<'_>,
    input: &PlanInput<'_>,
    item: &ClaimedItem,
    run: &RunFacts,
) -> Result<String, (ResultReason, Option<String>)> {
    if let Some(ending) = ending_of(input, item, &RunProgress::of(run, input.loaded)) {
        return Err(ending);
    }
    catch_unwind(AssertUnwindSafe(|| record.concurrency_key())).unwrap_or_else(|_| {
        let message = "resolving the concurrency key failed inside sealflow; please report it";
        Err((ResultReason::Crashed, Some(message.to_owned())))
    })
}
