-- The core schema: organizations, workflows, events, queue items, executions, secrets.
-- Times are set by the process that writes (its clock is passed in); leases and due times alone use the database's clock.
-- Foreign keys among events, items, executions and kvs carry workflow_id, so that no row can point into another workflow.

CREATE TABLE organizations (
    id uuid PRIMARY KEY,
    name text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 128),
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    deleted_at timestamptz
);
COMMENT ON TABLE organizations IS 'A tenant. Everything belongs to exactly one.';
COMMENT ON COLUMN organizations.id IS 'UUIDv7, made by the process that inserts.';
COMMENT ON COLUMN organizations.name IS 'What people call it.';
COMMENT ON COLUMN organizations.created_at IS 'When it was made.';
COMMENT ON COLUMN organizations.updated_at IS 'When it last changed.';
COMMENT ON COLUMN organizations.deleted_at IS 'Set when it was deleted; nothing of it runs from then on.';

CREATE TABLE api_tokens (
    id uuid PRIMARY KEY,
    organization_id uuid NOT NULL REFERENCES organizations (id),
    name text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 128),
    token_sha256 bytea NOT NULL UNIQUE CHECK (octet_length(token_sha256) = 32),
    created_at timestamptz NOT NULL,
    revoked_at timestamptz
);
COMMENT ON TABLE api_tokens IS 'Credentials of the management API.';
COMMENT ON COLUMN api_tokens.id IS 'UUIDv7.';
COMMENT ON COLUMN api_tokens.organization_id IS 'The one organization that the token reaches.';
COMMENT ON COLUMN api_tokens.name IS 'What the token is for.';
COMMENT ON COLUMN api_tokens.token_sha256 IS 'SHA-256 of the token; the token itself is shown once and kept nowhere.';
COMMENT ON COLUMN api_tokens.created_at IS 'When it was made.';
COMMENT ON COLUMN api_tokens.revoked_at IS 'Set when it may no longer be used.';

CREATE TABLE workflows (
    id uuid PRIMARY KEY,
    organization_id uuid NOT NULL REFERENCES organizations (id),
    name text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 128),
    description text NOT NULL DEFAULT '' CHECK (char_length(description) <= 2000),
    nodes jsonb NOT NULL CHECK (jsonb_typeof(nodes) = 'array'),
    edges jsonb NOT NULL CHECK (jsonb_typeof(edges) = 'array'),
    version bigint NOT NULL CHECK (version >= 1),
    created_by text NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    deleted_at timestamptz
);
COMMENT ON TABLE workflows IS 'A graph of nodes joined by edges, as it was last applied.';
COMMENT ON COLUMN workflows.id IS 'UUIDv7.';
COMMENT ON COLUMN workflows.organization_id IS 'The tenant; no role may change it.';
COMMENT ON COLUMN workflows.name IS 'Unique in the organization while the workflow lives.';
COMMENT ON COLUMN workflows.description IS 'What it is for, in its author''s words.';
COMMENT ON COLUMN workflows.nodes IS 'The nodes as applied.';
COMMENT ON COLUMN workflows.edges IS 'The edges as applied.';
COMMENT ON COLUMN workflows.version IS 'Raised by each apply that changes something; what is planned and cached is bound to it.';
COMMENT ON COLUMN workflows.created_by IS 'The token or user that made it.';
COMMENT ON COLUMN workflows.created_at IS 'When it was made.';
COMMENT ON COLUMN workflows.updated_at IS 'When it was last applied with a change.';
COMMENT ON COLUMN workflows.deleted_at IS 'Set when it was deleted.';
CREATE UNIQUE INDEX workflows_name_live ON workflows (organization_id, name) WHERE deleted_at IS NULL;
CREATE INDEX workflows_organization ON workflows (organization_id, id);

