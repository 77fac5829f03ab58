//! The claim of executions: it begins a lease, or takes over one that has run out. `finish.rs` ends
//! the lease, and records nothing without it.

use domain::ids::{ExecutionId, LeaseToken, OrganizationId, RunId, WorkflowId};
use domain::share::Share;
use jiff::Timestamp;
use serde_json::Value;
use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::locks::LOCK_FREE_EXECUTIONS;
use crate::types::column;
use crate::{JsonText, StoreError, Tx};

/// The executions that a claim takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClaimScope {
    /// A batch: executions without a crash since their last recorded outcome.
    Batch,
    /// One quarantined execution, alone in the process.
    Alone,
}

/// An execution whose lease this claim holds.
#[derive(Clone, Debug)]
pub struct ClaimedExecution {
    /// `workflow_node_executions.id`
    pub id: ExecutionId,
    /// The workflow.
    pub workflow_id: WorkflowId,
    /// The organization, from the workflow: never from a message or from the execution.
    pub organization_id: OrganizationId,
    /// The node.
    pub node_id: String,
    /// The run.
    pub run_id: RunId,
    /// The number of calls from sealflow to sealflow before the run's root event.
    pub hops: i32,
    /// The component that it was built with.
    pub component: String,
    /// The configuration as people see it.
    pub configuration: JsonText,
    /// The fields that hold secrets, each as its parts.
    pub residuals: JsonText,
    /// `{retry, redact}`
    pub policy: Value,
    /// When it was built.
    pub created_at: Timestamp,
    /// The attempt, from 1.
    pub attempt: i32,
    /// The attempt whose idempotency key is sent.
    pub key_attempt: i32,
    /// `workflows.version` now.
    pub workflow_version: i64,
    /// Whether its node has a limit in that version.
    pub is_limited: bool,
    /// The time since which it is given back because its stored data can't be read; RFC 3339.
    pub unreadable_since: Option<String>,
    /// Secrets that the node's version may open.
    pub allowed: Vec<AllowedRef>,
}

impl ClaimedExecution {
    /// Whether one of its fields holds a secret.
    #[must_use]
    pub fn has_secrets(&self) -> bool {
        !self.residuals.is_empty_list()
    }
}

/// A secret and key that a node's version may open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowedRef {
    /// `secrets.name`
    pub name: String,
    /// The key in it.
    pub key: String,
    /// JSON pointer of the field; empty: any.
    pub field: String,
}

/// A sealed secret.
#[derive(Clone, Debug)]
pub struct StoredSecret {
    /// `secrets.id`
    pub id: Uuid,
    /// The organization that owns it.
    pub organization_id: OrganizationId,
    /// `secrets.name`
    pub name: String,
    /// `secrets.data`
    pub data: Vec<u8>,
}

/// The reason for which an execution was not claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Finished, or another claim is at work: nothing to do.
    Settled,
    /// It is due in so many milliseconds: its time has not come, or its organization has its share
    /// of claims.
    NotDue(i64),
    /// Its node has a rate, and this attempt has no turn yet: take one, see
    /// [`super::take_turns`].
    NeedsTurn,
    /// Another transaction holds its row: look again in a moment.
    Busy,
    /// It crashed a worker before: claim it alone.
    Quarantined,
    /// It may not start any more: end it.
    Unstartable,
}

/// An execution that was not claimed.
#[derive(Clone, Copy, Debug)]
pub struct RefusedExecution {
    /// `workflow_node_executions.id`
    pub id: ExecutionId,
    /// The organization.
    pub organization_id: OrganizationId,
    /// The reason.
    pub refusal: Refusal,
}

/// The result of a claim.
#[derive(Clone, Debug, Default)]
pub struct ExecutionClaims {
    /// Claimed executions.
    pub executions: Vec<ClaimedExecution>,
    /// The sealed secrets that their residuals name, each once.
    pub secrets: Vec<StoredSecret>,
    /// Executions that were not claimed.
    pub refused: Vec<RefusedExecution>,
}

