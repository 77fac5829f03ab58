//! Ids, with a type of its own for each table, so that they can't be confused.

/// Defines ids: UUIDs, each kind a type of its own. An id is written, read and stored as its UUID.
macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
        )]
        #[serde(transparent)]
        #[cfg_attr(feature = "postgres", derive(postgres_types::ToSql, postgres_types::FromSql))]
        #[cfg_attr(feature = "postgres", postgres(transparent))]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(inline))]
        pub struct $name(pub uuid::Uuid);

        impl $name {
            /// The id with this number, for tests.
            #[must_use]
            pub const fn from_u128(number: u128) -> Self {
                Self(uuid::Uuid::from_u128(number))
            }
        }

        impl From<uuid::Uuid> for $name {
            fn from(id: uuid::Uuid) -> Self {
                Self(id)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    )*};
}

ids! {
    /// The id of a tenant: `organizations.id`. It decides which tenant's rows are reached, so its
    /// source must be trusted.
    OrganizationId;
    /// The id of a workflow: `workflows.id`.
    WorkflowId;
    /// The id of a run: the id of its root event.
    RunId;
    /// The id of an event: `workflow_events.id`.
    EventId;
    /// The id of a queue item: `workflow_node_queue_items.id`.
    ItemId;
    /// The id of an execution: `workflow_node_executions.id`.
    ExecutionId;
    /// The lease of a claim: `workflow_node_executions.lease_token`. Only the claim that holds the
    /// lease records an outcome.
    LeaseToken;
    /// The id of a search key: `workflow_node_execution_kvs.id`.
    KeyId;
    /// The id of a cause for which a held execution is woken: `workflow_execution_wakes.id`.
    CauseId;
    /// The id of a call of a held execution: `workflow_execution_calls.id`.
    CallId;
    /// The id of a webhook: `webhooks.id`.
    WebhookId;
    /// The id of an API token: `api_tokens.id`.
    TokenId;
    /// The id of a line of the audit log: `audit_log.id`.
    AuditLineId;
}

impl From<EventId> for RunId {
    fn from(root: EventId) -> Self {
        Self(root.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_written_as_the_uuid_that_it_is() {
        let id = OrganizationId::from_u128(7);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(serde_json::to_value(id).unwrap(), id.to_string());
    }
}
