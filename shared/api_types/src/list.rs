//! Pages of lists: the rows under the resource's name, and the cursor of the next page.

use serde::{Deserialize, Serialize};

use crate::{
    Approval, AuditLine, Blueprint, DeadLetter, Event, Execution, QueueItem, Run, Secret, Token, Workflow,
};

/// Defines the page of a list.
macro_rules! lists {
    ($($(#[$doc:meta])* $name:ident { $rows:ident: $row:ty };)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
        pub struct $name {
            /// The rows, newest first unless the list says otherwise.
            pub $rows: Vec<$row>,
            /// The cursor of the next page; null on the last page.
            pub next_cursor: Option<String>,
        }

        impl From<(Vec<$row>, Option<String>)> for $name {
            fn from(($rows, next_cursor): (Vec<$row>, Option<String>)) -> Self {
                Self { $rows, next_cursor }
            }
        }
    )*};
}

lists! {
    /// A page of workflows, without their definitions.
    WorkflowList { workflows: Workflow };
    /// A page of blueprints by name, each in its newest version.
    BlueprintList { blueprints: Blueprint };
    /// A page of runs.
    RunList { runs: Run };
    /// A page of executions.
    ExecutionList { executions: Execution };
    /// A page of approvals that wait.
    ApprovalList { approvals: Approval };
    /// A page of dead letters.
    DeadLetterList { dead_letters: DeadLetter };
    /// A page of events.
    EventList { events: Event };
    /// A page of waiting items.
    QueueItemList { queue_items: QueueItem };
    /// A page of secrets.
    SecretList { secrets: Secret };
    /// A page of members; their names are e-mail addresses.
    MemberList { members: Token };
    /// A page of the audit log.
    AuditList { audit: AuditLine };
    /// A page of tokens.
    TokenList { tokens: Token };
}