/// The terms of a claim.
#[derive(Clone, Copy, Debug)]
pub struct ClaimTerms {
    /// The executions that it takes.
    pub scope: ClaimScope,
    /// The token of its lease.
    pub token: LeaseToken,
    /// Seconds for which the lease holds, by the database's clock.
    pub lease_seconds: u32,
    /// The number of claims that one organization may hold at one time; None: any number.
    pub share: Option<Share>,
}

/// Claims executions and loads the data that their run needs, in one round trip. An execution that
/// another transaction holds is left out ([`Refusal::Busy`]): a claim waits for no row. An
/// execution whose organization has its share of claims is put off ([`Refusal::NotDue`]). An
/// invocation lasts as long as its slowest execution, so slow executions of one organization in all
/// invocations would keep other organizations waiting.
///
/// # Errors
/// See [`StoreError`].
pub async fn claim_executions(
    tx: &Tx,
    ids: &[ExecutionId],
    terms: ClaimTerms,
    now: Timestamp,
) -> Result<ExecutionClaims, StoreError> {
    let ClaimTerms { scope, token, lease_seconds, share } = terms;
    let (beside_others, alone) =
        share.map_or((0, 0), |share| (i64::from(share.beside_others), i64::from(share.alone)));
    let crashes_max = match scope {
        ClaimScope::Batch => 1,
        ClaimScope::Alone => domain::limits::CRASHES_MAX,
    };
    let lease_seconds = f64::from(lease_seconds);
    let share_wait = format!("{SHARE_WAIT_MILLIS}ms");
    let put_off = PUT_OFF_SECONDS.map(f64::from);
    // A claim takes no slot, so no node needs its lock.
    let none: &[ExecutionId] = &[];
    let (_, _, _, claimed, refused, allowed, secrets) = futures_util::try_join!(
        tx.query_with(LOCK_FREE_EXECUTIONS, [(&ids, Type::UUID_ARRAY), (&none, Type::UUID_ARRAY)]),
        tx.query_unless_empty(
            share.as_slice(),
            LOCK_SHARES,
            [(&ids, Type::UUID_ARRAY), (&share_wait, Type::TEXT)],
        ),
        tx.query_unless_empty(
            share.as_slice(),
            PUT_OFF_OVER_SHARE,
            [
                (&ids, Type::UUID_ARRAY),
                (&beside_others, Type::INT8),
                (&alone, Type::INT8),
                (&now, Type::TIMESTAMPTZ),
                (&put_off[0], Type::FLOAT8),
                (&put_off[1], Type::FLOAT8),
                (&token, Type::UUID),
            ],
        ),
        tx.query_with(
            CLAIM,
            [
                (&ids, Type::UUID_ARRAY),
                (&crashes_max, Type::INT4),
                (&token, Type::UUID),
                (&lease_seconds, Type::FLOAT8),
                (&now, Type::TIMESTAMPTZ),
            ],
        ),
        tx.query_with(
            FIND_REFUSED,
            [(&ids, Type::UUID_ARRAY), (&token, Type::UUID), (&domain::limits::CRASHES_MAX, Type::INT4)],
        ),
        tx.query_with(LOAD_ALLOWED, [(&ids, Type::UUID_ARRAY), (&token, Type::UUID)]),
        tx.query_with(LOAD_SECRETS, [(&ids, Type::UUID_ARRAY), (&token, Type::UUID)]),
    )?;
    let mut executions: Vec<ClaimedExecution> =
        claimed.iter().map(claimed_execution).collect::<Result<_, _>>()?;
    for row in &allowed {
        let id: ExecutionId = column(row, "id")?;
        if let Some(execution) = executions.iter_mut().find(|execution| execution.id == id) {
            let allowed = AllowedRef {
                name: column(row, "secret_name")?,
                key: column(row, "secret_key")?,
                field: column(row, "field")?,
            };
            execution.allowed.push(allowed);
        }
    }
    Ok(ExecutionClaims {
        executions,
        secrets: secrets.iter().map(stored_secret).collect::<Result<_, _>>()?,
        refused: refused.iter().map(refused_execution).collect::<Result<_, _>>()?,
    })
}

