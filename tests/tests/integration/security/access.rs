//! Who may do what over the API: roles, grants, tokens and their makers.

use domain::access::{Access, Action, Grants, Role};
use domain::actor::{Actor, ActorKind};
use local::target::Target;
use serde_json::{Value, json};
use tests::api_world::ApiWorld;
use tests::world::{build, event};

/// A path of a route with values that name nothing.
fn filled(path: &str) -> String {
    let id = "0190a5d0-ac96-774b-8cce-b302099a8057";
    path.split('/').map(|part| if part.starts_with('{') { id } else { part }).collect::<Vec<_>>().join("/")
}

#[tokio::test]
async fn each_route_asks_for_its_action_and_refuses_every_role_that_may_not_i6() {
    let api = ApiWorld::create().await;
    let routes = api::actions();
    assert!(routes.len() > 35, "{}", routes.len());
    let mut refused = 0;
    for role in Role::ALL.iter().copied() {
        let access = Access::new(role, role.usual_grants());
        let token = api.token(role).await;
        for (method, path, action) in &routes {
            let body = if *method == "GET" { Value::Null } else { json!({ "no": "such body" }) };
            let answer = api.call(&token, method, &filled(path), &body).await;
            if access.can(*action) {
                assert!(!matches!(answer.status, 401 | 403), "{role} {method} {path}: {answer:?}");
            } else {
                refused += 1;
                assert_eq!(answer.status, 403, "{role} {method} {path}: {answer:?}");
                assert!(answer.text.contains(action.as_str()), "it says what is needed: {answer:?}");
            }
        }
    }
    assert!(refused > 40, "{refused}");
}

#[tokio::test]
async fn the_documents_table_of_routes_is_that_of_the_router() {
    let document = std::fs::read_to_string("../docs/api.md").unwrap();
    let rows = document.lines().filter_map(|line| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let (method, path) = cells.first()?.trim_matches('`').split_once(' ')?;
        let action = cells.get(1)?.strip_prefix('`')?.strip_suffix('`')?;
        action.contains(':').then(|| format!("{method} {path} {action}"))
    });
    let mut documented: Vec<String> = rows.collect();
    let mut routed: Vec<String> =
        api::actions().iter().map(|(method, path, action)| format!("{method} {path} {action}")).collect();
    documented.sort();
    routed.sort();
    assert_eq!(documented, routed);
    for role in Role::ALL {
        let access = Access::new(*role, role.usual_grants());
        for action in Action::ALL {
            let row = document.lines().find(|line| line.starts_with(&format!("| `{action}` |")));
            let cells: Vec<&str> =
                row.unwrap_or_else(|| panic!("{action}")).split('|').map(str::trim).collect();
            let place = 2 + Role::ALL.iter().position(|other| other == role).unwrap();
            assert_eq!(cells[place] == "✓", access.can(*action), "{role} {action}: {cells:?}");
        }
    }
}

const CANARY: &str = "canary-5f0c";

