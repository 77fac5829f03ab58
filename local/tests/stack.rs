//! The stand-ins start, do what is needed of them, and are gone at the end.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use local::sqs;
use local::stack::{Stack, StackOptions};

#[tokio::test]
async fn postgres_starts_takes_sql_and_is_gone_when_dropped() {
    let stack = StackOptions::new().postgres().own().start().await.unwrap();
    let database = stack.postgres().create_database("unit").await.unwrap();
    let copy = stack.postgres().create_database_from("unit", &database).await.unwrap();
    assert_ne!(database, copy);
    stack
        .postgres()
        .sql(&database, "CREATE TABLE a (b text); INSERT INTO a VALUES ('c'), ('d')")
        .await
        .unwrap();
    assert_eq!(stack.postgres().sql(&database, "SELECT b, 1 FROM a ORDER BY b").await.unwrap(), "c|1\nd|1");
    let dump = stack.postgres().dump(&database).await.unwrap();
    assert!(String::from_utf8(dump).unwrap().contains("INSERT INTO public.a VALUES ('c')"));
    stack.postgres().drop_database(&database).await.unwrap();
    assert!(stack.postgres().sql(&database, "SELECT 1").await.is_err());
    let (folder, pid) = (stack.folder().to_owned(), stack.postgres().pid().unwrap());
    drop(stack);
    assert!(!folder.exists(), "the data is removed");
    assert!(!Path::new(&format!("/proc/{pid}")).exists(), "the server has ended");
}

#[tokio::test]
async fn ministack_has_queues_with_dead_letters_and_keys() {
    let stack = Stack::ministack_only().await.unwrap();
    let endpoint = stack.ministack().url();
    let options = sqs::QueueOptions { visibility_timeout_seconds: 0, receives_max: 1 };
    let name = format!("unit-{}", std::process::id());
    let queues = sqs::create_queue_pair(endpoint, &name, options).await.unwrap();
    sqs::send(endpoint, &queues.url, "body", Some("group")).await.unwrap();
    let received = sqs::receive(endpoint, &queues.url, 10).await.unwrap();
    assert_eq!(received[0].body, "body");
    assert_eq!(received[0].attributes["ApproximateReceiveCount"], "1");
    assert_eq!(received[0].attributes["MessageGroupId"], "group");
    assert!(sqs::receive(endpoint, &queues.url, 10).await.unwrap().is_empty());
    let dead = sqs::receive(endpoint, &queues.dead_letter_url, 10).await.unwrap();
    assert_eq!(dead[0].body, "body");
    sqs::delete(endpoint, &queues.dead_letter_url, &[&dead[0].receipt_handle]).await.unwrap();
    assert_eq!(sqs::count(endpoint, &queues.dead_letter_url).await.unwrap(), [0, 0, 0]);
    assert!(!stack.ministack().create_key().await.unwrap().is_empty());
}

#[tokio::test]
async fn moto_makes_keys() {
    let stack = Stack::moto_only().await.unwrap();
    assert!(!stack.moto().create_key().await.unwrap().is_empty());
}

#[test]
fn one_stack_serves_tests_with_runtimes_of_their_own() {
    let ask = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let stack = Stack::of_this_process_with_postgres().await.unwrap();
            assert_eq!(stack.postgres().sql("postgres", "SELECT 1").await.unwrap(), "1");
            stack.postgres().host_port().to_owned()
        })
    };
    // The thread that started it ends before it is used again.
    let first = std::thread::spawn(ask).join().unwrap();
    assert_eq!(ask(), first);
}

/// Kills the program that started them, so that nothing of its own can clean up.
#[test]
fn nothing_is_left_when_the_starter_is_killed() {
    let mut starter = Command::new(env!("CARGO_BIN_EXE_sealflow-local"))
        .arg("stack")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(starter.stdout.take().unwrap()).lines().map(Result::unwrap);
    let lines: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
    let log = lines.iter().find_map(|line| line.strip_prefix("SEALFLOW_TEST_POSTGRES_LOG=")).unwrap();
    let folder = Path::new(log).ancestors().nth(2).unwrap().to_owned();
    let pids = processes_of(&folder);
    assert!(pids.len() >= 2 && folder.exists(), "Postgres and ministack run: {pids:?}");
    starter.kill().unwrap();
    starter.wait().unwrap();
    let until = Instant::now() + Duration::from_secs(15);
    while folder.exists() || !processes_of(&folder).is_empty() {
        assert!(Instant::now() < until, "left: {} {:?}", folder.display(), processes_of(&folder));
        std::thread::sleep(Duration::from_millis(50));
    }
    for address in lines.iter().filter_map(|line| line.split_once("127.0.0.1:").map(|(_, rest)| rest)) {
        let port: u16 = address.split('/').next().unwrap().parse().unwrap();
        let is_free = std::net::TcpListener::bind(("127.0.0.1", port)).is_ok();
        assert!(is_free, "somebody still listens on {port}");
    }
}

/// The processes that name the folder in their command or environment, or work in it.
fn processes_of(folder: &Path) -> Vec<u32> {
    let folder = folder.display().to_string();
    let names = |file: std::path::PathBuf| {
        std::fs::read(file).is_ok_and(|bytes| String::from_utf8_lossy(&bytes).contains(&folder))
    };
    let pids = std::fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let entry = entry.unwrap();
        let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
        (names(entry.path().join("cmdline")) || names(entry.path().join("environ"))).then_some(pid)
    });
    pids.collect()
}
