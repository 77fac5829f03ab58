//! What comes to the address of a `wait_for_callback`: it is stored once, and only then its wake is sent.

use components::address_digest;
use components::webhook::WebhookConfiguration;
use domain::ids::ExecutionId;
use queue::Outgoing;
use serde_json::json;
use store::callbacks::{CallbackOutcome, NewCallback, take_callback};
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
    let Ok(configuration) = WebhookConfiguration::read(&json!({ "authentication": "none" })) else {
        return Answer::Unavailable;
    };
    let data = match read_data(delivery, &configuration, &|_| false) {
        Ok(data) => data,
        Err(answer) => return answer,
    };
    let callback = NewCallback {
        id: deps.ids.next(now),
        execution_id,
        address_sha256: address_digest(&delivery.address),
        method: delivery.method.as_str().to_owned(),
        data,
    };
    match take_callback(&deps.store, &callback).await {
        Ok(CallbackOutcome::Taken(held)) => {
            tracing::info!(%execution_id, organization_id = %held.organization_id, "a callback was taken");
            let wake = Outgoing::now(held.organization_id, held.wake());
            if !deps.queue.send(vec![wake]).await.unsent.is_empty() {
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
