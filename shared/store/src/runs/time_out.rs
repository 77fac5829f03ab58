//! The look at one run: its time-out, and the open work of a stopped run. A time-out stops a run as a
//! cancel does (`stop.rs`); `sweeper/runs.rs` finds overdue runs.

use domain::actor::Actor;
use domain::ids::{EventId, ExecutionId, OrganizationId, RunId};
use domain::limits::STOP_ROUND_ROWS_MAX;
use domain::message::Message;
use domain::run::{RunState, RunStop};
use jiff::Timestamp;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::stop::{LOCK, STOP, stop_below};
use crate::locks::wait_briefly;
use crate::types::{column, word};
use crate::{Store, StoreError, Tx};

/// The result of a look at a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunLook {
    /// Nothing of it is due.
    Over,
    /// It failed, and triggers of the type `on_error` are to be told.
    Failed,
    /// Its time-out comes in so many milliseconds.
    NotDue(OrganizationId, i64),
    /// It is stopped.
    Stopped {
        /// The organization.
        organization_id: OrganizationId,
        /// The wakes that end its open work.
        wakes: Vec<Message>,
        /// Whether more of its work may be open.
        is_full: bool,
    },
}

/// Stops a run whose time-out has come, and finds the open work of a stopped run, at most
/// [`STOP_ROUND_ROWS_MAX`] items and as many executions. The woken function reads the stop and ends
/// the work. Started executions end by themselves. A run of which nothing is due is not locked.
///
/// # Errors
/// See [`StoreError`]. The wait for another transaction at work on the run is short: then see
/// [`StoreError::is_lock_timeout`].
pub async fn look_at_run(
    store: &Store,
    run_id: RunId,
    by: &Actor,
    now: Timestamp,
) -> Result<RunLook, StoreError> {
    let rows = store.query(READ, &[(&run_id, Type::UUID)]).await?;
    match facts(&rows)? {
        None => return Ok(RunLook::Over),
        Some((_, Due::Told)) => return Ok(RunLook::Failed),
        Some((organization_id, Due::In(millis))) if millis > 0 => {
            return Ok(RunLook::NotDue(organization_id, millis));
        }
        Some(_) => {}
    }
    let by = by.to_string();
    let by = &by;
    store.run_tx("look_at_run", |tx| async move { look_in(&tx, run_id, by, now).await }).await
}

async fn look_in(tx: &Tx, run_id: RunId, by: &String, now: Timestamp) -> Result<RunLook, StoreError> {
    let (timeout, limit) = (RunStop::Timeout.as_str(), STOP_ROUND_ROWS_MAX);
    let (_, _, _, run, open) = futures_util::try_join!(
        wait_briefly(tx),
        tx.query_with(LOCK, [(&run_id, Type::UUID)]),
        tx.query_with(
            STOP,
            [(&run_id, Type::UUID), (&timeout, Type::TEXT), (by, Type::TEXT), (&now, Type::TIMESTAMPTZ)],
        ),
        tx.query_with(READ, [(&run_id, Type::UUID)]),
        tx.query_with(FIND_OPEN, [(&run_id, Type::UUID), (&limit, Type::INT8)]),
    )?;
    Ok(match facts(&run)? {
        None => RunLook::Over,
        Some((_, Due::Told)) => RunLook::Failed,
        Some((organization_id, Due::In(millis))) => RunLook::NotDue(organization_id, millis),
        Some((organization_id, Due::Stopped)) => {
            let mut wakes: Vec<Message> = open.iter().map(wake_of).collect::<Result<_, _>>()?;
            let below = stop_below(tx, &[run_id], now).await?;
            wakes.extend(below.into_iter().map(|(_, run_id)| Message::Run { run_id }));
            let is_full = i64::try_from(open.len()).unwrap_or(i64::MAX) >= limit;
            RunLook::Stopped { organization_id, is_full, wakes }
        }
    })
}

enum Due {
    /// Milliseconds until its time-out.
    In(i64),
    Stopped,
    /// Triggers are to be told that it failed.
    Told,
}

/// Reads the time-out or the stop of a run; None: it has neither, or has ended.
fn facts(rows: &[Row]) -> Result<Option<(OrganizationId, Due)>, StoreError> {
    let Some(run) = rows.first() else { return Ok(None) };
    let millis_left: Option<i64> = column(run, "millis_left")?;
    let due = match (word(run, "state")?, column(run, "is_stopped")?, millis_left) {
        (RunState::Finished, ..) if column(run, "is_told_of")? => Due::Told,
        (RunState::Finished, ..) | (RunState::Running, false, None) => return Ok(None),
        (RunState::Running, false, Some(millis)) => Due::In(millis),
        (RunState::Running, true, _) => Due::Stopped,
    };
    Ok(Some((column(run, "organization_id")?, due)))
}

const READ: &str = "/* look_at_run: read */
    SELECT organization_id, state, stop IS NOT NULL AS is_stopped,
        ceil(extract(epoch FROM due_at - statement_timestamp()) * 1000)::int8 AS millis_left,
        (SELECT true FROM failed_runs WHERE run_id = $1::uuid LIMIT 1) IS NOT NULL AS is_told_of
    FROM workflow_runs WHERE id = $1";

/// Finds the open work of a stopped run, and nothing of another run.
const FIND_OPEN: &str = "/* find_open_of_stopped */
    (SELECT i.event_id, NULL::uuid AS execution_id, false AS is_held
     FROM workflow_node_queue_items i JOIN workflow_runs r ON r.id = i.run_id AND r.stop IS NOT NULL
     WHERE i.run_id = $1::uuid
     LIMIT $2::int8)
    UNION ALL
    (SELECT NULL, x.id, coalesce(x.state, '') = 'held'
     FROM workflow_node_executions x JOIN workflow_runs r ON r.id = x.run_id AND r.stop IS NOT NULL
     WHERE x.run_id = $1 AND x.state <> 'finished' AND coalesce(x.state, '') IN ('pending', 'held')
     LIMIT $2)";

fn wake_of(row: &Row) -> Result<Message, StoreError> {
    let event_id: Option<EventId> = column(row, "event_id")?;
    if let Some(event_id) = event_id {
        return Ok(Message::Event { event_id });
    }
    let execution_id: ExecutionId = column(row, "execution_id")?;
    let is_held: bool = column(row, "is_held")?;
    Ok(if is_held { Message::Wake { execution_id } } else { Message::Execution { execution_id } })
}

/// Runs whose time-out comes within `seconds`, each with the seconds until then, which are the
/// delay of its message.
///
/// # Errors
/// See [`StoreError`].
pub async fn find_runs_due_soon(
    store: &Store,
    seconds: u32,
    rows_max: i64,
) -> Result<Vec<(OrganizationId, RunId, f64)>, StoreError> {
    let rows = store
        .query(
            "/* find_runs_due_soon */
             SELECT organization_id, id, extract(epoch FROM due_at - now())::float8 AS seconds_left
             FROM workflow_runs
             WHERE state = 'running' AND due_at IS NOT NULL AND stop IS NULL
               AND due_at > now() AND due_at <= now() + make_interval(secs => $1::float8)
             ORDER BY due_at LIMIT $2::int8",
            &[(&f64::from(seconds), Type::FLOAT8), (&rows_max, Type::INT8)],
        )
        .await?;
    rows.iter()
        .map(|row| Ok((column(row, "organization_id")?, column(row, "id")?, column(row, "seconds_left")?)))
        .collect()
}
