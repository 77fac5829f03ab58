use std::collections::BTreeMap;

use domain::ids::{EventId, ExecutionId, RunId, WorkflowId};
use domain::limits::{ANCESTORS_BYTES_MAX, CONFIGURATION_BYTES_MAX, EVENT_DATA_BYTES_MAX};
use domain::run::RunStop;
use jiff::Timestamp;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::lock::LimitKey;
use super::slots::{Slots, read_slots};
use super::sub_runs::RunOwner;
use crate::nodes::{NodeKey, key_arrays, node_key};
use crate::runs::LOCK_ENDED_RUNS;
use crate::types::{column, word_if_any};
use crate::{JsonText, StoreError, Tx};

/// The request for the rows that a batch's plan needs.
#[derive(Clone, Debug, Default)]
pub struct LoadRequest {
    /// The claimed items' events.
    pub event_ids: Vec<EventId>,
    /// Their runs.
    pub run_ids: Vec<RunId>,
    /// Runs for which a template mentions the root event's data.
    pub runs_with_data: Vec<RunId>,
    /// The ancestors that templates mention, by event.
    pub ancestors: Vec<AncestorRequest>,
    /// Limited nodes that the plan might go on with.
    pub downstream: Vec<NodeKey>,
    /// Workflows whose full nodes are looked for.
    pub workflow_ids: Vec<WorkflowId>,
    /// Nodes with a limit of visits, each with the run in which its visits are counted.
    pub visits: Vec<(RunId, String)>,
}

/// The ancestors of an event that are wanted.
#[derive(Clone, Debug)]
pub struct AncestorRequest {
    /// The event; it is its own ancestor at distance 1.
    pub event_id: EventId,
    /// Nodes whose nearest event is wanted.
    pub node_ids: Vec<String>,
    /// All ancestors up to this distance are wanted.
    pub distance_max: i32,
}

/// A claimed item's event.
#[derive(Clone, Debug)]
pub struct InputEvent {
    /// `workflow_events.id`
    pub id: EventId,
    /// The node that it comes from.
    pub node_id: String,
    /// Its type.
    pub event_type: String,
    /// Its data.
    pub data: JsonText,
    /// Events from the root down to it.
    pub depth: i32,
    /// The execution that emitted it.
    pub execution_id: Option<ExecutionId>,
    /// The display configuration of that execution.
    pub configuration: Option<JsonText>,
    /// Places of its data that were blanked (`domain::redactions::Redactions`).
    pub redactions: Option<JsonText>,
    /// When it happened.
    pub created_at: Timestamp,
}

/// An ancestor of a claimed item's event.
#[derive(Clone, Debug)]
pub struct AncestorEvent {
    /// The claimed item's event.
    pub of_event_id: EventId,
    /// Steps back from that event; 1 is the event itself.
    pub distance: i32,
    /// Whether `previous(distance)` names it: it is on the way along the last event that each join
    /// took in.
    pub is_on_the_way: bool,
    /// The node that the ancestor comes from.
    pub node_id: String,
    /// Its type.
    pub event_type: String,
    /// Its data.
    pub data: JsonText,
    /// The display configuration of the execution that emitted it.
    pub configuration: Option<JsonText>,
    /// Places of its data that were blanked (`domain::redactions::Redactions`).
    pub redactions: Option<JsonText>,
    /// When it happened.
    pub created_at: Timestamp,
}

/// The facts of a run that a plan needs.
#[derive(Clone, Debug)]
pub struct RunFacts {
    /// The run.
    pub id: RunId,
    /// The root event of the top run.
    pub root_event_id: EventId,
    /// When it began.
    pub started_at: Timestamp,
    /// The node of its root event.
    pub node_id: String,
    /// The type of its root event.
    pub event_type: String,
    /// The root event's data, where it is mentioned.
    pub data: Option<JsonText>,
    /// `workflow_runs.stop`
    pub stop: Option<RunStop>,
    /// Executions and sub-runs of the top run so far, each counted no further than one past the limit.
    pub executions: i64,
    /// Whether the run's organization was deleted.
    pub is_organization_deleted: bool,
    /// Whether its workflow has as many held executions as are allowed.
    pub is_held_full: bool,
    /// The owner, of a sub-run.
    pub owner: Option<RunOwner>,
    /// The number of runs around it.
    pub nesting: usize,
}