/// Claims of one organization follow each other: executors that begin at the same moment would each
/// count a free share. The lock is taken only where there is more than one organization. A batch of
/// one organization waits for the claim before it, which takes two round trips. A batch of several
/// organizations waits for none: executions of an organization with a claim under way are
/// [`Refusal::Busy`].
const LOCK_SHARES: &str = "/* lock_shares */
    WITH own AS MATERIALIZED (
        SELECT found.organization_id, set_config('lock_timeout', $2::text, true) FROM (
            SELECT DISTINCT w.organization_id
            FROM workflow_node_executions ex
            CROSS JOIN LATERAL (
                SELECT w.organization_id FROM workflows w WHERE w.id = ex.workflow_id OFFSET 0) w
            WHERE (SELECT count(*) FROM (SELECT FROM organizations LIMIT 2) counted) > 1
              AND ex.id = ANY($1::uuid[])
            ORDER BY w.organization_id) found),
    got AS MATERIALIZED (
        SELECT own.organization_id,
            CASE WHEN (SELECT count(*) FROM own) > 1
                 THEN pg_try_advisory_xact_lock(hashtextextended(own.organization_id::text, 0))
                 ELSE pg_advisory_xact_lock(hashtextextended(own.organization_id::text, 0))
                     IS NOT NULL END AS is_got
        FROM own)
    SELECT set_config('sealflow.locked', coalesce(string_agg(ex.id::text, ','), ''), true)
    FROM workflow_node_executions ex
    CROSS JOIN LATERAL (
        SELECT w.organization_id FROM workflows w WHERE w.id = ex.workflow_id OFFSET 0) w
    WHERE (SELECT count(*) FROM got) > 0
      AND ex.id = ANY(string_to_array(current_setting('sealflow.locked'), ',')::uuid[])
      AND coalesce((SELECT got.is_got FROM got WHERE got.organization_id = w.organization_id), true)
    HAVING (SELECT count(*) FROM got) > 0";

/// Milliseconds for which a claim waits for another claim of the same organization.
const SHARE_WAIT_MILLIS: u32 = 300;

/// Puts off pending executions whose organization has its share, by a quarter of their age. Without
/// a delay the message would come back at once for as long as the organization is busy, and the
/// sweeper would count it as lost. Running executions are read only where there is more than one
/// organization.
const PUT_OFF_OVER_SHARE: &str = "/* put_off_over_share */
    WITH running AS MATERIALIZED (
        SELECT ex.workflow_id, ex.lease_token FROM workflow_node_executions ex
        WHERE (SELECT count(*) FROM (SELECT FROM organizations LIMIT 2) counted) > 1
          AND ex.state IN ('started', 'cancelling') AND ex.lease_until > now()
          -- What this invocation has claimed already takes no further executor.
          AND ex.lease_token IS DISTINCT FROM $7::uuid),
    held AS MATERIALIZED (
        SELECT w.organization_id, count(DISTINCT running.lease_token) AS claims
        FROM running
        CROSS JOIN LATERAL (
            SELECT w.organization_id FROM workflows w WHERE w.id = running.workflow_id OFFSET 0) w
        WHERE (SELECT count(*) FROM running) >= $2::int8
        GROUP BY w.organization_id),
    over_share AS MATERIALIZED (
        SELECT held.organization_id FROM held
        WHERE held.claims >= $3::int8
          OR held.claims >= $2
            AND (SELECT true FROM due_organizations() due
                 WHERE due.organization_id <> held.organization_id
                 LIMIT 1) IS NOT NULL),
    waiting AS MATERIALIZED (
        SELECT ex.id FROM workflow_node_executions ex
        CROSS JOIN LATERAL (
            SELECT w.organization_id FROM workflows w WHERE w.id = ex.workflow_id OFFSET 0) w
        JOIN over_share ON over_share.organization_id = w.organization_id
        WHERE ex.id = ANY($1::uuid[])
          AND ex.id = ANY(string_to_array(current_setting('sealflow.locked'), ',')::uuid[])
          AND coalesce(ex.state, '') = 'pending' AND coalesce(ex.run_at <= now(), true))
    UPDATE workflow_node_executions ex
    SET updated_at = $4::timestamptz,
        -- Its turn is over: many that come back together would exceed the rate of their node.
        turn_attempt = least(ex.turn_attempt, ex.attempt - 1),
        run_at = now() + make_interval(secs => least($6::float8,
            greatest($5::float8, extract(epoch FROM now() - ex.created_at) / 4)))
    FROM waiting
    WHERE ex.id = waiting.id AND coalesce(ex.state, '') = 'pending'";

