//! The API described as OpenAPI 3.1 (<https://spec.openapis.org/oas/v3.1.1.html>).

use schemars::generate::{SchemaGenerator, SchemaSettings};
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value, json};

use crate::body::{
    ChangeMember, NewMember, NewToken, RotateWebhook, SecretValue, SecretValues, SetWebhookKey, StartRun,
};
use crate::{
    Applied, AppliedBlueprint, ApplyQuery, Approval, ApprovalDecision, ApprovalList, AuditList, AuditQuery,
    BlueprintDetail, BlueprintList, BlueprintUpgrade, ChangeOrganization, CheckQuery, DeadLetterList,
    DeadLetterQuery, DeleteOrganizationQuery, DeletedBlueprint, EventList, EventQuery, Execution,
    ExecutionAnswer, ExecutionList, ExecutionQuery, Health, Me, MemberList, NewTokenAnswer, Organization,
    PageQuery, ProblemDetails, QueueItemList, QueueItemQuery, Redriven, RunAnswer, RunList, RunPage,
    RunQuery, SecretAnswer, SecretList, StartedRun, Token, TokenList, UpgradeQuery, WebhookAnswer,
    WebhookList, WebhookQuery, WorkflowDetail, WorkflowList,
};

/// Makes the schema of a type.
type MakeSchema = fn(&mut SchemaGenerator) -> Schema;

fn of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// The body of a request.
enum Body {
    /// None.
    None,
    /// JSON of this shape.
    Json(MakeSchema),
    /// JSON of this shape, or nothing.
    Optional(MakeSchema),
    /// A definition, as YAML or JSON.
    Definition,
}

/// One method of one path.
pub struct Operation {
    /// In capitals.
    pub method: &'static str,
    /// With `{name}` for a parameter.
    pub path: &'static str,
    /// Unique among all, in lower camel case.
    pub id: &'static str,
    summary: &'static str,
    query: Option<MakeSchema>,
    body: Body,
    status: u16,
    answer: Option<MakeSchema>,
    /// Statuses of problems beside those of each operation.
    problems: &'static [u16],
}

impl Operation {
    const fn new(method: &'static str, path: &'static str, id: &'static str, summary: &'static str) -> Self {
        Self {
            method,
            path,
            id,
            summary,
            query: None,
            body: Body::None,
            status: 200,
            answer: None,
            problems: &[],
        }
    }

    const fn query(mut self, query: MakeSchema) -> Self {
        self.query = Some(query);
        self
    }

    const fn json(mut self, body: MakeSchema) -> Self {
        self.body = Body::Json(body);
        self
    }

    const fn answer(mut self, status: u16, answer: MakeSchema) -> Self {
        (self.status, self.answer) = (status, Some(answer));
        self
    }

    const fn empty(mut self) -> Self {
        self.status = 204;
        self
    }

    const fn problems(mut self, problems: &'static [u16]) -> Self {
        self.problems = problems;
        self
    }

    /// Whether it is answered without a token.
    #[must_use]
    pub fn is_public(&self) -> bool {
        self.path == "/health"
    }
}

/// Statuses of the problems that any operation with a token may answer.
const PROBLEMS: [u16; 6] = [400, 401, 403, 429, 500, 503];

