//! Every limit that is not private to one crate. Exceeding a limit is a clear error, never a crash
//! (I10).
//!
//! The limits of the expression language are in `expression::limits`, for it is a library of its
//! own.

/// Bytes of a workflow definition as it is sent to the API.
pub const DEFINITION_BYTES_MAX: usize = 1024 * 1024;
/// Maps of one definition. A map takes some hundred times the memory of its shortest text.
pub const DEFINITION_MAPS_MAX: usize = 25_000;
/// Nodes of one workflow.
pub const NODES_MAX: usize = 500;
/// Edges of one workflow.
pub const EDGES_MAX: usize = 2_000;
/// Characters of a workflow's, node's or organization's name.
pub const NAME_CHARS_MAX: usize = 128;
/// Characters of a node's id.
pub const NODE_ID_CHARS_MAX: usize = 64;
/// Bytes of a definition as it is stored, with all that its blueprints stand for.
pub const EXPANDED_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Bytes of a node's name with those of the blueprints' nodes around it.
pub const EXPANDED_NAME_BYTES_MAX: usize = 2_000;
/// Blueprints within each other.
pub const BLUEPRINT_NESTING_MAX: usize = 5;
/// Inputs of a blueprint.
pub const BLUEPRINT_INPUTS_MAX: usize = 50;
/// Outputs of a blueprint.
pub const BLUEPRINT_OUTPUTS_MAX: usize = 50;
/// Versions of one blueprint, deleted ones among them.
pub const BLUEPRINT_VERSIONS_MAX: i64 = 1_000;
/// Characters of a workflow's description.
pub const DESCRIPTION_CHARS_MAX: usize = 2_000;
/// Nesting of a YAML or JSON definition.
pub const DEFINITION_DEPTH_MAX: usize = 50;

/// Bytes of a webhook's body.
pub const WEBHOOK_BODY_BYTES_MAX: usize = 512 * 1024;
/// Deliveries a second that one instance of the webhook function accepts for one webhook, once its
/// burst is used up.
pub const WEBHOOK_RATE_PER_SECOND: u32 = 50;
/// Deliveries that one instance of the webhook function accepts for one webhook at once.
pub const WEBHOOK_BURST_MAX: u32 = 100;
/// Bytes of a webhook's signing key or token that the caller brings instead of having it made.
pub const WEBHOOK_KEY_BYTES_MAX: usize = 1_024;
/// The fewest bytes of a webhook's signing key or token; a shorter one could be guessed.
pub const WEBHOOK_KEY_BYTES_MIN: usize = 16;
/// Seconds for which a webhook's old key is accepted after a rotation, where the caller names no
/// number.
pub const WEBHOOK_KEY_KEPT_SECONDS_DEFAULT: u32 = 24 * 60 * 60;
/// The most seconds for which a webhook's old key may be accepted after a rotation.
pub const WEBHOOK_KEY_KEPT_SECONDS_MAX: u32 = 30 * 24 * 60 * 60;
/// Bytes of a request to the API; a definition is the largest.
pub const API_BODY_BYTES_MAX: usize = DEFINITION_BYTES_MAX + 64 * 1024;
/// Bytes of an event's `data`, as compact JSON and after scrubbing.
pub const EVENT_DATA_BYTES_MAX: usize = 512 * 1024;
/// Weight of an event's `data`: the memory that the data takes once it is read
/// ([`crate::json::weight`]).
pub const EVENT_DATA_WEIGHT_MAX: usize = 8 * 1024 * 1024;
/// Nesting of an event's `data` (serde_json stops at 128 on reading back).
pub const EVENT_DATA_DEPTH_MAX: usize = 50;
/// Values (scalars, lists and maps) in one event's `data`.
pub const EVENT_DATA_VALUES_MAX: usize = 100_000;
/// Characters of a number in JSON from outside.
pub const NUMBER_CHARS_MAX: usize = 40;
/// The largest absolute exponent of a number in JSON from outside.
pub const NUMBER_EXPONENT_MAX: u32 = 308;

/// Bytes of an HTTP response, on the wire and after decompression.
pub const HTTP_RESPONSE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Bytes of an HTTP response's body that are stored with the event.
pub const HTTP_STORED_BYTES_MAX: usize = 256 * 1024;
/// Bytes of a URL that is called.
pub const HTTP_URL_BYTES_MAX: usize = 16 * 1024;
/// Bytes of a request's headers, names and values together.
pub const HTTP_REQUEST_HEADERS_BYTES_MAX: usize = 128 * 1024;
/// Redirects that one request follows.
pub const HTTP_REDIRECTS_MAX: usize = 5;
/// Hops (calls of sealflow to a sealflow webhook) after which a webhook refuses the next one.
pub const HTTP_HOPS_MAX: u32 = 10;

