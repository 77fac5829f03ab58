//! Arrivals at joins. They are decided under the lock of their run, after the plan: a run has one open
//! execution of a join, and each event that arrives is recorded with it.

use std::collections::HashMap;

use domain::ids::{EventId, ExecutionId, RunId};
use domain::limits::EVENT_DATA_BYTES_MAX;
use jiff::Timestamp;
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

use super::write::NewExecution;
use crate::runs::{AskedJoin, EndedWork};
use crate::types::{collect, column};
use crate::{JsonText, StoreError, Tx};

/// An event that arrives at a join.
#[derive(Clone, Debug)]
pub struct NewArrival {
    /// The execution that it opens where none is open.
    pub execution: NewExecution,
    /// The node that the event comes from.
    pub source_node_id: String,
    /// The place of that node's edge among those that enter the join.
    pub source_order: i32,
    /// Whether the event ends the join.
    pub stops: bool,
    /// The joins that are reached from this one, itself among them.
    pub merges: Vec<String>,
}

impl NewArrival {
    fn place(&self) -> (RunId, &str) {
        (self.execution.run_id, &self.execution.node.1)
    }
}

/// The facts of an arrival's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    last: LastJoin,
    /// Whether the arrival is the redrive of a join itself: then its event is one that had arrived.
    is_of_join: bool,
}

/// The last join of an arrival's run and node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LastJoin {
    /// The node had none in this run, or in an earlier generation only.
    None,
    /// It is open.
    Open(ExecutionId),
    /// It has ended.
    Ended {
        id: ExecutionId,
        /// Whether the arrival comes from a redrive that was made after the join had ended.
        is_redriven: bool,
    },
}

/// The records of arrivals.
#[derive(Debug, Default)]
pub(super) struct Arrivals<'a> {
    /// The executions to open.
    pub(super) opened: Vec<&'a NewExecution>,
    /// The arrivals of an ended join that a new one takes over.
    taken_over: Vec<TakenOver<'a>>,
    rows: Vec<ArrivedRow<'a>>,
    /// The joins that may decide.
    asked: Vec<AskedJoin>,
}

/// The last events of an ended join, which a new one has too.
#[derive(Debug)]
struct TakenOver<'a> {
    from: ExecutionId,
    to: ExecutionId,
    /// The source whose event is new; empty where the join itself was redriven.
    but: &'a str,
}

#[derive(Debug)]
struct ArrivedRow<'a> {
    execution_id: ExecutionId,
    arrival: &'a NewArrival,
    is_late: bool,
    stops: bool,
}

/// Decides for each arrival: it opens a join, goes into the open one, or is late.
fn decide<'a>(arrivals: &'a [NewArrival], places: &[Place]) -> Arrivals<'a> {
    let mut decided = Arrivals::default();
    let mut opened: HashMap<(RunId, &str), ExecutionId> = HashMap::new();
    for (arrival, Place { last, is_of_join }) in arrivals.iter().zip(places) {
        let place = arrival.place();
        let own = arrival.execution.id;
        let (execution_id, is_late) = match (opened.get(&place).copied(), *last) {
            (Some(id), _) | (None, LastJoin::Open(id)) => (id, false),
            (None, LastJoin::Ended { id, is_redriven: false }) => (id, true),
            (None, LastJoin::None) => (own, false),
            (None, LastJoin::Ended { id, is_redriven: true }) => {
                let but = if *is_of_join { "" } else { arrival.source_node_id.as_str() };
                decided.taken_over.push(TakenOver { from: id, to: own, but });
                (own, false)
            }
        };
        if execution_id == own {
            opened.insert(place, own);
            decided.opened.push(&arrival.execution);
        }
        // `stop_if` is asked of nothing again.
        let stops = arrival.stops && !is_of_join;
        decided.rows.push(ArrivedRow { execution_id, arrival, is_late, stops });
        // A late arrival goes no further: the joins behind may have waited for it.
        let asked = arrival.merges.iter().filter(|id| is_late || id.as_str() == place.1);
        decided.asked.extend(asked.map(|id| AskedJoin { run_id: place.0, node_id: id.clone() }));
    }
    decided
}