/// All operations, in the order of their paths.
pub const OPERATIONS: [Operation; 47] = [
    Operation::new("GET", "/health", "health", "Whether the function runs").answer(200, of::<Health>),
    Operation::new("GET", "/v1/approvals", "listApprovals", "Approvals that wait")
        .query(of::<PageQuery>)
        .answer(200, of::<ApprovalList>),
    Operation::new("GET", "/v1/approvals/{approval}", "showApproval", "One approval")
        .answer(200, of::<Approval>)
        .problems(&[404]),
    Operation::new(
        "POST",
        "/v1/approvals/{approval}",
        "decideApproval",
        "Votes for or against what an approval asks",
    )
    .json(of::<ApprovalDecision>)
    .answer(200, of::<Approval>)
    .problems(&[404, 409, 410, 413, 415]),
    Operation::new(
        "GET",
        "/v1/blueprints",
        "listBlueprints",
        "Blueprints by name, each in its newest version, without their definitions",
    )
    .query(of::<PageQuery>)
    .answer(200, of::<BlueprintList>),
    Operation::new("PUT", "/v1/blueprints", "applyBlueprint", "Applies a blueprint, as a new version")
        .query(of::<CheckQuery>)
        .definition()
        .answer(200, of::<AppliedBlueprint>)
        .problems(&[404, 409, 413, 415, 422]),
    Operation::new(
        "GET",
        "/v1/blueprints/{blueprint}",
        "showBlueprint",
        "One blueprint with its definition: by name, or by name and version as `deploy@2`",
    )
    .answer(200, of::<BlueprintDetail>)
    .problems(&[404]),
    Operation::new(
        "DELETE",
        "/v1/blueprints/{blueprint}",
        "deleteBlueprint",
        "Deletes a version of a blueprint, or all of them; none that is in use",
    )
    .answer(200, of::<DeletedBlueprint>)
    .problems(&[404, 409]),
    Operation::new(
        "POST",
        "/v1/blueprints/{blueprint}/upgrade",
        "upgradeBlueprint",
        "Applies the workflows that use another version anew with this one, or with the newest",
    )
    .query(of::<UpgradeQuery>)
    .answer(200, of::<BlueprintUpgrade>)
    .problems(&[404]),
    Operation::new(
        "GET",
        "/v1/dead-letters",
        "listDeadLetters",
        "Dead letters: executions that failed, whose failure no edge took",
    )
    .query(of::<DeadLetterQuery>)
    .answer(200, of::<DeadLetterList>)
    .problems(&[404]),
    Operation::new("GET", "/v1/events", "listEvents", "Events")
        .query(of::<EventQuery>)
        .answer(200, of::<EventList>)
        .problems(&[404]),
    Operation::new("GET", "/v1/executions", "listExecutions", "Executions")
        .query(of::<ExecutionQuery>)
        .answer(200, of::<ExecutionList>)
        .problems(&[404]),
    Operation::new("GET", "/v1/executions/{execution}", "showExecution", "One execution")
        .answer(200, of::<Execution>)
        .problems(&[404]),
    Operation::new(
        "POST",
        "/v1/executions/{execution}/cancel",
        "cancelExecution",
        "Tells one execution to end; the rest of its run goes on",
    )
    .answer(202, of::<ExecutionAnswer>)
    .problems(&[404, 409]),
    Operation::new(
        "POST",
        "/v1/executions/{execution}/redrive",
        "redriveExecution",
        "Routes the event of a failed execution to its node once more",
    )
    .answer(202, of::<Redriven>)
    .problems(&[404, 409]),
    Operation::new(
        "POST",
        "/v1/executions/{execution}/release",
        "releaseExecution",
        "Lets a held execution go on now",
    )
    .answer(202, of::<ExecutionAnswer>)
    .problems(&[404, 409, 410]),
    Operation::new("GET", "/v1/organization", "showOrganization", "The token's own organization")
        .answer(200, of::<Organization>)
        .problems(&[404]),
    Operation::new("PATCH", "/v1/organization", "changeOrganization", "Changes how long runs are kept")
        .json(of::<ChangeOrganization>)
        .answer(200, of::<Organization>)
        .problems(&[404, 413, 415]),
    Operation::new(
        "DELETE",
        "/v1/organization",
        "deleteOrganization",
        "Ends the organization with its secrets, webhooks and runs",
    )
    .query(of::<DeleteOrganizationQuery>)
    .empty()
    .problems(&[404]),
    Operation::new("GET", "/v1/queue-items", "listQueueItems", "Items that wait, and for what")
        .query(of::<QueueItemQuery>)
        .answer(200, of::<QueueItemList>)
        .problems(&[404]),
    Operation::new("GET", "/v1/runs", "listRuns", "Runs")
        .query(of::<RunQuery>)
        .answer(200, of::<RunList>)
        .problems(&[404]),
    Operation::new("GET", "/v1/runs/{run}", "showRun", "One run with a page of its executions")
        .query(of::<PageQuery>)
        .answer(200, of::<RunPage>)
        .problems(&[404]),
    Operation::new("POST", "/v1/runs/{run}/cancel", "cancelRun", "Tells a run to end")
        .answer(202, of::<RunAnswer>)
        .problems(&[404, 409]),
    Operation::new("GET", "/v1/secrets", "listSecrets", "Names, keys, hosts, places and times; never values")
        .query(of::<PageQuery>)
        .answer(200, of::<SecretList>),
    Operation::new("PUT", "/v1/secrets/{name}", "setSecret", "Replaces all keys of a secret")
        .json(of::<SecretValues>)
        .answer(200, of::<SecretAnswer>)
        .problems(&[404, 409, 413, 415]),
    Operation::new("DELETE", "/v1/secrets/{name}", "deleteSecret", "Deletes a secret")
        .empty()
        .problems(&[404]),
    Operation::new("PUT", "/v1/secrets/{name}/{key}", "setSecretKey", "Sets one key of a secret")
        .json(of::<SecretValue>)
        .answer(200, of::<SecretAnswer>)
        .problems(&[404, 409, 413, 415]),
    Operation::new("DELETE", "/v1/secrets/{name}/{key}", "deleteSecretKey", "Deletes one key of a secret")
        .empty()
        .problems(&[404, 409]),
    Operation::new("GET", "/v1/me", "getMe", "Who the caller is, and what it may do").answer(200, of::<Me>),
    Operation::new("GET", "/v1/members", "listMembers", "Members, the newest first")
        .query(of::<PageQuery>)
        .answer(200, of::<MemberList>),
    Operation::new(
        "POST",
        "/v1/members",
        "inviteMember",
        "Makes a member, with a token that is shown in this answer only",
    )
    .json(of::<NewMember>)
    .answer(201, of::<NewTokenAnswer>)
    .problems(&[409]),
    Operation::new("PATCH", "/v1/members/{member}", "changeMember", "Gives a member another role")
        .json(of::<ChangeMember>)
        .answer(200, of::<Token>)
        .problems(&[404, 409]),
    Operation::new(
        "DELETE",
        "/v1/members/{member}",
        "removeMember",
        "Removes a member, and with it the tokens that it made",
    )
    .empty()
    .problems(&[404, 409]),
    Operation::new("GET", "/v1/audit", "listAudit", "Who did what, newest first")
        .query(of::<AuditQuery>)
        .answer(200, of::<AuditList>),
    Operation::new("GET", "/v1/tokens", "listTokens", "Names and times of tokens; never a token")
        .query(of::<PageQuery>)
        .answer(200, of::<TokenList>),
    Operation::new("POST", "/v1/tokens", "createToken", "Makes a token, shown in this answer only")
        .json(of::<NewToken>)
        .answer(201, of::<NewTokenAnswer>)
        .problems(&[409, 413, 415]),
    Operation::new("POST", "/v1/tokens/{token}/revoke", "revokeToken", "Refuses a token from now on")
        .answer(200, of::<Token>)
        .problems(&[404, 409]),
    Operation::new(
        "GET",
        "/v1/webhooks",
        "listWebhooks",
        "The webhooks of a workflow, without keys and tokens",
    )
    .query(of::<WebhookQuery>)
    .answer(200, of::<WebhookList>)
    .problems(&[404]),
    Operation::new(
        "POST",
        "/v1/webhooks/{webhook}/rotate",
        "rotateWebhook",
        "Makes a new key or token, shown in this answer only",
    )
    .optional(of::<RotateWebhook>)
    .answer(200, of::<WebhookAnswer>)
    .problems(&[404, 409, 413, 415]),
    Operation::new(
        "PUT",
        "/v1/webhooks/{webhook}/key",
        "setWebhookKey",
        "Sets a key or token that somebody else made",
    )
    .json(of::<SetWebhookKey>)
    .answer(200, of::<WebhookAnswer>)
    .problems(&[404, 409, 413, 415]),
    Operation::new(
        "POST",
        "/v1/webhooks/{workflow}/{node}/rotate",
        "rotateWebhookOfNode",
        "Makes a new key or token for the webhook of a node",
    )
    .optional(of::<RotateWebhook>)
    .answer(200, of::<WebhookAnswer>)
    .problems(&[404, 409, 413, 415]),
    Operation::new(
        "PUT",
        "/v1/webhooks/{workflow}/{node}/key",
        "setWebhookKeyOfNode",
        "Sets a key or token for the webhook of a node",
    )
    .json(of::<SetWebhookKey>)
    .answer(200, of::<WebhookAnswer>)
    .problems(&[404, 409, 413, 415]),
    Operation::new("GET", "/v1/workflows", "listWorkflows", "Live workflows, without their definitions")
        .query(of::<PageQuery>)
        .answer(200, of::<WorkflowList>),
    Operation::new("PUT", "/v1/workflows", "applyWorkflow", "Applies a definition")
        .query(of::<ApplyQuery>)
        .definition()
        .answer(200, of::<Applied>)
        .problems(&[404, 409, 413, 415, 422]),
    Operation::new("GET", "/v1/workflows/{workflow}", "showWorkflow", "One workflow with its definition")
        .answer(200, of::<WorkflowDetail>)
        .problems(&[404]),
    Operation::new("POST", "/v1/workflows/{workflow}/runs", "startRun", "Starts a run")
        .optional(of::<StartRun>)
        .answer(202, of::<StartedRun>)
        .problems(&[404, 409, 413, 415, 508]),
    Operation::new(
        "DELETE",
        "/v1/workflows/{workflow}",
        "deleteWorkflow",
        "Deletes a workflow; its history stays",
    )
    .empty()
    .problems(&[404]),
];

