//! I1: what is stored of an execution that failed does not depend on a secret's value, but for whether it failed.

use local::target::Target;
use serde_json::{Value, json};
use tests::World;
use tests::kms::FakeKms;
use tests::panicking::{COMPONENT_PANICS, executor_components};
use tests::world::{build, event, execute, messages};
use vault_format::{Purpose, Scope};

/// Headers that spell the secret: each does something else when it is the secret's first letter's turn.
fn spelling(causes: &[(char, &str)]) -> Value {
    let header = |(at, (letter, cause)): (usize, &(char, &str))| {
        let value = format!(r#"{{{{ secrets("vault").value[0:1] == "{letter}" ? {cause} : "fine" }}}}"#);
        json!({ "name": format!("X-{at}"), "value": value })
    };
    json!(causes.iter().enumerate().map(header).collect::<Vec<_>>())
}

/// What an execution of a node with these headers leaves, for each value of the secret, without ids and times.
async fn left(headers: &Value, values: &[&str]) -> Vec<Value> {
    left_with(executor::ComponentSet::default(), headers, values).await
}

async fn left_with(components: executor::ComponentSet, headers: &Value, values: &[&str]) -> Vec<Value> {
    let (world, kms, target) =
        (World::create().await, FakeKms::start().await, Target::start().await.unwrap());
    let nodes = json!([
        { "id": "start", "name": "start", "trigger": "start" },
        { "id": "call", "name": "call", "component": "http",
            "configuration": { "url": target.url(), "headers": headers } },
    ]);
    let workflow = world.workflow(nodes, json!([{ "from": "start", "to": "call" }])).await;
    let executor = executor::Deps {
        components,
        ..world.executor_at(world.database.url("executor"), &target.host_port(), &kms.url())
    };
    let mut left = Vec::new();
    for value in values {
        let (id, organization_id) = (world.id(), world.organization_id);
        let scope = Scope { organization_id, secret_id: id, purpose: Purpose::Secret };
        let data = hex::encode(kms.sealed(&scope, &[("value", value, &[])]).await);
        let sql = format!(
            "DELETE FROM secrets;
             INSERT INTO secrets (id, name, domain_type, domain_id, data, created_by, created_at, updated_at)
             VALUES ('{id}', 'vault', 'org', '{organization_id}', '\\x{data}', 'test', now(), now())"
        );
        world.database.sql(&sql).await;
        let run = world.start(&workflow, "start", json!({})).await;
        build(&world.builder(), &[event(run)]).await;
        execute(&executor, &messages(&world.queues.take())).await;
        let sql = format!(
            "SELECT jsonb_build_array(x.state, x.result, x.result_reason, x.result_message,
                 (x.metadata #- '{{attempts,0,started_at}}') #- '{{attempts,0,finished_at}}',
                 (SELECT jsonb_agg(jsonb_build_array(e.channel, e.data)) FROM workflow_events e
                  WHERE e.execution_id = x.id))
             FROM workflow_node_executions x WHERE x.root_event_id = '{run}'"
        );
        left.push(serde_json::from_str(&world.database.sql(&sql).await).unwrap());
    }
    assert!(target.requests().is_empty(), "nothing is sent");
    left
}

fn assert_all_equal(left: &[Value]) {
    for other in left {
        assert_eq!(other, &left[0]);
    }
}

#[tokio::test]
async fn which_field_can_not_be_evaluated_and_why_does_not_show_i1() {
    let headers = spelling(&[
        ('a', r#"string(int("x"))"#),
        ('b', "string(1 % 0)"),
        ('c', r#"fromJSON("{")"#),
        ('d', r#"repeat("x", 100000000)"#),
        ('e', "[1][7]"),
        ('f', r#"fromBase64("?")"#),
    ]);
    let values: Vec<String> = "abcdef".chars().map(|letter| format!("{letter}-value-0123456789")).collect();
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    let left = left(&headers, &values).await;
    assert_all_equal(&left);
    assert_eq!(left[0][2], "component_error");
    assert!(
        left[0][3].as_str().unwrap().contains("the secret vault.value was to be placed"),
        "{}",
        left[0][3]
    );
    assert_eq!(left[0][4]["attempts"][0]["secrets"], json!(["vault.value"]), "what was opened is told");
}

#[tokio::test]
async fn which_field_can_not_be_sent_and_why_does_not_show_i1() {
    let headers = spelling(&[
        ('a', r#""line\nbreak""#),
        ('b', r#""line\nbreak""#),
        ('c', r#""\u0001""#),
        ('d', r#""\u007f""#),
    ]);
    let values = ["a-value-0123456789", "b-value-0123456789", "c-value-0123456789", "d-value-0123456789"];
    let left = left(&headers, &values).await;
    assert_all_equal(&left);
    assert_eq!(left[0][2], "component_error");
    assert_eq!(left[0][5][0][1]["error"]["code"], "invalid_configuration");
    assert_eq!(left[0][4]["attempts"][0]["secrets"], json!(["vault.value"]));
}

#[tokio::test]
async fn an_attempt_that_was_cut_off_lists_the_secrets_that_were_opened_i1() {
    let headers = json!([{ "name": "X-A", "value": format!(r#"{COMPONENT_PANICS} {{{{ secrets("vault").value }}}}"#) }]);
    let left = left_with(executor_components(), &headers, &["a-value-0123456789"]).await;
    assert_eq!(left[0][2], "crashed");
    assert_eq!(left[0][4]["attempts"][0]["secrets"], json!(["vault.value"]));
}