/// A world in which every kind of payload holds the canary: data, name, key, configuration,
/// concurrency key, failures and what waits.
async fn with_canaries() -> ApiWorld {
    let api = ApiWorld::create().await;
    let world = &api.world;
    let target = Target::start().await.unwrap();
    let nodes = json!([
        { "id": "start", "name": "start", "trigger": "start", "run_name": "run {{ root().data.c }}" },
        {
            "id": "call", "name": "call", "component": "http", "keys": { "k": "{{ root().data.c }}" },
            "configuration": { "url": format!("{}/status/500", target.url()), "method": "POST", "body": { "json": "{{ root().data }}" } },
            "concurrency": { "max": 1, "key": "{{ root().data.c }}" },
        },
        { "id": "bad", "name": "bad", "component": "if", "configuration": { "expression": "int(root().data.c) == 1" } },
        { "id": "worse", "name": "worse", "component": "filter", "configuration": { "expression": format!("date(root().data.c) == date('{CANARY}')") } },
        { "id": "halt", "name": "halt", "component": "stop", "configuration": { "result": "failed", "message": "of {{ root().data.c }}" } },
        { "id": "form", "name": "form", "component": "http", "configuration": { "url": "https://a.example", "method": "POST", "body": { "form": "{{ root().data.form }}" } } },
        { "id": "heads", "name": "heads", "component": "http", "configuration": { "url": "https://a.example", "headers": "{{ root().data.form }}" } },
        { "id": "missing", "name": "missing", "component": "http", "configuration": { "url": "https://a.example", "headers": { "X": "{{ root().data[root().data.c].x }}" } } },
    ]);
    let edges = json!([
        { "from": "start", "to": "call" }, { "from": "start", "to": "bad" },
        { "from": "start", "to": "worse" }, { "from": "start", "to": "missing" },
        { "from": "start", "to": "halt" }, { "from": "start", "to": "form" }, { "from": "start", "to": "heads" },
    ]);
    let workflow = world.workflow(nodes, edges).await;
    let (builder, executor) = (world.builder(), world.executor(&target.host_port()));
    for _ in 0..2 {
        let started = world
            .start(
                &workflow,
                "start",
                json!({ "c": CANARY, "n": { CANARY: 1 }, "form": { CANARY: { "a": [{ CANARY: 1 }] } } }),
            )
            .await;
        build(&builder, &[event(started)]).await;
    }
    world.run_to_end(&builder, &executor).await;
    // Two more: one is active, and one waits for it.
    for _ in 0..2 {
        let started = world.start(&workflow, "start", json!({ "c": CANARY })).await;
        build(&builder, &[event(started)]).await;
    }
    api
}

/// The bodies of all views of the API, with their paths.
async fn views(api: &ApiWorld, token: &str) -> Vec<(String, String)> {
    let mut paths: Vec<String> = api::actions()
        .into_iter()
        .filter(|(method, path, _)| *method == "GET" && !path.contains('{'))
        .map(|(_, path, _)| path.to_owned())
        .collect();
    for (list, rows) in [("runs", "runs"), ("executions", "executions"), ("workflows", "workflows")] {
        let answer = api.call(token, "GET", &format!("/v1/{list}?limit=200"), &Value::Null).await;
        let ids = answer.body[rows].as_array().unwrap_or_else(|| panic!("{answer:?}")).clone();
        paths.extend(ids.iter().map(|row| format!("/v1/{list}/{}", row["id"].as_str().unwrap())));
    }
    let mut seen = Vec::new();
    for path in paths {
        seen.push((path.clone(), api.call(token, "GET", &path, &Value::Null).await.text));
    }
    seen
}

#[tokio::test]
async fn without_the_grant_not_a_byte_of_payload_is_in_any_answer_i1() {
    let api = with_canaries().await;
    let nobody = Actor::token_named("nobody");
    let blind = Grants::default();
    let viewer = api.token_of(&nobody, ActorKind::Token, "viewer", (Role::Viewer, blind)).await.1;
    let admin = api.token_of(&nobody, ActorKind::Token, "admin", (Role::Admin, blind)).await.1;
    let owner = api.token(Role::Owner).await;
    for token in [&viewer, &admin] {
        for (path, text) in views(&api, token).await {
            assert!(!text.contains(CANARY), "{path}: {text}");
        }
        for query in ["runs?name=run", "executions?key=k", "executions?value=x", "executions?key=k&value=x"] {
            let answer = api.call(token, "GET", &format!("/v1/{query}"), &Value::Null).await;
            assert_eq!(answer.status, 403, "a search could confirm a guess: {query}");
        }
    }
    let shown = views(&api, &owner).await;
    let with_canary: Vec<&str> =
        shown.iter().filter(|(_, text)| text.contains(CANARY)).map(|(path, _)| path.as_str()).collect();
    for path in ["/v1/runs", "/v1/executions", "/v1/events", "/v1/queue-items"] {
        assert!(with_canary.contains(&path), "{path} holds it for who may see: {with_canary:?}");
    }
    assert!(with_canary.iter().any(|path| path.starts_with("/v1/runs/")), "{with_canary:?}");
    assert!(with_canary.iter().any(|path| path.starts_with("/v1/executions/")), "{with_canary:?}");
    // The viewer sees how it went all the same.
    let failed = api.call(&viewer, "GET", "/v1/executions?result=failed", &Value::Null).await;
    let failed = failed.body["executions"].as_array().unwrap().clone();
    assert!(failed.len() >= 4 && failed.iter().all(|one| one["result_reason"].is_string()), "{failed:?}");
}