CREATE TABLE workflow_versions (
    workflow_id uuid NOT NULL REFERENCES workflows (id),
    version bigint NOT NULL,
    nodes jsonb NOT NULL,
    edges jsonb NOT NULL,
    created_by text NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (workflow_id, version)
);
COMMENT ON TABLE workflow_versions IS 'What each version of a workflow was.';
COMMENT ON COLUMN workflow_versions.workflow_id IS 'The workflow.';
COMMENT ON COLUMN workflow_versions.version IS 'workflows.version at that time.';
COMMENT ON COLUMN workflow_versions.nodes IS 'The nodes as applied.';
COMMENT ON COLUMN workflow_versions.edges IS 'The edges as applied.';
COMMENT ON COLUMN workflow_versions.created_by IS 'The token or user that applied it.';
COMMENT ON COLUMN workflow_versions.created_at IS 'When it was applied.';

CREATE TABLE webhooks (
    id uuid PRIMARY KEY,
    workflow_id uuid NOT NULL REFERENCES workflows (id),
    node_id text NOT NULL,
    address text NOT NULL UNIQUE CHECK (char_length(address) BETWEEN 22 AND 64),
    authentication text NOT NULL CHECK (authentication IN ('signature', 'bearer', 'header_token', 'none')),
    header_name text,
    deduplication_header text,
    signing_keys bytea,
    current_key_name text,
    token_sha256 bytea CHECK (octet_length(token_sha256) = 32),
    previous_token_sha256 bytea CHECK (octet_length(previous_token_sha256) = 32),
    previous_until timestamptz,
    version bigint NOT NULL DEFAULT 1 CHECK (version >= 1),
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    deleted_at timestamptz,
    CONSTRAINT webhooks_credential CHECK (CASE authentication WHEN 'signature' THEN signing_keys IS NOT NULL AND token_sha256 IS NULL WHEN 'none' THEN signing_keys IS NULL AND token_sha256 IS NULL ELSE token_sha256 IS NOT NULL AND signing_keys IS NULL END),
    CONSTRAINT webhooks_current_key CHECK ((signing_keys IS NULL) = (current_key_name IS NULL)),
    CONSTRAINT webhooks_previous_token CHECK (previous_token_sha256 IS NULL OR (token_sha256 IS NOT NULL AND previous_until IS NOT NULL))
);
COMMENT ON TABLE webhooks IS 'Public addresses of webhook triggers.';
COMMENT ON COLUMN webhooks.id IS 'UUIDv7; part of the encryption context of its signing keys.';
COMMENT ON COLUMN webhooks.workflow_id IS 'The workflow.';
COMMENT ON COLUMN webhooks.node_id IS 'The trigger node.';
COMMENT ON COLUMN webhooks.address IS 'The last part of its URL: 128 random bits. Readable, for authentication does not rest on it.';
COMMENT ON COLUMN webhooks.authentication IS 'How a caller shows that it may post.';
COMMENT ON COLUMN webhooks.header_name IS 'The header of the signature or token, lower case; null for bearer and none.';
COMMENT ON COLUMN webhooks.deduplication_header IS 'The header whose value makes deliveries the same, lower case; null: none.';
COMMENT ON COLUMN webhooks.signing_keys IS 'Sealed entries (purpose webhook): the current key and, while rotating, the previous one; only for signature.';
COMMENT ON COLUMN webhooks.current_key_name IS 'The name of the current entry. A key keeps its name for life, for its sealed bytes are bound to it; any other entry is the previous key.';
COMMENT ON COLUMN webhooks.token_sha256 IS 'SHA-256 of the token; only for bearer and header_token.';
COMMENT ON COLUMN webhooks.previous_token_sha256 IS 'The token before a rotation.';
COMMENT ON COLUMN webhooks.previous_until IS 'Until when the previous key or token is taken; null: none is.';
COMMENT ON COLUMN webhooks.version IS 'Raised by each change of its key or authentication; cached webhooks are bound to it.';
COMMENT ON COLUMN webhooks.created_at IS 'When it was made.';
COMMENT ON COLUMN webhooks.updated_at IS 'When its key or authentication last changed.';
COMMENT ON COLUMN webhooks.deleted_at IS 'Set when its node was removed or its organization deleted.';

