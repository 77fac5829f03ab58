use std::error::Error as _;

use tokio_postgres::error::SqlState;

/// SQLSTATE of a transaction that was rolled back for no reason of its own.
pub(crate) const ROLLED_BACK: &str = "40000";

/// An error of the database, named for the caller's answer to it.
///
/// `Display` never has the server's text, for its details quote values.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The row is not there, or not the caller's.
    #[error("not found")]
    NotFound,
    /// The caller's knowledge is out of date, or the row is there already: read again, then decide.
    #[error("conflict: {0}")]
    Conflict(&'static str),
    /// The caller may not give or take what it asks for, or may not any more.
    #[error("not allowed: {0}")]
    Escalation(&'static str),
    /// The database can't be reached or is busy: try again.
    #[error("the database is unavailable{}", sqlstate_note(.sqlstate))]
    Unavailable {
        /// The SQLSTATE, when the server gave one.
        sqlstate: Option<String>,
    },
    /// The server refused the written data (SQLSTATE class 22, 23 or 54): the record is bad, others
    /// may be good.
    #[error("the database refused the data{}", sqlstate_note(.sqlstate))]
    Rejected {
        /// The SQLSTATE.
        sqlstate: Option<String>,
        /// The constraint, when one was broken.
        constraint: Option<String>,
    },
    /// The data that was read is not the data that was written.
    #[error("a row holds what this version can't read: {0}")]
    Corrupt(&'static str),
    /// The statement or the role is wrong: a bug or a missing grant.
    #[error("the database refused the statement{}", sqlstate_note(.sqlstate))]
    Refused {
        /// The SQLSTATE.
        sqlstate: Option<String>,
    },
    /// The database or its settings can't be used as they are.
    #[error("{0}")]
    Setup(String),
}

fn sqlstate_note(sqlstate: &Option<String>) -> String {
    sqlstate.as_ref().map_or_else(String::new, |code| format!(" (SQLSTATE {code})"))
}

impl StoreError {
    /// Whether the same call may pass on another try.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }

    /// Whether the database failed and no record is the cause: it is away, has no room, or is not
    /// as this code needs it. A statement that took too long is no such failure, for the record may
    /// be the cause.
    #[must_use]
    pub fn is_infrastructure(&self) -> bool {
        match self {
            Self::Unavailable { .. } => !self.is_statement_timeout(),
            Self::Setup(_) => true,
            Self::NotFound
            | Self::Conflict(_)
            | Self::Escalation(_)
            | Self::Rejected { .. }
            | Self::Corrupt(_)
            | Self::Refused { .. } => false,
        }
    }

    /// Whether the transaction lost against another and is to be run again at once.
    pub(crate) fn is_serialization_failure(&self) -> bool {
        matches!(self, Self::Unavailable { sqlstate: Some(code) } if code == "40001" || code == "40P01" || code == ROLLED_BACK)
    }

    /// Whether the connection is gone: nothing was answered, or the server's last word was that it
    /// ends the session (class 57, but for a statement that was cancelled).
    pub(crate) fn is_lost_connection(&self) -> bool {
        let Self::Unavailable { sqlstate } = self else { return false };
        sqlstate
            .as_ref()
            .is_none_or(|code| matches!(code.as_str(), "57P01" | "57P02" | "57P03" | "57P05" | "25P03"))
    }

    /// Whether the server no longer knows a prepared statement, or the statement's result has other
    /// types since: it has not run.
    pub(crate) fn is_stale_statement(&self) -> bool {
        matches!(self, Self::Unavailable { sqlstate: Some(code) } if code == UNKNOWN_STATEMENT || code == STALE_PLAN)
    }

    /// Whether a statement took longer than the role's time-out.
    #[must_use]
    pub fn is_statement_timeout(&self) -> bool {
        matches!(self, Self::Unavailable { sqlstate: Some(code) } if code == QUERY_CANCELED)
    }

    /// Whether a lock was not given in time.
    #[must_use]
    pub fn is_lock_timeout(&self) -> bool {
        matches!(self, Self::Unavailable { sqlstate: Some(code) } if code == "55P03")
    }
}

/// SQLSTATE of a statement that took longer than the role's time-out.
const QUERY_CANCELED: &str = "57014";
/// SQLSTATE of a prepared statement that the server doesn't know.
const UNKNOWN_STATEMENT: &str = "26000";
/// SQLSTATE of a plan whose result has changed its types. Other unsupported operations have it too;
/// the server's routine tells them apart.
const STALE_PLAN: &str = "0A000";
const STALE_PLAN_ROUTINE: &str = "RevalidateCachedQuery";

/// The name in a statement's first comment.
pub(crate) fn statement_name(sql: &str) -> &str {
    sql.trim_start()
        .strip_prefix("/* ")
        .and_then(|rest| rest.split_once(" */"))
        .map_or("unnamed", |(name, _)| name)
}

impl StoreError {
    /// The error of a statement. A refusal is logged with the statement's name, for it is a bug or
    /// a missing grant of ours.
    pub(crate) fn of_statement(sql: &str, error: tokio_postgres::Error) -> Self {
        let error = Self::from(error);
        if let Self::Refused { sqlstate } = &error
            && sqlstate.as_deref() != Some("25P02")
        {
            tracing::error!(statement = statement_name(sql), sqlstate, "the database refused a statement");
        }
        error
    }
}

impl From<tokio_postgres::Error> for StoreError {
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(db) = error.as_db_error() else {
            // A conversion error is a fault of this code; any other is one of the connection.
            let conversion =
                error.source().is_some_and(|source| source.is::<tokio_postgres::types::WrongType>())
                    || error.to_string().starts_with("error deserializing column")
                    || error.to_string().starts_with("error serializing parameter");
            return if conversion {
                Self::Corrupt("a column or parameter has another type")
            } else {
                Self::Unavailable { sqlstate: None }
            };
        };
        let sqlstate = Some(db.code().code().to_owned());
        tracing::debug!(sqlstate, "database error");
        let class = &db.code().code()[..2];
        match class {
            // Another transaction won, the server is going away or has no room, a time-out or a
            // lock.
            "40" | "53" | "57" | "58" | "08" | "25" => Self::Unavailable { sqlstate },
            _ if db.code().code() == UNKNOWN_STATEMENT => Self::Unavailable { sqlstate },
            _ if db.code().code() == STALE_PLAN && db.routine() == Some(STALE_PLAN_ROUTINE) => {
                Self::Unavailable { sqlstate }
            }
            "55" if *db.code() == SqlState::LOCK_NOT_AVAILABLE => Self::Unavailable { sqlstate },
            "22" | "23" | "54" => Self::Rejected { sqlstate, constraint: db.constraint().map(str::to_owned) },
            _ => Self::Refused { sqlstate },
        }
    }
}
