//! An organization with workflows in a database, and the functions around it.

use std::sync::Arc;
use std::time::Duration;

use apply_plan::{Current, CurrentWebhook, ScheduleWanted, Wanted};
use domain::access::Action;
use domain::actor::Actor;
use domain::definition::Definition;
use domain::ids::{EventId, ExecutionId, ItemId, LeaseToken, OrganizationId, WorkflowId};
use domain::message::Message;
use domain::node_write::{ScheduleWrite, SecretRefWrite};
use domain::times::Times;
use domain::webhook::{Authentication, CredentialKind};
use http_guard::{GuardSettings, GuardedClient};
use jiff::Timestamp;
use process::{BatchResponse, Clock, Deadline, Ids, SqsBatch};
use serde_json::{Value, json};
use store::api::{
    AuditLine, AuditObject, Audited, Redrive, RedriveOutcome, RunCancel, WebhookCredential, WebhookWrite,
    WorkflowWrite, apply_workflow, cancel_run, load_run, redrive_execution,
};
use store::executor::{ClaimScope, ClaimTerms};
use store::intake::{BeginOutcome, NewRun, begin_run};
use store::{BootstrapIds, FreedSlot, Store, StoreError};
use uuid::Uuid;

use crate::queues::{Sent, aws_config};
use crate::rows::Execution;
use crate::{Database, FakeQueues};

/// An organization in a database of its own, with queues that remember.
pub struct World {
    /// The database.
    pub database: Database,
    /// The queues.
    pub queues: FakeQueues,
    /// The organization.
    pub organization_id: OrganizationId,
    /// The source of ids.
    pub ids: Ids,
    api: Store,
    /// The line of what tests write.
    line: AuditLine,
}

/// An applied workflow.
#[derive(Clone, Debug)]
pub struct Workflow {
    /// `workflows.id`
    pub id: WorkflowId,
    /// `workflows.version`
    pub version: i64,
    /// The definition as it was applied.
    pub definition: Definition,
    /// Its live webhooks.
    pub webhooks: Vec<CurrentWebhook>,
}

/// The longest time of a component in tests, seconds.
pub const COMPONENT_SECONDS: u32 = 5;

impl World {
    /// A world with one organization.
    pub async fn create() -> Self {
        let (database, queues) = (Database::create().await, FakeQueues::start().await);
        let ids = Ids::new();
        let api = database.store("api");
        let now = Clock::system().now();
        let bootstrap =
            BootstrapIds { organization_id: ids.next(now), token_id: ids.next(now), line_id: ids.next(now) };
        store::bootstrap(
            &database.admin_store(),
            bootstrap,
            "Test",
            ids.random::<Uuid>().as_bytes().repeat(2).as_slice(),
            now,
        )
        .await
        .expect("an organization is made");
        let organization_id = bootstrap.organization_id;
        let line = AuditLine {
            id: ids.next(now),
            organization_id,
            actor: Actor::token_named("test"),
            action: Action::WorkflowsWrite,
            object: AuditObject::new("test", "test"),
            source_ip: None,
            at: now,
        };
        Self { database, queues, organization_id, ids, api, line }
    }

