//! The run of the suite: start, load, healing and check.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use http::Request;
use local::leaks;
use local::sealflow::Sealflow;
use local::stack::{PostgresOptions, StackOptions};
use local::target::Target;
use process::Clock;
use serde_json::{Value, json};

use super::answered::{ANSWERED, Job};
use super::assembled::{ASSEMBLED, PART};
use super::audit;
use super::aws_proxy::{AwsProxy, QueueFaults};
use super::called;
use super::checker::{Asked, Violation, check};
use super::faults::{Faults, STEPS, Thaw, struck};
use super::merged;
use super::options::{Beside, Guard, ITEMS, Options};
use super::outages;
use super::repeated;
use super::report::Report;
use super::run_states::{self, RunStates};
use super::shapes::{Begin, SHAPES, Shape};
use super::tended::{self, Tending};
use super::timed;
use crate::e2e::signature;
use crate::wire::{Asleep, CommitFate, PostgresWire};

/// A running product behind proxies that can fail.
pub struct Suite {
    /// The product.
    pub sealflow: Arc<Sealflow>,
    /// The proxy between the functions and Postgres.
    pub wire: Arc<PostgresWire>,
    /// The proxy between the functions and SQS.
    pub queue: Arc<AwsProxy>,
    /// The proxy between the functions and KMS.
    pub kms: Arc<AwsProxy>,
    /// The target of the workflows' calls.
    pub target: Arc<Target>,
    options: Options,
    commits_lost: Arc<AtomicUsize>,
    secret: String,
    hooks: BTreeMap<String, (String, String)>,
    /// The tenants' tokens, by copy.
    tokens: Vec<String>,
    asked: Asked,
    number: usize,
    sleeps: usize,
    stalls: Vec<Violation>,
    /// Whether instances get faults when they start.
    is_armed: Arc<AtomicBool>,
    run_states: RunStates,
    tending: Option<Tending>,
    job: Job,
    _thaw: Thaw,
}

/// The grace of the sweeper, seconds: short, because messages get lost.
const GRACE_SECONDS: &str = "1";
/// The grace in runs that lose no message. It is longer than an item waits behind a limit on a slow
/// machine, because a slot is already free for a moment when the wake for it arrives.
const GRACE_SECONDS_CALM: &str = "60";
/// The grace in runs without a guard: the sweeper is to notice that the guard is missing.
const GRACE_SECONDS_WITHOUT: &str = "15";
/// The open work of one copy of all shapes above which no further run starts.
const OPEN_MAX: usize = 60;
/// The longest time that messages may be left after all work has ended: a queue hides the messages
/// that a killed function had received for that long.
const QUEUES_MAX: Duration = Duration::from_secs(60);
/// The time for which one webhook delivery is retried.
const DELIVERY_MAX: Duration = Duration::from_secs(120);
/// The pause between two looks at the work.
const LOOK_PAUSE: Duration = Duration::from_millis(100);
/// The pause between two shifts of the sweeper's clock while healing.
const SHIFT_PAUSE: Duration = Duration::from_secs(8);

/// The number of times in a load that the instances sleep.
const SLEEPS: usize = 20;

const OPEN: &str = "SELECT (SELECT count(*) FROM workflow_node_queue_items)
    + (SELECT count(*) FROM workflow_node_executions WHERE state <> 'finished')
    + (SELECT count(*) FROM schedules WHERE due_at IS NOT NULL) + (SELECT count(*) FROM failed_runs), (SELECT count(*) FROM workflow_node_executions)";

/// Runs the suite.
///
/// # Panics
/// When the product does not start, or a look at it fails.
pub async fn run(options: Options) -> Report {
    let began = Instant::now();
    let mut suite = Suite::start(options).await;
    let breakable = outages::Breakable {
        sealflow: Arc::clone(&suite.sealflow),
        wire: Arc::clone(&suite.wire),
        queue: Arc::clone(&suite.queue),
        kms: Arc::clone(&suite.kms),
    };
    let outages = options
        .outages
        .map(|length| (tokio::spawn(outages::drive(breakable, options.executions_min, length)), 4 * length));
    suite.load().await;
    if let Some((outages, limit)) = outages {
        // The wait is bounded: after a stalled load, which is a violation, the next outage never
        // comes.
        if let Ok(ended) = tokio::time::timeout(limit, outages).await {
            ended.expect("the outages end");
        }
    }
    suite.heal().await;
    suite.report(began).await
}