#[tokio::test]
async fn nobody_gives_more_than_they_have_nor_ends_who_may_do_more() {
    let api = ApiWorld::create().await;
    let (owner, admin) = (api.token(Role::Owner).await, api.token(Role::Admin).await);
    let nobody = Actor::token_named("nobody");
    let blind = api.token_of(&nobody, ActorKind::Token, "blind", (Role::Admin, Grants::default())).await.1;
    let make = async |token: &str, name: &str, body: Value| {
        let mut body = body;
        body["name"] = json!(name);
        api.call(token, "POST", "/v1/tokens", &body).await
    };
    assert_eq!(make(&admin, "a", json!({ "role": "owner" })).await.status, 403);
    assert_eq!(make(&admin, "b", json!({ "role": "admin" })).await.status, 201);
    assert_eq!(make(&blind, "c", json!({ "role": "viewer", "grants": ["data:read"] })).await.status, 403);
    let made = make(&blind, "d", json!({ "role": "operator" })).await;
    assert_eq!(
        (made.status, &made.body["grants"]),
        (201, &json!([])),
        "what is usual, as far as its maker has it"
    );
    let owners = api.call(&owner, "GET", "/v1/tokens", &Value::Null).await;
    let id = |name: &str| {
        let rows = owners.body["tokens"].as_array().unwrap();
        rows.iter().find(|row| row["name"] == name).unwrap()["id"].as_str().unwrap().to_owned()
    };
    let path = format!("/v1/tokens/{}/revoke", id("owner"));
    assert_eq!(api.call(&admin, "POST", &path, &Value::Null).await.status, 403);
    for body in [
        json!({ "name": "e" }),
        json!({ "name": "e", "role": "king" }),
        json!({ "name": "e", "role": "viewer", "grants": ["all"] }),
    ] {
        assert_eq!(api.call(&owner, "POST", "/v1/tokens", &body).await.status, 400, "{body}");
    }
    let invited = json!({ "email": "ann@example.com", "role": "owner" });
    assert_eq!(api.call(&admin, "POST", "/v1/members", &invited).await.status, 403);
    assert_eq!(api.call(&owner, "POST", "/v1/members", &invited).await.status, 201);
    let change = json!({ "role": "viewer" });
    assert_eq!(api.call(&admin, "PATCH", "/v1/members/ann@example.com", &change).await.status, 403);
    let changed = api.call(&owner, "PATCH", "/v1/members/ann@example.com", &change).await;
    assert_eq!((changed.status, &changed.body["role"]), (200, &json!("viewer")));
    assert_eq!(api.call(&admin, "DELETE", "/v1/members/ann@example.com", &Value::Null).await.status, 204);
    assert_eq!(api.call(&admin, "DELETE", "/v1/members/ann@example.com", &Value::Null).await.status, 404);
}

