//! The workflows in `examples/`, run from the command line alone, as their comments say. The service
//! that they name is a stand-in, and what waits for hours waits for a second.

use std::sync::Arc;

use jiff::ToSpan;
use serde_json::{Value, json};
use tests::e2e::{Cli, Product, Reply, Shared, Story, make_secret, until};

const SERVICE: &str = "https://api.example.com";

async fn product() -> Arc<Product> {
    static PRODUCT: Shared = Shared::new();
    PRODUCT.get(|builder| builder).await
}

/// Applies an example, with other texts in the place of some of its own.
async fn apply(story: &Story<'_>, cli: &Cli<'_>, name: &str, instead: &[(&str, &str)]) -> String {
    apply_as(story, cli, "workflow", name, instead).await
}

async fn apply_as(
    story: &Story<'_>,
    cli: &Cli<'_>,
    noun: &str,
    name: &str,
    instead: &[(&str, &str)],
) -> String {
    let path = format!("{}/../examples/{name}.yaml", env!("CARGO_MANIFEST_DIR"));
    let mut text = std::fs::read_to_string(&path).unwrap_or_else(|_| panic!("{path}"));
    let target = story.product.target.url();
    for (old, new) in instead.iter().chain([&(SERVICE, target.as_str())]) {
        assert!(text.contains(old), "{name} has {old}");
        text = text.replace(old, new);
    }
    cli.run_with(&[noun, "apply", "-f", "-"], &text).await.passed()
}

async fn set_secret(story: &Story<'_>, cli: &Cli<'_>, name: &str, value: &str) {
    let host = story.product.target.host_port();
    let set = ["secret", "set", name, "token", "--host", &host, "--in", "authorization", "-"];
    cli.run_with(&set, value).await.passed();
}

/// The runs of a workflow, once there are so many that have ended.
async fn ended_runs(cli: &Cli<'_>, workflow: &str, count: usize) -> Vec<Value> {
    let line = format!("run list --workflow {workflow} --state finished --json");
    until(&format!("{count} runs of {workflow} end"), || async {
        cli.run(&line).await.json()["runs"].as_array().is_some_and(|runs| runs.len() >= count)
    })
    .await;
    cli.run(&line).await.json()["runs"].as_array().cloned().unwrap_or_default()
}

#[tokio::test]
async fn a_nightly_backup_begins_at_its_time_and_what_fails_is_told_i1_i8() {
    let product = &product().await;
    let story = product.story("nightly").await;
    let cli = Cli::of(&story);
    let (backup, chat) = (make_secret("backup"), make_secret("chat"));
    set_secret(&story, &cli, "backup", &backup).await;
    set_secret(&story, &cli, "chat", &chat).await;
    apply(&story, &cli, "tell-of-failures", &[]).await;
    let path = format!("{}/../examples/nightly-backup.yaml", env!("CARGO_MANIFEST_DIR"));
    let next = cli.run(&format!("schedule next -f {path} -n 2 --after 2027-03-27T12:00:00Z")).await.passed();
    assert!(next.contains("2027-03-28 03:30:00 +02:00") && next.contains("2027-03-29 02:30:00"), "{next}");
    // In place of the night: in two and in four seconds.
    let now = process::Clock::system().now();
    let times = [2, 4].map(|seconds| now.checked_add(seconds.seconds()).unwrap().to_string());
    let at = format!("at: [\"{}\", \"{}\"]", times[0], times[1]);
    product.target.script("/backups", [Reply::Status(201), Reply::Status(400)]);
    let said = apply(&story, &cli, "nightly-backup", &[("cron: \"30 2 * * *\"", &at)]).await;
    assert!(said.contains("schedule nightly: "), "{said}");
    let runs = ended_runs(&cli, "nightly-backup", 2).await;
    let results: Vec<&Value> = runs.iter().map(|run| &run["result"]).collect();
    assert_eq!(results, [&json!("failed"), &json!("passed")], "the newest first");
    let backups = product.target.requests("/backups");
    assert_eq!(
        (backups.len(), backups[0].header("authorization")),
        (2, Some(format!("Bearer {backup}").as_str()))
    );
    let told = ended_runs(&cli, "tell-of-failures", 1).await;
    assert_eq!(
        (told[0]["name"].as_str(), told[0]["result"].as_str()),
        (Some("of nightly-backup"), Some("passed"))
    );
    let [message] = product.target.requests("/chat").try_into().expect("one message");
    let text = message.json()["text"].as_str().unwrap_or_default().to_owned();
    assert!(text.starts_with("nightly-backup failed (component_error): no backup of "), "{text}");
    story.end(&[&backup, &chat]).await;
}