/// Reads the last join of each arrival and decides. The runs are locked.
///
/// # Errors
/// See [`StoreError`].
pub(super) async fn find_joins<'a>(tx: &Tx, arrivals: &'a [NewArrival]) -> Result<Arrivals<'a>, StoreError> {
    if arrivals.is_empty() {
        return Ok(Arrivals::default());
    }
    let run_ids: Vec<RunId> = arrivals.iter().map(|arrival| arrival.execution.run_id).collect();
    let workflow_ids = collect(arrivals, |arrival| arrival.execution.node.0);
    let node_ids = collect(arrivals, |arrival| arrival.execution.node.1.as_str());
    let event_ids: Vec<EventId> = arrivals.iter().map(|arrival| arrival.execution.event_id).collect();
    let rows = tx
        .query_with(
            FIND_JOINS,
            [
                (&run_ids, Type::UUID_ARRAY),
                (&workflow_ids, Type::UUID_ARRAY),
                (&node_ids, Type::TEXT_ARRAY),
                (&event_ids, Type::UUID_ARRAY),
                (&(domain::limits::RUN_DEPTH_MAX + 1), Type::INT4),
            ],
        )
        .await?;
    let places: Vec<Place> = rows.iter().map(place).collect::<Result<_, _>>()?;
    if places.len() != arrivals.len() {
        return Err(StoreError::Conflict("not every join was found"));
    }
    Ok(decide(arrivals, &places))
}

fn place(row: &Row) -> Result<Place, StoreError> {
    let id: Option<ExecutionId> = column(row, "execution_id")?;
    let last = match id {
        None => LastJoin::None,
        Some(id) if column(row, "is_open")? => LastJoin::Open(id),
        Some(id) => LastJoin::Ended { id, is_redriven: column(row, "is_redriven")? },
    };
    Ok(Place { last, is_of_join: column(row, "is_of_join")? })
}

/// Joins of one place follow each other: the last one is open, or has the greatest id. Whether an event comes
/// from a redrive is asked for late ones alone, up the chain of its events.
const FIND_JOINS: &str = "/* find_joins */
    SELECT last.execution_id, coalesce(last.is_open, false) AS is_open,
        CASE WHEN NOT last.is_open THEN EXISTS (
            WITH RECURSIVE chain AS (
                SELECT ev.type, ev.created_at, ev.execution_id, 1 AS distance
                FROM workflow_events ev WHERE ev.id = t.event_id
                UNION ALL
                SELECT ev.type, ev.created_at, ev.execution_id, chain.distance + 1
                FROM chain
                JOIN workflow_node_executions x ON x.id = chain.execution_id
                JOIN workflow_events ev ON ev.id = x.event_id
                WHERE chain.distance < $5::int AND chain.created_at > last.finished_at)
            SELECT FROM chain WHERE type = 'redrive' AND created_at > last.finished_at)
        ELSE false END AS is_redriven,
        (SELECT true FROM workflow_node_executions r
         CROSS JOIN LATERAL (
             SELECT true FROM execution_joins j WHERE j.execution_id = r.id LIMIT 1) j
         WHERE r.redriven_event_id = t.event_id AND r.node_id = t.node_id
         LIMIT 1) IS NOT NULL AS is_of_join
    FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::uuid[]) WITH ORDINALITY
        AS t (run_id, workflow_id, node_id, event_id, nth)
    LEFT JOIN LATERAL (
        SELECT x.id AS execution_id, coalesce(x.state, '') = 'held' AS is_open, x.finished_at
        FROM (
            (SELECT x.id AS execution_id FROM workflow_node_executions x
             WHERE x.run_id = t.run_id AND x.node_id = t.node_id
               AND x.state = 'held' AND x.component = 'merge')
            UNION ALL
            (SELECT j.execution_id FROM execution_joins j
             WHERE j.run_id = t.run_id AND j.node_id = t.node_id
             ORDER BY j.run_id, j.node_id, j.execution_id DESC LIMIT 1)) j
        JOIN workflow_node_executions x ON x.id = j.execution_id
        JOIN workflow_nodes n ON n.workflow_id = t.workflow_id AND n.node_id = t.node_id
            AND n.generation = x.node_generation
        ORDER BY coalesce(x.state, '') <> 'held' LIMIT 1) last ON true
    ORDER BY t.nth";

