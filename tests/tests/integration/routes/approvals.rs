//! Approvals over the API: who sees them, who decides, and what a vote that comes twice or too late is
//! answered.

use domain::access::{Grants, Role};
use domain::actor::{Actor, ActorKind};
use domain::ids::{EventId, ExecutionId};
use domain::message::Message;
use serde_json::{Value, json};
use sweeper::sweep;
use tests::api_world::ApiWorld;
use tests::world::{Workflow, build, event, messages};

fn node(id: &str, component: &str, configuration: Value) -> Value {
    json!({ "id": id, "name": id, "component": component, "configuration": configuration })
}

async fn workflow(api: &ApiWorld, approval: Value) -> Workflow {
    let nodes = json!([
        { "id": "start", "name": "start", "trigger": "start" },
        node("ask", "approval", approval),
        node("told", "noop", json!({})), node("yes", "noop", json!({})), node("no", "noop", json!({})), node("late", "noop", json!({})),
    ]);
    let edges = json!([
        { "from": "start", "to": "ask" }, { "from": "ask", "channel": "requested", "to": "told" }, { "from": "ask", "channel": "approved", "to": "yes" },
        { "from": "ask", "channel": "rejected", "to": "no" }, { "from": "ask", "channel": "expired", "to": "late" },
    ]);
    api.world.workflow(nodes, edges).await
}

/// Starts a run with a token; gives the approval and the run.
async fn open(api: &ApiWorld, workflow: &Workflow, token: &str) -> (ExecutionId, EventId) {
    let body = json!({ "data": { "build": "canary-build" } });
    let started = api.call(token, "POST", &format!("/v1/workflows/{}/runs", workflow.id), &body).await;
    assert_eq!(started.status, 202, "{started:?}");
    let run_id: EventId = started.body["run_id"].as_str().unwrap().parse().unwrap();
    let builder = api.world.builder();
    build(&builder, &[event(run_id)]).await;
    build(&builder, &messages(&api.world.queues.take())).await;
    let sql =
        format!("SELECT id FROM workflow_node_executions WHERE run_id = '{run_id}' AND node_id = 'ask'");
    (api.world.database.sql(&sql).await.parse().unwrap(), run_id)
}

async fn vote(api: &ApiWorld, token: &str, id: ExecutionId, body: Value) -> (u16, Value) {
    let answer = api.call(token, "POST", &format!("/v1/approvals/{id}"), &body).await;
    (answer.status, answer.body)
}

async fn wake(api: &ApiWorld, id: ExecutionId) {
    build(&api.world.builder(), &[Message::Wake { execution_id: id }]).await;
    build(&api.world.builder(), &messages(&api.world.queues.take())).await;
}

/// The nodes that ran in a run.
async fn ran(api: &ApiWorld, run_id: EventId) -> String {
    let sql = format!(
        "SELECT string_agg(node_id, ',' ORDER BY id) FROM workflow_node_executions WHERE run_id = '{run_id}' AND state = 'finished'"
    );
    api.world.database.sql(&sql).await
}

async fn member(api: &ApiWorld, root: &str, email: &str, role: &str) -> String {
    let invited = api.call(root, "POST", "/v1/members", &json!({ "email": email, "role": role })).await;
    invited.body["token"].as_str().unwrap_or_else(|| panic!("{invited:?}")).to_owned()
}

async fn without_data(api: &ApiWorld, root: &str, email: &str) -> String {
    let invite = json!({ "email": email, "role": "operator", "grants": [] });
    let invited = api.call(root, "POST", "/v1/members", &invite).await;
    invited.body["token"].as_str().unwrap_or_else(|| panic!("{invited:?}")).to_owned()
}