CREATE TABLE workflow_nodes (
    workflow_id uuid NOT NULL REFERENCES workflows (id),
    node_id text NOT NULL CHECK (char_length(node_id) BETWEEN 1 AND 64),
    name text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 128),
    type text NOT NULL CHECK (type IN ('trigger', 'component', 'blueprint')),
    state text NOT NULL DEFAULT 'ready' CHECK (state IN ('ready', 'error')),
    state_reason text,
    ref jsonb NOT NULL,
    configuration jsonb NOT NULL,
    parent_node_id text,
    webhook_id uuid,
    app_installation_id uuid,
    concurrency_max integer CHECK (concurrency_max >= 1),
    metadata jsonb NOT NULL DEFAULT '{}',
    position jsonb,
    version bigint NOT NULL CHECK (version >= 1),
    generation integer NOT NULL DEFAULT 1 CHECK (generation >= 1),
    items_full boolean NOT NULL DEFAULT false,
    locked smallint NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    deleted_at timestamptz,
    PRIMARY KEY (workflow_id, node_id),
    FOREIGN KEY (workflow_id, parent_node_id) REFERENCES workflow_nodes (workflow_id, node_id),
    FOREIGN KEY (webhook_id) REFERENCES webhooks (id) DEFERRABLE INITIALLY DEFERRED
);
COMMENT ON TABLE workflow_nodes IS 'A node of a workflow, live or removed.';
COMMENT ON COLUMN workflow_nodes.workflow_id IS 'The workflow.';
COMMENT ON COLUMN workflow_nodes.node_id IS 'Stable, chosen by the author.';
COMMENT ON COLUMN workflow_nodes.name IS 'What people see and expressions use; unique among live nodes of the workflow.';
COMMENT ON COLUMN workflow_nodes.type IS 'What the node is.';
COMMENT ON COLUMN workflow_nodes.state IS 'Whether it can work.';
COMMENT ON COLUMN workflow_nodes.state_reason IS 'Why it can''t.';
COMMENT ON COLUMN workflow_nodes.ref IS 'Which trigger, component or blueprint: {"component": "http"}.';
COMMENT ON COLUMN workflow_nodes.configuration IS 'The template as the author wrote it, {{ }} unresolved.';
COMMENT ON COLUMN workflow_nodes.parent_node_id IS 'The blueprint node that it was expanded from.';
COMMENT ON COLUMN workflow_nodes.webhook_id IS 'Its webhook, for webhook triggers.';
COMMENT ON COLUMN workflow_nodes.app_installation_id IS 'Reserved for installed apps.';
COMMENT ON COLUMN workflow_nodes.concurrency_max IS 'How many executions may be active at once; null: no limit.';
COMMENT ON COLUMN workflow_nodes.metadata IS 'Facts for people and tools.';
COMMENT ON COLUMN workflow_nodes.position IS 'Where the console draws it: {"x", "y"}.';
COMMENT ON COLUMN workflow_nodes.version IS 'The workflow''s version when this node last changed; secret references are bound to it.';
COMMENT ON COLUMN workflow_nodes.generation IS 'Raised when a removed id is added again: items of an earlier life do not revive.';
COMMENT ON COLUMN workflow_nodes.items_full IS 'Whether the node has as many waiting items as are allowed; kept by builder and sweeper.';
COMMENT ON COLUMN workflow_nodes.locked IS 'Never written. UPDATE on it is what lets a role lock the row (FOR NO KEY UPDATE) and change nothing.';
COMMENT ON COLUMN workflow_nodes.created_at IS 'When it first appeared.';
COMMENT ON COLUMN workflow_nodes.updated_at IS 'When it last changed.';
COMMENT ON COLUMN workflow_nodes.deleted_at IS 'Set when it was removed from the workflow.';
CREATE INDEX workflow_nodes_full ON workflow_nodes (workflow_id) WHERE items_full;
CREATE UNIQUE INDEX workflow_nodes_name_live ON workflow_nodes (workflow_id, name) WHERE deleted_at IS NULL;
ALTER TABLE webhooks ADD FOREIGN KEY (workflow_id, node_id) REFERENCES workflow_nodes (workflow_id, node_id) DEFERRABLE INITIALLY DEFERRED;
CREATE UNIQUE INDEX webhooks_node_live ON webhooks (workflow_id, node_id) WHERE deleted_at IS NULL;

