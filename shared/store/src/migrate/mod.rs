//! Migrations beside running functions, and the rows that only the schema's owner may write.

mod indexes;
mod passwords;
mod runs;

use std::time::Duration;

use domain::access::Action;
use domain::actor::Actor;
use domain::ids::{AuditLineId, OrganizationId, TokenId};
use jiff::Timestamp;
use refinery::Target;
use tokio_postgres::Client;
use tokio_postgres::types::Type;

use crate::{Store, StoreError};

pub use passwords::{FUNCTION_ROLES, set_passwords};

mod embedded {
    refinery::embed_migrations!("../../migrations");
}

/// The newest migration that this code was built with.
pub const NEWEST_MIGRATION: i32 = 68;

/// The key of the advisory lock that one migrate at a time holds ("sealflow" in ASCII).
const MIGRATION_LOCK: i64 = 0x7365_616C_666C_6F77;
/// Seconds for which a migration waits for a lock. Functions wait behind it meanwhile, so it waits
/// for less than they do, and tries again.
const LOCK_TIMEOUT_SECONDS: u32 = 2;
/// The pause between two tries. Statements that waited behind the last try get through meanwhile.
const TRY_PAUSE: Duration = Duration::from_secs(1);
/// Tries of one call; with their pauses they fit into the function's time-out.
const TRIES_MAX: u32 = 60;

const CLOSE_SCHEMA: &str = include_str!("close_schema.sql");
const MAKE_ROLES: &str = include_str!("make_roles.sql");
const ROLE_SETTINGS: &str = include_str!("role_settings.sql");
const WAIT_LIMITS: &str = include_str!("wait_limits.sql");

/// The login of the functions' roles, as far as it needs a right of the role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoleLogin {
    /// As their URLs say; nothing is changed.
    Url,
    /// By token of IAM: on RDS they get `rds_iam`.
    Iam,
    /// By password: on RDS they lose `rds_iam`, with which RDS takes no password.
    Password,
}

impl RoleLogin {
    fn word(self) -> &'static str {
        match self {
            Self::Url => "url",
            Self::Iam => "iam",
            Self::Password => "password",
        }
    }
}

/// Brings the schema up to date and returns the names of the migrations that ran. Roles get their
/// settings each time.
///
/// Two calls at once wait for each other. Functions go on meanwhile: a migration waits at most 2 s
/// for a lock and tries again.
///
/// # Errors
/// [`StoreError::Unavailable`] when the database can't be reached, [`StoreError::Setup`] when
/// others may create in the schema or a migration fails. The migrations before it stay.
pub async fn migrate(store: &Store, login: RoleLogin) -> Result<Vec<String>, StoreError> {
    let mut client = store.connect_to_migrate().await?;
    lock(&client).await?;
    // pg_catalog is searched first unless it is named. Temporary tables are searched last only if
    // they are named.
    let settings = format!(
        "SET search_path = public, pg_temp;
         SET lock_timeout = '{LOCK_TIMEOUT_SECONDS}s'"
    );
    client.batch_execute(&settings).await?;
    run_script(&client, "close_schema", CLOSE_SCHEMA).await?;
    refuse_an_open_schema(&client).await?;
    refuse_a_gap(&client).await?;
    run_script(&client, "make_roles", MAKE_ROLES).await?;
    let mut applied = Vec::new();
    if newest_that_ran(&client).await? <= runs::RUNS_BEGIN {
        run_to(Target::Version(runs::RUNS_BEGIN), &mut client, &mut applied).await?;
        runs::give_runs(&client).await?;
    }
    if newest_that_ran(&client).await? <= indexes::HELD_BEGIN {
        run_to(Target::Version(indexes::HELD_BEGIN), &mut client, &mut applied).await?;
        indexes::build_indexes_of_held(&client).await?;
    }
    if newest_that_ran(&client).await? <= indexes::RUNS_EXPIRE {
        run_to(Target::Version(indexes::RUNS_EXPIRE), &mut client, &mut applied).await?;
        indexes::build_indexes_of_expired(&client).await?;
    }
    if newest_that_ran(&client).await? <= indexes::ROWS_WITH_RUN {
        run_to(Target::Version(indexes::ROWS_WITH_RUN), &mut client, &mut applied).await?;
        indexes::build_indexes_of_rows_with_run(&client).await?;
    }
    if newest_that_ran(&client).await? <= indexes::APPROVALS {
        run_to(Target::Version(indexes::APPROVALS), &mut client, &mut applied).await?;
        indexes::build_index_of_approvals(&client).await?;
    }
    if newest_that_ran(&client).await? <= indexes::JOINS {
        run_to(Target::Version(indexes::JOINS), &mut client, &mut applied).await?;
        indexes::build_index_of_joins(&client).await?;
    }
    if newest_that_ran(&client).await? <= indexes::SUB_RUNS {
        run_to(Target::Version(indexes::SUB_RUNS), &mut client, &mut applied).await?;
        indexes::build_indexes_of_sub_runs(&client).await?;
    }
    if newest_that_ran(&client).await? <= indexes::CALLED_RUNS {
        run_to(Target::Version(indexes::CALLED_RUNS), &mut client, &mut applied).await?;
        indexes::build_indexes_of_called_runs(&client).await?;
    }
    run_to(Target::Latest, &mut client, &mut applied).await?;
    client
        .query_typed(
            "/* migrate */ SELECT set_config('sealflow.login', $1, false)",
            &[(&login.word(), Type::TEXT)],
        )
        .await?;
    run_script(&client, "wait_limits", WAIT_LIMITS).await?;
    run_script(&client, "role_settings", ROLE_SETTINGS).await?;
    if login == RoleLogin::Password {
        refuse_tokens(&client).await?;
    }
    Ok(applied)
}