#[tokio::test]
async fn a_token_counts_as_its_maker_and_ends_with_it_and_a_member_as_itself() {
    let api = ApiWorld::create().await;
    let root = api.token(Role::Owner).await;
    let invite = json!({ "email": "ann@example.com", "role": "editor" });
    let ann = api.call(&root, "POST", "/v1/members", &invite).await.body;
    let ann_token = ann["token"].as_str().unwrap().to_owned();
    let me = async |token: &str| api.call(token, "GET", "/v1/me", &Value::Null).await;
    let shown = me(&ann_token).await.body;
    assert_eq!(
        (&shown["actor"]["kind"], &shown["actor"]["name"]),
        (&json!("member"), &json!("ann@example.com"))
    );
    assert_eq!(shown["role"], "editor");
    // An editor makes no tokens; as an admin she does.
    let change = json!({ "role": "admin" });
    assert_eq!(api.call(&root, "PATCH", "/v1/members/ann@example.com", &change).await.status, 200);
    let new = json!({ "name": "ci", "role": "admin" });
    let ci =
        api.call(&ann_token, "POST", "/v1/tokens", &new).await.body["token"].as_str().unwrap().to_owned();
    let new = json!({ "name": "ci-of-ci", "role": "editor" });
    let deep = api.call(&ci, "POST", "/v1/tokens", &new).await.body["token"].as_str().unwrap().to_owned();
    assert_eq!(me(&deep).await.body["role"], "editor");
    // What the maker loses, its tokens lose.
    let change = json!({ "role": "operator", "grants": [] });
    assert_eq!(api.call(&root, "PATCH", "/v1/members/ann@example.com", &change).await.status, 200);
    for token in [&ann_token, &ci, &deep] {
        let shown = me(token).await.body;
        assert_eq!((&shown["role"], &shown["grants"]), (&json!("operator"), &json!([])), "{shown}");
    }
    assert_eq!(api.call(&root, "DELETE", "/v1/members/ann@example.com", &Value::Null).await.status, 204);
    for token in [&ann_token, &ci, &deep] {
        assert_eq!(me(token).await.status, 401, "its maker was removed, on this warm instance too");
    }
    // Who invited her may go: a member counts as itself.
    let invite = json!({ "email": "bob@example.com", "role": "owner" });
    let bob =
        api.call(&root, "POST", "/v1/members", &invite).await.body["token"].as_str().unwrap().to_owned();
    assert_eq!(api.call(&bob, "POST", "/v1/tokens/owner/revoke", &Value::Null).await.status, 200);
    assert_eq!((me(&root).await.status, me(&bob).await.status), (401, 200));
    let own = api.call(&bob, "GET", "/v1/members", &Value::Null).await.body;
    let id = own["members"].as_array().unwrap().iter().find(|row| row["name"] == "bob@example.com").unwrap()
        ["id"]
        .clone();
    // The token of the world's beginning is an owner too.
    assert_eq!(api.call(&bob, "POST", "/v1/tokens/bootstrap/revoke", &Value::Null).await.status, 200);
    let gone = api.call(&bob, "DELETE", &format!("/v1/members/{}", id.as_str().unwrap()), &Value::Null).await;
    assert_eq!(gone.status, 409, "nobody would get in any more: {gone:?}");
}

#[tokio::test]
async fn a_token_ends_at_its_time_and_makes_none_that_lasts_longer() {
    let api = ApiWorld::create().await;
    let root = api.token(Role::Owner).await;
    let new = json!({ "name": "short", "role": "admin", "expires_in_seconds": 3600 });
    let short = api.call(&root, "POST", "/v1/tokens", &new).await.body["token"].as_str().unwrap().to_owned();
    for (seconds, status) in [(json!(null), 400), (json!(7200), 400), (json!(60), 201)] {
        let new = json!({ "name": format!("of-{seconds}"), "role": "viewer", "expires_in_seconds": seconds });
        assert_eq!(api.call(&short, "POST", "/v1/tokens", &new).await.status, status, "{seconds}");
    }
    assert_eq!(api.call(&short, "GET", "/v1/me", &Value::Null).await.status, 200);
    api.world.database.sql("UPDATE api_tokens SET expires_at = now() WHERE name = 'short'").await;
    assert_eq!(api.call(&short, "GET", "/v1/me", &Value::Null).await.status, 401, "on a warm instance");
}

#[tokio::test]
async fn a_chain_of_makers_has_an_end_i10() {
    let api = ApiWorld::create().await;
    let all = (Role::Owner, Role::Owner.usual_grants());
    let (mut id, mut token) = api.token_of(&Actor::token_named("n"), ActorKind::Token, "t0", all).await;
    for number in 1..store::api::TOKEN_CHAIN_MAX {
        let maker = Actor { kind: ActorKind::Token, id: Some(id), name: String::new() };
        (id, token) = api.token_of(&maker, ActorKind::Token, &format!("t{number}"), all).await;
    }
    assert_eq!(api.call(&token, "GET", "/v1/me", &Value::Null).await.status, 200);
    let one_more = format!("t{}", store::api::TOKEN_CHAIN_MAX + 1);
    let new = json!({ "name": one_more, "role": "viewer" });
    assert_eq!(api.call(&token, "POST", "/v1/tokens", &new).await.status, 409);
}

