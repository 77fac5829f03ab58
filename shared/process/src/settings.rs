use std::collections::BTreeMap;
use std::time::Duration;

use domain::limits::{RETENTION_DAYS_MAX, TOKEN_RATE_PER_SECOND, WEBHOOK_RATE_PER_SECOND};
use domain::rate::Rate;
use domain::share::Share;
use domain::times::Times;

/// The settings that a function reads from its environment, once, in `main`.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `SEALFLOW_DATABASE_URL`: the address of Postgres with the function's own role and no
    /// password.
    pub database_url: String,
    /// `SEALFLOW_DATABASE_LOGIN`: the credential with which the role logs in.
    pub database_login: DatabaseLogin,
    /// `SEALFLOW_DATABASE_CA`: the one authority whose certificates are trusted, in PEM; empty for
    /// the public authorities and those of RDS.
    pub database_root: String,
    /// `SEALFLOW_DATABASE_CONNECT_SECONDS`: the longest time to connect; 5 if not set.
    pub database_connect_timeout: Duration,
    /// `SEALFLOW_METRICS_NAMESPACE`: the CloudWatch namespace of the metrics; empty for none.
    pub metrics_namespace: String,
    /// `SEALFLOW_NODE_QUEUE_URL`: the queue that wakes the builder. Empty where a function sends
    /// nothing there.
    pub node_queue_url: String,
    /// `SEALFLOW_EXECUTION_QUEUE_URL`: the queue that wakes the executor. Empty where a function
    /// sends nothing there.
    pub execution_queue_url: String,
    /// `SEALFLOW_KMS_KEY_ID`: the key that seals.
    pub kms_key_id: String,
    /// `SEALFLOW_REWRAP_FROM_KEY_ID`: the key that the rewrap function moves secrets from.
    pub rewrap_from_key_id: String,
    /// `SEALFLOW_PUBLIC_URL`: the base of webhook addresses and of links, without a slash at its
    /// end.
    pub public_url: String,
    /// `SEALFLOW_HTTP_ALLOW`: the targets (`host:port,…`) that the `http` component may reach
    /// although they are not public.
    pub http_allow: String,
    /// The times derived from `SEALFLOW_COMPONENT_SECONDS_MAX`, which is 300 if not set.
    pub times: Times,
    /// One organization's share of `SEALFLOW_EXECUTOR_INSTANCES`.
    /// `SEALFLOW_ORGANIZATION_EXECUTORS_MAX` is the share while other organizations have work. None
    /// where the first variable is not set.
    pub executor_share: Option<Share>,
    /// `SEALFLOW_SWEEP_GRACE_SECONDS`: the time that a committed row may wait for its wake; None
    /// where it is not set.
    pub sweep_grace_seconds: Option<u32>,
    /// `SEALFLOW_RETENTION_DAYS_MAX`: days for which a finished run is kept at most, whatever its
    /// organization says; None where it is 0 or not set.
    pub retention_days_max: Option<i32>,
    /// `SEALFLOW_WEBHOOK_RATE_MAX`: deliveries a second that an instance takes of one webhook at
    /// most, and twice as many at once.
    pub webhook_rate_max: Rate,
    /// `SEALFLOW_TOKEN_RATE_MAX`: requests a second that an instance of the API takes of one token
    /// at most, and twice as many at once.
    pub token_rate_max: Rate,
    /// `SEALFLOW_AUDIT_DAYS`: days for which lines of the audit log are kept.
    pub audit_days: i32,
    /// `SEALFLOW_DATA_KEY_CACHE_SECONDS`: the time for which the executor keeps opened data keys;
    /// 0, the default, keeps none.
    pub data_key_cache_seconds: u32,
    /// `RUST_LOG`: the level of our own crates' logs.
    pub rust_log: String,
}

/// The credential with which a role logs in to the database.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum DatabaseLogin {
    /// Empty: the credential in the URL, if any.
    #[default]
    Url,
    /// `iam`: a token of IAM.
    Iam,
    /// `parameter:NAME`: a password in that parameter of Systems Manager.
    Parameter(String),
}

