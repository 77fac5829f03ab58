//! The command line as a user has it: every command for people and for scripts, and the exit
//! statuses. A command never prints a secret's value, never takes a value as an argument, and never
//! lets data steer the terminal (I1).

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Value, json};
use tests::e2e::{Cli, Product, Reply, Shared, Story, Transcript, make_secret, placed, until, word};
use tests::wait_for;

async fn product() -> Arc<Product> {
    static PRODUCT: Shared = Shared::new();
    PRODUCT.get(|builder| builder).await
}

const GREETING: &str = r#"name: greeting
nodes:
  - { id: start, name: Start, trigger: start, run_name: 'for {{ root().data.who }}' }
  - { id: hook, name: Hook, trigger: webhook, configuration: { authentication: bearer } }
  - id: call
    name: Call
    component: http
    configuration:
      method: POST
      url: TARGET/greeting
      headers: [ { name: Authorization, value: 'Bearer {{ secrets("github").token }}' } ]
      body: { json: { text: 'Hello, {{ root().data.who }}' } }
    keys: { who: '{{ root().data.who }}' }
edges:
  - { from: start, to: call }
"#;

/// The most characters of an organization's name.
const ORGANIZATION_NAME_CHARS_MAX: usize = 128;

/// Writes a definition to a file in the product's folder.
fn file(story: &Story<'_>, name: &str, text: &str) -> PathBuf {
    let path = story.product.sealflow.folder().join(name);
    std::fs::write(&path, placed(story.product, text)).unwrap();
    path
}