#[tokio::test]
async fn past_its_rate_an_organization_asks_nothing_of_the_database() {
    use domain::rate::Rate;
    use store::{Store, StoreSettings};
    let world = tests::World::create().await;
    let wire = tests::PostgresWire::to(world.database.host_port()).await;
    let url = wire.url(&world.database.url("api"));
    let store = Store::new(StoreSettings::local(url, "sealflow-api")).unwrap();
    let api = ApiWorld::over(world, store, Rate { per_second: 1, burst: 5 }).await;
    let noisy = api.token(Role::Viewer).await;
    let quiet = api.token(Role::Operator).await;
    for token in [&noisy, &quiet] {
        assert_eq!(api.call(token, "GET", "/v1/me", &Value::Null).await.status, 200);
    }
    let asked = |wire: &tests::PostgresWire| wire.take().round_trips.len();
    asked(&wire);
    let mut refused = 0;
    for _ in 0..50 {
        let before = asked(&wire);
        let answer = api.call(&noisy, "GET", "/v1/me", &Value::Null).await;
        if answer.status == 429 {
            refused += 1;
            assert_eq!((before, asked(&wire)), (0, 0), "no query reaches the database");
            let seconds: u32 = answer.headers["retry-after"].to_str().unwrap().parse().unwrap();
            assert!((1..=10).contains(&seconds), "{seconds}");
        } else {
            asked(&wire);
        }
    }
    assert!(refused >= 40, "{refused}");
    assert_eq!(api.call(&quiet, "GET", "/v1/me", &Value::Null).await.status, 200, "the other is unchanged");
    assert!(asked(&wire) <= 3);
    // An organization's own limit holds over all of its tokens.
    api.world.database.sql("UPDATE organizations SET requests_per_second_max = 1").await;
    let statuses = async |count: usize| {
        let mut passed = 0;
        for _ in 0..count {
            let token = api
                .token_of(
                    &Actor::token_named("n"),
                    ActorKind::Token,
                    &api.world.id::<uuid::Uuid>().to_string()[..13].replace('-', "x"),
                    (Role::Viewer, Grants::default()),
                )
                .await
                .1;
            // The first call of a token is a stranger's.
            api.call(&token, "GET", "/v1/me", &Value::Null).await;
            passed += usize::from(api.call(&token, "GET", "/v1/me", &Value::Null).await.status == 200);
        }
        passed
    };
    assert!(statuses(3).await <= 2, "the organization's bucket holds two");
}

#[tokio::test]
async fn a_suspended_organization_is_refused_and_its_use_is_noted() {
    let api = ApiWorld::create().await;
    let owner = api.token(Role::Owner).await;
    assert_eq!(api.call(&owner, "GET", "/v1/me", &Value::Null).await.status, 200);
    let used =
        "SELECT count(*) FROM api_tokens WHERE name = 'owner' AND used_at > now() - interval '1 minute'";
    assert_eq!(api.world.database.count(used).await, 1);
    let admin = api.world.database.admin_store();
    let (id, now) = (api.world.organization_id, api.world.now());
    let change = async |change| {
        store::operate::change_organization(&admin, id, change, api.world.id(), now).await.unwrap();
    };
    change(store::operate::OrganizationChange::Suspend).await;
    let answer = api.call(&owner, "GET", "/v1/me", &Value::Null).await;
    assert!(answer.status == 403 && answer.text.contains("suspended"), "{answer:?}");
    change(store::operate::OrganizationChange::Resume).await;
    let lines = api.call(&owner, "GET", "/v1/audit?actor=operator", &Value::Null).await.body;
    let words: Vec<_> =
        lines["audit"].as_array().unwrap().iter().map(|line| line["object_name"].clone()).collect();
    assert_eq!(words, [json!("resumed"), json!("suspended"), json!("bootstrap")]);
}