impl Operation {
    const fn optional(mut self, body: MakeSchema) -> Self {
        self.body = Body::Optional(body);
        self
    }

    const fn definition(mut self) -> Self {
        self.body = Body::Definition;
        self
    }
}

/// The sentences of path parameters.
fn parameter_description(name: &str) -> &'static str {
    match name {
        "workflow" => "The workflow, by id or name.",
        "execution" => "The execution's id.",
        "run" => "The run's id: that of its root event.",
        "webhook" => "The webhook's id.",
        "node" => "The node's id.",
        "token" => "The token, by id or name.",
        "key" => "The name of a key of the secret.",
        _ => {
            "The name. One with other characters than letters, digits, `-`, `_`, `.` is `~` and its base64url."
        }
    }
}

/// The document.
#[must_use]
pub fn document() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut answers = settings.clone().for_serialize().into_generator();
    let mut requests = settings.for_deserialize().into_generator();
    let problem = answers.subschema_for::<ProblemDetails>();
    let mut paths = Map::new();
    for operation in &OPERATIONS {
        let path = paths.entry(operation.path).or_insert_with(|| json!({}));
        path[operation.method.to_lowercase()] = described(operation, &mut answers, &mut requests);
    }
    let mut schemas = answers.take_definitions(true);
    schemas.extend(requests.take_definitions(true));
    json!({
        "openapi": "3.1.1",
        "info": {
            "title": "sealflow",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "The management API: what tokens of an organization may see and change.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "security": [{ "token": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
            "responses": problems(&problem),
            "schemas": schemas,
        },
    })
}