/// The facts that were loaded.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// The claimed items' events.
    pub events: Vec<InputEvent>,
    /// Their wanted ancestors.
    pub ancestors: Vec<AncestorEvent>,
    /// Their runs.
    pub runs: Vec<RunFacts>,
    /// The slots of the downstream nodes whose lock this transaction got.
    pub downstream_slots: Vec<Slots>,
    /// Nodes with as many waiting items as are allowed: no event is routed to them.
    pub full_nodes: Vec<NodeKey>,
    /// Visits of nodes with a limit of visits, by run. A node without a visit is left out.
    pub visits: BTreeMap<(RunId, String), i32>,
}

/// Loads the rows that a batch's plan needs, in one round trip.
///
/// # Errors
/// [`StoreError::Rejected`] when the wanted ancestors are more than
/// [`domain::limits::ANCESTORS_BYTES_MAX`] together: replay record by record.
pub async fn load_batch(tx: &Tx, request: &LoadRequest) -> Result<Loaded, StoreError> {
    let (workflow_ids, node_ids) = key_arrays(&request.downstream);
    // The plan does not go on with a node that has a concurrency key.
    let key = |node: &NodeKey| LimitKey { node: node.clone(), concurrency_key: String::new() };
    let keys: Vec<LimitKey> = request.downstream.iter().map(key).collect();
    // The statements are sent in this order, in which their futures are polled: stops are read
    // after the runs are locked. Visits are counted by one transaction after the other: then all runs
    // are locked as for their end, in one ordered statement.
    let lock = if request.visits.is_empty() { LOCK_RUNS } else { LOCK_ENDED_RUNS };
    let (_, visits, events, ancestors, runs, full, locked, slots) = futures_util::try_join!(
        tx.query_with(lock, [(&request.run_ids, Type::UUID_ARRAY)]),
        load_visits(tx, &request.visits),
        tx.query_with(LOAD_EVENTS, [(&request.event_ids, Type::UUID_ARRAY)]),
        load_ancestors(tx, &request.ancestors),
        tx.query_with(
            LOAD_RUNS,
            [
                (&request.run_ids, Type::UUID_ARRAY),
                (&request.runs_with_data, Type::UUID_ARRAY),
                (&domain::limits::RUN_EXECUTIONS_MAX, Type::INT8),
            ],
        ),
        tx.query_with(FIND_FULL, [(&request.workflow_ids, Type::UUID_ARRAY)]),
        tx.query_unless_empty(
            &request.downstream,
            LOCK_DOWNSTREAM,
            [(&workflow_ids, Type::UUID_ARRAY), (&node_ids, Type::TEXT_ARRAY)],
        ),
        read_slots(tx, &keys),
    )?;
    let locked: Vec<NodeKey> = locked.iter().map(node_key).collect::<Result<_, _>>()?;
    Ok(Loaded {
        events: events.iter().map(input_event).collect::<Result<_, _>>()?,
        ancestors,
        runs: runs.iter().map(run_facts).collect::<Result<_, _>>()?,
        // Counts of nodes that were not locked may be out of date: they are dropped.
        downstream_slots: slots.into_iter().filter(|slots| locked.contains(&slots.key.node)).collect(),
        full_nodes: full.iter().map(node_key).collect::<Result<_, _>>()?,
        visits,
    })
}