#[tokio::test]
async fn a_job_is_polled_until_it_is_done_or_too_late() {
    let product = &product().await;
    let story = product.story("poll").await;
    let cli = Cli::of(&story);
    apply(
        &story,
        &cli,
        "poll-until-done",
        &[("delay: 30s", "delay: 1s"), ("max_iterations: 20", "max_iterations: 3")],
    )
    .await;
    let state = |state: &str| {
        Reply::Body("application/json", json!({ "state": state, "result": 42 }).to_string().into_bytes())
    };
    product.target.script("/jobs/7", [state("busy"), state("busy"), state("done")]);
    product.target.script("/jobs/8", (0..9).map(|_| state("busy")));
    let started =
        cli.run_with(&["run", "start", "poll-until-done", "--data", r#"{"job": 7}"#, "--watch"], "").await;
    started.passed();
    assert_eq!(product.target.requests("/jobs/7").len(), 3);
    let late =
        cli.run_with(&["run", "start", "poll-until-done", "--data", r#"{"job": 8}"#, "--watch"], "").await;
    assert_eq!(late.code, 3, "{late:?}");
    assert!(late.out.contains("the job is not done after 3 looks (max_iterations)"), "{late:?}");
    assert_eq!(product.target.requests("/jobs/8").len(), 3, "I10: there is no fourth turn");
    story.end(&[]).await;
}

#[tokio::test]
async fn all_pages_are_collected_before_the_report() {
    let product = &product().await;
    let story = product.story("pages").await;
    let cli = Cli::of(&story);
    let shop = make_secret("shop");
    set_secret(&story, &cli, "shop", &shop).await;
    apply(&story, &cli, "collect-pages", &[]).await;
    let page = |orders: Value, next: Value| {
        let body = json!({ "orders": orders, "next": next });
        Reply::Body("application/json", body.to_string().into_bytes())
    };
    let orders = |amounts: [u32; 2]| json!(amounts.map(|amount| json!({ "amount": amount })));
    let pages = [
        page(orders([1, 2]), json!("b")),
        page(orders([3, 4]), json!("c")),
        page(orders([5, 6]), Value::Null),
    ];
    product.target.script("/orders", pages);
    let started = cli
        .run_with(&["run", "start", "collect-pages", "--data", r#"{"customer": "ada"}"#, "--watch"], "")
        .await;
    let said = started.passed();
    assert!(said.contains("3 sub-runs"), "{said}");
    let asked = product.target.requests("/orders");
    let cursor =
        |path: &str| path.split(['?', '&']).find_map(|pair| pair.strip_prefix("cursor=")).map(str::to_owned);
    let cursors: Vec<_> = asked.iter().filter_map(|request| cursor(&request.path)).collect();
    assert_eq!(cursors, ["", "b", "c"]);
    let [report] = product.target.requests("/reports").try_into().expect("one report");
    assert_eq!(report.json(), json!({ "customer": "ada", "pages": 3, "total": 21 }));
    story.end(&[&shop]).await;
}

#[tokio::test]
async fn a_workflow_calls_another_and_goes_on_with_its_outputs() {
    let product = &product().await;
    let story = product.story("order").await;
    let cli = Cli::of(&story);
    let warehouse = make_secret("warehouse");
    set_secret(&story, &cli, "warehouse", &warehouse).await;
    apply(&story, &cli, "check-stock", &[]).await;
    apply(&story, &cli, "order-goods", &[]).await;
    let stock = json!({ "available": 5 }).to_string().into_bytes();
    product.target.script(
        "/stock/lamp",
        [Reply::Body("application/json", stock.clone()), Reply::Body("application/json", stock)],
    );
    product.target.script("/stock/chair", [Reply::Status(404)]);
    let order = async |item: &str, count: u32| {
        let data = json!({ "item": item, "count": count }).to_string();
        cli.run_with(&["run", "start", "order-goods", "--data", &data, "--watch"], "").await
    };
    order("lamp", 5).await.passed();
    let [ordered] = product.target.requests("/purchases").try_into().expect("one order");
    assert_eq!(ordered.json(), json!({ "item": "lamp", "count": 5 }));
    let short = order("lamp", 6).await;
    assert_eq!(short.code, 3, "{short:?}");
    assert!(short.out.contains("only 5 of lamp are left"), "{short:?}");
    let unknown = order("chair", 1).await;
    assert!(
        unknown.out.contains("nobody knows how many there are: the server answered with status 404"),
        "{unknown:?}"
    );
    let called = ended_runs(&cli, "check-stock", 3).await;
    assert!(called.iter().all(|run| run["caller_execution_id"].is_string()), "{called:?}");
    let caller = called[0]["caller_execution_id"].as_str().unwrap();
    let of_caller = cli.run(&format!("run list --parent {caller}")).await.passed();
    assert!(of_caller.contains(called[0]["id"].as_str().unwrap()), "{of_caller}");
    story.end(&[&warehouse]).await;
}

#[tokio::test]
async fn a_call_waits_for_office_hours_or_is_let_through() {
    let product = &product().await;
    let story = product.story("office").await;
    let cli = Cli::of(&story);
    // The gate is closed for the next hours, whatever the time is.
    let zone = jiff::tz::TimeZone::UTC;
    let hour = |hours: i64| {
        let time = process::Clock::system().now().checked_add(hours.hours()).unwrap().to_zoned(zone.clone());
        format!("\"{}\"", time.strftime("%H:%M"))
    };
    let (from, to) = (format!("from: {}", hour(3)), format!("to: {}", hour(4)));
    let instead = [
        ("days: [mon, tue, wed, thu, fri]", "days: [mon, tue, wed, thu, fri, sat, sun]"),
        ("from: \"09:00\"", from.as_str()),
        ("to: \"17:00\"", to.as_str()),
        ("zone: Europe/Berlin", "zone: UTC"),
    ];
    apply(&story, &cli, "business-hours", &instead).await;
    let data = r#"{"name": "Ada", "phone": "+15551234567"}"#;
    cli.run_with(&["run", "start", "business-hours", "--data", data], "").await.passed();
    let held = "execution list --state held --json";
    until("the call is held", || async {
        cli.run(held).await.json()["executions"].as_array().is_some_and(|held| held.len() == 1)
    })
    .await;
    assert_eq!(product.target.requests("/calls").len(), 0);
    let id = cli.run(held).await.json()["executions"][0]["id"].as_str().unwrap_or_default().to_owned();
    cli.run(&format!("execution release {id}")).await.passed();
    let runs = ended_runs(&cli, "business-hours", 1).await;
    assert_eq!(runs[0]["result"], "passed");
    assert_eq!(product.target.requests("/calls")[0].json(), json!({ "name": "Ada", "to": "+15551234567" }));
    story.end(&[]).await;
}

#[tokio::test]
async fn a_ticket_goes_to_those_who_can_help() {
    let product = &product().await;
    let story = product.story("tickets").await;
    let cli = Cli::of(&story);
    apply(&story, &cli, "route-tickets", &[]).await;
    let tickets = [
        (json!({ "kind": "outage", "customer": "A" }), "/on-call"),
        (json!({ "kind": "bug", "customer": "B" }), "/engineers"),
        (json!({ "kind": "invoice", "customer": "C", "amount": 2_000 }), "/manager"),
        (json!({ "kind": "invoice", "customer": "D", "amount": 20 }), "/accounts"),
        (json!({ "kind": "praise", "customer": "E" }), "/support"),
    ];
    for (data, path) in &tickets {
        let start = ["run", "start", "route-tickets", "--data", &data.to_string(), "--watch"];
        cli.run_with(&start, "").await.passed();
        assert_eq!(product.target.requests(path).len(), 1, "{data}");
    }
    story.end(&[]).await;
}

#[tokio::test]
async fn a_deployment_waits_for_somebody_who_did_not_ask_for_it_i1() {
    let product = &product().await;
    let story = product.story("approve").await;
    let cli = Cli::of(&story);
    let deploy = make_secret("deploy");
    set_secret(&story, &cli, "deploy", &deploy).await;
    apply(&story, &cli, "approve-production", &[("expires: 4h", "expires: 3s")]).await;
    let member = cli.run("member invite bob@example.com --role operator --json").await.json();
    let bob = cli.with("SEALFLOW_TOKEN", member["token"].as_str().expect("a token"));
    // Another run for each end; gives the approval's id.
    let open = async |build: &str| {
        let data = json!({ "build": build }).to_string();
        cli.run_with(&["run", "start", "approve-production", "--data", &data], "").await.passed();
        let mut id = String::new();
        until("it asks", || async {
            let listed = bob.run("approval list --json").await.json();
            listed["approvals"]
                .as_array()
                .is_some_and(|rows| rows.iter().any(|row| row["run_name"] == json!(format!("build {build}"))))
        })
        .await;
        let listed = bob.run("approval list --json").await.json();
        for row in listed["approvals"].as_array().into_iter().flatten() {
            if row["run_name"] == json!(format!("build {build}")) {
                id = row["id"].as_str().unwrap_or_default().to_owned();
            }
        }
        id
    };
    let result = async |build: &str| {
        let name = format!("build {build}");
        let mut found = Value::Null;
        until("it ends", || async {
            let runs = cli.run("run list --workflow approve-production --state finished --json").await.json();
            runs["runs"].as_array().is_some_and(|runs| runs.iter().any(|run| run["name"] == json!(name)))
        })
        .await;
        let runs = cli.run("run list --workflow approve-production --state finished --json").await.json();
        for run in runs["runs"].as_array().into_iter().flatten().filter(|run| run["name"] == json!(name)) {
            found = run["result"].clone();
        }
        found
    };
    let id = open("1.4.2").await;
    let own = cli.run_with(&["approval", "approve", &id, "--field", "window=now"], "").await;
    assert_eq!(own.code, 4, "who started it does not decide: {own:?}");
    let missing = bob.run(&format!("approval approve {id}")).await;
    assert!(missing.code == 1 && missing.err.contains("the field `window` is missing"), "{missing:?}");
    let said = bob
        .run_with(&["approval", "approve", &id, "--comment", "tests are green", "--field", "window=now"], "")
        .await
        .passed();
    assert_eq!(said, "approved: Ask of approve-production\n");
    assert_eq!(result("1.4.2").await, "passed");
    let [deployed] = product.target.requests("/deployments").try_into().expect("one deployment");
    assert_eq!(
        deployed.json(),
        json!({ "build": "1.4.2", "window": "now", "approved_by": "bob@example.com" })
    );
    assert_eq!(deployed.header("authorization"), Some(format!("Bearer {deploy}").as_str()));
    let again = bob.run(&format!("approval reject {id}")).await;
    assert_eq!(again.code, 6, "it has ended: {again:?}");

    let id = open("1.4.3").await;
    bob.run_with(&["approval", "reject", &id, "--comment", "not on a Friday"], "").await.passed();
    assert_eq!(result("1.4.3").await, "failed");
    open("1.4.4").await;
    assert_eq!(result("1.4.4").await, "failed", "nobody has answered");
    let letters = cli.run("dlq list").await.passed();
    assert!(
        letters.contains("rejected by bob@example.com: not on a Friday")
            && letters.contains("nobody has answered"),
        "{letters}"
    );
    assert_eq!(product.target.requests("/deployments").len(), 1);
    story.end(&[&deploy]).await;
}

#[tokio::test]
async fn a_build_comes_to_three_regions_before_the_traffic_is_switched_i1() {
    let product = &product().await;
    let story = product.story("regions").await;
    let cli = Cli::of(&story);
    let deploy = make_secret("deploy");
    set_secret(&story, &cli, "deploy", &deploy).await;
    apply(&story, &cli, "deploy-regions", &[]).await;
    let done = |id: &str| Reply::Body("application/json", json!({ "id": id }).to_string().into_bytes());
    for region in ["europe", "america", "asia"] {
        product.target.script(&format!("/{region}/deployments"), [done(region), Reply::Status(400)]);
    }
    let start = async |build: &str| {
        let data = json!({ "build": build }).to_string();
        cli.run_with(&["run", "start", "deploy-regions", "--data", &data, "--watch"], "").await
    };
    start("1").await.passed();
    let [switched] = product.target.requests("/traffic").try_into().expect("one switch");
    assert_eq!(switched.json(), json!({ "build": "1", "deployments": ["europe", "america", "asia"] }));
    for region in ["europe", "america", "asia"] {
        let [sent] = product.target.requests(&format!("/{region}/deployments")).try_into().expect("one");
        assert_eq!(sent.header("authorization"), Some(format!("Bearer {deploy}").as_str()));
    }
    // One region takes it, and two do not.
    product.target.script("/europe/deployments", [done("europe")]);
    let failed = start("2").await;
    assert_eq!(failed.code, 3, "{failed:?}");
    assert_eq!(product.target.requests("/traffic").len(), 1, "nothing is switched");
    let [told] = product.target.requests("/release-room").try_into().expect("one message");
    assert_eq!(told.json(), json!({ "text": "2 did not come to America, Asia" }));
    story.end(&[&deploy]).await;
}

#[tokio::test]
async fn a_build_comes_to_a_matrix_of_places_by_one_blueprint_i1_i3() {
    let product = &product().await;
    let story = product.story("matrix").await;
    let cli = Cli::of(&story);
    let deploy = make_secret("deploy");
    set_secret(&story, &cli, "deploy", &deploy).await;
    let said =
        apply_as(&story, &cli, "blueprint", "deploy-service", &[("default: 30s", "default: 0.1")]).await;
    assert!(said.contains("nodes use it with `blueprint: deploy-service@1`"), "{said}");
    apply(&story, &cli, "deploy-matrix", &[("settle: 5s", "settle: 0.1")]).await;
    let places = ["eu-staging", "eu-production", "us-staging", "us-production"];
    let healthy =
        |build: &str| Reply::Body("application/json", json!({ "build": build }).to_string().into_bytes());
    for place in places {
        let second = if place == "eu-production" { "1" } else { "2" };
        product.target.script(&format!("/{place}/health"), [healthy("1"), healthy(second)]);
    }
    let start = async |build: &str| {
        let data = json!({ "build": build }).to_string();
        cli.run_with(&["run", "start", "deploy-matrix", "--data", &data, "--watch"], "").await.passed()
    };
    let watched = start("1").await;
    assert!(watched.contains("EU staging / Healthy") || watched.contains("eu-staging/healthy"), "{watched}");
    let [announced] = product.target.requests("/announcements").try_into().expect("one announcement");
    assert_eq!(announced.json(), json!({ "text": "1 is everywhere" }));
    for place in places {
        let [sent] = product.target.requests(&format!("/{place}/deployments")).try_into().expect("one");
        assert_eq!(sent.json(), json!({ "build": "1" }));
        assert_eq!(sent.header("authorization"), Some(format!("Bearer {deploy}").as_str()));
    }
    // One place is not healthy with the second build, and is taken back.
    start("2").await;
    assert_eq!(product.target.requests("/eu-production/deployments/2").len(), 1);
    assert_eq!(product.target.requests("/announcements").len(), 1);
    let [told] = product.target.requests("/matrix-room").try_into().expect("one message");
    assert_eq!(told.json(), json!({ "text": "2 did not come to EU production" }));
    // Another version, and what uses the first one with it.
    let said =
        apply_as(&story, &cli, "blueprint", "deploy-service", &[("default: 30s", "default: 0.2")]).await;
    assert!(said.contains("applied deploy-service@2"), "{said}");
    let checked = cli.run("blueprint upgrade deploy-service --check").await.passed();
    assert_eq!(checked, "would apply deploy-matrix with deploy-service@2\n");
    let upgraded = cli.run("blueprint upgrade deploy-service").await.passed();
    assert_eq!(upgraded, "applied deploy-matrix with deploy-service@2\n");
    let shown = cli.run("blueprint show deploy-service").await.passed();
    assert!(shown.contains("versions     2, 1") && shown.contains("workflow  deploy-matrix  2"), "{shown}");
    let refused = cli.run("blueprint delete deploy-service@2").await;
    assert!(refused.code != 0 && refused.err.contains("it is used by `deploy-matrix`"), "{refused:?}");
    assert_eq!(cli.run("blueprint delete deploy-service@1").await.passed(), "deleted deploy-service@1\n");
    assert!(cli.run("blueprint list").await.passed().contains("deploy-service  2"));
    story.end(&[&deploy]).await;
}

#[tokio::test]
async fn two_hundred_contacts_are_imported_ten_at_once_and_a_few_may_fail_i1_i3() {
    let product = &product().await;
    let story = product.story("contacts").await;
    let cli = Cli::of(&story);
    let contacts = make_secret("contacts");
    set_secret(&story, &cli, "contacts", &contacts).await;
    apply(&story, &cli, "import-contacts", &[]).await;
    let start = async |count: usize, failing: usize| {
        let email = |index: usize| format!("{count}-{index}@example.com");
        for index in 0..failing {
            product
                .target
                .script(&format!("/contacts/{}", email(index).replace('@', "%40")), [Reply::Status(422)]);
        }
        let list: Vec<Value> = (0..count).map(|index| json!({ "email": email(index) })).collect();
        let data = json!({ "contacts": list, "asked_by": "bob@example.com" }).to_string();
        cli.run_with(&["run", "start", "import-contacts", "--data", &data, "--watch"], "").await
    };
    start(200, 10).await.passed();
    let [report] = product.target.requests("/import-reports").try_into().expect("one report");
    let failed: Vec<String> = (0..10).map(|index| format!("200-{index}@example.com")).collect();
    assert_eq!(report.json(), json!({ "to": "bob@example.com", "imported": 190, "failed": failed }));
    for index in 0..200 {
        let path = format!("/contacts/200-{index}%40example.com");
        let [sent] = product.target.requests(&path).try_into().unwrap_or_else(|_| panic!("{path} once"));
        assert_eq!(sent.header("authorization"), Some(format!("Bearer {contacts}").as_str()));
    }
    let listed = async |line: String| {
        let answer = cli.run(&format!("{line} --json")).await.json();
        let rows = answer.as_object().expect("an object").values().find_map(Value::as_array).expect("a list");
        rows.clone()
    };
    // The parts that failed are found by their owner, and what ran for one by its id.
    let owner = listed("execution list --workflow import-contacts --node contacts".to_owned()).await;
    let owner = owner[0]["id"].as_str().expect("an id").to_owned();
    let parts = listed(format!("run list --parent {owner} --result failed")).await;
    let numbers: Vec<i64> = parts.iter().map(|part| part["iteration"].as_i64().expect("a number")).collect();
    assert_eq!(numbers, (0..10).rev().collect::<Vec<_>>());
    let part = parts[0]["id"].as_str().expect("an id");
    let ran = listed(format!("execution list --run {part}")).await;
    let [ran] = ran.as_slice() else { panic!("one execution: {ran:?}") };
    assert_eq!((&ran["node_id"], &ran["result"]), (&json!("import"), &json!("failed")));
    assert!(cli.run(&format!("run list --parent {owner}")).await.passed().contains("ITERATION"));
    // One of ten is more than 5 %.
    start(10, 1).await.passed();
    let [alarm] = product.target.requests("/operators").try_into().expect("one alarm");
    let text = alarm.json()["text"].as_str().unwrap_or_default().to_owned();
    assert!(
        text.starts_with("the import for bob@example.com stopped: ") && text.ends_with(" of 10 failed"),
        "{text}"
    );
    story.end(&[&contacts]).await;
}

#[tokio::test]
async fn a_long_job_tells_when_it_is_done_i1_i3() {
    let product = &product().await;
    let story = product.story("long-job").await;
    let cli = Cli::of(&story);
    let encoder = make_secret("encoder");
    set_secret(&story, &cli, "encoder", &encoder).await;
    apply(&story, &cli, "long-job", &[]).await;
    // The address of the run of a video, as the job has got it.
    let begin = async |video: &str| {
        let data = json!({ "video": video }).to_string();
        cli.run_with(&["run", "start", "long-job", "--data", &data], "").await.passed();
        let mut address = String::new();
        until("the job begins", || async {
            product
                .target
                .requests("/encodings")
                .iter()
                .any(|request| request.json()["video"] == json!(video))
        })
        .await;
        for request in product.target.requests("/encodings") {
            if request.json()["video"] == json!(video) {
                address = request.json()["tell"].as_str().unwrap_or_default().to_owned();
            }
        }
        address
    };
    let said = |state: &str| json!({ "state": state, "seconds": 5400 }).to_string();
    let sent_as = [("content-type", "application/json"), ("x-api-key", "left-out")];
    let address = begin("talk.mp4").await;
    let (path, token) = address.split_at(address.len() - 32);
    // A guess finds nothing and ends nothing.
    let guess = format!("{path}{}", token.chars().rev().collect::<String>());
    assert_eq!(story.post(&guess, &sent_as, said("done")).await.0, 410);
    // A wrong body is told what is wrong, and uses nothing up.
    let (status, answer) = story.post(&address, &sent_as, said("canary-state")).await;
    let answer = answer.to_string();
    assert!(status == 422 && answer.contains("body/state: ") && answer.contains("still waits"), "{answer}");
    assert!(!answer.contains("canary-state"), "{answer}");
    // Five at once: one of them counts.
    let posts = (0..5).map(|_| story.post(&address, &sent_as, said("done")));
    let mut answers: Vec<u16> =
        futures_util::future::join_all(posts).await.into_iter().map(|answer| answer.0).collect();
    answers.sort_unstable();
    assert_eq!(answers, [202, 410, 410, 410, 410]);
    let runs = ended_runs(&cli, "long-job", 1).await;
    assert_eq!(runs[0]["result"], "passed");
    let [told] = product.target.requests("/video-room").try_into().expect("one message");
    assert_eq!(told.json(), json!({ "text": "talk.mp4: done after 5400 s" }));
    let run = runs[0]["id"].as_str().unwrap_or_default();
    let (_, events) = story.call("GET", &format!("/v1/events?run={run}"), None).await;
    assert!(events.to_string().contains("5400"), "{events}");
    assert!(!events.to_string().contains("left-out"), "a header with a credential is not kept: {events}");
    // Nobody says anything: the address ends with the wait.
    apply(&story, &cli, "long-job", &[("expires: 24h", "expires: 2s")]).await;
    let address = begin("silence.mp4").await;
    let runs = ended_runs(&cli, "long-job", 2).await;
    assert_eq!(runs[0]["result"], "failed");
    assert_eq!(story.post(&address, &sent_as, said("late")).await.0, 410);
    assert_eq!(product.target.requests("/video-room").len(), 1);
    let begun = product.target.requests("/encodings");
    assert_eq!(begun[0].header("authorization"), Some(format!("Bearer {encoder}").as_str()));
    story.end(&[&encoder]).await;
}
