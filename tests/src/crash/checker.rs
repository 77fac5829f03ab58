//! The independent check: rules for everything that happened, read from the database and from the
//! requests at the target. It shares no code with the functions.

use std::collections::{BTreeMap, BTreeSet};

use local::sealflow::Sealflow;
use local::target::Received;

use super::answered::Taken;

/// A broken rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The rule, with its invariant.
    pub rule: &'static str,
    /// The place: ids, nodes, counts.
    pub place: String,
}

/// The most violations of one rule that are shown.
const SHOWN_MAX: usize = 5;

/// The length of the list of `x`, as its workflow says: MANY in a rule.
const MANY: &str = r"(SELECT substring(n #>> '{configuration,items}' FROM '\.\.(\d+)')::int FROM workflows w
    CROSS JOIN LATERAL jsonb_array_elements(w.nodes) n WHERE w.id = x.workflow_id AND n ->> 'id' = x.node_id)";

/// No execution of the run of `x` failed by a fault of the suite (it crashed, or its call had no answer),
/// for then everything after it is otherwise: UNSTRUCK in a rule.
const UNSTRUCK: &str = "NOT EXISTS (SELECT FROM workflow_node_executions c WHERE c.root_event_id = x.root_event_id
    AND (c.result_reason IN ('crashed', 'timeout')
         OR c.component = 'http' AND c.result_reason = 'component_error' AND c.result_message NOT LIKE 'the server answered with status %'))";

