//! Logins of the real functions to a database as on AWS: the accepted ones, the refused ones, and
//! the cause that the operator reads.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use aws_client::Identity;
use bytes::Bytes;
use database_login::IamToken;
use jiff::{SignedDuration, Timestamp};
use local::lambda::{FunctionOptions, Lambda};
use local::sealflow::find_binaries;
use serde_json::{Value, json};
use store::{Login, Store, StoreSettings};
use tests::Database;
use tests::login::{ACCESS_KEY_ID, HOST, LoginServer, Policy, REGION, Server};

const SECRET_KEY: &str = "canary/of+the/secret+access/key0123456789";
const SESSION_TOKEN: &str = "canary/of+the/session+token==";

fn policy() -> Policy {
    Policy {
        secret_key: SECRET_KEY.to_owned(),
        session_token: SESSION_TOKEN.to_owned(),
        host: HOST.to_owned(),
        port: None,
        password: None,
    }
}

/// A single function, with a log of its own.
struct Function {
    lambda: Lambda,
    folder: local::folder::Folder,
}

impl Function {
    /// Adds the sweeper, which needs only a database for a run.
    fn new(url: String, root: &str, more: &[(&str, &str)]) -> Self {
        let folder = local::folder::Folder::create("login").unwrap();
        let lambda = Lambda::new(folder.path());
        let mut options = FunctionOptions::new(find_binaries(None).unwrap().join("sweeper"));
        let variables = [
            ("SEALFLOW_DATABASE_URL", url.as_str()),
            ("SEALFLOW_DATABASE_LOGIN", "iam"),
            ("SEALFLOW_DATABASE_CA", root),
            ("SEALFLOW_NODE_QUEUE_URL", "http://127.0.0.1:9/nodes"),
            ("SEALFLOW_EXECUTION_QUEUE_URL", "http://127.0.0.1:9/executions"),
            ("AWS_REGION", REGION),
            ("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID),
            ("AWS_SECRET_ACCESS_KEY", SECRET_KEY),
            ("AWS_SESSION_TOKEN", SESSION_TOKEN),
            ("RUST_LOG", "trace"),
        ];
        let variables = variables.iter().chain(more);
        options.environment.extend(variables.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        lambda.add("sweeper", options).unwrap();
        Self { lambda, folder }
    }

    async fn runs(&self) -> bool {
        !self.lambda.invoke("sweeper", Bytes::from_static(b"{}")).await.unwrap().is_error
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("sweeper.log")).unwrap_or_default()
    }

    /// The causes of lines that the alarm's filter finds: `{ $.level = "ERROR" }`.
    fn causes(&self) -> Vec<String> {
        let log = self.log();
        let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let errors = lines.filter(|line| line["level"] == "ERROR");
        errors.map(|line| line["cause"].as_str().unwrap_or_default().to_owned()).collect()
    }

    #[track_caller]
    fn says_alone(&self, expected: &str) {
        let causes = self.causes();
        assert_eq!(causes.len(), 1, "{}", self.log());
        assert!(causes[0].contains(expected), "{expected}: {}", causes[0]);
    }

    #[track_caller]
    fn keeps_to_itself(&self, secrets: &[String]) {
        let log = self.log();
        for secret in secrets.iter().map(String::as_str).chain([SECRET_KEY, SESSION_TOKEN]) {
            assert!(!log.contains(secret), "I1: {secret} is in the log");
        }
        let signatures = secrets.iter().filter_map(|token| token.rsplit_once("X-Amz-Signature="));
        for (_, signature) in signatures {
            assert!(!log.contains(&signature[..64]), "I1: a signature is in the log");
        }
    }
}

#[tokio::test]
async fn the_right_token_gets_in_and_is_seen_nowhere_i1() {
    let database = Database::create().await;
    let server = LoginServer::start(&database.url("sweeper"), policy(), Server::Right).await;
    let function = Function::new(server.url("sealflow_sweeper", database.name()), server.root(), &[]);
    assert!(function.runs().await, "{}", function.log());
    assert_eq!(function.causes(), Vec::<String>::new());
    assert_eq!(server.seen().len(), 1, "one connection, one token");
    function.keeps_to_itself(&server.seen());
}

#[tokio::test]
async fn a_wrong_token_does_not_get_in_and_one_cause_says_what_to_look_at_i1() {
    let database = Database::create().await;
    let refused = "login refused: is the role there (run migrate), does it have rds_iam";
    let check = async |what: &str, policy: Policy, more: &[(&str, &str)], shift: SignedDuration| {
        let server = LoginServer::start(&database.url("sweeper"), policy, Server::Right).await;
        server.shift_clock(shift);
        let function = Function::new(server.url("sealflow_sweeper", database.name()), server.root(), more);
        assert!(!function.runs().await, "{what}");
        assert!(!server.seen().is_empty(), "{what}: the function sends a token");
        function.says_alone(refused);
        function.keeps_to_itself(&server.seen());
    };
    let now = SignedDuration::ZERO;
    check("key", policy(), &[("AWS_SECRET_ACCESS_KEY", "another")], now).await;
    check("access key", policy(), &[("AWS_ACCESS_KEY_ID", "AKIDOTHER")], now).await;
    check("session token", policy(), &[("AWS_SESSION_TOKEN", "another")], now).await;
    check("no session token", policy(), &[("AWS_SESSION_TOKEN", "")], now).await;
    check("region", policy(), &[("AWS_REGION", "us-east-1")], now).await;
    check("host", Policy { host: "other.sealflow.test".to_owned(), ..policy() }, &[], now).await;
    check("port", Policy { port: Some(1), ..policy() }, &[], now).await;
    check("expired", policy(), &[], SignedDuration::from_mins(16)).await;
    check("from the future", policy(), &[], SignedDuration::from_mins(-6)).await;
    check("clock 20 minutes off", policy(), &[], SignedDuration::from_mins(-20)).await;
}

#[tokio::test]
async fn a_token_of_another_role_does_not_get_in() {
    let database = Database::create().await;
    let server = LoginServer::start(&database.url("sweeper"), policy(), Server::Right).await;
    let token = IamToken::new(identity(), process::Clock::system_now);
    let port = server.url("x", "y").split([':', '/']).find_map(|part| part.parse::<u16>().ok()).unwrap();
    let token = store::AskPassword::password(&token, "sealflow_api", HOST, port).await.unwrap();
    let url = server.url("sealflow_sweeper", database.name()).replace("@", &format!(":{}@", encoded(&token)));
    let settings = StoreSettings { own_root: server.root().to_owned(), ..StoreSettings::local(url, "test") };
    let store = Store::new(settings).unwrap();
    assert!(store::api::authenticate_token(&store, &[0; 32], Timestamp::UNIX_EPOCH).await.is_err());
    assert_eq!(server.seen(), [token.to_string()], "the token was tried");
}

fn encoded(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

fn identity() -> Identity {
    let variable = |name: &'static str| match name {
        "AWS_REGION" => Some(REGION.to_owned()),
        "AWS_ACCESS_KEY_ID" => Some(ACCESS_KEY_ID.to_owned()),
        "AWS_SECRET_ACCESS_KEY" => Some(SECRET_KEY.to_owned()),
        "AWS_SESSION_TOKEN" => Some(SESSION_TOKEN.to_owned()),
        _ => None,
    };
    aws_client::identity_from(&variable).unwrap()
}

#[tokio::test]
async fn after_sixteen_minutes_a_reconnect_makes_a_new_token() {
    let database = Database::create().await;
    let server = LoginServer::start(&database.url("sweeper"), policy(), Server::Right).await;
    let shift = Arc::new(AtomicI64::new(0));
    let clock = Arc::clone(&shift);
    let now = move || process::Clock::shifted(SignedDuration::from_secs(clock.load(Ordering::SeqCst))).now();
    let settings = StoreSettings {
        login: Login::Asked(Arc::new(IamToken::new(identity(), now))),
        own_root: server.root().to_owned(),
        ..StoreSettings::local(server.url("sealflow_sweeper", database.name()), "test")
    };
    let store = Store::new(settings).unwrap();
    let works = async || store::sweeper::count_waiting_items(&store, Timestamp::UNIX_EPOCH, 1).await.unwrap();
    works().await;
    let later = SignedDuration::from_mins(16);
    shift.store(later.as_secs(), Ordering::SeqCst);
    server.shift_clock(later);
    assert!(!server.seen().is_empty());
    let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'sealflow_sweeper' AND datname = current_database()";
    assert_eq!(database.sql(end).await, "1");
    works().await;
    let seen = server.seen();
    assert_eq!(seen.len(), 2);
    assert_ne!(seen[0], seen[1]);
}

#[tokio::test]
async fn whatever_else_keeps_a_function_from_its_database_has_a_cause_of_its_own() {
    let database = Database::create().await;
    let check = async |server: Server, own_root: bool, database_name: &str, expected: &str| {
        let server = LoginServer::start(&database.url("sweeper"), policy(), server).await;
        let root = if own_root { server.root() } else { "" };
        let function = Function::new(server.url("sealflow_sweeper", database_name), root, &[]);
        assert!(!function.runs().await, "{expected}");
        function.says_alone(expected);
        function.keeps_to_itself(&server.seen());
        server.seen().len()
    };
    let name = database.name();
    // No token is sent to a wrong server.
    assert_eq!(check(Server::PlainText, true, name, "no TLS: the server offers none").await, 0);
    assert_eq!(check(Server::Right, false, name, "certificate: unknown authority").await, 0);
    assert_eq!(check(Server::OtherName, true, name, "certificate: wrong name").await, 0);
    assert_eq!(check(Server::Expired, true, name, "certificate: expired").await, 0);
    assert_eq!(check(Server::RoleMissing, true, name, "role missing: run migrate").await, 0);
    assert!(check(Server::Right, true, "no_such_database", "database missing").await > 0);
    let empty = Database::create_empty().await;
    empty
        .sql(
            "GRANT CONNECT ON DATABASE CURRENT_DATABASE TO sealflow_sweeper"
                .replace("CURRENT_DATABASE", empty.name())
                .as_str(),
        )
        .await;
    assert!(
        check(Server::Right, true, empty.name(), "schema is older than V8, this code needs V68: run migrate")
            .await
            > 0
    );
    database.sql("UPDATE schema_facts SET version = 99, oldest_code = 99").await;
    let expected = "schema too new: it takes code from V99 on";
    assert!(check(Server::Right, true, name, expected).await > 0);
}

#[tokio::test]
async fn a_database_that_is_not_there_has_a_cause_too() {
    let check = async |url: &str, expected: &str| {
        let more = [("SEALFLOW_DATABASE_LOGIN", ""), ("SEALFLOW_DATABASE_CONNECT_SECONDS", "1")];
        let function = Function::new(url.to_owned(), "", &more);
        assert!(!function.runs().await, "{expected}");
        function.says_alone(expected);
    };
    check("postgres://sealflow_sweeper@127.0.0.1:1/none", "refused: nobody listens there").await;
    check(
        "postgres://sealflow_sweeper@no-such-host.invalid:5432/none",
        "dns: the host's name has no address",
    )
    .await;
    // This port accepts connections and never answers.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("postgres://sealflow_sweeper@127.0.0.1:{}/none", silent.local_addr().unwrap().port());
    check(&url, "timed out").await;
}

#[tokio::test]
async fn a_password_comes_from_its_parameter_and_is_read_again_when_it_is_refused_i1() {
    let stack = local::stack::StackOptions::new().ministack().start().await.unwrap();
    let endpoint = stack.ministack().url();
    let (name, first, second) = (
        format!("/login/{}/sealflow_sweeper", uuid::Uuid::new_v4()),
        "canary of the first password",
        "canary of the second one",
    );
    let put = async |value: &str| {
        let body =
            json!({ "Name": name, "Value": value, "Type": "SecureString", "Overwrite": true }).to_string();
        let request = http::Request::post(endpoint)
            .header("content-type", "application/x-amz-json-1.1")
            .header("x-amz-target", "AmazonSSM.PutParameter")
            .header("authorization", "AWS4-HMAC-SHA256 Credential=test/20260101/eu-central-1/ssm/aws4_request, SignedHeaders=host, Signature=0")
            .body(Bytes::from(body))
            .unwrap();
        let answer = local::http::send(request, Duration::from_secs(10)).await.unwrap();
        assert_eq!(answer.status(), 200, "{:?}", answer.body());
    };
    let database = Database::create().await;
    let policy = Policy { password: Some(second.to_owned()), ..policy() };
    let server = LoginServer::start(&database.url("sweeper"), policy, Server::Right).await;
    let login = format!("parameter:{name}");
    let more = [("SEALFLOW_DATABASE_LOGIN", login.as_str()), ("AWS_ENDPOINT_URL_SSM", endpoint)];
    let function = Function::new(server.url("sealflow_sweeper", database.name()), server.root(), &more);
    assert!(!function.runs().await);
    function
        .says_alone(&format!("no password: the parameter {name}: Systems Manager answers ParameterNotFound"));
    put(first).await;
    assert!(!function.runs().await);
    assert!(
        function.causes().last().unwrap().starts_with("login refused: is the parameter the role's password?")
    );
    put(second).await;
    assert!(function.runs().await, "{}", function.log());
    function.keeps_to_itself(&[first.to_owned(), second.to_owned()]);
}

/// The log of `env -i FUNCTION`, a deployment without variables, as the alarm's filter reads it.
#[tokio::test]
async fn a_function_without_its_variables_says_so_in_one_line() {
    for (name, more) in [
        ("builder", "SEALFLOW_PUBLIC_URL"),
        ("executor", "SEALFLOW_EXECUTION_QUEUE_URL"),
        ("api", "SEALFLOW_KMS_KEY_ID"),
        ("webhook", "SEALFLOW_NODE_QUEUE_URL"),
        ("sweeper", "SEALFLOW_EXECUTION_QUEUE_URL"),
        ("migrate", "SEALFLOW_DATABASE_URL"),
        ("rewrap", "SEALFLOW_KMS_KEY_ID"),
    ] {
        let output =
            std::process::Command::new(find_binaries(None).unwrap().join(name)).env_clear().output().unwrap();
        assert!(!output.status.success(), "{name}");
        let text = String::from_utf8(output.stdout).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!((lines.len(), output.stderr.as_slice()), (1, b"".as_slice()), "{name}: {text}");
        let line: Value = serde_json::from_str(lines[0]).unwrap();
        assert_eq!(line["level"], "ERROR", "{name}");
        let error = line["error"].as_str().unwrap();
        for variable in [
            "SEALFLOW_DATABASE_URL",
            more,
            "AWS_REGION",
            "AWS_ACCESS_KEY_ID",
            "AWS_LAMBDA_RUNTIME_API",
            "AWS_LAMBDA_FUNCTION_NAME",
        ] {
            assert!(error.contains(&format!("{variable} is not set")), "{name}: {error}");
        }
    }
}
