//! The executor's statements: claim with a lease, finish, and end executions that may not start.

mod claim;
mod definitions;
mod end;
mod finish;
mod turns;

pub use claim::{
    AllowedRef, ClaimScope, ClaimTerms, ClaimedExecution, ExecutionClaims, Refusal, RefusedExecution,
    StoredSecret, claim_executions,
};
pub use definitions::{StoredEdges, load_edges};
pub use end::{EndedExecution, end_unstartable};
pub use finish::{
    FINISH_WAIT_MILLIS, FinishKind, FinishRow, FinishedBatch, FinishedExecution, NewOutput, finish_executions,
};
pub use turns::{SOON_MILLIS, Turn, take_turns};