/// The error with all problems of the environment.
#[derive(Debug, thiserror::Error)]
#[error("the environment is not complete: {}", .problems.join("; "))]
pub struct SettingsError {
    problems: Vec<String>,
}

/// The names of settings that a function may require.
pub const REQUIRED_NAMES: [&str; 5] = [
    "SEALFLOW_DATABASE_URL",
    "SEALFLOW_NODE_QUEUE_URL",
    "SEALFLOW_EXECUTION_QUEUE_URL",
    "SEALFLOW_KMS_KEY_ID",
    "SEALFLOW_PUBLIC_URL",
];

/// Variables that Lambda itself sets, and that its stand-ins must set.
const LAMBDA_NAMES: [&str; 7] = [
    "AWS_LAMBDA_RUNTIME_API",
    "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_LAMBDA_FUNCTION_VERSION",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
    "AWS_REGION",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
];

const COMPONENT_SECONDS_DEFAULT: u32 = 300;
const CONNECT_SECONDS_DEFAULT: u32 = 5;
/// Days for which lines of the audit log are kept: as few as the database allows, and at most.
const AUDIT_DAYS_MIN: u32 = 30;
const AUDIT_DAYS_MAX: u32 = 3_650;
const AUDIT_DAYS_DEFAULT: u32 = 400;
/// Less than the 29 seconds that a function behind API Gateway has in all.
const CONNECT_SECONDS_MAX: u32 = 25;

impl Settings {
    /// Reads the environment of the process.
    ///
    /// # Errors
    /// [`SettingsError`] names every variable in `required` that is missing and every one that
    /// can't be read.
    pub fn from_env(required: &[&str]) -> Result<Self, SettingsError> {
        // A variable that is not UTF-8 is none of ours and is skipped: `std::env::vars` would panic
        // and quote it.
        let texts = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Self::read(&texts.collect(), required)
    }