#[tokio::test]
async fn every_command_answers_people_and_scripts_as_it_did() {
    let product = &product().await;
    let story = product.story("commands").await;
    let mut cli = Transcript::of(Cli::of(&story));
    let secret = make_secret("commands");
    let path = file(&story, "greeting.yaml", GREETING).display().to_string();

    cli.run(&format!("workflow apply -f {path} --check")).await.passed();
    cli.run(&format!("workflow apply -f {path}")).await.passed();
    cli.run(&format!("workflow apply -f {path}")).await.passed();
    let set = ["secret", "set", "github", "token", "--host", "127.0.0.1", "--in", "authorization", "-"];
    cli.run_with(&set, &secret).await.passed();
    cli.run("secret list --json").await.passed();
    // The target's port is not 443, so the host without a port does not allow it.
    let host = product.target.host_port();
    cli.run_with(&["secret", "set", "github", "token", "--host", &host, "-", "--json"], &secret)
        .await
        .passed();

    let data = r#"{"who": "Ada"}"#;
    let start = ["--json", "run", "start", "greeting", "--node", "start", "--data", data];
    let run = word(&cli.run_with(&start, "").await.json()["run_id"]);
    story.ended(&run).await;
    cli.run(&format!("run watch {run}")).await.passed();
    let listed = cli.run(&format!("execution list --run {run} --json")).await.json();
    let execution = word(&listed["executions"][0]["id"]);
    for line in [
        "workflow list".to_owned(),
        "approval list".to_owned(),
        "workflow show greeting".to_owned(),
        "secret list".to_owned(),
        "run list".to_owned(),
        "run list --workflow greeting --node start --limit 1".to_owned(),
        format!("run watch {run} --json"),
        "execution list --workflow greeting --node call --state finished --result passed".to_owned(),
        "execution list --key who=Ada".to_owned(),
        "execution list --key who=Eve".to_owned(),
        format!("execution list --previous {execution}"),
        format!("execution list --parent {execution}"),
        format!("execution show {execution}"),
        format!("event list --run {run} --node call --channel success"),
        "queue list --workflow greeting".to_owned(),
        "webhook list --workflow greeting".to_owned(),
    ] {
        let human = cli.run(&line).await.passed();
        if !line.ends_with("--json") {
            assert!(!human.trim_start().starts_with('{'), "{line}: {human}");
            cli.run(&format!("{line} --json")).await.passed();
        }
    }

    for line in [
        "organization show",
        "organization set --retention 30d",
        "organization set --retention forever --json",
    ] {
        cli.run(line).await.passed();
    }
    let refused = cli.run("organization set --retention 3651d").await;
    assert_eq!(refused.code, 1, "{refused:?}");
    assert_eq!(cli.run("organization set --retention 30").await.code, 2);
    cli.run("webhook rotate greeting/hook").await.passed();
    let hook = word(&cli.run("webhook list --workflow greeting --json").await.json()["webhooks"][0]["id"]);
    cli.run(&format!("webhook rotate {hook} --keep-previous 0 --json")).await.passed();
    let given = make_secret("given");
    let refused = Cli::of(&story).run_with(&["webhook", "set", "greeting/hook", &given], "").await;
    assert_eq!((refused.code, refused.err.contains(&given)), (2, false), "{refused:?}");
    cli.run_with(&["webhook", "set", "greeting/hook", "-"], &format!("{given}\n")).await.passed();
    let url = word(&cli.run("webhook list --workflow greeting --json").await.json()["webhooks"][0]["url"]);
    let bearer = format!("Bearer {given}");
    assert_eq!(story.post(&url, &[("authorization", &bearer)], "{}").await.0, 202);

    let event = file(&story, "event.json", r#"{"who": "Eve"}"#).display().to_string();
    let send = ["webhook", "send", "greeting/hook", "-f", &event, "--header", "X-Event: hello"];
    let sent = Cli::of(&story).run_with(&send, &given).await.passed();
    assert!(sent.starts_with("202 ") && sent.contains("run_id"), "{sent}");
    let refused = Cli::of(&story).run_with(&send, "another key than that").await;
    assert_eq!((refused.code, refused.out.starts_with("401 ")), (4, true), "{refused:?}");
    let missing = Cli::of(&story).run_with(&["webhook", "send", "greeting/hok", "-f", &event], &given).await;
    assert!(missing.code == 1 && missing.err.contains("it has: hook"), "{missing:?}");

    // The lines of a run that is at work depend on the moment, so they stay out of the snapshot.
    let watched =
        Cli::of(&story).run_with(&["run", "start", "greeting", "--data", data, "--watch"], "").await.passed();
    for said in ["started run ", "Call", "finished", "passed", "run passed after 1 execution\n"] {
        assert!(watched.contains(said), "{said}: {watched}");
    }
    for line in ["secret delete github token", "secret delete github", "workflow delete greeting"] {
        cli.run(line).await.passed();
        assert_eq!(cli.run(line).await.code, 5, "{line}: gone");
    }
    cli.run("--help").await.passed();
    assert!(Cli::of(&story).run("--version").await.passed().starts_with("sealflow "));
    assert!(Cli::of(&story).run("completion bash").await.passed().contains("sealflow"));
    insta::assert_snapshot!("every_command", cli.masked());
    story.end(&[&secret, &given]).await;
}

#[tokio::test]
async fn a_secret_comes_from_standard_input_alone_i1() {
    let product = &product().await;
    let story = product.story("input").await;
    let cli = Cli::of(&story);
    story.apply(&placed(product, &GREETING.replace("greeting", "input"))).await;
    let secret = make_secret("input");
    let argument = make_secret("argument");
    for arguments in [
        vec!["secret", "set", "github", "token", &argument],
        vec!["secret", "set", "github", "token"],
        vec!["--json", "secret", "set", "github", "token", &argument],
    ] {
        let refused = cli.run_with(&arguments, "").await;
        assert_eq!((refused.code, refused.out.as_str()), (2, ""), "{refused:?}");
        assert!(refused.err.contains("never given on the command line") && !refused.err.contains(&argument));
    }
    for (input, value) in [
        (format!("{secret}\n"), &secret),
        (format!("{secret}\r\n"), &secret),
        (format!("{secret}\n\n"), &format!("{secret}\n")),
    ] {
        let set = cli.run_with(&["secret", "set", "github", "token", "--any-host", "-"], &input).await;
        assert_eq!((set.code, set.err.contains("one newline at the end was left out")), (0, true), "{set:?}");
        let run = story.run("input", json!({ "who": "x" })).await;
        // Of two newlines one belongs to the value, and a header can't hold it.
        let expected = if value.ends_with('\n') { "failed" } else { "passed" };
        assert_eq!(run["result"], expected);
    }
    let heard = product.target.requests("/input");
    assert_eq!(heard.len(), 2);
    assert!(heard.iter().all(|request| request.header("authorization") == Some(&format!("Bearer {secret}"))));
    for (input, said) in [("", "is empty"), ("\n", "is empty"), ("1234567", "fewer than 8 bytes")] {
        let refused = cli.run_with(&["secret", "set", "github", "token", "-"], input).await;
        assert_eq!((refused.code, refused.err.contains(said)), (1, true), "{refused:?}");
    }
    let short = cli
        .run_with(&["secret", "set", "github", "pin", "--allow-short", "--any-host", "-"], "1234567")
        .await;
    assert_eq!(short.code, 0, "{short:?}");
    assert!(cli.run("secret list").await.passed().contains("pin (short: not scrubbed)"));
    // The refused argument was not passed on: the leak check finds it nowhere.
    story.end(&[&secret, &argument]).await;
}

#[tokio::test]
async fn data_can_not_steer_the_terminal() {
    let product = &product().await;
    let story = product.story("terminal").await;
    let cli = Cli::of(&story);
    let steering = "\u{1b}]0;title\u{7}\u{1b}[2J\u{9b}31m\u{202e}";
    let definition =
        GREETING.replace("name: greeting", "name: terminal").replace("TARGET/greeting", "TARGET/terminal");
    story.apply(&placed(product, &definition)).await;
    story.set_secret("github", "token", "a value of eight or more").await;
    product.target.script("/terminal", [Reply::Body("text/plain", steering.as_bytes().to_vec())]);
    let run = story.run("terminal", json!({ "who": steering })).await;
    let run_id = word(&run["id"]);
    let execution = word(&story.execution(&run_id, "call").await["id"]);
    for line in [
        "run list".to_owned(),
        "execution list".to_owned(),
        "event list".to_owned(),
        format!("execution show {execution}"),
        format!("run watch {run_id}"),
        "workflow show terminal".to_owned(),
        "execution list --key who".to_owned(),
    ] {
        let printed = cli.run(&line).await.passed();
        let steers = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(!printed.contains(steers), "{line}: {printed:?}");
    }
    assert!(cli.run("run list").await.passed().contains("\\u{1b}]0;title"));
    let bad = file(
        &story,
        "steering.yaml",
        &format!("name: x\nnodes:\n  - {{ id: a, name: A, component: \"{steering}\" }}\n"),
    );
    let refused = cli.run(&format!("workflow apply -f {}", bad.display())).await;
    assert_eq!(refused.code, 1);
    assert!(!refused.err.contains('\u{1b}') && !refused.err.contains('\u{9b}'), "{:?}", refused.err);
    story.end(&[]).await;
}

#[tokio::test]
async fn errors_have_a_place_and_exit_statuses_a_meaning() {
    let product = &product().await;
    let story = product.story("statuses").await;
    let cli = Cli::of(&story);
    let wrong = file(
        &story,
        "wrong.yaml",
        &GREETING.replace("component: http", "component: htpp").replace("root().data.who", "rot().data.who"),
    );
    let wrong = wrong.display().to_string();
    let refused = cli.run(&format!("workflow apply -f {wrong}")).await;
    assert_eq!((refused.code, refused.out.as_str()), (1, ""));
    for said in [
        &format!(
            "{wrong}:7:16: error: nodes[2].component: there is no component named `htpp`; did you mean `http`?"
        ),
        " |     component: htpp\n |                ^\n",
        "error: nodes[0].run_name:",
        "rot()",
        "^",
    ] {
        assert!(refused.err.contains(said), "{said}: {}", refused.err);
    }
    let json = cli.run(&format!("workflow apply -f {wrong} --json")).await;
    let problem: Value = serde_json::from_str(&json.err).unwrap();
    assert_eq!(
        (json.code, &problem["status"], problem["errors"].as_array().map(|errors| errors.len() > 1)),
        (1, &json!(422), Some(true))
    );

    let path = file(&story, "statuses.yaml", &GREETING.replace("greeting", "statuses")).display().to_string();
    assert_eq!(cli.run(&format!("workflow apply -f {path} --expected-version 0")).await.code, 0);
    let conflict = cli.run(&format!("workflow apply -f {path} --expected-version 0")).await;
    assert_eq!((conflict.code, conflict.err.contains("version 1")), (6, true), "{conflict:?}");
    for (line, code, said) in [
        ("nonsense", 2, "nonsense"),
        ("run list --limit 0", 2, "limit"),
        ("execution list --key =x", 2, "KEY=VALUE"),
        ("run start statuses --data {a}", 2, "no JSON"),
        ("workflow apply -f /does/not/exist", 1, "can't be read"),
        ("workflow show none", 5, "no such workflow"),
        ("run watch 01890000-0000-7000-8000-000000000001", 5, "no such run"),
        ("execution show x", 5, "no such execution"),
        ("run start none", 5, "no such workflow"),
        ("secret delete none", 5, "no such secret"),
    ] {
        let ended = cli.run(line).await;
        assert_eq!((ended.code, ended.err.contains(said)), (code, true), "{line}: {ended:?}");
    }
    let api = format!("{}/v1/", product.sealflow.gateway_url());
    let target = product.target.url();
    let secure = target.replace("http://", "https://");
    for (name, value, code, said) in [
        ("SEALFLOW_API_URL", "", 2, "SEALFLOW_API_URL"),
        ("SEALFLOW_TOKEN", "", 4, "SEALFLOW_TOKEN"),
        ("SEALFLOW_TOKEN", "sf_wrong", 4, "this token is none of this installation"),
        ("SEALFLOW_TOKEN", "a\nb", 2, "can't have"),
        ("SEALFLOW_API_URL", "http://api.example.com", 2, "https"),
        ("SEALFLOW_API_URL", "http://127.0.0.1:1", 8, "can't be reached"),
        ("SEALFLOW_API_URL", api.as_str(), 2, "leave that out"),
        ("SEALFLOW_API_URL", target.as_str(), 1, "is SEALFLOW_API_URL right?"),
        ("SEALFLOW_API_URL", secure.as_str(), 8, "perhaps the URL begins with http://"),
    ] {
        let ended = cli.with(name, value).run("run list").await;
        assert_eq!((ended.code, ended.err.contains(said)), (code, true), "{name}={value}: {ended:?}");
    }

    // The command that watches a run fails if the run fails. A cancelled run is shown as cancelled.
    let failed =
        cli.run_with(&["run", "start", "statuses", "--data", r#"{"who": "x"}"#, "--watch"], "").await;
    assert_eq!(failed.code, 3, "{failed:?}");
    assert!(
        failed.out.contains("secret_missing") && failed.out.contains("run failed after 1 execution"),
        "{failed:?}"
    );
    assert!(
        failed.out.contains("sealflow secret set github token --host HOST --in PLACE -"),
        "the message names the command that helps: {failed:?}"
    );
    let set = cli
        .run_with(&["secret", "set", "github", "token", "--any-host", "-"], "a value of eight or more")
        .await;
    assert_eq!(set.code, 0, "{set:?}");
    product.target.script("/statuses", [Reply::Late(std::time::Duration::from_millis(1_000))]);
    let slow = word(
        &cli.run_with(&["run", "start", "statuses", "--data", r#"{"who": "x"}"#, "--json"], "").await.json()
            ["run_id"],
    );
    product.target.heard("/statuses", 1).await;
    let cancelled = cli.run(&format!("run cancel {slow}")).await.passed();
    assert!(cancelled.contains(&slow), "{cancelled}");
    let watched = cli.run(&format!("run watch {slow}")).await;
    assert!(watched.code == 9 && watched.out.contains("run cancelled"), "{watched:?}");
    let late = cli.run(&format!("run watch {slow} --timeout 0")).await;
    assert_eq!(late.code, 9, "a run that has ended needs no time: {late:?}");
    // A command that did not do what was asked never exits 0.
    let again = cli.run(&format!("run cancel {slow}")).await;
    assert_eq!(again.code, 0, "it is cancelled, as asked for: {again:?}");
    let failed_run =
        word(&cli.run("run list --result failed --limit 1 --json").await.json()["runs"][0]["id"]);
    let too_late = cli.run(&format!("run cancel {failed_run}")).await;
    assert!(too_late.code == 6 && too_late.err.contains("the run has ended already: failed"), "{too_late:?}");
    story.end(&[]).await;
}

#[tokio::test]
async fn the_schema_is_brought_up_to_date_and_an_organization_made_i6() {
    let product = &product().await;
    let story = product.story("admin").await;
    let cli = Cli::of(&story);
    assert_eq!(cli.run("admin migrate").await.passed(), "the schema is up to date\n");
    assert_eq!(cli.run("admin migrate --json").await.json(), json!({ "applied": [] }));
    let made = cli.run("admin bootstrap Another --json").await.json();
    let token = word(&made["token"]);
    assert!(token.starts_with("sf_"), "{made:?}");
    let theirs = cli.with("SEALFLOW_TOKEN", &token);
    assert_eq!(theirs.run("workflow list").await.passed(), "none\n");
    let human = cli.run("admin bootstrap Third").await.passed();
    assert!(human.contains("organization ") && human.contains("token, shown only now: sf_"), "{human}");
    let nothing = cli.run("admin rewrap").await;
    assert!(
        nothing.code == 1 && nothing.err.contains("SEALFLOW_REWRAP_FROM_KEY_ID is not set"),
        "{nothing:?}"
    );
    let rewrap = cli.with("SEALFLOW_INVOKE_URL", "").run("admin rewrap").await;
    assert!(rewrap.code == 2 && rewrap.err.contains("`next` isn't null"), "{rewrap:?}");
    // Without an address the command prints how to do the same on AWS, and does nothing.
    let nowhere = cli.with("SEALFLOW_INVOKE_URL", "").run("admin migrate").await;
    assert_eq!(
        (nowhere.code, nowhere.out.contains("aws lambda invoke")),
        (2, true),
        "{nowhere:?}: nothing was done"
    );
    assert_eq!(cli.with("SEALFLOW_INVOKE_URL", "http://127.0.0.1:1").run("admin migrate").await.code, 8);
    for (name, code) in [
        (String::new(), 1),
        ("n".repeat(ORGANIZATION_NAME_CHARS_MAX), 0),
        ("n".repeat(ORGANIZATION_NAME_CHARS_MAX + 1), 1),
    ] {
        let made = cli.run_with(&["admin", "bootstrap", &name], "").await;
        let is_said = made.err.contains("an organization's name has 1 to 128 characters");
        assert_eq!((made.code, is_said), (code, code != 0), "I10: {made:?}");
    }
    story.end(&[]).await;
}

#[tokio::test]
async fn what_failed_for_good_is_listed_redriven_and_cancelled_one_by_one() {
    let product = &product().await;
    let story = product.story("letters").await;
    let cli = Cli::of(&story);
    let letters = "name: letters
nodes:
  - { id: start, name: Start, trigger: start }
  - { id: call, name: Call, component: http, retry: { max_attempts: 2, initial_interval: 1 }, configuration: { url: TARGET/letters } }
  - { id: hold, name: Hold, component: wait, configuration: { for: 1 day } }
edges:
  - { from: start, to: call }
  - { from: call, channel: success, to: hold }
";
    let path = file(&story, "letters.yaml", letters).display().to_string();
    let _ = cli.run(&format!("workflow apply -f {path}")).await.passed();
    assert_eq!(cli.run("dlq list").await.passed(), "none\n");

    product.target.script("/letters", [Reply::Status(503), Reply::Status(500)]);
    let failed = cli.run("run start letters --watch").await;
    assert!(failed.code != 0 && failed.out.contains("run failed"), "{failed:?}");
    let listed = cli.run("dlq list --workflow letters --json").await.json();
    let letter = word(&listed["dead_letters"][0]["id"]);
    let human = cli.run("dlq list --node call --reason component_error").await.passed();
    assert!(human.contains("letters") && human.contains(&letter), "{human}");
    let shown = cli.run(&format!("execution show {letter}")).await.passed();
    let (_, attempts) = shown.split_once("\nattempts\n").expect("attempts are shown");
    let attempts: Vec<&str> = attempts.lines().take(2).collect();
    assert!(
        attempts[0].starts_with("1 ") && attempts[0].contains("http_status") && attempts[0].contains("503"),
        "{shown}"
    );
    assert!(attempts[1].starts_with("2 ") && attempts[1].contains("500"), "{shown}");

    let redriven =
        cli.run_with(&["dlq", "redrive", &letter, "01a00000-0000-7000-8000-000000000000"], "").await;
    assert_eq!(redriven.code, 1, "one of the two is unknown: {redriven:?}");
    assert!(redriven.out.contains(&format!("{letter} redriven, run ")), "{redriven:?}");
    let again = cli.run(&format!("dlq redrive {letter}")).await;
    assert!(again.code == 1 && !again.err.is_empty(), "a dead letter is redriven once: {again:?}");

    // The run goes on to the node that waits for a day. Only that execution is cancelled.
    let held = "execution list --node hold --state held --json";
    until("the redriven run waits", async || {
        let waiting = cli.run(held).await.json();
        waiting["executions"].as_array().is_some_and(|all| all.len() == 1)
    })
    .await;
    let waits = word(&cli.run(held).await.json()["executions"][0]["id"]);
    assert_eq!(cli.run("dlq list").await.passed(), "none\n");
    let cancelled = cli.run(&format!("execution cancel {waits}")).await.passed();
    assert_eq!(cancelled, format!("execution {waits} is held, and ends now\n"));
    let result = async || {
        let runs = cli.run("run list --workflow letters --json").await.json();
        runs["runs"][0]["result"].as_str().map(str::to_owned)
    };
    assert_eq!(wait_for("the run ends", result).await, "cancelled");

    // Another wait is released: its input goes on.
    let _ = cli.run("run start letters").await.passed();
    let waits = async || cli.run(held).await.json()["executions"][0]["id"].as_str().map(str::to_owned);
    let waits = wait_for("the next run waits", waits).await;
    let shown = cli.run(&format!("execution show {waits}")).await.passed();
    assert!(shown.contains("\nwaits          until 20"), "{shown}");
    let released = cli.run(&format!("execution release {waits}")).await.passed();
    assert_eq!(released, format!("execution {waits} goes on\n"));
    let passed = async || result().await.filter(|result| result == "passed");
    let _ = wait_for("the released run ends", passed).await;
    let late = cli.run(&format!("execution release {waits}")).await;
    assert!(late.code == 6 && late.err.contains("the execution has ended"), "{late:?}");
    let not_held = cli.run(&format!("execution release {letter}")).await;
    assert!(not_held.code == 6 && not_held.err.contains("nothing to release"), "{not_held:?}");
    let shown = cli.run(&format!("execution show {waits}")).await.passed();
    assert!(shown.contains("released_by"), "{shown}");
    story.end(&[]).await;
}