/// Seconds by which [`PUT_OFF_OVER_SHARE`] puts an execution off: at least, and at most.
const PUT_OFF_SECONDS: [u32; 2] = [2, 30];

const CLAIM: &str = "/* claim_executions */
    WITH startable AS (
        SELECT ex.id, w.organization_id, w.version,
            n.concurrency_max IS NOT NULL AS is_limited, root.hops
        FROM workflow_node_executions ex
        JOIN workflow_events root ON root.id = ex.root_event_id
        JOIN workflow_runs run ON run.id = ex.run_id
        JOIN workflows w ON w.id = ex.workflow_id
        JOIN organizations o ON o.id = w.organization_id
        CROSS JOIN LATERAL (
            SELECT n.concurrency_max, n.rate_per_second, n.deleted_at, n.generation
            FROM workflow_nodes n
            WHERE n.workflow_id = ex.workflow_id AND n.node_id = ex.node_id OFFSET 0) n
        WHERE ex.id = ANY($1)
          AND ex.id = ANY(string_to_array(current_setting('sealflow.locked'), ',')::uuid[])
          AND (coalesce(ex.state, '') = 'pending' AND coalesce(ex.run_at <= now(), true)
            OR coalesce(ex.state, '') = 'started' AND ex.lease_until <= now())
          AND (n.rate_per_second IS NULL OR coalesce(ex.state, '') = 'started'
            OR ex.turn_attempt >= ex.attempt)
          AND ex.crashes < $2 AND coalesce(ex.node_generation, n.generation) = n.generation
          AND coalesce(w.deleted_at, 'infinity') = 'infinity'
          AND coalesce(n.deleted_at, 'infinity') = 'infinity' AND o.deleted_at IS NULL
          AND run.stop IS NULL)
    UPDATE workflow_node_executions ex
    SET state = 'started', crashes = ex.crashes + 1, lease_token = $3,
        lease_until = now() + make_interval(secs => $4),
        started_at = coalesce(ex.started_at, $5), updated_at = $5
    FROM startable
    WHERE ex.id = startable.id AND coalesce(ex.state, '') IN ('pending', 'started')
    RETURNING ex.id, ex.created_at, ex.workflow_id, startable.organization_id, ex.node_id, ex.run_id, ex.component,
        ex.configuration, ex.residuals, ex.policy, ex.attempt, ex.key_attempt,
        ex.metadata ->> 'unreadable_since' AS unreadable_since, startable.version,
        startable.is_limited, startable.hops";

/// Finds the executions that do not hold the claim's token. It is read after the claim.
const FIND_REFUSED: &str = "/* find_refused */
    SELECT ex.id, w.organization_id,
        ex.id <> ALL(string_to_array(current_setting('sealflow.locked'), ',')::uuid[]) AS is_busy,
        ex.state = 'finished'
            OR (ex.state IN ('started', 'cancelling') AND ex.lease_until > now()) AS is_settled,
        ceil(extract(epoch FROM ex.run_at - now()) * 1000)::bigint AS due_in_millis,
        n.rate_per_second IS NOT NULL AND ex.state = 'pending'
            AND ex.turn_attempt < ex.attempt AS needs_turn,
        ex.state = 'cancelling' OR ex.crashes >= $3 OR w.deleted_at IS NOT NULL
            OR o.deleted_at IS NOT NULL OR n.deleted_at IS NOT NULL
            OR coalesce(ex.node_generation, n.generation) <> n.generation
            OR run.stop IS NOT NULL AS is_unstartable
    FROM workflow_node_executions ex
    JOIN workflow_runs run ON run.id = ex.run_id
    JOIN workflows w ON w.id = ex.workflow_id
    JOIN organizations o ON o.id = w.organization_id
    CROSS JOIN LATERAL (
        SELECT n.rate_per_second, n.deleted_at, n.generation FROM workflow_nodes n
        WHERE n.workflow_id = ex.workflow_id AND n.node_id = ex.node_id OFFSET 0) n
    WHERE ex.id = ANY($1) AND ex.lease_token IS DISTINCT FROM $2";

