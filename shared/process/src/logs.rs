use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Our own crates: the only ones that may log below WARN.
pub const OWN_CRATES: [&str; 21] = [
    "api",
    "aws_client",
    "builder",
    "components",
    "database_login",
    "definition",
    "executor",
    "expression",
    "http_event",
    "http_guard",
    "migrate",
    "process",
    "queue",
    "rewrap",
    "scrub",
    "store",
    "sweeper",
    "vault_open",
    "vault_rewrap",
    "vault_seal",
    "webhook",
];

/// The log target with which the runtime prints a handler's error in its Debug form. Our code logs
/// errors itself, in our own words.
const HANDLER_ERRORS: &str = "lambda_runtime::layers::panic";

/// Starts logging to standard output, a JSON object a line, and sets a panic hook that prints the
/// location only. In debug builds it arms the failpoints too.
///
/// `RUST_LOG` sets the level of our own crates. Foreign crates never log below WARN, since some of
/// them log the data that they handle (tokio-postgres logs parameters at DEBUG). A panic's message
/// may quote data, so it is not printed.
pub fn start_logs(rust_log: &str) {
    failpoint::arm();
    let level = highest_level(rust_log);
    let filter = Targets::new()
        .with_default(LevelFilter::WARN)
        .with_target(HANDLER_ERRORS, LevelFilter::OFF)
        .with_targets(OWN_CRATES.map(|name| (name, level)));
    let format = tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(true)
        .with_span_list(false);
    // A second call in one process (tests) keeps the first subscriber.
    let _ = tracing_subscriber::registry().with(filter).with(format).try_init();
    std::panic::set_hook(Box::new(|info| {
        let location = info.location().map_or_else(String::new, ToString::to_string);
        tracing::error!(location, "panic");
    }));
}

/// The most verbose level in `RUST_LOG`. It counts for all of our own crates.
fn highest_level(rust_log: &str) -> LevelFilter {
    let asked = rust_log.to_ascii_lowercase();
    let levels =
        [LevelFilter::TRACE, LevelFilter::DEBUG, LevelFilter::INFO, LevelFilter::WARN, LevelFilter::ERROR];
    levels.into_iter().find(|level| asked.contains(&level.to_string())).unwrap_or(LevelFilter::INFO)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rust_log_sets_the_level_of_our_own_crates() {
        let check = |asked, expected| assert_eq!(highest_level(asked), expected);
        check("", LevelFilter::INFO);
        check("TRACE", LevelFilter::TRACE);
        check("warn,tokio_postgres=debug", LevelFilter::DEBUG);
        check("nonsense", LevelFilter::INFO);
    }
}