/// Records the arrivals, after the executions that they open. A join that is opened for a redrive takes
/// over the last events of the other sources; of all of them, where the join itself was redriven. Then
/// none of them ends it again.
///
/// # Errors
/// See [`StoreError`].
pub(super) async fn record_arrivals(
    tx: &Tx,
    arrivals: &Arrivals<'_>,
    now: Timestamp,
) -> Result<(), StoreError> {
    // The new event comes last, but that of a redriven join, which is one of those taken over.
    let (of_joins, of_nodes): (Vec<_>, Vec<_>) =
        arrivals.taken_over.iter().partition(|taken| taken.but.is_empty());
    let ((), recorded, ()) = futures_util::try_join!(
        take_over(tx, &of_nodes),
        record(tx, &arrivals.rows, now),
        take_over(tx, &of_joins),
    )?;
    if recorded == arrivals.rows.len() {
        Ok(())
    } else {
        Err(StoreError::Conflict("not every arrival was recorded"))
    }
}

async fn take_over(tx: &Tx, taken: &[&TakenOver<'_>]) -> Result<(), StoreError> {
    let from = collect(taken, |taken| taken.from);
    let to = collect(taken, |taken| taken.to);
    let but = collect(taken, |taken| taken.but);
    let params: [(&(dyn ToSql + Sync), Type); 3] =
        [(&from, Type::UUID_ARRAY), (&to, Type::UUID_ARRAY), (&but, Type::TEXT_ARRAY)];
    tx.query_unless_empty(taken, TAKE_OVER, params).await.map(drop)
}

async fn record(tx: &Tx, rows: &[ArrivedRow<'_>], now: Timestamp) -> Result<usize, StoreError> {
    if rows.is_empty() {
        return Ok(0);
    }
    let recorded = tx
        .query(
            RECORD,
            &[
                (&collect(rows, |row| row.execution_id), Type::UUID_ARRAY),
                (&collect(rows, |row| row.arrival.execution.event_id), Type::UUID_ARRAY),
                (&collect(rows, |row| row.arrival.execution.node.0), Type::UUID_ARRAY),
                (&collect(rows, |row| row.arrival.execution.run_id), Type::UUID_ARRAY),
                (&collect(rows, |row| row.arrival.execution.root_event_id), Type::UUID_ARRAY),
                (&collect(rows, |row| row.arrival.execution.node.1.as_str()), Type::TEXT_ARRAY),
                (&collect(rows, |row| row.arrival.source_node_id.as_str()), Type::TEXT_ARRAY),
                (&collect(rows, |row| row.arrival.source_order), Type::INT4_ARRAY),
                (&collect(rows, |row| row.stops), Type::BOOL_ARRAY),
                (&collect(rows, |row| row.is_late), Type::BOOL_ARRAY),
                (&now, Type::TIMESTAMPTZ),
            ],
        )
        .await?;
    Ok(recorded.len())
}

const TAKE_OVER: &str = "/* take_over_arrivals */
    INSERT INTO execution_joins
        (execution_id, event_id, workflow_id, run_id, root_event_id, node_id, source_node_id,
         source_order, stops, is_late, created_at)
    SELECT t.to_id, j.event_id, j.workflow_id, j.run_id, j.root_event_id, j.node_id,
        j.source_node_id, j.source_order, j.stops AND t.but <> '', false, j.created_at
    FROM unnest($1::uuid[], $2::uuid[], $3::text[]) AS t (from_id, to_id, but)
    CROSS JOIN LATERAL (
        SELECT DISTINCT ON (j.source_node_id) j.* FROM execution_joins j
        WHERE j.execution_id = t.from_id AND j.source_node_id <> t.but
        ORDER BY j.source_node_id, j.arrived DESC) j
    ORDER BY j.arrived";

const RECORD: &str = "/* record_arrivals */
    INSERT INTO execution_joins
        (execution_id, event_id, workflow_id, run_id, root_event_id, node_id, source_node_id,
         source_order, stops, is_late, created_at)
    SELECT t.execution_id, t.event_id, t.workflow_id, t.run_id, t.root_event_id, t.node_id,
        t.source_node_id, t.source_order, t.stops, t.is_late, $11::timestamptz
    FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::uuid[], $6::text[], $7::text[],
                $8::int[], $9::bool[], $10::bool[]) WITH ORDINALITY
        AS t (execution_id, event_id, workflow_id, run_id, root_event_id, node_id, source_node_id,
              source_order, stops, is_late, nth)
    ORDER BY t.nth
    RETURNING event_id";

impl EndedWork {
    /// The ended work of a batch together with its arrivals: their runs may have nothing else open.
    pub(super) fn with_arrivals(&self, arrivals: &Arrivals<'_>) -> Self {
        let mut all = self.clone();
        all.runs.extend(arrivals.rows.iter().map(|row| row.arrival.execution.run_id));
        all.joins.extend(arrivals.asked.iter().cloned());
        all
    }
}

/// A join that is woken.
#[derive(Clone, Debug, Default)]
pub struct WokenJoin {
    /// Whether something may still arrive.
    pub is_open: bool,
    /// The last event of each source that has arrived, in the order of the edges.
    pub arrived: Vec<ArrivedEvent>,
}

/// An event that has arrived at an open join.
#[derive(Clone, Debug)]
pub struct ArrivedEvent {
    /// The node that it comes from.
    pub source_node_id: String,
    /// Its data; None: the events have more data than one event may.
    pub data: Option<JsonText>,
    /// Places of its data that were blanked.
    pub redactions: Option<JsonText>,
    /// Whether this or an earlier event of its source ends the join.
    pub stops: bool,
}

/// The joins of `ids`, each with whether something may still arrive: an item waits at it or at a node
/// before it, or an execution before it is unfinished.
pub(super) async fn read_joins(tx: &Tx, ids: &[ExecutionId]) -> Result<Vec<(ExecutionId, bool)>, StoreError> {
    let rows = tx.query_with(READ_JOINS, [(&ids, Type::UUID_ARRAY)]).await?;
    rows.iter().map(|row| Ok((column(row, "id")?, column(row, "is_open")?))).collect()
}

const READ_JOINS: &str = "/* read_joins */
    SELECT x.id, EXISTS (
            SELECT FROM workflow_node_queue_items i
            CROSS JOIN LATERAL (
                SELECT n.merges FROM workflow_nodes n
                WHERE n.workflow_id = i.workflow_id AND n.node_id = i.node_id OFFSET 0) n
            WHERE i.run_id = x.run_id AND x.node_id = ANY(n.merges))
        OR EXISTS (
            SELECT FROM workflow_node_executions o
            CROSS JOIN LATERAL (
                SELECT n.merges FROM workflow_nodes n
                WHERE n.workflow_id = o.workflow_id AND n.node_id = o.node_id OFFSET 0) n
            WHERE o.run_id = x.run_id AND o.state <> 'finished' AND o.id <> x.id
              AND x.node_id = ANY(n.merges)) AS is_open
    FROM workflow_node_executions x
    WHERE x.id = ANY($1::uuid[]) AND coalesce(x.state, '') = 'held' AND x.component = 'merge'";

/// The last event of each source of the joins among `ids`.
pub(super) async fn read_arrived(
    tx: &Tx,
    ids: &[ExecutionId],
) -> Result<Vec<(ExecutionId, ArrivedEvent)>, StoreError> {
    let most = i64::try_from(EVENT_DATA_BYTES_MAX).unwrap_or(i64::MAX);
    let rows = tx.query_with(READ_ARRIVED, [(&ids, Type::UUID_ARRAY), (&most, Type::INT8)]).await?;
    let arrived = |row: &Row| {
        let event = ArrivedEvent {
            source_node_id: column(row, "source_node_id")?,
            data: column(row, "data")?,
            redactions: column(row, "redactions")?,
            stops: column(row, "stops")?,
        };
        Ok((column(row, "execution_id")?, event))
    };
    rows.iter().map(arrived).collect()
}

/// The text of jsonb is up to half longer than what an event counts, so twice an event's bytes are
/// read, and no more.
const READ_ARRIVED: &str = "/* read_arrived */
    WITH arrived AS MATERIALIZED (
        SELECT DISTINCT ON (j.execution_id, j.source_node_id) j.execution_id, j.source_node_id,
            j.source_order, j.event_id,
            bool_or(j.stops) OVER (PARTITION BY j.execution_id, j.source_node_id) AS stops
        FROM execution_joins j
        WHERE j.execution_id = ANY($1::uuid[]) AND NOT j.is_late
        ORDER BY j.execution_id, j.source_node_id, j.arrived DESC),
    sized AS MATERIALIZED (
        SELECT arrived.*,
            sum(octet_length(ev.data::text)) OVER (PARTITION BY arrived.execution_id) AS bytes
        FROM arrived JOIN workflow_events ev ON ev.id = arrived.event_id)
    SELECT sized.execution_id, sized.source_node_id, sized.stops,
        CASE WHEN sized.bytes <= 2 * $2::int8 THEN ev.data END AS data,
        CASE WHEN sized.bytes <= 2 * $2::int8 THEN ev.redactions END AS redactions
    FROM sized JOIN workflow_events ev ON ev.id = sized.event_id
    ORDER BY sized.execution_id, sized.source_order, sized.source_node_id";