async fn load_visits(
    tx: &Tx,
    visits: &[(RunId, String)],
) -> Result<BTreeMap<(RunId, String), i32>, StoreError> {
    let (run_ids, node_ids): (Vec<RunId>, Vec<&str>) =
        visits.iter().map(|(run_id, node_id)| (*run_id, node_id.as_str())).unzip();
    let load = "/* load_visits */
        SELECT v.run_id, v.node_id, v.visits
        FROM unnest($1::uuid[], $2::text[]) AS t (run_id, node_id)
        JOIN workflow_run_visits v ON v.run_id = t.run_id AND v.node_id = t.node_id";
    let rows = tx
        .query_unless_empty(visits, load, [(&run_ids, Type::UUID_ARRAY), (&node_ids, Type::TEXT_ARRAY)])
        .await?;
    let visits = |row: &Row| Ok(((column(row, "run_id")?, column(row, "node_id")?), column(row, "visits")?));
    rows.iter().map(visits).collect()
}

/// Locks the runs before their stops are read, in the mode that the insert of an event of the run
/// takes; items and executions name no run by a foreign key. A stop waits for this lock and then
/// finds the rows that are written here, or this transaction reads the stop. The wait is short: the
/// transaction holds nodes that others wait for.
const LOCK_RUNS: &str = "/* lock_runs */
    WITH wanted AS MATERIALIZED (
        SELECT id, set_config('lock_timeout', '300ms', true) FROM workflow_runs
        WHERE id = ANY($1::uuid[]))
    SELECT r.id FROM wanted JOIN workflow_runs r ON r.id = wanted.id
    ORDER BY uuid_send(r.id) FOR KEY SHARE OF r";

const LOAD_EVENTS: &str = "/* load_events */
    SELECT ev.id, ev.node_id, ev.type, ev.data, ev.depth, ev.execution_id, ev.created_at,
        ev.redactions, ex.configuration
    FROM workflow_events ev LEFT JOIN workflow_node_executions ex ON ex.id = ev.execution_id
    WHERE ev.id = ANY($1)";

const LOAD_RUNS: &str = "/* load_runs */
    SELECT run.id, run.root_event_id, ev.node_id, ev.type, ev.created_at,
        CASE WHEN run.id = ANY($2) THEN ev.data END AS data, run.stop,
        o.deleted_at IS NOT NULL AS is_organization_deleted, w.held_full AS is_held_full,
        run.parent_execution_id AS owner_id, run.node_id AS owner_node_id,
        cardinality(run.path) AS path_runs,
        (SELECT count(*) FROM (
            SELECT FROM workflow_node_executions ex
            WHERE ex.root_event_id = run.root_event_id
            LIMIT $3 + 1) counted)
        + (SELECT count(*) FROM (
            SELECT FROM workflow_runs sub
            WHERE sub.root_event_id = run.root_event_id AND sub.parent_run_id IS NOT NULL
            LIMIT $3 + 1) counted) AS executions
    FROM workflow_runs run
    JOIN workflow_events ev ON ev.id = run.root_event_id
    JOIN organizations o ON o.id = run.organization_id
    JOIN workflows w ON w.id = run.workflow_id
    WHERE run.id = ANY($1)";

pub(super) const FIND_FULL: &str = "/* find_full_nodes */
    SELECT workflow_id, node_id FROM workflow_nodes WHERE workflow_id = ANY($1) AND items_full";

const LOCK_DOWNSTREAM: &str = "/* lock_downstream */
    SELECT n.workflow_id, n.node_id
    FROM unnest($1, $2) AS t (workflow_id, node_id)
    JOIN workflow_nodes n ON n.workflow_id = t.workflow_id AND n.node_id = t.node_id
    ORDER BY n.workflow_id, n.node_id
    FOR NO KEY UPDATE OF n SKIP LOCKED";