/// A rule that is a query: each row is a violation.
const RULES: [(&str, &str); 37] = [
    (
        "I3: nothing is left: no item waits",
        "SELECT node_id, id, created_at, sent_count, crashes FROM workflow_node_queue_items",
    ),
    (
        "I3: nothing is left: no execution is active and none holds a lease",
        "SELECT node_id, id, state, crashes, run_at, lease_until FROM workflow_node_executions WHERE state <> 'finished' OR lease_token IS NOT NULL",
    ),
    (
        "I8: every run has ended",
        "SELECT node_id, id, stop, created_at, updated_at FROM workflow_runs WHERE state <> 'finished'",
    ),
    (
        "I8: every run has the result that its executions say",
        "SELECT r.node_id, r.id, r.stop, r.result, c.result FROM workflow_runs r CROSS JOIN LATERAL (
             SELECT CASE WHEN r.stop IN ('run_limit', 'timeout') THEN 'failed' WHEN r.stop IS NOT NULL THEN 'cancelled'
                 WHEN bool_or(x.result = 'failed' AND x.redriven_event_id IS NULL AND NOT EXISTS (
                     SELECT FROM workflow_events o
                     WHERE o.execution_id = x.id AND o.channel IN ('failure', 'error', 'fail', 'timeout', 'exhausted', 'failed') AND o.type <> 'redrive' AND cardinality(o.targets) > 0)) THEN 'failed'
                 WHEN bool_or(x.result = 'cancelled') THEN 'cancelled' ELSE 'passed' END AS result
             FROM workflow_node_executions x WHERE x.run_id = r.id) c
         WHERE r.result IS DISTINCT FROM c.result",
    ),
    (
        "I3: every event has exactly one execution for each of its targets",
        // A merge works on all events that have arrived at it.
        "SELECT e.node_id, e.id, t.target, x.count + j.count FROM workflow_events e CROSS JOIN LATERAL unnest(e.targets) AS t (target)
         CROSS JOIN LATERAL (SELECT count(*) FROM workflow_node_executions x WHERE x.event_id = e.id AND x.node_id = t.target
             AND NOT EXISTS (SELECT FROM execution_joins j WHERE j.execution_id = x.id AND j.event_id = e.id)) x
         CROSS JOIN LATERAL (SELECT count(*) FROM execution_joins j WHERE j.event_id = e.id AND j.node_id = t.target) j
         WHERE x.count + j.count <> 1",
    ),
    (
        "I3: no execution is without an event that was routed to its node",
        "SELECT x.node_id, x.id FROM workflow_node_executions x LEFT JOIN workflow_events e ON e.id = x.event_id
         WHERE e.id IS NULL OR NOT x.node_id = ANY (e.targets)",
    ),
    (
        "I3: every event was routed along the edges of its node and channel",
        "SELECT e.node_id, e.id, e.channel, e.targets FROM workflow_events e JOIN workflows w ON w.id = e.workflow_id
         LEFT JOIN workflow_node_executions x ON x.id = e.execution_id
         -- A redrive goes to its node alone, and what was cancelled while it ran goes nowhere.
         WHERE e.type <> 'redrive' AND NOT (coalesce(x.result, '') = 'cancelled' AND e.targets = '{}' AND w.name LIKE 'tended-%')
           AND (SELECT array_agg(t ORDER BY t) FROM unnest(e.targets) t) IS DISTINCT FROM (
             SELECT array_agg(edge ->> 'to' ORDER BY edge ->> 'to') FROM jsonb_array_elements(w.edges) edge
             WHERE edge ->> 'from' = e.node_id AND coalesce(edge ->> 'channel', 'default') = e.channel)",
    ),
    (
        "I3: every execution emitted once, where its end emits",
        "SELECT x.node_id, x.id, x.result, x.result_reason, count(e.id) FROM workflow_node_executions x
         LEFT JOIN workflow_events e ON e.execution_id = x.id AND e.type <> 'redrive'
         GROUP BY x.id HAVING count(e.id) <> CASE
             WHEN x.result = 'cancelled' AND x.workflow_id IN (SELECT id FROM workflows WHERE name LIKE 'tended-%') THEN count(e.id)
             WHEN x.node_id = 'unresolvable' AND x.result_reason = 'template_error' THEN count(e.id) FILTER (WHERE e.channel = 'error')
             WHEN x.result = 'passed' AND x.component = 'filter' THEN count(e.id) FILTER (WHERE e.channel = 'default')
             WHEN x.result = 'passed' AND x.component IN ('approval', 'wait_for_callback') THEN 2
             WHEN x.component IN ('approval', 'wait_for_callback') AND x.result_reason = 'crashed' THEN least(count(e.id), 1)
             WHEN x.component IN ('for_each', 'loop') THEN CASE WHEN x.result_reason IN ('crashed', 'cancelled') THEN 0 ELSE 1 END + (SELECT count(*) FROM workflow_runs r WHERE r.parent_execution_id = x.id)
             WHEN x.result = 'passed' OR x.result_reason IN ('component_error', 'timeout') AND x.component IN ('http', 'merge', 'run_workflow') THEN 1
             ELSE 0 END OR count(e.id) > CASE x.component WHEN 'approval' THEN 2 WHEN 'wait_for_callback' THEN 2 WHEN 'for_each' THEN 51 WHEN 'loop' THEN 4 ELSE 1 END",
    ),
    (
        "I3: every execution ended once",
        "SELECT node_id, id, count(*) FROM audit.execution_changes WHERE state = 'finished' GROUP BY node_id, id HAVING count(*) <> 1",
    ),
    (
        "I3: what has ended is never changed again",
        "SELECT node_id, id, state FROM audit.execution_changes WHERE old_state = 'finished'",
    ),
    (
        "I3: every item was taken once",
        "SELECT node_id, id, count(*) FILTER (WHERE is_gone) FROM audit.item_changes GROUP BY node_id, id
         HAVING count(*) FILTER (WHERE is_gone) <> 1 OR count(*) FILTER (WHERE NOT is_gone) <> 1",
    ),
    (
        "I4: no more executions of a node, or of a key, are active than its limit",
        "SELECT node_id, workflow_id, concurrency_key, place, active, concurrency_max FROM (
             SELECT c.node_id, c.workflow_id, x.concurrency_key, c.place, n.concurrency_max, sum(CASE
                     WHEN c.old_state IS NULL AND c.state <> 'finished' THEN 1
                     WHEN c.old_state <> 'finished' AND c.state = 'finished' THEN -1 ELSE 0 END)
                 OVER (PARTITION BY c.workflow_id, c.node_id, x.concurrency_key ORDER BY c.place) AS active
             FROM audit.execution_changes c JOIN workflow_nodes n ON n.workflow_id = c.workflow_id AND n.node_id = c.node_id
             JOIN workflow_node_executions x ON x.id = c.id
             WHERE n.concurrency_max IS NOT NULL) a
         WHERE active > concurrency_max",
    ),
    (
        // An item was visible to a taker if its insert was committed before the taker began.
        "I4: the item taken is the smallest of those that were visible",
        "SELECT taken.node_id, taken.id, earlier.id FROM audit.item_changes taken
         JOIN workflow_nodes n ON n.workflow_id = taken.workflow_id AND n.node_id = taken.node_id AND n.concurrency_max IS NOT NULL
         JOIN audit.item_changes earlier ON NOT earlier.is_gone AND earlier.workflow_id = taken.workflow_id
             AND earlier.node_id = taken.node_id AND (earlier.created_at, earlier.id) < (taken.created_at, taken.id)
         LEFT JOIN audit.item_changes gone ON gone.is_gone AND gone.id = earlier.id
         LEFT JOIN workflow_node_executions taken_x ON taken_x.event_id = taken.event_id AND taken_x.node_id = taken.node_id
         LEFT JOIN workflow_node_executions earlier_x ON earlier_x.event_id = earlier.event_id AND earlier_x.node_id = earlier.node_id
         WHERE taken.is_gone AND taken_x.result_reason IS DISTINCT FROM 'cancelled' AND taken_x.concurrency_key IS NOT DISTINCT FROM earlier_x.concurrency_key AND pg_xact_commit_timestamp(earlier.xid::xid) < taken.began_at
             AND (gone.id IS NULL OR gone.place > taken.place AND gone.xid <> taken.xid)",
    ),
    (
        "I5: no second claim before the first one's lease was over",
        "SELECT node_id, id, place FROM audit.execution_changes
         WHERE old_token IS NOT NULL AND token IS NOT NULL AND token <> old_token AND old_lease_until > began_at",
    ),
    (
        "I9: what ended as crashed was claimed as often as is allowed, or made by a builder that crashed as often",
        "SELECT x.node_id, x.id FROM workflow_node_executions x WHERE x.result_reason = 'crashed' AND x.component = 'http'
             AND (SELECT count(*) FROM audit.execution_changes c WHERE c.id = x.id AND c.state = 'started') BETWEEN 1 AND 2",
    ),
    (
        "I3: nothing ends as undeliverable, at a limit or cancelled: nobody asked for it",
        "SELECT node_id, id, result_reason, result_message FROM workflow_node_executions x
         WHERE result_reason NOT IN ('component_error', 'timeout', 'crashed')
           AND NOT (node_id = 'broken' AND result_reason = 'template_error')
           AND NOT (node_id = 'denied' AND result_reason = 'secret_missing')
           AND NOT (node_id = 'unresolvable' AND result_reason = 'template_error')
           AND NOT (result_reason IN ('template_error', 'cancelled') AND NOT UNSTRUCK)
           AND NOT (result_reason = 'cancelled' AND workflow_id IN (SELECT id FROM workflows WHERE name LIKE 'tended-%'))",
    ),
    (
        "I3: every failure that an edge on error may take was taken",
        "SELECT x.node_id, x.id, x.failure_routed, count(e.id) FROM workflow_node_executions x
         LEFT JOIN workflow_events e ON e.execution_id = x.id AND e.channel = 'error' AND e.targets = '{told}'
         WHERE x.node_id = 'unresolvable' AND x.result = 'failed' GROUP BY x.id
         HAVING (count(e.id) = 1) <> x.failure_routed
             OR count(e.id) <> 1 AND (SELECT run.stop FROM workflow_runs run WHERE run.id = x.run_id) IS NULL",
    ),
    (
        "I8: each time of a schedule has one run",
        "SELECT w.name, t.time, count(e.id) FROM workflows w CROSS JOIN LATERAL jsonb_array_elements(w.nodes) n
         CROSS JOIN LATERAL jsonb_array_elements_text(n -> 'configuration' -> 'at') AS t (time)
         LEFT JOIN workflow_events e ON e.workflow_id = w.id AND e.type = 'schedule' AND (e.data ->> 'scheduled_at')::timestamptz = t.time::timestamptz
         WHERE n ->> 'trigger' = 'schedule' GROUP BY w.name, t.time HAVING count(e.id) <> 1",
    ),
    (
        "I3: a schedule begins no run but at its times, and none before",
        "SELECT w.name, e.id, e.data ->> 'scheduled_at' FROM workflow_events e JOIN workflows w ON w.id = e.workflow_id
         WHERE e.type = 'schedule' AND (e.created_at < (e.data ->> 'scheduled_at')::timestamptz OR NOT EXISTS (
             SELECT FROM jsonb_array_elements(w.nodes) n CROSS JOIN LATERAL jsonb_array_elements_text(n -> 'configuration' -> 'at') AS t (time)
             WHERE n ->> 'trigger' = 'schedule' AND t.time::timestamptz = (e.data ->> 'scheduled_at')::timestamptz))",
    ),
    (
        "I3: each failed run was told of once, or as often as it failed",
        "SELECT r.node_id, r.id, r.name, count(e.id) FROM workflow_runs r JOIN workflow_events root ON root.id = r.root_event_id AND root.type <> 'on_error'
         LEFT JOIN workflow_events e ON e.type = 'on_error' AND e.data -> 'run' ->> 'id' = r.id::text
         WHERE EXISTS (SELECT FROM error_handlers h WHERE h.organization_id = r.organization_id) AND r.parent_run_id IS NULL
         GROUP BY r.id HAVING CASE
             WHEN EXISTS (SELECT FROM workflow_node_executions x WHERE x.run_id = r.id AND x.redriven_event_id IS NOT NULL) THEN r.result = 'failed' AND count(e.id) = 0
             ELSE count(e.id) <> CASE WHEN r.result = 'failed' THEN 1 ELSE 0 END END",
    ),
    (
        "I3: nothing is left: everybody was told, and no time is due",
        "SELECT run_id, created_at, sent_at FROM failed_runs UNION ALL SELECT workflow_id, due_at, sent_at FROM schedules WHERE due_at IS NOT NULL",
    ),
    (
        "I10: as many visits are counted as there were",
        "SELECT x.node_id, x.run_id, count(*), coalesce(v.visits, 0) FROM workflow_node_executions x
         JOIN workflow_nodes n ON n.workflow_id = x.workflow_id AND n.node_id = x.node_id
         LEFT JOIN workflow_run_visits v ON v.run_id = x.run_id AND v.node_id = x.node_id
         WHERE x.node_id = 'turn' AND x.result = 'passed' GROUP BY x.node_id, x.run_id, v.visits
         HAVING count(*) <> coalesce(v.visits, 0) OR count(*) > 4",
    ),
    (
        "I3: a merge decides once in each run in which something arrived",
        "SELECT w.name, j.node_id, j.run_id, count(DISTINCT j.execution_id) FROM execution_joins j JOIN workflows w ON w.id = j.workflow_id
         GROUP BY w.name, j.node_id, j.run_id HAVING count(DISTINCT j.execution_id) <> 1",
    ),
    (
        "I3: no merge of all decides while something may still arrive",
        "SELECT node_id, run_id, source_node_id FROM execution_joins WHERE is_late AND node_id IN ('all', 'strict', 'last')",
    ),
    (
        "I3: a merge goes on with what has arrived, and fails where it must",
        "SELECT x.node_id, x.id, x.result, x.metadata FROM workflow_node_executions x
         CROSS JOIN LATERAL (SELECT count(DISTINCT source_node_id) AS sources FROM execution_joins j WHERE j.execution_id = x.id AND NOT j.is_late) j
         WHERE x.component = 'merge' AND j.sources > 0 AND UNSTRUCK
           AND (x.result <> CASE WHEN x.node_id IN ('strict', 'two') AND j.sources < 2 THEN 'failed' ELSE 'passed' END
             OR j.sources <> jsonb_array_length(x.metadata #> '{merge,arrived}'))",
    ),
    (
        "I3: every sub-run was taken, after its end and before its owner ended",
        "SELECT r.node_id, r.id, r.finished_at, r.taken_at, x.state, x.finished_at FROM workflow_runs r JOIN workflow_node_executions x ON x.id = r.parent_execution_id
         WHERE r.taken_at IS NULL OR x.state <> 'finished' OR r.taken_at < r.finished_at OR x.finished_at < r.taken_at",
    ),
    (
        "I3: each item of a list had one sub-run",
        "SELECT x.node_id, x.id, x.metadata, s.count, s.numbers FROM workflow_node_executions x
         CROSS JOIN LATERAL (SELECT count(*), count(DISTINCT r.iteration) AS numbers, max(r.iteration) AS last FROM workflow_runs r WHERE r.parent_execution_id = x.id) s
         WHERE x.component = 'for_each' AND x.result <> 'cancelled' AND UNSTRUCK AND (s.count <> (CASE x.node_id WHEN 'each' THEN 6 WHEN 'many' THEN MANY WHEN 'list' THEN 3 ELSE 2 END) OR s.numbers <> s.count OR s.last <> s.count - 1)",
    ),
    (
        "I3: each turn of a loop had one sub-run, and it ended as its turns did",
        "SELECT x.node_id, x.id, x.result, x.metadata, s.count, s.numbers, e.channel FROM workflow_node_executions x
         CROSS JOIN LATERAL (SELECT count(*), count(DISTINCT r.iteration) AS numbers, max(r.iteration) AS last FROM workflow_runs r WHERE r.parent_execution_id = x.id) s
         LEFT JOIN workflow_events e ON e.execution_id = x.id AND e.channel <> 'next'
         WHERE x.component = 'loop' AND UNSTRUCK AND (s.count <> CASE x.node_id WHEN 'turns' THEN 3 ELSE 1 END OR s.numbers <> s.count OR s.last <> s.count
             OR e.channel IS DISTINCT FROM CASE x.node_id WHEN 'turns' THEN 'done' ELSE 'exhausted' END)",
    ),
    (
        "I3: no turn of a loop began before the one before it had ended",
        "SELECT later.node_id, later.id FROM workflow_runs later
         JOIN workflow_runs r ON r.parent_execution_id = later.parent_execution_id AND r.iteration = later.iteration - 1
         JOIN workflow_node_executions x ON x.id = r.parent_execution_id AND x.component = 'loop'
         WHERE r.finished_at IS NULL OR r.taken_at IS NULL OR later.created_at < r.finished_at",
    ),
    (
        "I3: each call began one run, and ended after it and as it did",
        "SELECT x.node_id, x.id, x.result, r.id, r.result, e.channel, x.metadata FROM workflow_node_executions x
         LEFT JOIN workflow_runs r ON r.caller_execution_id = x.id
         LEFT JOIN workflow_events e ON e.execution_id = x.id AND e.channel <> 'error'
         WHERE x.component = 'run_workflow' AND UNSTRUCK AND (r.id IS NULL OR r.taken_at IS NULL OR r.finished_at IS NULL OR x.finished_at < r.taken_at
             OR e.channel IS DISTINCT FROM r.result OR e.data ->> 'run_id' IS DISTINCT FROM r.id::text)",
    ),
    (
        "I3: what a called run gives back is its own",
        "SELECT e.node_id, e.id, e.data, w.data FROM workflow_events e
         JOIN workflow_node_executions x ON x.id = e.execution_id AND x.component = 'run_workflow' AND x.result = 'passed'
         LEFT JOIN workflow_events w ON w.run_id = (e.data ->> 'run_id')::uuid AND w.node_id = 'work'
         WHERE e.data #>> '{output,status}' IS DISTINCT FROM w.data ->> 'status'",
    ),
    (
        "I3: a list that is done has the results of all items, and as many failures as there were",
        "SELECT e.node_id, e.id, e.data FROM workflow_events e JOIN workflow_node_executions x ON x.id = e.execution_id AND x.component = 'for_each'
         WHERE e.channel = 'done' AND UNSTRUCK AND (jsonb_array_length(e.data -> 'results') <> CASE x.node_id WHEN 'each' THEN 6 WHEN 'many' THEN MANY WHEN 'list' THEN 3 ELSE 2 END
             OR (e.data ->> 'failed')::int <> CASE x.node_id WHEN 'each' THEN 2 WHEN 'many' THEN MANY / 5 ELSE 0 END
             OR (SELECT count(*) FROM workflow_runs r WHERE r.parent_execution_id = x.id AND r.result = 'failed') <> (e.data ->> 'failed')::int)",
    ),
    (
        "I3: an approval asked once, and ended once by its vote, or expired without one",
        "SELECT x.id, x.metadata, ends.channels, votes.call FROM workflow_node_executions x
         CROSS JOIN LATERAL (SELECT string_agg(e.channel, ',' ORDER BY e.channel <> 'requested') AS channels FROM workflow_events e WHERE e.execution_id = x.id) ends
         LEFT JOIN LATERAL (SELECT c.call FROM workflow_execution_calls c WHERE c.execution_id = x.id) votes ON true
         WHERE x.component = 'approval' AND x.result = 'passed' AND ends.channels IS DISTINCT FROM 'requested,' || CASE votes.call
             WHEN 'approve' THEN 'approved' WHEN 'reject' THEN 'rejected' ELSE 'expired' END",
    ),
    (
        "I3: an address was told once, and received once what it was called with, or expired without a call",
        "SELECT x.id, x.metadata, ends.channels, calls.count FROM workflow_node_executions x
         CROSS JOIN LATERAL (SELECT string_agg(e.channel, ',' ORDER BY e.channel <> 'waiting') AS channels FROM workflow_events e WHERE e.execution_id = x.id) ends
         CROSS JOIN LATERAL (SELECT count(*) FROM workflow_execution_calls c WHERE c.execution_id = x.id) calls
         WHERE x.component = 'wait_for_callback' AND x.result = 'passed' AND (calls.count > 1 OR ends.channels IS DISTINCT FROM 'waiting,' || CASE calls.count WHEN 0 THEN 'expired' ELSE 'received' END)",
    ),
    (
        "I3: what is within a blueprint runs once, and leaves it once, where it should",
        "SELECT r.id, inner_x.count, outer_x.nodes, root.data FROM workflow_runs r JOIN workflows w ON w.id = r.workflow_id AND w.name LIKE 'assembled-%'
         JOIN workflow_events root ON root.id = r.root_event_id
         JOIN workflow_node_executions x ON x.run_id = r.id AND x.node_id = 'part'
         CROSS JOIN LATERAL (SELECT count(*) FROM workflow_node_executions i WHERE i.run_id = r.id AND i.node_id LIKE 'part/%') inner_x
         CROSS JOIN LATERAL (SELECT string_agg(o.node_id, ',') AS nodes FROM workflow_node_executions o WHERE o.run_id = r.id AND o.node_id LIKE 'on\\_%') outer_x
         WHERE (inner_x.count <> 2 OR outer_x.nodes IS DISTINCT FROM CASE (root.data ->> 'n')::int % 2 WHEN 0 THEN 'on_even' ELSE 'on_odd' END)
             AND UNSTRUCK",
    ),
    (
        "I3: every call of a held execution was read",
        "SELECT execution_id, call, called_by FROM workflow_execution_calls WHERE handled_at IS NULL",
    ),
    (
        "I8: no wait ended before its time, unless it was released or cancelled",
        "SELECT node_id, id, metadata FROM workflow_node_executions
         WHERE component = 'wait' AND result = 'passed' AND NOT metadata -> 'wait' ? 'released_by'
           AND (metadata #>> '{wait,ended_at}')::timestamptz < (metadata #>> '{wait,until}')::timestamptz",
    ),
];

/// The successful requests of the suite; each must be found in the database.
#[derive(Default)]
pub(super) struct Asked {
    /// Keys of webhook deliveries that were answered 202.
    pub delivery_keys: BTreeSet<String>,
    /// The ids of the runs that the API answered to have started.
    pub run_ids: BTreeSet<String>,
    /// The calls of addresses that were answered 202.
    pub callbacks: Taken,
}

/// Checks all rules; gives the violations.
pub(super) async fn check(sealflow: &Sealflow, requests: &[Received], asked: &Asked) -> Vec<Violation> {
    let mut found = Vec::new();
    for (rule, sql) in RULES {
        let sql = sql.replace("MANY", MANY).replace("UNSTRUCK", UNSTRUCK);
        let rows = sealflow.sql(&sql).await.unwrap_or_else(|error| panic!("{rule}: {error:#}"));
        add(&mut found, rule, rows.lines().map(str::to_owned));
    }
    check_effects(sealflow, requests, &mut found).await;
    check_intake(sealflow, asked, &mut found).await;
    check_callbacks(sealflow, &asked.callbacks, &mut found).await;
    found
}

fn add(found: &mut Vec<Violation>, rule: &'static str, places: impl Iterator<Item = String>) {
    let mut places = places.filter(|place| !place.is_empty());
    found.extend(places.by_ref().take(SHOWN_MAX).map(|place| Violation { rule, place }));
    let more = places.count();
    if more > 0 {
        found.push(Violation { rule, place: format!("… and {more} more") });
    }
}

/// Checks I5: the target can tell the execution of each request. Checks I3: each execution that
/// passed has sent its request.
async fn check_effects(sealflow: &Sealflow, requests: &[Received], found: &mut Vec<Violation>) {
    let sql = "SELECT x.id, w.name, x.node_id, x.result = 'passed' OR x.result_reason = 'component_error', x.key_attempt
               FROM workflow_node_executions x JOIN workflows w ON w.id = x.workflow_id WHERE x.component = 'http'";
    let rows = sealflow.sql(sql).await.expect("the executions are read");
    let mut executions: BTreeMap<&str, (&str, &str, &str, u32)> = BTreeMap::new();
    for row in rows.lines() {
        let columns: Vec<&str> = row.split('|').collect();
        let [id, workflow, node, was_answered, key_attempt] = columns[..] else {
            panic!("another shape: {row}")
        };
        executions.insert(id, (workflow, node, was_answered, key_attempt.parse().expect("a number")));
    }
    let (mut unknown, mut sent) = (Vec::new(), BTreeSet::new());
    for request in requests {
        let key = request.header("idempotency-key").unwrap_or_default();
        let (id, attempt) = match key.get(36..) {
            Some("") => (key, 1),
            Some(rest) => (&key[..36], rest.trim_start_matches('-').parse().unwrap_or(u32::MAX)),
            None => (key, u32::MAX),
        };
        let is_known = executions.get(id).is_some_and(|(workflow, node, _, key_attempt)| {
            request.path.starts_with(&format!("/{workflow}/{node}")) && attempt <= *key_attempt
        });
        if is_known {
            sent.insert((id, attempt));
        } else {
            unknown.push(format!("{} with key {key:?}", request.path));
        }
    }
    add(found, "I5: every effect carries the key of an execution of that node", unknown.into_iter());
    // A key's attempt rises only with an answer. The last attempt was answered too if the execution
    // ended by an answer: the target is always there.
    let mut missing = Vec::new();
    for (id, (workflow, node, was_answered, key_attempt)) in &executions {
        let answered = if *was_answered == "t" { *key_attempt } else { key_attempt - 1 };
        let lost = (1..=answered).filter(|attempt| !sent.contains(&(*id, *attempt)));
        missing.extend(lost.map(|attempt| format!("{workflow} {node} {id}, attempt {attempt}")));
    }
    add(found, "I3: every attempt that was answered was seen by the target", missing.into_iter());
}

/// Checks I3: each delivery that was answered 202 is one event, and each run that was started is
/// there.
async fn check_intake(sealflow: &Sealflow, asked: &Asked, found: &mut Vec<Violation>) {
    let keys = sealflow.sql("SELECT d.key, count(e.id) FROM webhook_deduplications d LEFT JOIN workflow_events e ON e.id = d.event_id GROUP BY d.key");
    let keys = keys.await.expect("the keys are read");
    let known: BTreeSet<&str> = keys.lines().filter_map(|row| row.strip_suffix("|1")).collect();
    let lost = asked.delivery_keys.iter().filter(|key| !known.contains(key.as_str())).cloned();
    add(found, "I3: a delivery that was answered 202 is an event", lost.collect::<Vec<_>>().into_iter());
    let sql = "SELECT count(*) FROM workflow_events WHERE type = 'webhook'";
    let events: usize = sealflow.sql(sql).await.expect("the events are counted").parse().expect("a number");
    if events != known.len() {
        let place = format!("{events} events of {} keys", known.len());
        found.push(Violation { rule: "I3: a delivery is one event, however often it was sent", place });
    }
    let roots = sealflow
        .sql("SELECT id FROM workflow_events WHERE type = 'start'")
        .await
        .expect("the roots are read");
    let roots: BTreeSet<&str> = roots.lines().collect();
    let lost = asked.run_ids.iter().filter(|id| !roots.contains(id.as_str())).cloned();
    add(found, "I3: a run whose start was answered 202 is there", lost.collect::<Vec<_>>().into_iter());
}

/// Checks I3: each call of an address that was answered 202 was received, once.
async fn check_callbacks(sealflow: &Sealflow, taken: &Taken, found: &mut Vec<Violation>) {
    let sql = "SELECT root.data ->> 'n' FROM workflow_events e JOIN workflow_events root ON root.id = e.root_event_id
               JOIN workflow_node_executions x ON x.id = e.execution_id AND x.component = 'wait_for_callback'
               WHERE e.channel = 'received' AND e.data -> 'body' ->> 'n' = root.data ->> 'n'";
    let received = sealflow.sql(sql).await.expect("the callbacks are read");
    let received: BTreeSet<&str> = received.lines().collect();
    let lost = taken.keys().map(u64::to_string).filter(|n| !received.contains(n.as_str()));
    add(found, "I3: a call of an address that was answered 202 was received", lost);
    let twice = taken.iter().filter(|(_, times)| **times > 1).map(|(n, times)| format!("{n}, {times} times"));
    add(found, "I3: an address is used once", twice);
}