#[tokio::test]
async fn the_operator_sees_so_many_organizations_and_no_more_i10() {
    use store::operate::{ORGANIZATIONS_LISTED_MAX, list_organizations};
    let world = tests::World::create().await;
    let admin = world.database.admin_store();
    // The world has one already.
    let make = async |count: i64| {
        let sql = format!(
            "INSERT INTO organizations (id, name, created_at, updated_at)
             SELECT gen_random_uuid(), 'o' || n, now(), now() FROM generate_series(1, {count}) n"
        );
        world.database.sql(&sql).await;
        i64::try_from(list_organizations(&admin).await.unwrap().len()).unwrap()
    };
    assert_eq!(make(ORGANIZATIONS_LISTED_MAX - 1).await, ORGANIZATIONS_LISTED_MAX);
    assert_eq!(make(1).await, ORGANIZATIONS_LISTED_MAX);
}

#[tokio::test]
async fn what_a_demoted_or_removed_member_had_asked_before_is_refused_when_it_is_its_turn() {
    let api = ApiWorld::create().await;
    let owner = api.token(Role::Owner).await;
    let nobody = Actor::token_named("nobody");
    let all = (Role::Owner, Role::Owner.usual_grants());
    let (ann_id, ann) = api.token_of(&nobody, ActorKind::Member, "ann@example.com", all).await;
    let (ben_id, ben) = api.token_of(&nobody, ActorKind::Member, "ben@example.com", all).await;
    let admin = api.token(Role::Admin).await;
    // What is authenticated waits for the organization's lock.
    let (api, me) = (&api, "/v1/members/ann@example.com");
    let waiting = async |token: &str, method: &str, path: &str, body: Value, meanwhile: String| {
        let holder = api.world.database.connect_admin().await;
        let lock = "BEGIN; SELECT FROM organizations FOR UPDATE";
        holder.batch_execute(lock).await.unwrap();
        let (answer, ()) = tokio::join!(api.call(token, method, path, &body), async {
            let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
            tests::wait_for("it waits", || async {
                (api.world.database.count(waits).await > 0).then_some(())
            })
            .await;
            holder.batch_execute(&format!("{meanwhile}; COMMIT")).await.unwrap();
        });
        answer.status
    };
    let demote = |id| format!("UPDATE api_tokens SET role = 'viewer' WHERE id = '{id}'");
    let remove = |id| format!("UPDATE api_tokens SET revoked_at = now() WHERE id = '{id}'");
    let raise = |id| format!("UPDATE api_tokens SET role = 'owner' WHERE id = '{id}'");
    let to_owner = json!({ "role": "owner" });
    assert_eq!(waiting(&ann, "PATCH", me, to_owner.clone(), demote(ann_id)).await, 403);
    // A viewer covers a viewer, and invites nobody all the same.
    api.world.database.sql(&raise(ann_id)).await;
    let viewer = json!({ "email": "eve@example.com", "role": "viewer", "grants": [] });
    assert_eq!(waiting(&ann, "POST", "/v1/members", viewer, demote(ann_id)).await, 403);
    assert_eq!(api.call(&owner, "PATCH", me, &to_owner).await.status, 200);
    let invite = json!({ "email": "eve@example.com", "role": "owner" });
    assert_eq!(waiting(&ann, "POST", "/v1/members", invite, remove(ann_id)).await, 403);
    assert_eq!(api.world.database.count("SELECT count(*) FROM api_tokens WHERE name LIKE 'eve%'").await, 0);
    // Who was raised meanwhile is not ended by who may do less.
    api.world.database.sql(&demote(ben_id)).await;
    let path = "/v1/members/ben@example.com";
    assert_eq!(waiting(&admin, "DELETE", path, Value::Null, raise(ben_id)).await, 403);
    assert_eq!(api.call(&ben, "GET", "/v1/me", &Value::Null).await.status, 200);
}