CREATE TABLE workflow_node_secret_refs (
    workflow_id uuid NOT NULL,
    node_id text NOT NULL,
    node_version bigint NOT NULL,
    secret_name text NOT NULL,
    secret_key text NOT NULL,
    PRIMARY KEY (workflow_id, node_id, node_version, secret_name, secret_key),
    FOREIGN KEY (workflow_id, node_id) REFERENCES workflow_nodes (workflow_id, node_id)
);
COMMENT ON TABLE workflow_node_secret_refs IS 'Which keys of which secrets a version of a node may open. Only the API''s role writes it.';
COMMENT ON COLUMN workflow_node_secret_refs.workflow_id IS 'The workflow.';
COMMENT ON COLUMN workflow_node_secret_refs.node_id IS 'The node.';
COMMENT ON COLUMN workflow_node_secret_refs.node_version IS 'workflow_nodes.version.';
COMMENT ON COLUMN workflow_node_secret_refs.secret_name IS 'secrets.name.';
COMMENT ON COLUMN workflow_node_secret_refs.secret_key IS 'The key in that secret.';

CREATE TABLE workflow_events (
    id uuid PRIMARY KEY,
    workflow_id uuid NOT NULL,
    node_id text NOT NULL,
    root_event_id uuid NOT NULL,
    channel text NOT NULL CHECK (char_length(channel) BETWEEN 1 AND 64),
    type text NOT NULL CHECK (char_length(type) BETWEEN 1 AND 128),
    data jsonb NOT NULL,
    custom_name text CHECK (char_length(custom_name) <= 256),
    targets text[] NOT NULL,
    depth integer NOT NULL CHECK (depth BETWEEN 1 AND 1001),
    hops integer NOT NULL DEFAULT 0 CHECK (hops BETWEEN 0 AND 10),
    execution_id uuid,
    created_at timestamptz NOT NULL,
    UNIQUE (workflow_id, id),
    FOREIGN KEY (workflow_id, node_id) REFERENCES workflow_nodes (workflow_id, node_id),
    FOREIGN KEY (workflow_id, root_event_id) REFERENCES workflow_events (workflow_id, id),
    CONSTRAINT workflow_events_root CHECK ((execution_id IS NULL) = (root_event_id = id) OR type = 'redrive')
);
COMMENT ON TABLE workflow_events IS 'Something that happened: a trigger fired or an execution emitted. Immutable.';
COMMENT ON COLUMN workflow_events.id IS 'UUIDv7.';
COMMENT ON COLUMN workflow_events.workflow_id IS 'The workflow.';
COMMENT ON COLUMN workflow_events.node_id IS 'The node that it comes from.';
COMMENT ON COLUMN workflow_events.root_event_id IS 'The root of its run; its own id for a root event.';
COMMENT ON COLUMN workflow_events.channel IS 'The channel that it left on.';
COMMENT ON COLUMN workflow_events.type IS 'What kind of event, such as webhook or http.success.';
COMMENT ON COLUMN workflow_events.data IS 'What happened, after scrubbing.';
COMMENT ON COLUMN workflow_events.custom_name IS 'The run''s name, for root events.';
COMMENT ON COLUMN workflow_events.targets IS 'The nodes that it was routed to.';
COMMENT ON COLUMN workflow_events.depth IS 'Events from the root down to this one; 1 for the root.';
COMMENT ON COLUMN workflow_events.hops IS 'For root events: how often sealflow has called sealflow on the way here.';
COMMENT ON COLUMN workflow_events.execution_id IS 'The execution that emitted it; null for a root event.';
COMMENT ON COLUMN workflow_events.created_at IS 'When it happened.';
CREATE INDEX workflow_events_roots ON workflow_events (workflow_id, id) WHERE execution_id IS NULL;
CREATE INDEX workflow_events_execution ON workflow_events (execution_id) WHERE execution_id IS NOT NULL;
CREATE INDEX workflow_events_run ON workflow_events (root_event_id, id);