/// Takes the lock of migrations, for one migrate at a time. It ends with the connection.
async fn lock(client: &Client) -> Result<(), StoreError> {
    for tries in 1..=TRIES_MAX {
        let got = "/* migrate */ SELECT pg_try_advisory_lock($1)";
        let got = client.query_typed(got, &[(&MIGRATION_LOCK, Type::INT8)]).await?;
        if got.first().is_some_and(|row| row.get(0)) {
            return Ok(());
        }
        tracing::info!(tries, "another migrate is at work; this one waits");
        tokio::time::sleep(TRY_PAUSE).await;
    }
    Err(StoreError::Setup(
        "another session holds the lock of migrations: SELECT pid FROM pg_locks \
         WHERE locktype = 'advisory' finds it"
            .into(),
    ))
}

/// Runs a script that is no migration: the history does not have it.
async fn run_script(client: &Client, name: &str, sql: &str) -> Result<(), StoreError> {
    let mut tries = LockTries::default();
    while let Err(error) = client.batch_execute(sql).await {
        tries.wait_or_fail(name, error.code().map(|code| code.code().to_owned())).await?;
    }
    Ok(())
}

/// The number of tries that failed because another session held a lock.
#[derive(Default)]
struct LockTries(u32);

impl LockTries {
    /// Waits for a moment after such a try. Any other SQLSTATE is an error, and so is the last try.
    async fn wait_or_fail(&mut self, name: &str, sqlstate: Option<String>) -> Result<(), StoreError> {
        self.0 += 1;
        let is_lock = matches!(sqlstate.as_deref(), Some("55P03" | "40P01"));
        if is_lock && self.0 < TRIES_MAX {
            tracing::info!(name, tries = self.0, "somebody holds a lock; it is tried again");
            tokio::time::sleep(TRY_PAUSE).await;
            return Ok(());
        }
        let hint = if is_lock { ": somebody holds a lock for long; look into pg_stat_activity" } else { "" };
        let code = sqlstate.as_deref().unwrap_or("unknown");
        Err(StoreError::Setup(format!("{name} failed (SQLSTATE {code}){hint}")))
    }
}

/// RDS takes no password from a role that has rds_iam.
async fn refuse_tokens(client: &Client) -> Result<(), StoreError> {
    let rows = client
        .query_typed(
            "/* refuse_tokens */
             SELECT string_agg(r.rolname::text, ', ' ORDER BY r.rolname)
             FROM pg_roles r
             WHERE r.rolname = ANY($1) AND EXISTS (SELECT FROM pg_roles WHERE rolname = 'rds_iam')
               AND pg_has_role(r.oid,
                   (SELECT oid FROM pg_roles WHERE rolname = 'rds_iam'), 'MEMBER')",
            &[(&FUNCTION_ROLES.as_slice(), Type::TEXT_ARRAY)],
        )
        .await?;
    match rows.first().and_then(|row| row.get::<_, Option<String>>(0)) {
        None => Ok(()),
        Some(roles) => Err(StoreError::Setup(format!(
            "RDS takes no password from a role that has rds_iam: as the master, REVOKE rds_iam \
             FROM {roles} CASCADE; then migrate again"
        ))),
    }
}

