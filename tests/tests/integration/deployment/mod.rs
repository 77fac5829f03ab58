//! The deployment by an operator: the template, migrations, logins.

mod iam_login;
mod migrations;
mod older_rows;
mod runs_migrate;
mod template;
mod template_operations;