CREATE TABLE workflow_run_marks (
    root_event_id uuid PRIMARY KEY,
    workflow_id uuid NOT NULL,
    reason text NOT NULL CHECK (reason IN ('cancelled', 'run_limit')),
    created_by text NOT NULL,
    created_at timestamptz NOT NULL,
    FOREIGN KEY (workflow_id, root_event_id) REFERENCES workflow_events (workflow_id, id)
);
COMMENT ON TABLE workflow_run_marks IS 'A run that is to end: cancelled, or past a limit. A mark, not a lock: writers re-read it.';
COMMENT ON COLUMN workflow_run_marks.root_event_id IS 'The run.';
COMMENT ON COLUMN workflow_run_marks.workflow_id IS 'The workflow.';
COMMENT ON COLUMN workflow_run_marks.reason IS 'Why it ends.';
COMMENT ON COLUMN workflow_run_marks.created_by IS 'The token, user or function that marked it.';
COMMENT ON COLUMN workflow_run_marks.created_at IS 'When it was marked.';

CREATE TABLE workflow_node_queue_items (
    id uuid PRIMARY KEY,
    workflow_id uuid NOT NULL,
    node_id text NOT NULL,
    root_event_id uuid NOT NULL,
    event_id uuid NOT NULL,
    node_generation integer NOT NULL,
    crashes integer NOT NULL DEFAULT 0 CHECK (crashes >= 0),
    created_at timestamptz NOT NULL,
    last_sent_at timestamptz NOT NULL,
    sent_count integer NOT NULL DEFAULT 0 CHECK (sent_count >= 0),
    UNIQUE (event_id, workflow_id, node_id),
    FOREIGN KEY (workflow_id, node_id) REFERENCES workflow_nodes (workflow_id, node_id),
    FOREIGN KEY (workflow_id, root_event_id) REFERENCES workflow_events (workflow_id, id),
    FOREIGN KEY (workflow_id, event_id) REFERENCES workflow_events (workflow_id, id)
);
COMMENT ON TABLE workflow_node_queue_items IS 'An event that waits at a node. Consumed by exactly one execution.';
COMMENT ON COLUMN workflow_node_queue_items.id IS 'UUIDv7.';
COMMENT ON COLUMN workflow_node_queue_items.workflow_id IS 'The workflow.';
COMMENT ON COLUMN workflow_node_queue_items.node_id IS 'The node that it waits at.';
COMMENT ON COLUMN workflow_node_queue_items.root_event_id IS 'The run.';
COMMENT ON COLUMN workflow_node_queue_items.event_id IS 'The event that waits.';
COMMENT ON COLUMN workflow_node_queue_items.node_generation IS 'workflow_nodes.generation when it was routed; of an earlier life it ends as node_removed.';
COMMENT ON COLUMN workflow_node_queue_items.crashes IS 'Times that a builder ended while it worked on this item alone.';
COMMENT ON COLUMN workflow_node_queue_items.created_at IS 'When it was routed; with id the order of a limited node.';
COMMENT ON COLUMN workflow_node_queue_items.last_sent_at IS 'When the sweeper last sent a wake; at first created_at. Only the sweeper writes it.';
COMMENT ON COLUMN workflow_node_queue_items.sent_count IS 'Wakes that the sweeper sent.';
CREATE INDEX workflow_node_queue_items_order ON workflow_node_queue_items (workflow_id, node_id, created_at, id);
CREATE INDEX workflow_node_queue_items_sent ON workflow_node_queue_items (sent_count) WHERE sent_count > 0;
CREATE INDEX workflow_node_queue_items_run ON workflow_node_queue_items (root_event_id);

