//! The conditions that a connection must meet before it is used: time-outs of the role, and a
//! schema that fits the code.

use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use super::diagnosis::ConnectFailure;
use crate::migrate::NEWEST_MIGRATION;

/// The migration that this code needs at least.
pub(crate) const SCHEMA_NEEDED: i32 = 68;

/// A function's role must have its time-outs: without them a frozen sandbox would hold its locks
/// for ever. It must have its settings of the planner: without them a plan that was made over a
/// nearly empty table would scan the grown one. Owners are not checked: they are people and
/// migrations.
///
/// A statement of a function begins with the few rows at hand, and its joins keep the written
/// order. While tables are small, all join orders cost the same. The planner could choose a bad
/// order, and Postgres would keep that plan after the tables have grown. The order belongs to the
/// statements. So the code, not the role, sets these options. For the lists of the API the planner
/// chooses the order; it may not read a whole index into a bitmap and sort the rows, for each list
/// has an index in its order.
const CHECK_CONNECTION: &str = "/* check_connection */
    SELECT current_user::text AS role,
        CASE WHEN current_user <> 'sealflow_api' THEN
            set_config('join_collapse_limit', '1', false)
                || set_config('from_collapse_limit', '1', false)
                || set_config('enable_material', 'off', false)
            ELSE set_config('enable_bitmapscan', 'off', false) END,
        schema_facts.version, schema_facts.oldest_code,
        (SELECT string_agg(name, ', ' ORDER BY name) FROM pg_settings
         WHERE (name IN ('idle_in_transaction_session_timeout', 'statement_timeout', 'lock_timeout')
                 AND setting = '0'
               OR name = 'plan_cache_mode' AND setting <> 'force_generic_plan'
               OR name IN ('enable_seqscan', 'enable_hashjoin', 'enable_mergejoin', 'jit')
                 AND setting <> 'off')
           AND NOT (SELECT rolsuper OR rolcreaterole FROM pg_roles
                    WHERE rolname = current_user)) AS missing
    FROM schema_facts";

/// Checks the role's settings and the schema, in one round trip.
///
/// # Errors
/// [`ConnectFailure::Setup`] says what is wrong and what to run.
pub(super) async fn check(client: &Client) -> Result<(), ConnectFailure> {
    let rows = match client.query_typed(CHECK_CONNECTION, &[]).await {
        Ok(rows) => rows,
        Err(error) if error.code() == Some(&SqlState::UNDEFINED_TABLE) => return Err(too_old(None)),
        Err(error) => return Err(ConnectFailure::of(&error, None)),
    };
    let row = rows.first().ok_or_else(|| too_old(None))?;
    let facts =
        (row.try_get("role"), row.try_get("version"), row.try_get("oldest_code"), row.try_get("missing"));
    let (Ok(role), Ok(version), Ok(oldest_code), Ok(missing)) = facts else {
        return Err(ConnectFailure::Setup("schema_facts can't be read".into()));
    };
    decide(role, version, oldest_code, missing)
}

fn decide(role: &str, version: i32, oldest_code: i32, missing: Option<&str>) -> Result<(), ConnectFailure> {
    if version < SCHEMA_NEEDED {
        return Err(too_old(Some(version)));
    }
    if oldest_code > NEWEST_MIGRATION {
        return Err(ConnectFailure::Setup(format!(
            "schema too new: it takes code from V{oldest_code} on, this code is of V{NEWEST_MIGRATION}; deploy the newer functions"
        )));
    }
    match missing {
        None => Ok(()),
        Some(settings) => Err(ConnectFailure::Setup(format!(
            "role {role} has no {settings}: run migrate, which sets them, \
             or ALTER ROLE {role} SET …"
        ))),
    }
}

fn too_old(version: Option<i32>) -> ConnectFailure {
    let found = version.map_or_else(|| "older than V8".to_owned(), |version| format!("at V{version}"));
    ConnectFailure::Setup(format!("schema is {found}, this code needs V{SCHEMA_NEEDED}: run migrate"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(version: i32, oldest_code: i32, missing: Option<&str>, expected: &str) {
        let said =
            decide("sealflow_api", version, oldest_code, missing).err().map(|failure| failure.to_string());
        assert_eq!(said.unwrap_or_default(), expected);
    }

    #[test]
    fn a_schema_that_does_not_fit_is_refused_with_what_to_do() {
        check(SCHEMA_NEEDED, 1, None, "");
        check(SCHEMA_NEEDED + 90, NEWEST_MIGRATION, None, "");
        check(SCHEMA_NEEDED - 1, 1, None, "schema is at V67, this code needs V68: run migrate");
        check(
            NEWEST_MIGRATION + 1,
            NEWEST_MIGRATION + 1,
            None,
            "schema too new: it takes code from V69 on, this code is of V68; deploy the newer functions",
        );
        check(
            SCHEMA_NEEDED,
            1,
            Some("lock_timeout"),
            "role sealflow_api has no lock_timeout: run migrate, which sets them, \
             or ALTER ROLE sealflow_api SET …",
        );
        assert!(too_old(None).to_string().starts_with("schema is older than V8"));
    }
}