#[tokio::test]
async fn a_run_goes_on_by_the_decision_of_those_who_are_asked_and_a_vote_counts_once_i3() {
    let api = ApiWorld::create().await;
    let root = api.token(Role::Owner).await;
    let (ann, bob, cid) = (
        member(&api, &root, "ann@example.com", "operator").await,
        without_data(&api, &root, "bob@example.com").await,
        member(&api, &root, "cid@example.com", "operator").await,
    );
    let approval = json!({
        "approvers": [{ "user": "bob@example.com" }, { "role": "admin" }], "require": 2, "message": "Deploy {{ root().data.build }}?",
        "form": [{ "name": "window", "type": "choice", "options": ["now", "tonight"], "required": true }],
    });
    let workflow = workflow(&api, approval).await;
    let (id, run_id) = open(&api, &workflow, &ann).await;
    assert_eq!(ran(&api, run_id).await, "told", "the request is told at once");
    // Bob is without data:read, and sees what he is asked. Cid, who is not asked, may read data.
    let shown =
        async |token: &str| api.call(token, "GET", &format!("/v1/approvals/{id}"), &Value::Null).await.body;
    let of_bob = shown(&bob).await;
    assert_eq!(
        (&of_bob["message"], &of_bob["may_decide"], &of_bob["needed"]),
        (&json!("Deploy canary-build?"), &json!(true), &json!(2))
    );
    assert_eq!(shown(&cid).await["may_decide"], false);
    let viewer = api.token(Role::Viewer).await;
    assert_eq!(of_bob["run_name"], Value::Null);
    let of_viewer = api.call(&viewer, "GET", "/v1/approvals", &Value::Null).await;
    assert!(
        !of_viewer.text.contains("bob@example.com") && !of_viewer.text.contains("tonight"),
        "{of_viewer:?}"
    );
    assert_eq!(vote(&api, &viewer, id, json!({ "decision": "approve" })).await.0, 403);
    assert!(
        !of_viewer.text.contains("canary-build") && of_viewer.body["approvals"][0]["id"] == json!(id),
        "{of_viewer:?}"
    );
    // Who is shown something has a line, with data:read or without.
    let lines = "SELECT count(*) FROM audit_log WHERE action = 'data:read' AND actor LIKE '%bob@example.com'";
    assert_eq!(api.world.database.sql(lines).await, "1");
    // Who is not asked decides nothing, and nor does an answer to another form.
    assert_eq!(vote(&api, &cid, id, json!({ "decision": "approve" })).await.0, 403);
    let (status, said) =
        vote(&api, &bob, id, json!({ "decision": "approve", "form": { "window": "never" } })).await;
    assert_eq!(
        (status, said["detail"].as_str()),
        (400, Some("the field `window` must be one of now, tonight"))
    );
    assert_eq!(vote(&api, &bob, id, json!({ "decision": "maybe" })).await.0, 400);
    let approve =
        json!({ "decision": "approve", "comment": "canary-comment", "form": { "window": "tonight" } });
    let (status, after) = vote(&api, &bob, id, approve.clone()).await;
    assert_eq!(
        (status, &after["own_vote"], &after["may_decide"], &after["votes"]),
        (200, &json!("approve"), &json!(false), &json!(1))
    );
    wake(&api, id).await;
    // The same again changes nothing, and another is refused, whether a wake has read the vote or not.
    assert_eq!(vote(&api, &bob, id, approve.clone()).await.0, 200);
    assert_eq!(vote(&api, &bob, id, json!({ "decision": "reject" })).await.0, 409);
    assert_eq!(api.world.database.sql("SELECT count(*) FROM workflow_execution_calls").await, "1");
    assert_eq!(ran(&api, run_id).await, "told", "one of two");
    assert_eq!(vote(&api, &root, id, approve.clone()).await.0, 200);
    wake(&api, id).await;
    assert_eq!(ran(&api, run_id).await, "ask,told,yes");
    let sql = "SELECT data->>'result', data->'decisions'->0->>'by', data->'decisions'->1->>'by', data->'form'->>'window', data->'decisions'->0->>'comment'
        FROM workflow_events WHERE channel = 'approved'";
    assert_eq!(api.world.database.sql(sql).await, "approved|bob@example.com|owner|tonight|canary-comment");
    for token in [&bob, &root] {
        assert_eq!(vote(&api, token, id, approve.clone()).await.0, 410, "it has ended");
    }
    assert_eq!(api.world.run_state(run_id).await, "passed");
    // The facts hold no word of it.
    let facts = api
        .world
        .database
        .sql(&format!("SELECT metadata FROM workflow_node_executions WHERE id = '{id}'"))
        .await;
    assert!(!facts.contains("canary") && facts.contains("\"approvals\": 2"), "{facts}");
}

