//! Queries. A field of a closed set is read as text: the API's own sentence says which words there
//! are.

#[cfg(feature = "openapi")]
use domain::execution::{ExecutionResult, ExecutionState, ResultReason};
#[cfg(feature = "openapi")]
use domain::run::RunState;
use serde::{Deserialize, Serialize};

/// Defines the query of a list: its filters, and the page.
macro_rules! queries {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $type,)*
            /// The `next_cursor` of the page before.
            pub cursor: Option<String>,
            /// Rows of the page, 1 to 200; 50 if not given.
            pub limit: Option<u32>,
        }
    )*};
}

queries! {
    /// The query of a list that has no filters.
    PageQuery {}
    /// The query of the list of runs.
    RunQuery {
        /// Only of this workflow, by id or name.
        workflow: Option<String>,
        /// Only of this trigger node.
        node: Option<String>,
        /// Only in this state.
        #[cfg_attr(feature = "openapi", schemars(with = "Option<RunState>"))]
        state: Option<String>,
        /// Only with this result.
        #[cfg_attr(feature = "openapi", schemars(with = "Option<ExecutionResult>"))]
        result: Option<String>,
        /// Only those whose name begins with this.
        name: Option<String>,
        /// Only those that began at this time or later (RFC 3339).
        since: Option<String>,
        /// The sub-runs that this execution owns, in place of top runs.
        parent: Option<String>,
    }
    /// The query of the list of executions.
    ExecutionQuery {
        /// Only of this workflow, by id or name.
        workflow: Option<String>,
        /// Only of this node.
        node: Option<String>,
        /// Only in this state.
        #[cfg_attr(feature = "openapi", schemars(with = "Option<ExecutionState>"))]
        state: Option<String>,
        /// Only with this result.
        #[cfg_attr(feature = "openapi", schemars(with = "Option<ExecutionResult>"))]
        result: Option<String>,
        /// Only with this search key; with `value`, both of one key.
        key: Option<String>,
        /// Only with this value of a search key.
        value: Option<String>,
        /// Only those that run inside of this execution.
        parent: Option<String>,
        /// Only of events that this execution emitted.
        previous: Option<String>,
        /// Only of this run.
        run: Option<String>,
        /// Only those whose state changed at this time or later (RFC 3339).
        updated_since: Option<String>,
    }
    /// The query of the list of dead letters.
    DeadLetterQuery {
        /// Only of this workflow, by id or name.
        workflow: Option<String>,
        /// Only of this node.
        node: Option<String>,
        /// Only with this reason.
        #[cfg_attr(feature = "openapi", schemars(with = "Option<ResultReason>"))]
        reason: Option<String>,
        /// Only of this run.
        run: Option<String>,
    }
    /// The query of the list of events.
    EventQuery {
        /// Only of this workflow, by id or name.
        workflow: Option<String>,
        /// Only from this node.
        node: Option<String>,
        /// Only of this run.
        run: Option<String>,
        /// Only on this channel.
        channel: Option<String>,
    }
    /// The query of the audit log.
    AuditQuery {
        /// Only of this action, such as `secrets:write`.
        action: Option<String>,
        /// Only of the token or member of this name.
        actor: Option<String>,
        /// Only of the object with this id or name.
        object: Option<String>,
        /// Only those at this time or later (RFC 3339).
        since: Option<String>,
    }
    /// The query of the list of webhooks.
    WebhookQuery {
        /// Only of this workflow, by id or name.
        workflow: Option<String>,
    }
    /// The query of the list of waiting items.
    QueueItemQuery {
        /// Only of this workflow, by id or name.
        workflow: Option<String>,
        /// Only at this node.
        node: Option<String>,
        /// Only of this run.
        run: Option<String>,
    }
}

/// The query of an apply.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ApplyQuery {
    /// The version that the caller knows; 0: there is none yet. With another one the answer is 409.
    pub expected_version: Option<i64>,
    /// Whether nothing is written, and the answer says what would change.
    #[serde(default)]
    pub check: bool,
}

/// The query of an apply of a blueprint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CheckQuery {
    /// Whether nothing is written, and the answer says what would be.
    #[serde(default)]
    pub check: bool,
}

/// The query of an upgrade of a blueprint's users.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct UpgradeQuery {
    /// Only this workflow, by id or name.
    pub workflow: Option<String>,
    /// `next_cursor` of the answer before.
    pub cursor: Option<String>,
    /// Whether nothing is written, and the answer says what would be.
    #[serde(default)]
    pub check: bool,
}

/// The query that ends an organization.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct DeleteOrganizationQuery {
    /// The organization's name, repeated. It must be given.
    pub name: Option<String>,
}