#[tokio::test]
async fn a_program_that_somebody_made_invites_and_raises_nobody() {
    let api = ApiWorld::create().await;
    let root = api.token(Role::Owner).await;
    let made = api.call(&root, "POST", "/v1/tokens", &json!({ "name": "ci", "role": "owner" })).await;
    let ci = made.body["token"].as_str().unwrap();
    let invite = json!({ "email": "eve@example.com", "role": "viewer" });
    assert_eq!(api.call(ci, "POST", "/v1/members", &invite).await.status, 403);
    assert_eq!(api.call(&root, "POST", "/v1/members", &invite).await.status, 201);
    let raise = json!({ "role": "admin" });
    assert_eq!(api.call(ci, "PATCH", "/v1/members/eve@example.com", &raise).await.status, 403);
    assert_eq!(api.call(ci, "DELETE", "/v1/members/eve@example.com", &Value::Null).await.status, 204);
}

#[tokio::test]
async fn the_last_who_is_an_owner_with_all_its_makers_stays() {
    let api = ApiWorld::create().await;
    let nobody = Actor::token_named("nobody");
    let all = (Role::Owner, Role::Owner.usual_grants());
    let (_, root) = api.token_of(&nobody, ActorKind::Token, "first", all).await;
    // The world's own first token is none that anybody has.
    api.world.database.sql("UPDATE api_tokens SET revoked_at = now() WHERE name = 'bootstrap'").await;
    let (ann_id, ann) = api.token_of(&nobody, ActorKind::Member, "ann@example.com", all).await;
    let new = json!({ "name": "anns", "role": "owner" });
    let anns = api.call(&ann, "POST", "/v1/tokens", &new).await.body["token"].as_str().unwrap().to_owned();
    let admin = json!({ "role": "admin" });
    assert_eq!(api.call(&root, "PATCH", "/v1/members/ann@example.com", &admin).await.status, 200);
    // Her token is an owner's by its row and an admin's by its maker.
    assert_eq!(api.call(&root, "POST", "/v1/tokens/first/revoke", &Value::Null).await.status, 409);
    assert_eq!(api.call(&anns, "GET", "/v1/me", &Value::Null).await.body["role"], "admin");
    assert_eq!(api.call(&anns, "POST", "/v1/tokens/anns/revoke", &Value::Null).await.status, 200, "its own");
    let sql = format!("UPDATE api_tokens SET role = 'owner' WHERE id = '{ann_id}'");
    api.world.database.sql(&sql).await;
    assert_eq!(api.call(&root, "POST", "/v1/tokens/first/revoke", &Value::Null).await.status, 200);
}

#[tokio::test]
async fn who_may_read_data_is_not_ended_by_who_may_not_and_a_webhooks_key_needs_its_grant() {
    let api = ApiWorld::create().await;
    let nobody = Actor::token_named("nobody");
    let blind = api.token_of(&nobody, ActorKind::Token, "blind", (Role::Admin, Grants::default())).await.1;
    let owner = api.token(Role::Owner).await;
    api.token(Role::Admin).await;
    assert_eq!(api.call(&blind, "POST", "/v1/tokens/admin/revoke", &Value::Null).await.status, 403);
    assert_eq!(api.call(&blind, "POST", "/v1/tokens/blind/revoke", &Value::Null).await.status, 200);
    let editor = api.token_of(&nobody, ActorKind::Token, "edits", (Role::Editor, Grants::default())).await.1;
    let apply = async |token: &str, authentication: &str| {
        let body = json!({ "name": "w", "nodes": [{ "id": "hook", "name": "H", "trigger": "webhook",
            "configuration": { "authentication": authentication } }], "edges": [] });
        api.call(token, "PUT", "/v1/workflows", &body).await.status
    };
    assert_eq!(apply(&editor, "signature").await, 200, "a new one takes nobody's key");
    for other in ["bearer", "none"] {
        assert_eq!(apply(&editor, other).await, 403, "{other}");
    }
    assert_eq!(apply(&owner, "bearer").await, 200);
}