#[tokio::test]
async fn who_started_the_run_does_not_decide_and_a_token_counts_as_its_maker() {
    let api = ApiWorld::create().await;
    let root = api.token(Role::Owner).await;
    let (ann, bob) = (
        member(&api, &root, "ann@example.com", "admin").await,
        member(&api, &root, "bob@example.com", "admin").await,
    );
    let make = async |token: &str, name: &str| {
        let made = api.call(token, "POST", "/v1/tokens", &json!({ "name": name, "role": "admin" })).await;
        made.body["token"].as_str().unwrap_or_else(|| panic!("{made:?}")).to_owned()
    };
    let ci = make(&ann, "ci").await;
    let ci_of_ci = make(&ci, "ci-of-ci").await;
    let workflow = workflow(&api, json!({ "approvers": [{ "anyone": true }], "require": 2 })).await;
    // Her program's program starts the run: none of her decides.
    let (id, run_id) = open(&api, &workflow, &ci_of_ci).await;
    for token in [&ann, &ci, &ci_of_ci] {
        assert_eq!(vote(&api, token, id, json!({ "decision": "approve" })).await.0, 403);
    }
    let bots = make(&bob, "bot").await;
    assert_eq!(vote(&api, &bots, id, json!({ "decision": "approve" })).await.0, 200);
    assert_eq!(vote(&api, &bob, id, json!({ "decision": "approve" })).await.0, 200, "it is his own vote");
    assert_eq!(api.world.database.sql("SELECT count(*) FROM workflow_execution_calls").await, "1");
    wake(&api, id).await;
    assert_eq!(ran(&api, run_id).await, "told", "one person is not two");
    assert_eq!(vote(&api, &root, id, json!({ "decision": "reject" })).await.0, 200);
    wake(&api, id).await;
    assert_eq!(ran(&api, run_id).await, "ask,told,no");
}

/// ✗✗ Two votes of one person at the same moment.
#[tokio::test]
async fn of_votes_of_one_person_at_the_same_moment_one_counts_i3() {
    let api = ApiWorld::create().await;
    let root = api.token(Role::Owner).await;
    let starter = api.token(Role::Operator).await;
    let workflow =
        workflow(&api, json!({ "approvers": [{ "anyone": true }], "require": 2, "reject": "majority" }))
            .await;
    for _ in 0..5 {
        let (id, _) = open(&api, &workflow, &starter).await;
        let answers = futures_util::future::join_all((0..6).map(|n| {
            let decision = if n % 2 == 0 { "approve" } else { "reject" };
            vote(&api, &root, id, json!({ "decision": decision }))
        }))
        .await;
        let taken: Vec<u16> = answers.iter().map(|(status, _)| *status).collect();
        assert_eq!(taken.iter().filter(|status| **status == 200).count(), 3, "{taken:?}");
        assert_eq!(taken.iter().filter(|status| **status == 409).count(), 3, "{taken:?}");
        let sql = format!("SELECT count(*) FROM workflow_execution_calls WHERE execution_id = '{id}'");
        assert_eq!(api.world.database.sql(&sql).await, "1");
    }
}