/// Walks from each event over the execution that emitted it to that execution's event, up to the
/// root event. From a join it goes on with the last event of each source, and from what comes after a
/// loop with the event that its last turn returned. A way that is found twice
/// is gone once, and all ways together have an end: past it, the ancestors are too many.
const LOAD_ANCESTORS: &str = "/* load_ancestors */
    WITH RECURSIVE wanted AS (
        SELECT * FROM unnest($1::uuid[], $2::text[], $3::int[])
            AS t (event_id, node_ids, distance_max)),
    steps AS (
        SELECT wanted.event_id AS of_event_id, 1 AS distance, true AS is_on_the_way,
            0 AS source_order, ev.id, ev.node_id, ev.execution_id, ev.channel
        FROM wanted JOIN workflow_events ev ON ev.id = wanted.event_id
        UNION
        SELECT steps.of_event_id, steps.distance + 1,
            steps.is_on_the_way AND coalesce(through.is_last, true),
            coalesce(through.source_order, steps.source_order), ev.id, ev.node_id, ev.execution_id,
            ev.channel
        FROM steps
        JOIN workflow_node_executions ex ON ex.id = steps.execution_id
        LEFT JOIN LATERAL (
            SELECT j.event_id, j.source_order,
                row_number() OVER (ORDER BY j.arrived DESC) = 1 AS is_last
            FROM (
                SELECT DISTINCT ON (j.source_node_id) j.* FROM execution_joins j
                WHERE j.execution_id = ex.id AND NOT j.is_late
                ORDER BY j.source_node_id, j.arrived DESC) j
            WHERE ex.component = 'merge'
            UNION ALL
            SELECT turn.returned_event_id, steps.source_order, true
            FROM (
                SELECT r.returned_event_id FROM workflow_runs r
                WHERE r.parent_execution_id = ex.id AND r.returned_event_id IS NOT NULL
                ORDER BY r.iteration DESC LIMIT 1) turn
            WHERE ex.component = 'loop' AND steps.channel <> 'next') through ON true
        JOIN workflow_events ev ON ev.id = coalesce(through.event_id, ex.event_id)
        WHERE steps.distance < $4),
    chain AS MATERIALIZED (SELECT * FROM steps LIMIT $7::int8),
    nearest AS (
        SELECT chain.*,
            row_number() OVER (
                PARTITION BY of_event_id, node_id ORDER BY distance, source_order) AS nth
        FROM chain),
    found AS MATERIALIZED (
        SELECT nearest.of_event_id, nearest.distance, nearest.is_on_the_way, nearest.source_order,
            nearest.id, nearest.execution_id, count(*) OVER () AS rows
        FROM nearest JOIN wanted ON wanted.event_id = nearest.of_event_id
        WHERE (nearest.is_on_the_way AND nearest.distance <= wanted.distance_max)
          OR (nearest.nth = 1
            AND (wanted.node_ids::jsonb ? nearest.node_id OR wanted.distance_max >= $4 - 1))),
    -- The sum grows row by row, and EXISTS stops at the first row past the limit: the count reads
    -- no more than a load may.
    total AS MATERIALIZED (
        SELECT (SELECT count(*) FROM chain) >= $7 OR EXISTS (
            SELECT FROM (
                SELECT sum(size.bytes) OVER (ROWS UNBOUNDED PRECEDING) AS bytes
                FROM found CROSS JOIN LATERAL (
                    SELECT octet_length(ev.data::text)
                        + coalesce(octet_length(ex.configuration::text), 0) AS bytes
                    FROM workflow_events ev
                    LEFT JOIN workflow_node_executions ex ON ex.id = found.execution_id
                    WHERE ev.id = found.id OFFSET 0) size
                WHERE found.rows > $5) counted
            WHERE counted.bytes > $6) AS is_too_much)
    SELECT found.of_event_id, found.distance, found.is_on_the_way, ev.node_id, ev.type,
        ev.created_at, ev.redactions, total.is_too_much,
        CASE WHEN NOT total.is_too_much THEN ev.data END AS data,
        CASE WHEN NOT total.is_too_much THEN ex.configuration END AS configuration
    FROM found CROSS JOIN total
    JOIN workflow_events ev ON ev.id = found.id
    LEFT JOIN workflow_node_executions ex ON ex.id = found.execution_id
    ORDER BY found.of_event_id, found.distance, found.source_order";