    /// The API's store, for writes.
    #[must_use]
    pub fn audited(&self) -> Audited<'_> {
        self.audited_at(&self.api)
    }

    /// As [`World::audited`], on another connection. Each write has a line of its own: writes with
    /// the same line would wait for each other.
    #[must_use]
    pub fn audited_at<'s>(&self, store: &'s Store) -> Audited<'s> {
        Audited::new(store, Box::leak(Box::new(AuditLine { id: self.id(), ..self.line.clone() })))
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        Clock::system().now()
    }

    /// A new id.
    #[must_use]
    pub fn id<T: From<Uuid>>(&self) -> T {
        self.ids.next(self.now())
    }

    /// Applies a new workflow; its nodes are those of `nodes`, as YAML would give them.
    pub async fn workflow(&self, nodes: Value, edges: Value) -> Workflow {
        self.apply(self.id(), None, nodes, edges).await
    }

    /// Applies a workflow again.
    pub async fn apply_again(&self, workflow: &Workflow, nodes: Value, edges: Value) -> Workflow {
        self.apply(workflow.id, Some(workflow), nodes, edges).await
    }

    async fn apply(&self, id: WorkflowId, old: Option<&Workflow>, nodes: Value, edges: Value) -> Workflow {
        let name = format!("workflow {id}");
        let definition: Definition =
            serde_json::from_value(json!({ "name": name, "nodes": nodes, "edges": edges }))
                .expect("it is a definition");
        let compiled = definition::compile(&definition);
        let uses = compiled.nodes().flat_map(|(node_id, node)| {
            let uses = node.map(|node| node.secret_refs.clone()).unwrap_or_default();
            uses.into_iter().map(|used| SecretRefWrite {
                node_id: node_id.to_owned(),
                secret_name: used.name,
                secret_key: used.key,
                field: used.pointer,
            })
        });
        let secret_refs: Vec<SecretRefWrite> = uses.collect();
        let current = old.map(|old| Current { definition: &old.definition, webhooks: &old.webhooks });
        let wanted = Wanted { definition: &definition, secret_refs: &secret_refs };
        let plan = apply_plan::plan(current, wanted, &mut || self.id());
        // Credentials that no request has: a test that needs a key or a token sets its own.
        let credential = |authentication: Authentication| match authentication.credential_kind() {
            Some(CredentialKind::SigningKey) => WebhookCredential {
                signing_keys: Some(vec![0]),
                current_key_name: Some("none".to_owned()),
                ..WebhookCredential::default()
            },
            Some(CredentialKind::Token) => {
                WebhookCredential { token_sha256: Some(vec![0; 32]), ..WebhookCredential::default() }
            }
            None => WebhookCredential::default(),
        };
        let webhooks = plan.webhooks.iter().map(|wanted| WebhookWrite {
            id: wanted.id,
            node_id: wanted.node_id.clone(),
            address: wanted.id.0.as_simple().to_string(),
            authentication: wanted.configuration.authentication,
            header_name: wanted.configuration.stored_header(),
            deduplication_header: wanted.configuration.deduplication_header.clone(),
            credential: credential(wanted.configuration.authentication),
        });
        let webhooks: Vec<WebhookWrite> = webhooks.collect();
        let known = old.map(|old| old.webhooks.clone()).unwrap_or_default();
        let write = WorkflowWrite {
            organization_id: self.organization_id,
            workflow_id: id,
            version_planned: old.map(|old| old.version),
            blueprints: Vec::new(),
            definition: definition.clone(),
            nodes: plan.nodes,
            nodes_removed: plan.nodes_removed,
            schedules: plan.schedules.iter().map(|wanted| self.schedule_write(id, wanted)).collect(),
            schedules_removed: plan.schedules_removed,
            error_handlers: plan.error_handlers,
            merges: plan.merges,
            joins_changed: plan.joins_changed,
            secret_refs: plan.secret_refs,
            webhooks,
            webhooks_changed: Vec::new(),
            webhooks_removed: plan.webhooks_removed,
            applied_by: Actor::token_named("test"),
            now: self.now(),
        };
        let version = apply_workflow(self.audited(), &write).await.expect("the workflow is applied").version;
        let made = write.webhooks.iter().map(|hook| CurrentWebhook {
            id: hook.id,
            node_id: hook.node_id.clone(),
            authentication: hook.authentication,
            header_name: hook.header_name.clone(),
            deduplication_header: hook.deduplication_header.clone(),
        });
        let stay = known.into_iter().filter(|hook| !write.webhooks_removed.contains(&hook.id));
        Workflow { id, version, definition, webhooks: stay.chain(made).collect() }
    }

    fn schedule_write(&self, id: WorkflowId, wanted: &ScheduleWanted) -> ScheduleWrite {
        let next = wanted.schedule.next(self.now());
        let next = next.map(|time| (time, wanted.schedule.due_at(id, &wanted.node_id, time)));
        ScheduleWrite { node_id: wanted.node_id.clone(), next, is_sent: false }
    }

    /// Starts a run at a trigger node; its items are committed, and nothing is sent.
    pub async fn start(&self, workflow: &Workflow, node_id: &str, data: Value) -> EventId {
        let event_id = self.id();
        let outcome = self.begin(&self.api, workflow, node_id, event_id, data).await;
        let outcome = outcome.expect("a run is started");
        assert!(matches!(outcome, BeginOutcome::Begun(_)), "{outcome:?}");
        event_id
    }

    /// Begins a run by hand over a store.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn begin(
        &self,
        store: &Store,
        workflow: &Workflow,
        node_id: &str,
        event_id: EventId,
        data: Value,
    ) -> Result<BeginOutcome, StoreError> {
        let node = workflow.definition.nodes.iter().find(|node| node.id == node_id).expect("a node");
        let compiled = definition::compile_trigger(node);
        let plan =
            definition::plan_root(node, compiled.as_ref(), &workflow.definition.edges, &data, self.now());
        let item_ids: Vec<ItemId> = plan.root.targets.iter().map(|_| self.id()).collect();
        let run = NewRun {
            event_id,
            organization_id: self.organization_id,
            workflow_id: workflow.id,
            version_planned: workflow.version,
            node_id,
            planned: &plan.root,
            data: &data,
            item_ids: &item_ids,
            hops: 0,
            delivery: None,
            now: self.now(),
        };
        begin_run(store, &run).await
    }

    /// Cancels a run, as the API does.
    pub async fn cancel(&self, run_id: EventId) -> Vec<FreedSlot> {
        let cancel = RunCancel {
            organization_id: self.organization_id,
            run_id: run_id.into(),
            cancelled_by: Actor::token_named("test"),
            now: self.now(),
        };
        cancel_run(self.audited(), &cancel, &|| self.id()).await.expect("the run is cancelled").freed
    }

    /// Redrives an execution, as the API does; gives the id of the new event too.
    pub async fn redrive(&self, execution_id: ExecutionId) -> (EventId, RedriveOutcome) {
        let redrive = Redrive {
            organization_id: self.organization_id,
            execution_id,
            event_id: self.id(),
            item_id: self.id(),
            now: self.now(),
        };
        let outcome = redrive_execution(self.audited(), &redrive).await.expect("the database answers");
        (redrive.event_id, outcome)
    }

    /// The result of a run, or else its state.
    pub async fn run_state(&self, run_id: EventId) -> &'static str {
        let run = load_run(&self.api, self.organization_id, run_id.into()).await.expect("it is there").run;
        run.result.map_or(run.state.as_str(), |result| result.as_str())
    }

    /// The API's store.
    #[must_use]
    pub fn api(&self) -> &Store {
        &self.api
    }

    /// A fresh instance of the builder.
    #[must_use]
    pub fn builder(&self) -> builder::Deps {
        self.builder_at(self.database.url("builder"))
    }

    /// A fresh instance of the builder that reaches Postgres at an address.
    #[must_use]
    pub fn builder_at(&self, url: String) -> builder::Deps {
        builder::Deps {
            store: crate::database::store_at(url),
            queue: self.queues.queue(),
            metrics: process::Metrics::off(),
            plan: builder::PlanDeps {
                clock: Clock::system(),
                ids: self.ids.clone(),
                definitions: builder::definitions::Definitions::default(),
                public_url: "https://sealflow.test".to_owned(),
                components: builder::ComponentSet::default(),
                time_max: builder::PLAN_TIME_MAX,
            },
        }
    }

    /// A fresh instance of the executor, which may reach the loopback address `allow`.
    #[must_use]
    pub fn executor(&self, allow: &str) -> executor::Deps {
        self.executor_at(self.database.url("executor"), allow, "http://127.0.0.1:9")
    }

    /// A fresh instance of the executor that reaches Postgres and KMS at addresses.
    ///
    /// # Panics
    /// When `allow` is no `host:port`.
    #[must_use]
    pub fn executor_at(&self, url: String, allow: &str, kms: &str) -> executor::Deps {
        let settings =
            GuardSettings::from_variables(|name| (name == "SEALFLOW_HTTP_ALLOW").then(|| allow.to_owned()));
        executor::Deps {
            store: crate::database::store_at(url),
            queue: self.queues.queue(),
            ids: self.ids.clone(),
            share: None,
            edges: executor::EdgesCache::default(),
            metrics: process::Metrics::off(),
            run: executor::RunDeps {
                opener: vault_open::Opener::new(&aws_config(aws_client::Service::Kms, kms)),
                client: Arc::new(GuardedClient::new(settings.expect("it is a host and port"))),
                tokens: Arc::default(),
                components: executor::ComponentSet::default(),
                clock: Clock::system(),
                times: Times::derive(COMPONENT_SECONDS).expect("it is within the limits"),
            },
        }
    }

    /// A sweeper with a grace of `grace_seconds`.
    #[must_use]
    pub fn sweeper(&self, grace_seconds: u32) -> sweeper::Deps {
        sweeper::Deps {
            store: self.database.store("sweeper"),
            queue: self.queues.queue(),
            clock: Clock::system(),
            ids: self.ids.clone(),
            grace_seconds,
            net: sweeper::runs::Net::default(),
            places: sweeper::places::Places::default(),
            retention_days_max: None,
            audit_days: 400,
            retention_place: sweeper::retention::Place::default(),
            metrics: process::Metrics::off(),
        }
    }

    /// Delivers the sent messages, again and again, until no message is sent any more. Delays are
    /// skipped.
    pub async fn run_to_end(&self, builder: &builder::Deps, executor: &executor::Deps) {
        for _ in 0..ROUNDS_MAX {
            let sent = self.queues.take();
            if sent.is_empty() {
                return;
            }
            deliver(builder, executor, sent).await;
        }
        panic!("the run does not end within {ROUNDS_MAX} rounds");
    }

    /// Delivers the sent messages, again and again, until none is sent any more but for later. Those
    /// for later are lost. The executor may call the hosts that `allow` names.
    ///
    /// # Panics
    /// When more and more is sent.
    pub async fn run_to_rest(&self, allow: &str) {
        let (builder, executor) = (self.builder(), self.executor(allow));
        for _ in 0..ROUNDS_MAX {
            let sent: Vec<_> =
                self.queues.take().into_iter().filter(|sent| sent.delay_seconds <= 1).collect();
            if sent.is_empty() {
                return;
            }
            deliver(&builder, &executor, sent).await;
        }
        panic!("the run does not come to rest within {ROUNDS_MAX} rounds");
    }

    /// The data of the events that a node has emitted, in their order.
    ///
    /// # Panics
    /// When the database answers with no JSON.
    pub async fn outputs(&self, node_id: &str) -> Vec<Value> {
        let sql = format!(
            "SELECT coalesce(jsonb_agg(data ORDER BY created_at, id), '[]')::text
             FROM workflow_events WHERE node_id = '{node_id}'"
        );
        serde_json::from_str(&self.database.sql(&sql).await).expect("JSON")
    }

    /// Lets time pass for timers: moves the times of runs, wakes and sends so much further back.
    pub async fn pass(&self, seconds: u32) {
        let sql = format!(
            "UPDATE workflow_node_executions SET run_at = run_at - interval '{seconds} seconds', wake_at = wake_at - interval '{seconds} seconds',
                 updated_at = updated_at - interval '{seconds} seconds', last_sent_at = last_sent_at - interval '{seconds} seconds'"
        );
        self.database.sql(&sql).await;
    }

    /// All executions, in order of their ids.
    ///
    /// # Panics
    /// When a state, result or reason is none of ours.
    pub async fn executions(&self) -> Vec<Execution> {
        let sql = "SELECT node_id, state, result, result_reason FROM workflow_node_executions ORDER BY id";
        let row = |line: &str| match line.split('|').collect::<Vec<_>>()[..] {
            [node_id, state, result, reason] => Execution {
                node_id: node_id.to_owned(),
                state: state.parse().expect("a state"),
                result: (!result.is_empty()).then(|| result.parse().expect("a result")),
                reason: (!reason.is_empty()).then(|| reason.parse().expect("a reason")),
            },
            _ => panic!("{line:?} is no row of four columns"),
        };
        self.database.sql(sql).await.lines().map(row).collect()
    }

    /// Makes Postgres refuse new rows of a table for which a condition holds, as it would refuse a
    /// value that can't be stored.
    pub async fn refuse(&self, table: &str, condition: &str) {
        let sql = format!("ALTER TABLE {table} ADD CONSTRAINT poison CHECK (NOT ({condition})) NOT VALID");
        self.database.sql(&sql).await;
    }

    /// The number of waiting items.
    pub async fn items(&self) -> i64 {
        self.database.count("SELECT count(*) FROM workflow_node_queue_items").await
    }
}

