//! Requests to the address of a `wait_for_callback`: one is stored, and only then its wake is sent.

use body_schema::Schema;
use components::address_digest;
use components::webhook::WebhookConfiguration;
use domain::ids::ExecutionId;
use queue::Outgoing;
use serde_json::{Value, json};
use store::callbacks::{CallbackOutcome, NewCallback, take_callback};
use store::{HeldWake, StoreError};
use uuid::Uuid;

use crate::answer::Answer;
use crate::intake::{is_hex, read_data, unavailable};
use crate::{Delivery, Deps};

/// Characters of an address: the execution's id and its token, in hex.
const ADDRESS_CHARS: usize = 64;

/// The execution that an address names; None: the text is no address.
pub(crate) fn execution_of(address: &str) -> Option<ExecutionId> {
    if !is_hex(address, ADDRESS_CHARS) {
        return None;
    }
    Uuid::try_parse(address.get(..ADDRESS_CHARS / 2)?).ok().map(ExecutionId)
}

/// Takes what came to the address of `execution_id`, or refuses it.
pub(crate) async fn take(execution_id: ExecutionId, delivery: &Delivery, deps: &Deps) -> Answer {
    let now = deps.clock.now();
    // The address was used, or nobody has it: another request costs no look at the database.
    if let Some(None) = deps.cache.get(&delivery.address, now) {
        return Answer::CallbackGone;
    }
    let looked = NewCallback {
        id: deps.ids.next(now),
        execution_id,
        address_sha256: address_digest(&delivery.address),
        method: delivery.method.as_str().to_owned(),
        data: None,
    };
    // The body is read only once the address is known to be right.
    let callback = match take_callback(&deps.store, &looked).await {
        Ok(CallbackOutcome::Open { schema }) => match data_of(delivery) {
            Ok(data) => {
                let problems = problems_of(schema.as_ref(), &data, execution_id);
                if !problems.is_empty() {
                    return Answer::CallbackInvalid(problems);
                }
                NewCallback { data: Some(data), ..looked }
            }
            Err(answer) => return answer,
        },
        outcome => return answer_of(outcome, delivery, deps).await,
    };
    answer_of(take_callback(&deps.store, &callback).await, delivery, deps).await
}

fn data_of(delivery: &Delivery) -> Result<Value, Answer> {
    let configuration = WebhookConfiguration::read(&json!({ "authentication": "none" }));
    let configuration = configuration.map_err(|_| Answer::Unavailable)?;
    read_data(delivery, &configuration, &|_| false)
}

/// The problems of the body, by the schema that its author demands. A schema was compiled when its workflow was
/// applied; one that a later version refuses demands nothing.
fn problems_of(schema: Option<&Value>, data: &Value, execution_id: ExecutionId) -> Vec<String> {
    match schema.map(Schema::new) {
        Some(Ok(schema)) => schema.problems(&data["body"]),
        Some(Err(_)) => {
            // The error would name words of the author.
            tracing::warn!(%execution_id, "the schema of a callback can't be used, and is left out");
            Vec::new()
        }
        None => Vec::new(),
    }
}

async fn answer_of(outcome: Result<CallbackOutcome, StoreError>, delivery: &Delivery, deps: &Deps) -> Answer {
    let now = deps.clock.now();
    match outcome {
        Ok(CallbackOutcome::Taken(held)) => {
            let HeldWake { execution_id, organization_id } = held;
            tracing::info!(%execution_id, %organization_id, "a callback was taken");
            if !deps.queue.send(vec![Outgoing::now(organization_id, held.wake())]).await.unsent.is_empty() {
                tracing::warn!(%execution_id, "the wake was not sent; the sweeper sends it again");
            }
            deps.cache.insert(&delivery.address, None, now);
            Answer::CallbackTaken
        }
        Ok(CallbackOutcome::Gone) => {
            deps.cache.insert(&delivery.address, None, now);
            Answer::CallbackGone
        }
        Ok(CallbackOutcome::WrongMethod) => Answer::CallbackMethod,
        Ok(CallbackOutcome::Suspended) => Answer::Suspended,
        // It was asked to store, and not to look.
        Ok(CallbackOutcome::Open { .. }) => Answer::Unavailable,
        Err(error) => unavailable(&error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_names_its_execution() {
        let id = ExecutionId::from_u128(0x0123_4567_89ab_cdef);
        let address = format!("{}{}", id.0.simple(), Uuid::from_u128(1).simple());
        assert_eq!(execution_of(&address), Some(id));
        assert_eq!(execution_of(&address[1..]), None);
        assert_eq!(execution_of(&address.to_uppercase()), None);
        assert_eq!(execution_of(&format!("{address}0")), None);
    }
}