impl Suite {
    /// Starts the product and applies the workflows.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start(options: Options) -> Self {
        let postgres = PostgresOptions {
            settings: vec![("track_commit_timestamp".into(), "on".into())],
            ..PostgresOptions::default()
        };
        let stack = StackOptions::new().postgres_with(postgres).ministack().own().start().await;
        let stack = Arc::new(stack.expect("the stack starts"));
        let wire = Arc::new(PostgresWire::to(stack.postgres().host_port()).await);
        let queue = Arc::new(AwsProxy::to(stack.ministack().url(), options.seed).await);
        let kms = Arc::new(AwsProxy::to(stack.ministack().url(), options.seed).await);
        let target = Arc::new(Target::start().await.expect("the target starts"));
        let grace = match options.without {
            _ if !options.is_calm() => GRACE_SECONDS,
            Some(_) => GRACE_SECONDS_WITHOUT,
            None => GRACE_SECONDS_CALM,
        };
        let mut builder = Sealflow::builder()
            .stack(stack)
            .database_endpoint(wire.host_port())
            .sqs_endpoint(queue.url())
            .kms_endpoint(kms.url())
            .http_allow(target.host_port())
            .component_seconds_max(2)
            .visibility_timeout_seconds(24)
            .sweep_every(Duration::from_millis(1_000))
            .environment("sweeper", "SEALFLOW_SWEEP_GRACE_SECONDS", grace);
        if !options.is_swept {
            builder = builder.no_sweeps();
        }
        for function in ["builder", "executor"] {
            builder = builder.function(function, |options| options.instances_max = 4);
        }
        if let Some(Beside { folder, functions }) = options.beside {
            for function in functions {
                builder = builder
                    .function(function, move |options| options.binary_beside = Some(folder.join(function)));
            }
        }
        let sealflow = Arc::new(builder.start().await.expect("the product starts"));
        let thaw = Thaw::start(Arc::clone(sealflow.lambda()), options.faults, options.seed);
        sealflow.sql(audit::INSTALL).await.expect("the audit is installed");
        let run_states = RunStates::watch(Arc::clone(&sealflow));
        let job = Job::start(Arc::clone(&target));
        let mut suite = Self {
            sealflow,
            wire,
            queue,
            kms,
            target,
            options,
            commits_lost: Arc::default(),
            secret: format!("canary-{:016x}-{:016x}", options.seed, !options.seed),
            hooks: BTreeMap::new(),
            tokens: Vec::new(),
            asked: Asked::default(),
            number: 0,
            sleeps: 0,
            stalls: Vec::new(),
            is_armed: Arc::new(AtomicBool::new(true)),
            run_states,
            tending: None,
            job,
            _thaw: thaw,
        };
        suite.set_up().await;
        suite.let_go_wrong().await;
        if suite.is_tended() {
            let tending = Tending::start(Arc::clone(&suite.sealflow), suite.tokens.clone(), options.seed);
            suite.tending = Some(tending);
        }
        suite
    }

    /// Runs are tended only if all code is today's: another commit may not know the requests for
    /// it.
    fn is_tended(&self) -> bool {
        self.options.is_tended && self.options.beside.is_none()
    }

    fn shapes(&self) -> Vec<Shape> {
        let tended = self.is_tended().then_some(tended::SHAPE);
        // Another commit's code may not know what these are made of.
        let repeated = [repeated::REPEATED, repeated::TURNED];
        let new = [timed::TIMED, timed::WATCHING, timed::VISITED, merged::MERGED];
        let new = new.into_iter().chain(repeated).chain([called::CALLED, ANSWERED, ASSEMBLED]);
        let new = new.filter(|_| self.options.beside.is_none());
        SHAPES.into_iter().chain(tended).chain(new).collect()
    }

    async fn set_up(&mut self) {
        for copy in 0..self.options.copies {
            // Each copy has a tenant of its own.
            let token = if copy == 0 {
                self.sealflow.token().to_owned()
            } else {
                let tenant = self.sealflow.bootstrap(&format!("tenant-{copy}")).await;
                tenant.expect("the organization is made").token
            };
            let secret = json!({ "value": self.secret, "hosts": [self.target.host_port()], "in": [] });
            let secret = secret.to_string();
            self.call(&token, "PUT", "/v1/secrets/crash/token", secret).await.expect("the secret is set");
            self.tokens.push(token.clone());
            if self.options.beside.is_none() {
                let part = PART.replace("TARGET", &self.target.url());
                self.call(&token, "PUT", "/v1/blueprints", part).await.expect("the blueprint is applied");
            }
            let items = if copy == 0 { self.options.items() } else { ITEMS };
            for shape in self.shapes() {
                let definition = shape.definition(copy, &self.target.url(), Clock::system().now(), items);
                let applied = self.call(&token, "PUT", "/v1/workflows", definition).await;
                let applied = applied.expect("the workflow is applied");
                if shape.begin == Begin::Webhook {
                    let word = |name: &str| applied["webhooks"][0][name].as_str().expect("a word").to_owned();
                    self.hooks.insert(format!("{}-{copy}", shape.name), (word("url"), word("signing_key")));
                }
            }
        }
    }

    /// Calls the API for a tenant; gives the answer's JSON if the status is a success. A body that
    /// begins with `{` is sent as JSON, any other as a definition in YAML.
    async fn call(&self, token: &str, method: &str, path: &str, body: String) -> Option<Value> {
        let content_type = if body.starts_with('{') { "application/json" } else { "application/yaml" };
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.sealflow.gateway_url()))
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", content_type)
            .body(Bytes::from(body))
            .expect("a request");
        let answer = local::http::send(request, Duration::from_secs(60)).await.ok()?;
        answer.status().is_success().then(|| serde_json::from_slice(answer.body()).expect("JSON"))
    }

    /// Starts the faults that the options name.
    async fn let_go_wrong(&self) {
        let Options { seed, faults, queue, commits_lost_percent, without, .. } = self.options;
        for (function, _) in STEPS {
            let environment = faults.environment(function, seed, Arc::clone(&self.is_armed));
            let changed = self.sealflow.lambda().reconfigure(function, |options| {
                options.environment_of_instance = environment;
            });
            changed.expect("the function is there");
        }
        self.queue.set_faults(queue);
        let (dice, lost) = (Mutex::new(fastrand::Rng::with_seed(!seed)), Arc::clone(&self.commits_lost));
        if commits_lost_percent > 0 {
            self.wire.choose_fate(move || {
                let roll = dice.lock().expect("nobody panics while rolling").u32(..200);
                let fate = match roll {
                    _ if roll >= 2 * commits_lost_percent => return CommitFate::Carried,
                    _ if roll % 2 == 0 => CommitFate::LostBefore,
                    _ => CommitFate::LostAfter,
                };
                lost.fetch_add(1, Ordering::SeqCst);
                fate
            });
        }
        self.wire.hold_commits(self.options.commit_pause);
        let Some(guard) = without else { return };
        guard.take_out_of(&self.wire);
        if let Some(trigger) = guard.trigger() {
            let sql = format!("ALTER TABLE workflow_node_executions DISABLE TRIGGER {trigger}");
            self.sealflow.sql(&sql).await.expect("the trigger is there");
        }
        if guard == Guard::SendAfterCommit {
            self.wire.commit_late(Duration::from_millis(200));
        }
    }

    /// Starts runs of all shapes until there are as many executions as the options say, or no
    /// further progress.
    ///
    /// # Panics
    /// When a look fails.
    pub async fn load(&mut self) {
        let mut progress = (0, 0, Instant::now());
        loop {
            let (open, executions) = self.work().await;
            if executions >= self.options.executions_min {
                return;
            }
            if (open, executions) != (progress.0, progress.1) {
                progress = (open, executions, Instant::now());
            } else if progress.2.elapsed() > self.options.stall_max {
                let place =
                    format!("{executions} executions were made, {open} pieces of work are open and stay so");
                return self.stalls.push(Violation { rule: "I8: work goes on", place });
            }
            self.sleep_now_and_then(executions);
            if open < OPEN_MAX * self.options.copies {
                self.start_round().await;
            } else {
                tokio::time::sleep(LOOK_PAUSE).await;
            }
        }
    }

    /// Puts every idle instance to sleep and silently ends all connections, [`SLEEPS`] times in a
    /// load.
    fn sleep_now_and_then(&mut self, executions: usize) {
        let has_faults = !self.options.is_calm() && self.options.without.is_none();
        if !has_faults || executions * SLEEPS < self.options.executions_min * (self.sleeps + 1) {
            return;
        }
        self.sleeps += 1;
        for function in ["api", "webhook", "builder", "executor", "sweeper"] {
            self.sealflow.lambda().put_to_sleep(function).expect("the function is there");
        }
        self.wire.put_to_sleep(Asleep::Reset);
    }

    /// The numbers of open work and of all executions.
    pub(super) async fn work(&self) -> (usize, usize) {
        let row = self.sealflow.sql(OPEN).await.expect("the work is counted");
        let (open, executions) = row.split_once('|').expect("two columns");
        (open.parse().expect("a number"), executions.parse().expect("a number"))
    }

    /// Starts as many runs of each workflow as the options say.
    async fn start_round(&mut self) {
        let first = self.number;
        let Options { copies, burst, .. } = self.options;
        let mut shapes = self.shapes();
        shapes.retain(|shape| shape.begin != Begin::Itself);
        let workflows =
            (0..burst * copies).flat_map(|round| shapes.iter().map(move |shape| (*shape, round % copies)));
        let starts: FuturesUnordered<_> = workflows
            .enumerate()
            .map(|(place, (shape, copy))| self.start_run(shape, copy, first + place))
            .collect();
        let answered: Vec<(bool, String)> = starts.filter_map(|answer| async { answer }).collect().await;
        self.number += burst * copies * shapes.len();
        for (is_webhook, name) in answered {
            if is_webhook {
                self.asked.delivery_keys.insert(name)
            } else {
                self.asked.run_ids.insert(name)
            };
        }
    }

    /// Starts a run. If the start was answered 202, gives whether it is a webhook's, and the
    /// delivery's key or the run's id. Without that answer the run may exist all the same.
    async fn start_run(&self, shape: Shape, copy: usize, number: usize) -> Option<(bool, String)> {
        let workflow = format!("{}-{copy}", shape.name);
        if shape.begin == Begin::Webhook {
            let key = format!("delivery-{number}");
            self.deliver(&workflow, &key, number).await;
            return Some((true, key));
        }
        let body = json!({ "data": { "n": number } });
        let path = format!("/v1/workflows/{workflow}/runs");
        let answer = self.call(&self.tokens[copy], "POST", &path, body.to_string()).await?;
        Some((false, answer["run_id"].as_str().unwrap_or_default().to_owned()))
    }

    /// Repeats a delivery until it is accepted, as senders do.
    async fn deliver(&self, workflow: &str, key: &str, number: usize) {
        let (url, signing_key) = &self.hooks[workflow];
        let body = json!({ "n": number }).to_string();
        let until = Instant::now() + DELIVERY_MAX;
        while Instant::now() < until {
            let request = Request::post(url)
                .header("content-type", "application/json")
                .header("x-delivery", key)
                .header("x-hub-signature-256", signature(signing_key, body.as_bytes()))
                .body(Bytes::from(body.clone()))
                .expect("a request");
            let answer = local::http::send(request, Duration::from_secs(60)).await;
            if answer.is_ok_and(|answer| answer.status() == 202) {
                return;
            }
            tokio::time::sleep(LOOK_PAUSE).await;
        }
        panic!("seed {}: {key} was never taken", self.options.seed);
    }

    /// Ends the faults, except for those that living instances still carry. Then waits until all
    /// work has ended, at most as long as the options say.
    pub async fn heal(&mut self) {
        self.is_armed.store(false, Ordering::SeqCst);
        if let Some(tending) = &self.tending {
            tending.calm_down();
        }
        self.queue.set_faults(QueueFaults::default());
        self.wire.carry_commits();
        self.drain(self.options.heal_max).await;
        if self.work().await.0 > 0 {
            return;
        }
        if self.options.beside.is_some() {
            self.await_settled_runs().await;
        }
        // This also waits for the last frozen process: until it has woken up and answered, its
        // invocation is in flight.
        if let Err(error) = self.sealflow.await_empty_queues(QUEUES_MAX).await {
            let (rule, place) = ("the queues are empty in the end", format!("{error:#}"));
            self.stalls.push(Violation { rule, place });
        }
    }

    /// Waits at most `limit` until no work is open. The sweeper's backoff is shortened by shifts of
    /// its clock.
    pub async fn drain(&self, limit: Duration) {
        let shift = "UPDATE workflow_node_queue_items SET last_sent_at = last_sent_at - interval '2 minutes';
            UPDATE workflow_node_executions SET last_sent_at = last_sent_at - interval '2 minutes' WHERE state <> 'finished';
            UPDATE schedules SET sent_at = sent_at - interval '2 minutes';
            UPDATE failed_runs SET sent_at = sent_at - interval '2 minutes', created_at = created_at - interval '2 minutes'";
        let progress = Mutex::new((self.work().await, Instant::now()));
        let is_over = async || {
            let work = self.work().await;
            let mut last = progress.lock().expect("nobody panics while looking");
            if last.0 != work {
                *last = (work, Instant::now());
            }
            // Without a guard some work is stuck; the rest is not cut off.
            work.0 == 0 || self.options.without.is_some() && last.1.elapsed() > self.options.stall_max
        };
        self.shift_until(limit, shift, is_over).await;
    }

    /// Waits until today's sweeper has ended all runs. Another commit's code may know nothing of
    /// runs: it ends their work and leaves the runs open.
    async fn await_settled_runs(&self) {
        let sweeper = self.sealflow.lambda();
        sweeper.reconfigure("sweeper", |options| options.binary_beside = None).expect("it is there");
        sweeper.kill("sweeper").expect("it is there");
        let shift =
            "UPDATE workflow_runs SET created_at = created_at - interval '2 minutes' WHERE state = 'running'";
        let running = "SELECT count(*) FROM workflow_runs WHERE state = 'running'";
        let is_over = async || self.sealflow.sql(running).await.expect("the runs are counted") == "0";
        self.shift_until(self.options.heal_max, shift, is_over).await;
    }

    /// Waits at most `limit` until `is_over`. The sweeper reckons with times in the database:
    /// `shift` moves these back, so that the test need not wait for minutes.
    async fn shift_until(&self, limit: Duration, shift: &str, is_over: impl AsyncFn() -> bool) {
        let (until, mut shifted) = (Instant::now() + limit, Instant::now());
        while !is_over().await && Instant::now() < until {
            if shifted.elapsed() > SHIFT_PAUSE && !self.options.is_calm() {
                self.sealflow.sql(shift).await.expect("the clock is shifted");
                shifted = Instant::now();
            }
            tokio::time::sleep(LOOK_PAUSE).await;
        }
    }

    /// Checks everything that happened.
    ///
    /// # Panics
    /// When a look fails.
    pub async fn report(self, began: Instant) -> Report {
        let requests = self.target.requests();
        let mut violations = self.stalls.clone();
        let asked = Asked { callbacks: self.job.taken(), ..self.asked };
        violations.extend(check(&self.sealflow, &requests, &asked).await);
        let (runs_watched, changed) = self.run_states.found();
        if self.options.beside.is_none() {
            violations.extend(changed);
            violations.extend(run_states::left_to_the_sweeper(&self.sealflow.logs_dir()));
        }
        let count = async |sql: &str| -> usize {
            self.sealflow.sql(sql).await.expect("it is counted").parse().expect("a number")
        };
        let sweeper_sends = count("SELECT count(*) FROM audit.sends").await;
        if self.options.is_calm() && sweeper_sends > 0 {
            let places =
                self.sealflow.sql("SELECT what, id FROM audit.sends LIMIT 3").await.unwrap_or_default();
            let place = format!("{sweeper_sends} sends: {places}");
            violations
                .push(Violation { rule: "I8: where nothing goes wrong the sweeper sends nothing", place });
        }
        let leaks = leaks::check_everything(&self.sealflow, &[&self.secret], Vec::new()).await;
        let leaks = leaks.expect("every place is read");
        if !leaks.is_clean() {
            violations.push(Violation { rule: "I1: no secret at rest", place: leaks.to_string() });
        }
        Report {
            seed: self.options.seed,
            without: self.options.without,
            outages: self.options.outages,
            is_struck_everywhere: self.options.faults == Faults::Everywhere,
            executions: count("SELECT count(*) FROM workflow_node_executions").await,
            runs: count("SELECT count(*) FROM workflow_events WHERE id = root_event_id").await,
            crashed: count("SELECT count(*) FROM workflow_node_executions WHERE result_reason = 'crashed'")
                .await,
            runs_watched,
            effects: requests.len(),
            messages: self.queue.sent(),
            sweeper_sends,
            processes_struck: struck(&self.sealflow.logs_dir()),
            messages_struck: self.queue.struck(),
            commits_lost: self.commits_lost.load(Ordering::SeqCst),
            guard_removals: self.wire.removals(),
            sleeps: self.sleeps,
            tended: self.tending.as_ref().map(Tending::done).unwrap_or_default(),
            hops_max: self.sealflow.lambda().hops_max("executor").expect("the function is there"),
            took: began.elapsed(),
            violations,
        }
    }
}