fn described(operation: &Operation, answers: &mut SchemaGenerator, requests: &mut SchemaGenerator) -> Value {
    let mut parameters: Vec<Value> = operation.path.split('{').skip(1).map(path_parameter).collect();
    parameters.extend(operation.query.into_iter().flat_map(|query| query_parameters(query, requests)));
    let mut described = json!({
        "operationId": operation.id,
        "summary": operation.summary,
        "parameters": parameters,
        "responses": responses(operation, answers),
    });
    if operation.is_public() {
        described["security"] = json!([]);
    }
    let body = match operation.body {
        Body::None => return described,
        Body::Json(schema) => json!({ "required": true, "content": json_of(&schema(requests)) }),
        Body::Optional(schema) => json!({ "content": json_of(&schema(requests)) }),
        Body::Definition => json!({ "required": true, "content": {
            "application/yaml": { "schema": { "type": "string" } },
            "application/json": { "schema": { "type": "object" } },
        } }),
    };
    described["requestBody"] = body;
    described
}

fn json_of(schema: &Schema) -> Value {
    json!({ "application/json": { "schema": schema } })
}

/// `rest` is what follows a `{` of the path.
fn path_parameter(rest: &str) -> Value {
    let name = rest.split('}').next().unwrap_or_default();
    json!({
        "name": name,
        "in": "path",
        "required": true,
        "description": parameter_description(name),
        "schema": { "type": "string" },
    })
}