/// Bytes of an execution's resolved configuration, as compact JSON.
pub const CONFIGURATION_BYTES_MAX: usize = 256 * 1024;
/// Weight of an execution's resolved configuration ([`crate::json::weight`]).
pub const CONFIGURATION_WEIGHT_MAX: usize = 4 * 1024 * 1024;
/// Templates of one node.
pub const NODE_TEMPLATES_MAX: usize = 2_000;
/// Templates of one workflow.
pub const WORKFLOW_TEMPLATES_MAX: usize = 20_000;
/// Keys of one execution.
pub const KEYS_MAX: usize = 20;
/// Bytes of one key, and of one key's value.
pub const KEY_BYTES_MAX: usize = 1024;
/// Characters of a run's name.
pub const CUSTOM_NAME_CHARS_MAX: usize = 256;

/// Events from a root event down to the deepest event of its run.
pub const RUN_DEPTH_MAX: i32 = 1_000;
/// The highest `max_visits`: visits of one node in one run.
pub const VISITS_MAX: u32 = 1_000;
/// Executions of one run.
pub const RUN_EXECUTIONS_MAX: i64 = 10_000;
/// Waiting items of one node.
pub const NODE_ITEMS_MAX: i64 = 100_000;

/// Bytes of one value of a secret.
pub const SECRET_VALUE_BYTES_MAX: usize = 64 * 1024;
/// The fewest bytes of a secret's value; a shorter one can't be scrubbed safely.
pub const SECRET_VALUE_BYTES_MIN: usize = 8;
/// Keys of one secret.
pub const SECRET_KEYS_MAX: usize = 100;
/// Secrets of one organization.
pub const SECRETS_MAX: i64 = 10_000;

/// Rows of one page of the API.
pub const PAGE_ROWS_MAX: u32 = 200;
/// Rows of a page where the caller names no number.
pub const PAGE_ROWS_DEFAULT: u32 = 50;
/// Bytes of one page of the API.
pub const PAGE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Attempts of one execution by its node's retry policy.
pub const ATTEMPTS_MAX: u32 = 30;
/// Seconds that a component may take.
pub const COMPONENT_SECONDS_MAX: u32 = 300;
/// Held executions of a workflow; beyond this number none is opened.
pub const HELD_EXECUTIONS_MAX: i64 = 100_000;
/// Bytes of the schema of a callback's body, as JSON.
pub const SCHEMA_BYTES_MAX: usize = 16 * 1024;
/// Levels of such a schema: maps and lists within each other.
pub const SCHEMA_DEPTH_MAX: usize = 20;
/// Sub-runs of one owner.
pub const SUB_RUNS_MAX: usize = 1_000;
/// Sub-runs that one transaction starts for an owner.
pub const SUB_RUNS_AT_ONCE: usize = 50;
/// Owners within each other.
pub const SUB_RUN_NESTING_MAX: usize = 5;
/// Outputs of a workflow.
pub const OUTPUTS_MAX: usize = 50;
/// Runs that call each other, one below the other.
pub const CALL_DEPTH_MAX: i32 = 5;
/// Bytes of a held component's state, and bytes of the facts that it reports in one step.
pub const HELD_BYTES_MAX: usize = 64 * 1024;
/// Events that a held execution emits at once.
pub const EMISSIONS_MAX: usize = 100;
/// Seconds until the next wake of a held execution, and so of a `wait`: 366 days.
pub const WAIT_SECONDS_MAX: u64 = 366 * 24 * 60 * 60;
/// Sources of a `merge`: nodes with an edge to it.
pub const MERGE_SOURCES_MAX: usize = 64;
/// Dates of `except` of a `time_gate` or a `schedule`.
pub const EXCEPT_DATES_MAX: usize = 400;
/// Lines of the approvers of an `approval`, and the most votes that it may need.
pub const APPROVERS_MAX: usize = 20;
/// Fields of the form of an `approval`.
pub const FORM_FIELDS_MAX: usize = 20;
/// Options of a field of a form.
pub const FORM_OPTIONS_MAX: usize = 50;
/// Bytes of the message, the approvers and the form of an `approval` together, as JSON: 10 KiB.
pub const APPROVAL_BYTES_MAX: usize = 10 * 1024;
/// Bytes of a vote's comment and form together, as JSON.
pub const VOTE_BYTES_MAX: usize = 1_000;
/// Workflows that an `on_error` trigger names.
pub const WATCHED_WORKFLOWS_MAX: usize = 100;
/// Failures of one run of which an `on_error` trigger is told.
pub const FAILURES_TOLD_MAX: i64 = 20;
/// Bytes of an event's data that such a trigger is told with the failure: 256 KiB.
pub const FAILURE_DATA_BYTES_MAX: i64 = 256 * 1024;
/// Seconds between two times of a `schedule`, at least: the sweeper looks once a minute.
pub const SCHEDULE_EVERY_SECONDS_MIN: i64 = 60;
/// Times that a `schedule` lists.
pub const SCHEDULE_TIMES_MAX: usize = 400;
/// Times of day of a `schedule`.
pub const SCHEDULE_DAY_TIMES_MAX: usize = 24;
/// The longest `jitter` of a `schedule`, seconds: an hour.
pub const SCHEDULE_JITTER_SECONDS_MAX: i64 = 3_600;
/// The longest `window` of a `schedule`, seconds: 7 days.
pub const SCHEDULE_WINDOW_SECONDS_MAX: i64 = 7 * 24 * 3_600;
/// The highest concurrency limit of a node; a higher one must be `unlimited`.
pub const CONCURRENCY_MAX: u32 = 1_000;
/// The highest number of calls a second for a node, and of its burst.
pub const CALL_RATE_MAX: u32 = 1_000;
/// The lowest number of calls a second for a node: one in a hundred seconds.
pub const CALL_RATE_MIN: f64 = 0.01;
/// Bytes of a concurrency key.
pub const CONCURRENCY_KEY_BYTES_MAX: usize = 1024;