/// Runs the migrations up to `target`, and tries again where another session holds a lock.
async fn run_to(target: Target, client: &mut Client, applied: &mut Vec<String>) -> Result<(), StoreError> {
    let mut tries = LockTries::default();
    while let Err(sqlstate) = run_once(target, client, applied).await {
        tries.wait_or_fail("a migration", sqlstate).await?;
    }
    Ok(())
}

/// Runs the migrations that have not run yet. Each has a transaction of its own, so the migrations
/// before a failure stay.
async fn run_once(
    target: Target,
    client: &mut Client,
    applied: &mut Vec<String>,
) -> Result<(), Option<String>> {
    // A migration in the history that this code does not have is no error: a deployment that is
    // rolled back must get through.
    let runner = embedded::migrations::runner().set_abort_missing(false).set_target(target);
    match runner.run_async(client).await {
        Ok(report) => {
            applied.extend(report.applied_migrations().iter().map(ToString::to_string));
            Ok(())
        }
        Err(error) => {
            if let Some(report) = error.report() {
                applied.extend(report.applied_migrations().iter().map(ToString::to_string));
            }
            let cause = std::error::Error::source(&error)
                .and_then(|source| source.downcast_ref::<tokio_postgres::Error>())
                .and_then(|source| source.code().map(|code| code.code().to_owned()));
            Err(cause)
        }
    }
}

async fn refuse_an_open_schema(client: &Client) -> Result<(), StoreError> {
    let rows = client
        .query_typed(
            "/* refuse_an_open_schema */
             SELECT coalesce(r.rolname::text, 'PUBLIC')
             FROM pg_namespace n
             CROSS JOIN aclexplode(n.nspacl) a
             LEFT JOIN pg_roles r ON r.oid = a.grantee
             WHERE n.nspname = 'public' AND a.privilege_type = 'CREATE' AND a.grantee <> n.nspowner
               AND r.rolname IS DISTINCT FROM current_user AND r.rolsuper IS NOT TRUE
             ORDER BY 1 LIMIT 1",
            &[],
        )
        .await?;
    if let Some(who) = rows.first().map(|row| row.get::<_, String>(0)) {
        return Err(StoreError::Setup(format!(
            "{who} may create in the schema public, \
             so what migrations run could be somebody else's: as its owner, \
             REVOKE CREATE ON SCHEMA public FROM {who}"
        )));
    }
    refuse_things_of_others(client).await
}

/// Refuses a schema with objects of another owner. A function that fits a migration's call better
/// than the intended one, a table with a trigger, an operator: each would run the other owner's
/// code with the rights of the schema's owner.
async fn refuse_things_of_others(client: &Client) -> Result<(), StoreError> {
    let rows = client
        .query_typed(
            "/* refuse_things_of_others */
             SELECT thing.named, r.rolname::text
             FROM (SELECT 'the function ' || oid::regprocedure::text, oid, proowner FROM pg_proc
                   WHERE pronamespace = 'public'::regnamespace
                   UNION ALL
                   SELECT 'the relation ' || oid::regclass::text, oid, relowner FROM pg_class
                   WHERE relnamespace = 'public'::regnamespace
                   UNION ALL
                   SELECT 'the operator ' || oid::regoperator::text, oid, oprowner FROM pg_operator
                   WHERE oprnamespace = 'public'::regnamespace
                   UNION ALL
                   SELECT 'the type ' || oid::regtype::text, oid, typowner FROM pg_type
                   WHERE typnamespace = 'public'::regnamespace) thing (named, oid, owner)
             JOIN pg_roles r ON r.oid = thing.owner
             WHERE r.rolname <> current_user AND NOT r.rolsuper
               AND NOT EXISTS (
                   SELECT FROM pg_depend d WHERE d.objid = thing.oid AND d.deptype = 'e')
             ORDER BY 1 LIMIT 1",
            &[],
        )
        .await?;
    match rows.first().map(|row| (row.get::<_, String>(0), row.get::<_, String>(1))) {
        None => Ok(()),
        Some((thing, owner)) => Err(StoreError::Setup(format!(
            "{thing} in the schema public is {owner}'s: look at it, then drop it or make it the migrating role's"
        ))),
    }
}

