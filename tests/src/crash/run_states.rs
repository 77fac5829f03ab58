//! The API's account of runs while everything goes wrong: a run that has ended stays as it ended.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use local::sealflow::Sealflow;
use tokio::task::AbortHandle;

use super::checker::Violation;
use super::tended;

const LOOK_PAUSE: Duration = Duration::from_millis(250);

/// Looks at the newest runs, until it is dropped.
pub(super) struct RunStates {
    seen: Arc<Seen>,
    task: AbortHandle,
}

#[derive(Default)]
struct Seen {
    ended: Mutex<BTreeMap<String, String>>,
    changed: Mutex<Vec<String>>,
}

impl RunStates {
    pub(super) fn watch(sealflow: Arc<Sealflow>) -> Self {
        let seen = Arc::new(Seen::default());
        let shared = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            loop {
                shared.look(&sealflow).await;
                tokio::time::sleep(LOOK_PAUSE).await;
            }
        });
        Self { seen, task: task.abort_handle() }
    }

    /// Runs that were seen to have ended, and what is wrong about them.
    pub(super) fn found(&self) -> (usize, Vec<Violation>) {
        let changed = lock(&self.seen.changed).clone();
        let rule = "I8: a run that has ended stays as it ended";
        (lock(&self.seen.ended).len(), changed.into_iter().map(|place| Violation { rule, place }).collect())
    }
}

impl Drop for RunStates {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Seen {
    async fn look(&self, sealflow: &Sealflow) {
        // While the database is down nothing is said, and so nothing wrong.
        let Ok((200, answer)) = sealflow.get("/v1/runs?limit=200").await else { return };
        for run in answer["runs"].as_array().into_iter().flatten() {
            // A redrive runs a run on that has ended.
            if run["workflow_name"].as_str().is_some_and(|name| name.starts_with(tended::NAME)) {
                continue;
            }
            let id = run["id"].as_str().unwrap_or_default();
            let state = run["result"].as_str().or(run["state"].as_str()).unwrap_or_default();
            let mut ended = lock(&self.ended);
            match ended.get(id) {
                Some(known) if known != state => {
                    lock(&self.changed).push(format!("{id} was {known} and is {state}"));
                }
                None if state != "running" => drop(ended.insert(id.to_owned(), state.to_owned())),
                _ => {}
            }
        }
    }
}

/// Violations: runs without open work that only the sweeper ended. The transaction that ended their
/// last work should have ended them.
pub(super) fn left_to_the_sweeper(logs: &Path) -> Vec<Violation> {
    let log = std::fs::read(logs.join("sweeper.log")).unwrap_or_default();
    let text = String::from_utf8_lossy(&log);
    let lines = text.lines().filter(|line| line.contains("the run had nothing open and was not ended"));
    let rule = "I8: whoever ends the last work of a run ends the run";
    lines.map(|line| Violation { rule, place: line.to_owned() }).collect()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