CREATE TABLE workflow_node_executions (
    id uuid PRIMARY KEY,
    workflow_id uuid NOT NULL,
    node_id text NOT NULL,
    root_event_id uuid NOT NULL,
    event_id uuid NOT NULL,
    previous_execution_id uuid,
    parent_execution_id uuid,
    state text NOT NULL CHECK (state IN ('pending', 'started', 'cancelling', 'finished')),
    result text CHECK (result IN ('passed', 'failed', 'cancelled')),
    result_reason text CHECK (result_reason IN ('template_error', 'secret_missing', 'secret_denied', 'component_error', 'timeout', 'limit', 'run_limit', 'cancelled', 'node_removed', 'crashed', 'undeliverable')),
    result_message text,
    component text NOT NULL,
    configuration jsonb NOT NULL,
    residuals jsonb NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(residuals) = 'array'),
    policy jsonb NOT NULL DEFAULT '{}',
    metadata jsonb NOT NULL DEFAULT '{}',
    workflow_version bigint NOT NULL,
    node_version bigint NOT NULL,
    attempt integer NOT NULL DEFAULT 1 CHECK (attempt BETWEEN 1 AND 30),
    key_attempt integer NOT NULL DEFAULT 1 CHECK (key_attempt BETWEEN 1 AND 30),
    crashes integer NOT NULL DEFAULT 0 CHECK (crashes >= 0),
    run_at timestamptz,
    lease_token uuid,
    lease_until timestamptz,
    last_sent_at timestamptz NOT NULL,
    sent_count integer NOT NULL DEFAULT 0 CHECK (sent_count >= 0),
    cancelled_by text,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    started_at timestamptz,
    finished_at timestamptz,
    UNIQUE (workflow_id, id),
    UNIQUE (event_id, workflow_id, node_id),
    FOREIGN KEY (workflow_id, node_id) REFERENCES workflow_nodes (workflow_id, node_id),
    FOREIGN KEY (workflow_id, root_event_id) REFERENCES workflow_events (workflow_id, id),
    FOREIGN KEY (workflow_id, event_id) REFERENCES workflow_events (workflow_id, id),
    FOREIGN KEY (workflow_id, previous_execution_id) REFERENCES workflow_node_executions (workflow_id, id),
    FOREIGN KEY (workflow_id, parent_execution_id) REFERENCES workflow_node_executions (workflow_id, id),
    CONSTRAINT workflow_node_executions_finished CHECK ((state = 'finished') = (result IS NOT NULL) AND (state = 'finished') = (finished_at IS NOT NULL)),
    CONSTRAINT workflow_node_executions_reason CHECK (result_reason IS NULL OR result IN ('failed', 'cancelled')),
    CONSTRAINT workflow_node_executions_lease CHECK ((lease_token IS NOT NULL) = (state IN ('started', 'cancelling')) AND (lease_token IS NULL) = (lease_until IS NULL))
);
COMMENT ON TABLE workflow_node_executions IS 'One run of a node over one event.';
COMMENT ON COLUMN workflow_node_executions.id IS 'UUIDv7.';
COMMENT ON COLUMN workflow_node_executions.workflow_id IS 'The workflow.';
COMMENT ON COLUMN workflow_node_executions.node_id IS 'The node.';
COMMENT ON COLUMN workflow_node_executions.root_event_id IS 'The run.';
COMMENT ON COLUMN workflow_node_executions.event_id IS 'The event that it works on.';
COMMENT ON COLUMN workflow_node_executions.previous_execution_id IS 'The execution that emitted that event; null after a trigger.';
COMMENT ON COLUMN workflow_node_executions.parent_execution_id IS 'The blueprint''s or loop''s execution that it runs inside of.';
COMMENT ON COLUMN workflow_node_executions.state IS 'Where it stands.';
COMMENT ON COLUMN workflow_node_executions.result IS 'How it ended.';
COMMENT ON COLUMN workflow_node_executions.result_reason IS 'Why it did not pass.';
COMMENT ON COLUMN workflow_node_executions.result_message IS 'A sentence for the person who wrote the workflow; never a secret''s value.';
COMMENT ON COLUMN workflow_node_executions.component IS 'The component that it was built with.';
COMMENT ON COLUMN workflow_node_executions.configuration IS 'The configuration as people see it: resolved, secrets shown as the reference that the author wrote.';
COMMENT ON COLUMN workflow_node_executions.residuals IS 'What the executor evaluates with the secrets: [{path, expr, refs}]. Typed; never a template.';
COMMENT ON COLUMN workflow_node_executions.policy IS 'What else of the node the executor needs: {retry, redact}.';
COMMENT ON COLUMN workflow_node_executions.metadata IS 'Facts about its course: attempts with their errors, secrets opened, places scrubbed.';
COMMENT ON COLUMN workflow_node_executions.workflow_version IS 'workflows.version that it was built with.';
COMMENT ON COLUMN workflow_node_executions.node_version IS 'workflow_nodes.version that it was built with; its secret references are those of that version.';
COMMENT ON COLUMN workflow_node_executions.attempt IS 'The attempt that is at work or comes next, from 1.';
COMMENT ON COLUMN workflow_node_executions.key_attempt IS 'The attempt whose idempotency key is sent: it goes up only after an answer was received.';
COMMENT ON COLUMN workflow_node_executions.crashes IS 'Claims in a row without a recorded outcome.';
COMMENT ON COLUMN workflow_node_executions.run_at IS 'Not before this time (a retry); null: at once.';
COMMENT ON COLUMN workflow_node_executions.lease_token IS 'Names the claim that may finish it.';
COMMENT ON COLUMN workflow_node_executions.lease_until IS 'When the claim lapses, by the database''s clock.';
COMMENT ON COLUMN workflow_node_executions.last_sent_at IS 'When the sweeper last sent a wake; at first created_at. Only the sweeper writes it.';
COMMENT ON COLUMN workflow_node_executions.sent_count IS 'Wakes that the sweeper sent.';
COMMENT ON COLUMN workflow_node_executions.cancelled_by IS 'The token or user that cancelled it.';
COMMENT ON COLUMN workflow_node_executions.created_at IS 'When the builder made it.';
COMMENT ON COLUMN workflow_node_executions.updated_at IS 'When its state last changed.';
COMMENT ON COLUMN workflow_node_executions.started_at IS 'When it was first claimed.';
COMMENT ON COLUMN workflow_node_executions.finished_at IS 'When it ended.';
CREATE INDEX workflow_node_executions_active ON workflow_node_executions (workflow_id, node_id) WHERE state <> 'finished';
CREATE INDEX workflow_node_executions_pending ON workflow_node_executions (coalesce(run_at, last_sent_at)) WHERE state = 'pending';
CREATE INDEX workflow_node_executions_leases ON workflow_node_executions (lease_until) WHERE state IN ('started', 'cancelling');
CREATE INDEX workflow_node_executions_run ON workflow_node_executions (root_event_id, id);
CREATE INDEX workflow_node_executions_node ON workflow_node_executions (workflow_id, node_id, id);
CREATE INDEX workflow_node_executions_previous ON workflow_node_executions (previous_execution_id) WHERE previous_execution_id IS NOT NULL;
CREATE INDEX workflow_node_executions_parent ON workflow_node_executions (parent_execution_id) WHERE parent_execution_id IS NOT NULL;

