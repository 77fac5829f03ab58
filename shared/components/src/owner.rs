//! Owners: they stay open over parts of the run that are runs of their own.

use domain::execution::ExecutionResult;
use domain::outcome::Failure;
use domain::redactions::Redactions;
use jiff::Timestamp;
use serde_json::Value;

use crate::component::Component;
use crate::held::Step;

/// A component that owns sub-runs. An edge from [`Owner::inner_channel`] leads into them, and an edge
/// back to the node returns from one. Its functions are plain ones, which the builder calls within
/// its transactions. No field of the component may hold a secret.
pub trait Owner: Component {
    /// The channel on which sub-runs begin; None: it calls a run of another workflow.
    fn inner_channel(&self) -> Option<&'static str>;

    /// The results that its wakes look at.
    fn results(&self) -> Results;

    /// The JSON pointer of a condition that is asked of each event that returns, and not of the event
    /// that opens an execution.
    fn condition(&self) -> Option<&'static str> {
        None
    }

    /// Whether an open execution is to call a run: then it is not woken before that.
    fn is_to_call(&self, _held: &Value) -> bool {
        false
    }

    /// Opens an execution.
    ///
    /// # Errors
    /// [`Failure`] where the resolved configuration is not valid, or the condition can't be answered.
    fn open(&self, configuration: &Value, opening: OwnerOpening<'_>) -> Result<OwnerStep, Failure>;

    /// Goes on: sub-runs have ended, or the time has come.
    fn wake(&self, held: &Value, woken: &Owned<'_>) -> OwnerStep;
}

/// The results that an owner looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Results {
    /// All of them, when none runs and no more is to be started. Of several events that return, the
    /// last one counts.
    All,
    /// The last one, as soon as it is there: what comes after the owner looks back along it. Of several
    /// events that return, the first one counts.
    Last,
    /// The end of the one run that it called, which is no part of its own run.
    Called,
}

/// The input of an opening.
pub struct OwnerOpening<'a> {
    /// Now.
    pub now: Timestamp,
    /// Answers [`Owner::condition`] for the event that opens the execution.
    pub condition: &'a mut dyn FnMut() -> Result<bool, Failure>,
}

/// The result of `open` or `wake`.
#[derive(Clone, Debug, PartialEq)]
pub struct OwnerStep {
    /// The sub-runs to start.
    pub starts: Vec<SubRunStart>,
    /// Whether the running sub-runs are to be stopped.
    pub stops: bool,
    /// The step of the execution itself. It ends only when no sub-run runs.
    pub step: Step,
}

impl OwnerStep {
    /// A step that starts and stops nothing.
    #[must_use]
    pub fn of(step: Step) -> Self {
        Self { starts: Vec::new(), stops: false, step }
    }
}

/// A sub-run that begins.
#[derive(Clone, Debug, PartialEq)]
pub struct SubRunStart {
    /// Its number among those of its owner.
    pub iteration: i32,
    /// The data of its first event.
    pub data: Value,
    /// The places of the data that were blanked.
    pub redactions: Option<Redactions>,
}

/// The input of a wake.
#[derive(Clone, Copy, Debug)]
pub struct Owned<'a> {
    /// Now.
    pub now: Timestamp,
    /// Whether the requested time has come.
    pub is_time: bool,
    /// The resolved configuration with which the execution was opened.
    pub configuration: &'a Value,
    /// The sub-runs that have ended since the last step.
    pub ended: &'a [EndedSubRun],
    /// The sub-runs that still run.
    pub running: usize,
    /// The ended sub-runs that the owner looks at, in their order and with their data
    /// ([`Owner::results`]): all of them where it may end, and none before; or the last two; or the run
    /// that it called.
    pub results: &'a [EndedSubRun],
}

/// A sub-run that has ended.
#[derive(Clone, Debug, PartialEq)]
pub struct EndedSubRun {
    /// Its number among those of its owner.
    pub iteration: i32,
    /// Its result.
    pub result: ExecutionResult,
    /// Whether an edge led back to the owner.
    pub has_returned: bool,
    /// Whether the condition held for the event that returned.
    pub is_condition_met: bool,
    /// The data of the event that returned; None: nothing returned, or all data is too much.
    pub data: Option<Value>,
    /// The places of its data that were blanked.
    pub redactions: Option<Redactions>,
    /// The failure for which it failed: `{reason, message, node}`.
    pub error: Option<Value>,
}