/// The fields of a query's type, each a parameter.
fn query_parameters(query: MakeSchema, requests: &mut SchemaGenerator) -> Vec<Value> {
    let reference = query(requests);
    let name = reference.get("$ref").and_then(Value::as_str).and_then(|path| path.rsplit('/').next());
    let name = name.expect("a query is a type with a name").to_owned();
    let schema = requests.definitions_mut().remove(&name).expect("it was made");
    let Some(Value::Object(fields)) = schema.get("properties").cloned() else { return Vec::new() };
    fields
        .into_iter()
        .map(|(name, mut schema)| {
            let description = schema.as_object_mut().and_then(|schema| schema.remove("description"));
            json!({ "name": name, "in": "query", "description": description, "schema": schema })
        })
        .collect()
}

fn responses(operation: &Operation, answers: &mut SchemaGenerator) -> Value {
    let mut responses = Map::new();
    let answer = match operation.answer {
        Some(answer) => json!({ "description": "Done.", "content": json_of(&answer(answers)) }),
        None => json!({ "description": "Done." }),
    };
    responses.insert(operation.status.to_string(), answer);
    if !operation.is_public() {
        for status in PROBLEMS.iter().chain(operation.problems) {
            let reference = format!("#/components/responses/{}", problem_name(*status));
            responses.insert(status.to_string(), json!({ "$ref": reference }));
        }
    }
    Value::Object(responses)
}

/// The problems: status, name, and when.
const DESCRIBED_PROBLEMS: [(u16, &str, &str); 13] = [
    (400, "InvalidRequest", "A body, query or path can't be read, or a value in it is not allowed."),
    (401, "Unauthorized", "There is no token, or it may not be used."),
    (403, "Forbidden", "The caller's role or grants do not allow it."),
    (404, "NotFound", "It is not there, or it is another organization's."),
    (409, "Conflict", "The caller's knowledge is out of date."),
    (410, "Gone", "The call comes too late."),
    (413, "TooLarge", "The body is too large."),
    (415, "MediaType", "The body is of another type."),
    (422, "InvalidDefinition", "The definition has errors."),
    (
        429,
        "TooManyRequests",
        "The token makes requests too fast, or a node has as many waiting items as are allowed.",
    ),
    (500, "Internal", "A bug, or a wrong set-up."),
    (503, "Unavailable", "The database or the key service can't be reached."),
    (508, "LoopDetected", "Workflows call each other in a circle."),
];

fn problem_name(status: u16) -> &'static str {
    let described = DESCRIBED_PROBLEMS.iter().find(|(described, ..)| *described == status);
    described.expect("each problem of an operation is described").1
}

/// The answers that all operations share.
fn problems(problem: &Schema) -> Map<String, Value> {
    let response = |description: &str| {
        let content = json!({ "application/problem+json": { "schema": problem } });
        json!({ "description": description, "content": content })
    };
    let described = DESCRIBED_PROBLEMS.iter();
    described.map(|(_, name, description)| ((*name).to_owned(), response(description))).collect()
}