-- Events and executions point at each other; a chain is inserted events first.
ALTER TABLE workflow_events ADD FOREIGN KEY (workflow_id, execution_id) REFERENCES workflow_node_executions (workflow_id, id) DEFERRABLE INITIALLY DEFERRED;

CREATE TABLE workflow_node_execution_kvs (
    id uuid PRIMARY KEY,
    execution_id uuid NOT NULL,
    workflow_id uuid NOT NULL,
    node_id text NOT NULL,
    key text NOT NULL CHECK (octet_length(key) BETWEEN 1 AND 1024),
    value text NOT NULL CHECK (octet_length(value) <= 1024),
    FOREIGN KEY (workflow_id, execution_id) REFERENCES workflow_node_executions (workflow_id, id),
    FOREIGN KEY (workflow_id, node_id) REFERENCES workflow_nodes (workflow_id, node_id),
    UNIQUE (execution_id, key)
);
COMMENT ON TABLE workflow_node_execution_kvs IS 'Keys by which executions are found.';
COMMENT ON COLUMN workflow_node_execution_kvs.id IS 'UUIDv7.';
COMMENT ON COLUMN workflow_node_execution_kvs.execution_id IS 'The execution.';
COMMENT ON COLUMN workflow_node_execution_kvs.workflow_id IS 'The workflow.';
COMMENT ON COLUMN workflow_node_execution_kvs.node_id IS 'The node.';
COMMENT ON COLUMN workflow_node_execution_kvs.key IS 'The key''s name, from the node''s `keys`.';
COMMENT ON COLUMN workflow_node_execution_kvs.value IS 'What its template resolved to.';
CREATE INDEX workflow_node_execution_kvs_lookup ON workflow_node_execution_kvs (workflow_id, key, value, execution_id);

