//! A migrated database for each test, copied from one template.

use local::stack::{SUPERUSER, Stack};
use store::{Store, StoreSettings};
use tokio::sync::OnceCell;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

use crate::wait_for;

/// A database of a test's own.
pub struct Database {
    stack: &'static Stack,
    /// Its name.
    pub name: String,
    admin: Client,
}

/// Time-outs of roles are set for one database and not copied with it.
const COPY_ROLE_SETTINGS: &str = "
    DO $$
    DECLARE
        setting record;
    BEGIN
        FOR setting IN
            SELECT r.rolname, split_part(c, '=', 1) AS name, substr(c, strpos(c, '=') + 1) AS value
            FROM pg_db_role_setting s
            JOIN pg_database d ON d.oid = s.setdatabase AND d.datname = 'TEMPLATE'
            JOIN pg_roles r ON r.oid = s.setrole
            CROSS JOIN unnest(s.setconfig) AS c
        LOOP
            EXECUTE format('ALTER ROLE %I IN DATABASE %I SET %s = %L', setting.rolname, current_database(), setting.name, setting.value);
        END LOOP;
    END
    $$";

impl Database {
    /// A migrated database.
    ///
    /// # Panics
    /// When Postgres can't be started or used.
    pub async fn create() -> Self {
        let stack = stack().await;
        let template = template().await;
        let name =
            stack.postgres().create_database_from("test", template).await.expect("a database is copied");
        let database = Self::open(stack, name).await;
        database.sql(&COPY_ROLE_SETTINGS.replace("TEMPLATE", template)).await;
        database
    }

    /// A database with nothing in it.
    ///
    /// # Panics
    /// When Postgres can't be started or used.
    pub async fn create_empty() -> Self {
        let stack = stack().await;
        let name = stack.postgres().create_database("test").await.expect("a database is made");
        Self::open(stack, name).await
    }

    async fn open(stack: &'static Stack, name: String) -> Self {
        let admin = connect(&stack.postgres().url(SUPERUSER, &name)).await;
        Self { stack, name, admin }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `HOST:PORT` of the server.
    #[must_use]
    pub fn host_port(&self) -> &str {
        self.stack.postgres().host_port()
    }

    /// The server.
    #[must_use]
    pub fn server(&self) -> &'static local::stack::Postgres {
        self.stack.postgres()
    }

    /// The address for a role: `builder`, `executor`, …
    #[must_use]
    pub fn url(&self, role: &str) -> String {
        self.stack.postgres().url(&format!("sealflow_{role}"), &self.name)
    }

    /// The address for the superuser.
    #[must_use]
    pub fn admin_url(&self) -> String {
        self.stack.postgres().url(SUPERUSER, &self.name)
    }

    /// A store that logs in as a function does.
    #[must_use]
    pub fn store(&self, role: &str) -> Store {
        store_at(self.url(role))
    }

    /// A store of the superuser, as `migrate` has.
    #[must_use]
    pub fn admin_store(&self) -> Store {
        store_at(self.admin_url())
    }

    /// A plain connection of a role, for what a test writes by hand.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn connect(&self, role: &str) -> Client {
        connect(&self.url(role)).await
    }

    /// A plain connection of the superuser.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn connect_admin(&self) -> Client {
        connect(&self.admin_url()).await
    }

    /// Runs SQL as the superuser: rows as lines, columns separated by `|`, null as nothing.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn sql(&self, sql: &str) -> String {
        let messages =
            self.admin.simple_query(sql).await.unwrap_or_else(|error| panic!("{error:?} in {sql}"));
        let rows = messages.iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => {
                Some((0..row.len()).map(|at| row.get(at).unwrap_or_default()).collect::<Vec<_>>().join("|"))
            }
            _ => None,
        });
        rows.collect::<Vec<_>>().join("\n")
    }

    /// A number that SQL counts.
    ///
    /// # Panics
    /// When the server refuses, or it is no number.
    pub async fn count(&self, sql: &str) -> i64 {
        let text = self.sql(sql).await;
        text.parse().unwrap_or_else(|_| panic!("{text:?} is no number: {sql}"))
    }

    /// The deadlocks that the server has found in this database. A session tells its own at the latest
    /// when it ends, or ten seconds after its last statement.
    pub async fn deadlocks(&self) -> i64 {
        self.count("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()").await
    }

    /// Waits until `count` sessions of this database wait for a lock.
    pub async fn wait_for_blocked(&self, count: i64) {
        let sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        wait_for("sessions that wait for a lock", || async {
            (self.count(sql).await >= count).then_some(())
        })
        .await;
    }
}

/// A store at an address, such as that of a wire.
///
/// # Panics
/// When the address can't be read.
#[must_use]
pub fn store_at(url: String) -> Store {
    Store::new(StoreSettings::local(url, "sealflow-test")).expect("the address is one")
}

/// A plain connection.
///
/// A role has few connections in the whole cluster, which the tests share: where they are all in
/// use, this waits for one, as a function does.
///
/// # Panics
/// When it is refused.
pub async fn connect(url: &str) -> Client {
    let (client, connection) = wait_for("a connection that the role may still open", || async {
        match tokio_postgres::connect(url, NoTls).await {
            Err(error) if error.code() == Some(&SqlState::TOO_MANY_CONNECTIONS) => None,
            answer => Some(answer.expect("the server takes the login")),
        }
    })
    .await;
    tokio::spawn(connection);
    client
}

/// One Postgres for all tests of a binary.
///
/// # Panics
/// When it can't be started.
pub async fn stack() -> &'static Stack {
    Stack::of_this_process().await.expect("Postgres and ministack start")
}

async fn template() -> &'static str {
    static TEMPLATE: OnceCell<String> = OnceCell::const_new();
    let made = TEMPLATE.get_or_init(|| async {
        let stack = stack().await;
        let name = stack.postgres().create_database("template").await.expect("a database is made");
        let store = store_at(stack.postgres().url(SUPERUSER, &name));
        store::migrate(&store, store::RoleLogin::Url).await.expect("the migrations run");
        // No session may be connected to a template: that of the migration ends when its connection
        // is dropped.
        let database = connect(&stack.postgres().url(SUPERUSER, "postgres")).await;
        let sql = format!("SELECT FROM pg_stat_activity WHERE datname = '{name}'");
        wait_for("the end of the migration's session", || async {
            let rows = database.query(&sql, &[]).await.expect("the server answers");
            rows.is_empty().then_some(())
        })
        .await;
        name
    });
    made.await
}