    fn read(variables: &BTreeMap<String, String>, required: &[&str]) -> Result<Self, SettingsError> {
        let text = |name: &str| variables.get(name).map(|value| value.trim().to_owned()).unwrap_or_default();
        let mut problems: Vec<String> = required
            .iter()
            .chain(&LAMBDA_NAMES)
            .filter(|name| text(name).is_empty())
            .map(|name| format!("{name} is not set"))
            .collect();
        let seconds = match text("SEALFLOW_COMPONENT_SECONDS_MAX") {
            unset if unset.is_empty() => Some(COMPONENT_SECONDS_DEFAULT),
            set => set.parse().ok(),
        };
        let times = seconds.and_then(|seconds| Times::derive(seconds).ok());
        let mut optional = |name: &str, unit: &str| match text(name) {
            unset if unset.is_empty() => None,
            set => {
                let number = set.parse::<u32>().ok();
                if number.is_none() {
                    problems.push(format!("{name} is not a number of {unit}"));
                }
                number
            }
        };
        let sweep_grace_seconds = optional("SEALFLOW_SWEEP_GRACE_SECONDS", "seconds");
        // The value 0 means not set: a CloudFormation parameter always has a number.
        let retention_days_max = optional("SEALFLOW_RETENTION_DAYS_MAX", "days").filter(|days| *days > 0);
        let retention_days_max = retention_days_max.map(|days| i32::try_from(days).unwrap_or(i32::MAX));
        let rate = |given: Option<u32>, usual: u32| {
            let per_second = given.filter(|given| *given > 0).unwrap_or(usual);
            Rate { per_second, burst: per_second.saturating_mul(2) }
        };
        let webhook_rate_max =
            rate(optional("SEALFLOW_WEBHOOK_RATE_MAX", "deliveries"), WEBHOOK_RATE_PER_SECOND);
        let token_rate_max = rate(optional("SEALFLOW_TOKEN_RATE_MAX", "requests"), TOKEN_RATE_PER_SECOND);
        let audit_days = optional("SEALFLOW_AUDIT_DAYS", "days").unwrap_or(AUDIT_DAYS_DEFAULT);
        let data_key_cache_seconds = optional("SEALFLOW_DATA_KEY_CACHE_SECONDS", "seconds");
        let connect_seconds =
            optional("SEALFLOW_DATABASE_CONNECT_SECONDS", "seconds").unwrap_or(CONNECT_SECONDS_DEFAULT);
        // The value 0 means not set: a CloudFormation parameter always has a number.
        let given = optional("SEALFLOW_ORGANIZATION_EXECUTORS_MAX", "executors").filter(|given| *given > 0);
        let executor_share =
            optional("SEALFLOW_EXECUTOR_INSTANCES", "instances").map(|instances| Share::of(instances, given));
        if retention_days_max.is_some_and(|days| days > RETENTION_DAYS_MAX) {
            problems.push(format!("SEALFLOW_RETENTION_DAYS_MAX is more than {RETENTION_DAYS_MAX} days"));
        }
        if !(AUDIT_DAYS_MIN..=AUDIT_DAYS_MAX).contains(&audit_days) {
            problems.push(format!("SEALFLOW_AUDIT_DAYS is not from {AUDIT_DAYS_MIN} to {AUDIT_DAYS_MAX}"));
        }
        if !(1..=CONNECT_SECONDS_MAX).contains(&connect_seconds) {
            problems
                .push(format!("SEALFLOW_DATABASE_CONNECT_SECONDS is not from 1 to {CONNECT_SECONDS_MAX}"));
        }
        let login = text("SEALFLOW_DATABASE_LOGIN");
        let database_login = match login.strip_prefix("parameter:") {
            Some(name) if !name.is_empty() => DatabaseLogin::Parameter(name.to_owned()),
            None if login == "iam" => DatabaseLogin::Iam,
            None if login.is_empty() => DatabaseLogin::Url,
            _ => {
                problems.push("SEALFLOW_DATABASE_LOGIN is neither iam nor parameter:NAME".to_owned());
                DatabaseLogin::Url
            }
        };
        if times.is_none() {
            problems
                .push("SEALFLOW_COMPONENT_SECONDS_MAX is not a number of seconds from 1 to 300".to_owned());
        }
        let Some(times) = times.filter(|_| problems.is_empty()) else {
            return Err(SettingsError { problems });
        };
        Ok(Self {
            database_url: text("SEALFLOW_DATABASE_URL"),
            database_login,
            database_root: text("SEALFLOW_DATABASE_CA"),
            database_connect_timeout: Duration::from_secs(u64::from(connect_seconds)),
            metrics_namespace: text("SEALFLOW_METRICS_NAMESPACE"),
            node_queue_url: text("SEALFLOW_NODE_QUEUE_URL"),
            execution_queue_url: text("SEALFLOW_EXECUTION_QUEUE_URL"),
            kms_key_id: text("SEALFLOW_KMS_KEY_ID"),
            rewrap_from_key_id: text("SEALFLOW_REWRAP_FROM_KEY_ID"),
            public_url: text("SEALFLOW_PUBLIC_URL").trim_end_matches('/').to_owned(),
            http_allow: text("SEALFLOW_HTTP_ALLOW"),
            times,
            executor_share,
            sweep_grace_seconds,
            retention_days_max,
            webhook_rate_max,
            token_rate_max,
            audit_days: i32::try_from(audit_days).unwrap_or(i32::MAX),
            data_key_cache_seconds: data_key_cache_seconds.unwrap_or(0),
            rust_log: text("RUST_LOG"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_lambda(more: &[(&str, &str)]) -> BTreeMap<String, String> {
        let lambda = LAMBDA_NAMES.iter().map(|name| (*name, "set"));
        lambda.chain(more.iter().copied()).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    #[test]
    fn lines_of_the_audit_log_are_kept_for_so_many_days_on_both_sides_i10() {
        let read = |days: u32| Settings::read(&of_lambda(&[("SEALFLOW_AUDIT_DAYS", &days.to_string())]), &[]);
        for days in [AUDIT_DAYS_MIN, AUDIT_DAYS_MAX] {
            assert_eq!(read(days).unwrap().audit_days, i32::try_from(days).unwrap());
        }
        for days in [AUDIT_DAYS_MIN - 1, AUDIT_DAYS_MAX + 1] {
            assert!(read(days).unwrap_err().to_string().contains("SEALFLOW_AUDIT_DAYS"), "{days}");
        }
        let settings = Settings::read(&of_lambda(&[("SEALFLOW_WEBHOOK_RATE_MAX", "7")]), &[]).unwrap();
        assert_eq!(settings.webhook_rate_max, Rate { per_second: 7, burst: 14 });
        assert_eq!(settings.token_rate_max.per_second, TOKEN_RATE_PER_SECOND);
    }

    #[test]
    fn an_organizations_share_is_what_the_operator_says() {
        let check = |instances: &str, given: &str, expected: Option<u32>| {
            let more =
                [("SEALFLOW_EXECUTOR_INSTANCES", instances), ("SEALFLOW_ORGANIZATION_EXECUTORS_MAX", given)];
            let settings = Settings::read(&of_lambda(&more), &[]).unwrap();
            let share = settings.executor_share.map(|share| share.beside_others);
            assert_eq!(share, expected, "{instances} {given}");
        };
        check("15", "", Some(7));
        check("15", "0", Some(7));
        check("15", "12", Some(12));
        check("", "3", None);
    }

    #[test]
    fn every_problem_is_told_at_once() {
        let bad = [
            "SEALFLOW_COMPONENT_SECONDS_MAX",
            "SEALFLOW_SWEEP_GRACE_SECONDS",
            "SEALFLOW_DATA_KEY_CACHE_SECONDS",
            "SEALFLOW_DATABASE_CONNECT_SECONDS",
            "SEALFLOW_DATABASE_LOGIN",
        ];
        let variables = bad.iter().map(|name| ((*name).to_owned(), "soon".to_owned())).collect();
        let error = Settings::read(&variables, &REQUIRED_NAMES).unwrap_err().to_string();
        for name in REQUIRED_NAMES.iter().chain(&bad).chain(&LAMBDA_NAMES) {
            assert!(error.contains(name), "{name} in {error}");
        }
    }

    #[test]
    fn what_is_not_required_may_be_missing() {
        let settings = Settings::read(&of_lambda(&[]), &[]).unwrap();
        assert_eq!(settings.times, Times::derive(COMPONENT_SECONDS_DEFAULT).unwrap());
        assert_eq!(settings.database_login, DatabaseLogin::Url);
        assert_eq!(settings.database_connect_timeout, Duration::from_secs(5));
    }

    #[test]
    fn a_login_is_by_token_or_by_parameter() {
        let check = |text: &str, expected: Option<DatabaseLogin>| {
            let read = Settings::read(&of_lambda(&[("SEALFLOW_DATABASE_LOGIN", text)]), &[]);
            assert_eq!(read.ok().map(|settings| settings.database_login), expected, "{text:?}");
        };
        check("", Some(DatabaseLogin::Url));
        check("iam", Some(DatabaseLogin::Iam));
        check("parameter:/a/b", Some(DatabaseLogin::Parameter("/a/b".into())));
        check("parameter:", None);
        check("IAM", None);
    }

    #[test]
    fn connecting_takes_from_one_second_to_the_longest() {
        let check = |seconds: u32, is_ok: bool| {
            let set = of_lambda(&[("SEALFLOW_DATABASE_CONNECT_SECONDS", &seconds.to_string())]);
            assert_eq!(Settings::read(&set, &[]).is_ok(), is_ok, "{seconds}");
        };
        check(0, false);
        check(1, true);
        check(CONNECT_SECONDS_MAX, true);
        check(CONNECT_SECONDS_MAX + 1, false);
    }
}