CREATE TABLE secrets (
    id uuid PRIMARY KEY,
    name text NOT NULL CHECK (name ~ '^[A-Za-z0-9_.-]{1,128}$'),
    domain_type text NOT NULL CHECK (domain_type IN ('org')),
    domain_id uuid NOT NULL,
    provider text NOT NULL DEFAULT 'local' CHECK (provider IN ('local')),
    data bytea NOT NULL,
    created_by text NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    UNIQUE (domain_type, domain_id, name)
);
COMMENT ON TABLE secrets IS 'Secrets of an organization. Values are sealed, each by itself.';
COMMENT ON COLUMN secrets.id IS 'UUIDv7; part of the encryption context.';
COMMENT ON COLUMN secrets.name IS 'What expressions call it; a name is never changed.';
COMMENT ON COLUMN secrets.domain_type IS 'What kind of owner.';
COMMENT ON COLUMN secrets.domain_id IS 'The owner: an organization''s id. No foreign key.';
COMMENT ON COLUMN secrets.provider IS 'Where values are kept: local means sealed here.';
COMMENT ON COLUMN secrets.data IS 'A version byte and entries {key name, allowed hosts, wrapped data key, nonce, ciphertext}.';
COMMENT ON COLUMN secrets.created_by IS 'The token or user that made it.';
COMMENT ON COLUMN secrets.created_at IS 'When it was made.';
COMMENT ON COLUMN secrets.updated_at IS 'When a value last changed.';

CREATE TABLE webhook_deduplications (
    webhook_id uuid NOT NULL REFERENCES webhooks (id),
    key text NOT NULL CHECK (octet_length(key) BETWEEN 1 AND 256),
    event_id uuid NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (webhook_id, key)
);
COMMENT ON TABLE webhook_deduplications IS 'Deliveries seen in the last 24 hours, by the sender''s key.';
COMMENT ON COLUMN webhook_deduplications.webhook_id IS 'The webhook that the key is scoped to.';
COMMENT ON COLUMN webhook_deduplications.key IS 'The sender''s key.';
COMMENT ON COLUMN webhook_deduplications.event_id IS 'The first event with that key.';
COMMENT ON COLUMN webhook_deduplications.created_at IS 'When that was.';
CREATE INDEX webhook_deduplications_age ON webhook_deduplications (created_at);

CREATE TABLE function_heartbeats (
    function text PRIMARY KEY CHECK (function IN ('builder', 'executor')),
    committed_at timestamptz NOT NULL
);
COMMENT ON TABLE function_heartbeats IS 'When each function last committed work, for the sweeper''s judgement of what can''t be delivered.';
COMMENT ON COLUMN function_heartbeats.function IS 'The function.';
COMMENT ON COLUMN function_heartbeats.committed_at IS 'Its last commit of work, to within ten seconds.';