/// The numbers of the migrations that ran.
async fn migrations_that_ran(client: &Client) -> Result<Vec<i32>, StoreError> {
    let is_there = "/* migrate */ SELECT to_regclass('public.refinery_schema_history') IS NOT NULL";
    let is_there = client.query_typed(is_there, &[]).await?;
    if !is_there.first().is_some_and(|row| row.get(0)) {
        return Ok(Vec::new());
    }
    let versions = "/* migrate */ SELECT version FROM refinery_schema_history";
    let known = client.query_typed(versions, &[]).await?;
    Ok(known.iter().map(|row| row.get(0)).collect())
}

async fn newest_that_ran(client: &Client) -> Result<i32, StoreError> {
    Ok(migrations_that_ran(client).await?.into_iter().max().unwrap_or(0))
}

/// Refuses a history with a gap: a missing migration below the newest one that ran would never run.
async fn refuse_a_gap(client: &Client) -> Result<(), StoreError> {
    let ran = migrations_that_ran(client).await?;
    let newest = ran.iter().max().copied().unwrap_or(0);
    let runner = embedded::migrations::runner();
    let missing = runner.get_migrations().iter().map(refinery::Migration::version);
    match missing.filter(|version| *version < newest && !ran.contains(version)).min() {
        None => Ok(()),
        Some(version) => Err(StoreError::Setup(format!(
            "the history has V{newest} and not V{version}, which would never run: deploy the code that the newest migrations came with"
        ))),
    }
}

/// Ids that [`bootstrap`] writes.
#[derive(Clone, Copy, Debug)]
pub struct BootstrapIds {
    /// `organizations.id`
    pub organization_id: OrganizationId,
    /// `api_tokens.id`
    pub token_id: TokenId,
    /// `audit_log.id`
    pub line_id: AuditLineId,
}

/// Makes an organization and its first token, with the first line of its audit log.
///
/// # Errors
/// [`StoreError::Rejected`] when the name is not allowed.
pub async fn bootstrap(
    store: &Store,
    ids: BootstrapIds,
    name: &str,
    token_sha256: &[u8],
    now: Timestamp,
) -> Result<(), StoreError> {
    store
        .query_once(
            "/* bootstrap */
             WITH organization AS (
                 INSERT INTO organizations (id, name, created_at, updated_at)
                 VALUES ($1, $2, $3, $3)
                 RETURNING id),
             token AS (
                 INSERT INTO api_tokens (id, organization_id, name, token_sha256, created_at)
                 SELECT $4, organization.id, 'bootstrap', $5, $3 FROM organization
                 RETURNING id, organization_id, name)
             INSERT INTO audit_log (id, organization_id, created_at, actor, action, object_kind,
                 object_id, object_name)
             SELECT $6, token.organization_id, $3, $7, $8, 'token', token.id, token.name
             FROM token",
            &[
                (&ids.organization_id, Type::UUID),
                (&name, Type::TEXT),
                (&now, Type::TIMESTAMPTZ),
                (&ids.token_id, Type::UUID),
                (&token_sha256, Type::BYTEA),
                (&ids.line_id, Type::UUID),
                (&Actor::operator().to_string(), Type::TEXT),
                (&Action::TokensWrite.as_str(), Type::TEXT),
            ],
        )
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_migration_is_the_last_file_and_says_its_number() {
        let migrations = embedded::migrations::runner().get_migrations().clone();
        let newest = migrations.iter().max_by_key(|migration| migration.version()).unwrap();
        assert_eq!(NEWEST_MIGRATION, newest.version());
        let says = format!("VALUES ({NEWEST_MIGRATION}, ");
        let sets = format!("SET version = {NEWEST_MIGRATION}");
        let sql = newest.sql().unwrap();
        assert!(sql.contains(&says) || sql.contains(&sets), "it sets schema_facts.version");
    }
}