/// ✗✗ A vote got 200 after the expiry had ended the approval.
#[tokio::test]
async fn a_vote_before_the_expiry_counts_and_one_behind_it_is_too_late_i8() {
    let api = ApiWorld::create().await;
    let (root, starter) = (api.token(Role::Owner).await, api.token(Role::Operator).await);
    let workflow = workflow(&api, json!({ "approvers": [{ "anyone": true }], "expires": "1h" })).await;
    // The time comes, and a vote that was made before it is read by the same wake.
    let expire = async |id: ExecutionId| {
        let sql = format!(
            "UPDATE workflow_node_executions SET wake_at = now() - interval '1 second',
                 held = jsonb_set(held, '{{expires_at}}', to_jsonb(to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'))) WHERE id = '{id}'"
        );
        api.world.database.sql(&sql).await;
    };
    let (id, run_id) = open(&api, &workflow, &starter).await;
    assert_eq!(vote(&api, &root, id, json!({ "decision": "approve" })).await.0, 200);
    expire(id).await;
    wake(&api, id).await;
    assert_eq!(ran(&api, run_id).await, "ask,told,yes");
    let (id, run_id) = open(&api, &workflow, &starter).await;
    expire(id).await;
    // Its wake has not come yet; the vote is too late all the same.
    assert_eq!(vote(&api, &root, id, json!({ "decision": "approve" })).await.0, 410);
    wake(&api, id).await;
    assert_eq!(ran(&api, run_id).await, "ask,told,late");
    assert_eq!(vote(&api, &root, id, json!({ "decision": "approve" })).await.0, 410);
    // A cancelled run asks nobody any more.
    let (id, run_id) = open(&api, &workflow, &starter).await;
    api.world.cancel(run_id).await;
    assert_eq!(vote(&api, &root, id, json!({ "decision": "approve" })).await.0, 410);
}

#[tokio::test]
async fn approvals_of_another_organization_are_not_there_and_no_release_ends_one_i6() {
    let (api, other) = (ApiWorld::create().await, ApiWorld::create().await);
    let (root, starter) = (api.token(Role::Owner).await, api.token(Role::Operator).await);
    let workflow = workflow(&api, json!({ "approvers": [{ "anyone": true }] })).await;
    let (id, _) = open(&api, &workflow, &starter).await;
    let stranger = other.token(Role::Owner).await;
    assert_eq!(vote(&other, &stranger, id, json!({ "decision": "approve" })).await.0, 404);
    assert_eq!(
        other.call(&stranger, "GET", "/v1/approvals", &Value::Null).await.body["approvals"],
        json!([])
    );
    let released = api.call(&root, "POST", &format!("/v1/executions/{id}/release"), &Value::Null).await;
    assert_eq!(released.status, 409, "{released:?}");
    // What is no approval has no votes.
    let sql = "SELECT id FROM workflow_node_executions WHERE node_id = 'told'";
    let told: ExecutionId = api.world.database.sql(sql).await.parse().unwrap();
    assert_eq!(vote(&api, &root, told, json!({ "decision": "approve" })).await.0, 404);
    let nobody = Actor::token_named("nobody");
    let viewer = api.token_of(&nobody, ActorKind::Token, "poor", (Role::Viewer, Grants::default())).await.1;
    assert_eq!(
        vote(&api, &viewer, id, json!({ "decision": "approve" })).await.0,
        403,
        "a viewer changes nothing"
    );
}

#[tokio::test]
async fn somebody_who_is_invited_anew_is_nobody_else() {
    let api = ApiWorld::create().await;
    let root = api.token(Role::Owner).await;
    let ann = member(&api, &root, "ann@example.com", "operator").await;
    let bob = member(&api, &root, "bob@example.com", "operator").await;
    let workflow = workflow(&api, json!({ "approvers": [{ "anyone": true }], "require": 2 })).await;
    let (id, run_id) = open(&api, &workflow, &ann).await;
    assert_eq!(vote(&api, &bob, id, json!({ "decision": "approve" })).await.0, 200);
    for email in ["ann@example.com", "bob@example.com"] {
        assert_eq!(
            api.call(&root, "DELETE", &format!("/v1/members/{email}"), &Value::Null).await.status,
            204
        );
    }
    let ann = member(&api, &root, "ann@example.com", "operator").await;
    let bob = member(&api, &root, "bob@example.com", "operator").await;
    assert_eq!(vote(&api, &ann, id, json!({ "decision": "approve" })).await.0, 403, "she started it");
    assert_eq!(vote(&api, &bob, id, json!({ "decision": "approve" })).await.0, 200, "it is the same vote");
    assert_eq!(vote(&api, &bob, id, json!({ "decision": "reject" })).await.0, 409);
    assert_eq!(api.world.database.sql("SELECT count(*) FROM workflow_execution_calls").await, "1");
    wake(&api, id).await;
    assert_eq!(ran(&api, run_id).await, "told");
}

#[tokio::test]
async fn who_started_a_run_that_failed_does_not_decide_about_what_its_handler_asks() {
    let api = ApiWorld::create().await;
    let root = api.token(Role::Owner).await;
    let ann = member(&api, &root, "ann@example.com", "operator").await;
    let nodes = json!([
        { "id": "start", "name": "start", "trigger": "start" },
        { "id": "failed", "name": "failed", "trigger": "on_error" },
        node("bad", "stop", json!({ "result": "failed", "message": "m" })),
        node("ask", "approval", json!({ "approvers": [{ "anyone": true }] })),
    ]);
    let edges = json!([{ "from": "start", "to": "bad" }, { "from": "failed", "to": "ask" }]);
    let workflow = api.world.workflow(nodes, edges).await;
    let started = api.call(&ann, "POST", &format!("/v1/workflows/{}/runs", workflow.id), &json!({})).await;
    let run_id: EventId = started.body["run_id"].as_str().unwrap().parse().unwrap();
    build(&api.world.builder(), &[event(run_id)]).await;
    for _ in 0..3 {
        build(&api.world.builder(), &messages(&api.world.queues.take())).await;
    }
    let id = api.world.database.sql("SELECT id FROM workflow_node_executions WHERE node_id = 'ask'").await;
    let id: ExecutionId = id.parse().unwrap();
    assert_eq!(vote(&api, &ann, id, json!({ "decision": "approve" })).await.0, 403);
    assert_eq!(vote(&api, &root, id, json!({ "decision": "approve" })).await.0, 200);
}

/// Waiting costs nothing: no message, and a sweep looks at those whose time has come.
#[tokio::test]
async fn twenty_thousand_approvals_that_wait_cost_no_message_i8() {
    let api = ApiWorld::create().await;
    let token = api.token(Role::Owner).await;
    let world = &api.world;
    let asked = workflow(&api, json!({ "approvers": [{ "anyone": true }], "self": "allow" })).await;
    let (id, _) = open(&api, &asked, &token).await;
    // Each works on an event of its own.
    let copies = "WITH event AS (
            INSERT INTO workflow_events
            SELECT (jsonb_populate_record(v, jsonb_build_object('id', gen_random_uuid()))).*
            FROM workflow_events v CROSS JOIN generate_series(2, 20000) WHERE v.channel = 'requested'
            RETURNING id)
        INSERT INTO workflow_node_executions
        SELECT (jsonb_populate_record(x, jsonb_build_object('id', gen_random_uuid(), 'event_id', event.id))).*
        FROM workflow_node_executions x CROSS JOIN event WHERE x.node_id = 'ask'";
    world.database.sql(copies).await;
    let held =
        "SELECT count(*) FROM workflow_node_executions WHERE state = 'held' AND component = 'approval'";
    assert_eq!(world.database.sql(held).await, "20000");
    let _of_the_run = world.queues.take();
    for _ in 0..3 {
        world
            .database
            .sql("UPDATE workflow_node_executions SET last_sent_at = last_sent_at - interval '1 hour'")
            .await;
        sweep(&world.sweeper(0), tests::tick()).await.unwrap();
        assert_eq!(world.queues.take().len(), 0);
    }
    // One of them expires: it alone is woken.
    let due = format!("UPDATE workflow_node_executions SET wake_at = now() WHERE id = '{id}'");
    world.database.sql(&due).await;
    sweep(&world.sweeper(0), tests::tick()).await.unwrap();
    let woken: Vec<Message> = world.queues.take().into_iter().map(|sent| sent.message).collect();
    assert_eq!(woken, [Message::Wake { execution_id: id }]);
}