/// The number of ancestors above which their bytes are counted. Fewer can't be past the limit,
/// although jsonb's text is up to half longer than ours.
const COUNTED_FROM: i64 = ANCESTORS_BYTES_MAX / (2 * (EVENT_DATA_BYTES_MAX + CONFIGURATION_BYTES_MAX)) as i64;

/// Steps of all ways of a load together: those of a hundred runs without a join, each at its limit of
/// depth.
const STEPS_OF_A_LOAD: i64 = 100 * (domain::limits::RUN_DEPTH_MAX as i64 + 1);

async fn load_ancestors(tx: &Tx, requests: &[AncestorRequest]) -> Result<Vec<AncestorEvent>, StoreError> {
    if requests.is_empty() {
        return Ok(Vec::new());
    }
    let event_ids: Vec<EventId> = requests.iter().map(|request| request.event_id).collect();
    let node_ids: Vec<String> =
        requests.iter().map(|request| serde_json::json!(request.node_ids).to_string()).collect();
    let distances: Vec<i32> = requests.iter().map(|request| request.distance_max).collect();
    let rows = tx
        .query(
            LOAD_ANCESTORS,
            &[
                (&event_ids, Type::UUID_ARRAY),
                (&node_ids, Type::TEXT_ARRAY),
                (&distances, Type::INT4_ARRAY),
                (&(domain::limits::RUN_DEPTH_MAX + 1), Type::INT4),
                (&COUNTED_FROM, Type::INT8),
                (&ANCESTORS_BYTES_MAX, Type::INT8),
                (&STEPS_OF_A_LOAD, Type::INT8),
            ],
        )
        .await?;
    if let Some(row) = rows.first()
        && column(row, "is_too_much")?
    {
        return Err(StoreError::Rejected {
            sqlstate: None,
            constraint: Some("ancestors_bytes_max".to_owned()),
        });
    }
    rows.iter().map(ancestor_event).collect()
}

fn input_event(row: &Row) -> Result<InputEvent, StoreError> {
    Ok(InputEvent {
        id: column(row, "id")?,
        node_id: column(row, "node_id")?,
        event_type: column(row, "type")?,
        data: column(row, "data")?,
        depth: column(row, "depth")?,
        execution_id: column(row, "execution_id")?,
        configuration: column(row, "configuration")?,
        redactions: column(row, "redactions")?,
        created_at: column(row, "created_at")?,
    })
}

fn ancestor_event(row: &Row) -> Result<AncestorEvent, StoreError> {
    Ok(AncestorEvent {
        of_event_id: column(row, "of_event_id")?,
        distance: column(row, "distance")?,
        is_on_the_way: column(row, "is_on_the_way")?,
        node_id: column(row, "node_id")?,
        event_type: column(row, "type")?,
        data: column(row, "data")?,
        configuration: column(row, "configuration")?,
        redactions: column(row, "redactions")?,
        created_at: column(row, "created_at")?,
    })
}

pub(super) fn run_facts(row: &Row) -> Result<RunFacts, StoreError> {
    Ok(RunFacts {
        id: column(row, "id")?,
        root_event_id: column(row, "root_event_id")?,
        started_at: column(row, "created_at")?,
        node_id: column(row, "node_id")?,
        event_type: column(row, "type")?,
        data: column(row, "data")?,
        stop: word_if_any(row, "stop")?,
        executions: column(row, "executions")?,
        is_organization_deleted: column(row, "is_organization_deleted")?,
        is_held_full: column(row, "is_held_full")?,
        owner: column::<Option<ExecutionId>>(row, "owner_id")?
            .map(|execution_id| {
                Ok::<_, StoreError>(RunOwner { execution_id, node_id: column(row, "owner_node_id")? })
            })
            .transpose()?,
        nesting: usize::try_from(column::<i32>(row, "path_runs")? - 1).unwrap_or_default(),
    })
}