/// Requests a second that an instance of the API takes of one token, and twice as many at once,
/// where the operator says no other.
pub const TOKEN_RATE_PER_SECOND: u32 = 50;
/// Tokens of an organization that are not revoked.
pub const TOKENS_MAX: i64 = 1_000;
/// Characters of a token's name.
pub const TOKEN_NAME_CHARS_MAX: usize = 128;

/// Crashes after which an item or execution ends as `crashed`.
pub const CRASHES_MAX: i32 = 3;
/// Sends of the sweeper after which an item ends as `undeliverable`.
pub const SENDS_MAX: i32 = 8;
/// Pending executions that the removal of nodes or of an organization ends. Only nodes without a
/// concurrency limit have more; those beyond this number end when they are due.
pub const REMOVED_EXECUTIONS_MAX: i64 = 1_000;
/// Executions and items of a stopped run that one transaction ends.
pub const STOP_ROUND_ROWS_MAX: i64 = 500;
/// The longest time-out of a run, seconds: 366 days.
pub const RUN_TIMEOUT_SECONDS_MAX: u32 = 366 * 86_400;
/// The most days for which an organization may say that finished runs are kept; for ever is another
/// answer.
pub const RETENTION_DAYS_MAX: i32 = 3_650;
/// Rows that one search of the sweeper takes in a tick.
pub const SWEEP_ROWS_MAX: i64 = 500;
/// Seconds that a committed row may wait for its wake before the sweeper sends one.
pub const SWEEP_GRACE_SECONDS: u32 = 30;

/// Queue items that one builder transaction claims.
pub const CLAIM_ITEMS_MAX: i64 = 50;
/// Weight ([`crate::json::weight`]) of the events and configurations that the templates of one
/// record look at.
pub const LOOKED_AT_WEIGHT_MAX: usize = 64 * 1024 * 1024;
/// Bytes, as JSON text, of the earlier events and configurations that one transaction of the
/// builder loads for templates to look at. A batch that looks at more is built record by record; a
/// record that looks at more fails.
pub const ANCESTORS_BYTES_MAX: i64 = 16 * 1024 * 1024;
/// Executions that the builder makes from one claimed item by going on through pure nodes.
pub const GO_ON_EXECUTIONS_MAX: usize = 100;
/// Bytes of events and configurations that one builder transaction writes by going on. Beyond them,
/// the builder sends a message for the next node instead.
pub const GO_ON_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Seconds that SQS can hold a message back.
pub const QUEUE_DELAY_SECONDS_MAX: u32 = 900;
/// Bytes of a message's body.
pub const MESSAGE_BYTES_MAX: usize = 1024;
/// Seconds until a message is tried again after an outage of ours.
pub const OUTAGE_WAKE_SECONDS: u16 = 10;
/// Hours for which a repeated deduplication key is answered with its first event.
pub const DEDUPLICATION_HOURS: u32 = 24;
/// Bytes of a deduplication key.
pub const DEDUPLICATION_KEY_BYTES_MAX: usize = 256;