/// The most rounds of deliveries that a run may take.
const ROUNDS_MAX: usize = 100;

/// The messages that were sent, without their delays and groups.
#[must_use]
pub fn messages(sent: &[Sent]) -> Vec<Message> {
    sent.iter().map(|sent| sent.message.clone()).collect()
}

/// Delivers messages to the builder as one batch.
///
/// Delivers messages as the queues do, ten at once.
async fn deliver(builder: &builder::Deps, executor: &executor::Deps, sent: Vec<Sent>) {
    let (executions, nodes): (Vec<Sent>, Vec<Sent>) =
        sent.into_iter().partition(|sent| matches!(sent.message, Message::Execution { .. }));
    for some in nodes.chunks(10) {
        build(builder, &messages(some)).await;
    }
    for some in executions.chunks(10) {
        execute(executor, &messages(some)).await;
    }
}

/// # Panics
/// When one of them is to be delivered again.
pub async fn build(deps: &builder::Deps, messages: &[Message]) {
    let response = builder::handle(batch(messages, 1), Deadline::after(Duration::from_secs(60)), deps).await;
    assert_eq!(response, BatchResponse::default(), "nothing is to be delivered again");
}

/// Delivers messages to the executor as one batch.
///
/// # Panics
/// When one of them is to be delivered again.
pub async fn execute(deps: &executor::Deps, messages: &[Message]) {
    let response = executor::handle(batch(messages, 1), Deadline::after(Duration::from_secs(60)), deps).await;
    assert_eq!(response, BatchResponse::default(), "nothing is to be delivered again");
}