const LOAD_ALLOWED: &str = "/* load_allowed_refs */
    SELECT ex.id, refs.secret_name, refs.secret_key, refs.field
    FROM workflow_node_executions ex
    JOIN workflow_node_secret_refs refs
      ON refs.workflow_id = ex.workflow_id AND refs.node_id = ex.node_id
        AND refs.node_version = ex.node_version
    WHERE ex.id = ANY($1) AND ex.lease_token = $2";

/// The owner of a secret is the organization of the execution's workflow. Its name must be one that
/// the node's version may open.
const LOAD_SECRETS: &str = "/* load_secrets */
    SELECT DISTINCT ON (s.id) s.id, s.domain_id, s.name, s.data
    FROM workflow_node_executions ex
    JOIN workflows w ON w.id = ex.workflow_id
    CROSS JOIN LATERAL (
        SELECT refs.secret_name FROM workflow_node_secret_refs refs
        WHERE refs.workflow_id = ex.workflow_id AND refs.node_id = ex.node_id
          AND refs.node_version = ex.node_version
        OFFSET 0) refs
    CROSS JOIN LATERAL (
        SELECT s.id, s.domain_id, s.name, s.data FROM secrets s
        WHERE s.domain_type = 'org' AND s.domain_id = w.organization_id
          AND s.name = refs.secret_name
        OFFSET 0) s
    WHERE ex.id = ANY($1) AND ex.lease_token = $2 AND ex.residuals <> '[]'
    ORDER BY s.id";

fn claimed_execution(row: &Row) -> Result<ClaimedExecution, StoreError> {
    Ok(ClaimedExecution {
        id: column(row, "id")?,
        workflow_id: column(row, "workflow_id")?,
        organization_id: column(row, "organization_id")?,
        node_id: column(row, "node_id")?,
        run_id: column(row, "run_id")?,
        hops: column(row, "hops")?,
        component: column(row, "component")?,
        configuration: column(row, "configuration")?,
        residuals: column(row, "residuals")?,
        policy: column(row, "policy")?,
        attempt: column(row, "attempt")?,
        key_attempt: column(row, "key_attempt")?,
        workflow_version: column(row, "version")?,
        is_limited: column(row, "is_limited")?,
        unreadable_since: column(row, "unreadable_since")?,
        created_at: column(row, "created_at")?,
        allowed: Vec::new(),
    })
}

fn stored_secret(row: &Row) -> Result<StoredSecret, StoreError> {
    Ok(StoredSecret {
        id: column(row, "id")?,
        organization_id: column(row, "domain_id")?,
        name: column(row, "name")?,
        data: column(row, "data")?,
    })
}

fn refused_execution(row: &Row) -> Result<RefusedExecution, StoreError> {
    let due_in_millis: Option<i64> = column(row, "due_in_millis")?;
    let refusal = if column(row, "is_settled")? {
        Refusal::Settled
    } else if column(row, "is_busy")? {
        Refusal::Busy
    } else if column(row, "is_unstartable")? {
        Refusal::Unstartable
    } else if let Some(millis) = due_in_millis.filter(|millis| *millis > 0) {
        Refusal::NotDue(millis)
    } else if column(row, "needs_turn")? {
        Refusal::NeedsTurn
    } else {
        Refusal::Quarantined
    };
    Ok(RefusedExecution { id: column(row, "id")?, organization_id: column(row, "organization_id")?, refusal })
}