/// The message group of delivered messages, which is the id of their organization.
pub const GROUP: Uuid = Uuid::from_u128(0x6709);

/// A batch as SQS hands it to a function, each message received so many times.
///
/// # Panics
/// Never: it has the shape of an event.
#[must_use]
pub fn batch(messages: &[Message], receives: u32) -> SqsBatch {
    batch_of_group(messages, receives, Some(GROUP))
}

/// A [`batch`] of messages with this group; `None` for a queue that tells no group.
///
/// # Panics
/// Never: it has the shape of an event.
#[must_use]
pub fn batch_of_group(messages: &[Message], receives: u32, group: Option<Uuid>) -> SqsBatch {
    let records = messages.iter().enumerate().map(|(at, message)| {
        json!({
            "messageId": at.to_string(),
            "body": message.to_body(),
            "attributes": { "ApproximateReceiveCount": receives.to_string(), "MessageGroupId": group },
        })
    });
    serde_json::from_value(json!({ "Records": records.collect::<Vec<_>>() }))
        .expect("it has the shape of an event")
}

/// The wake of an event.
#[must_use]
pub fn event(event_id: EventId) -> Message {
    Message::Event { event_id }
}

/// The wake of a node.
#[must_use]
pub fn node(workflow: &Workflow, node_id: &str) -> Message {
    Message::Node { workflow_id: workflow.id, node_id: node_id.to_owned() }
}

/// The terms of a claim without a share of organizations.
#[must_use]
pub fn terms(scope: ClaimScope, token: LeaseToken, lease_seconds: u32) -> ClaimTerms {
    ClaimTerms { scope, token, lease_seconds, share: None }
}
