//! Deployment: the template, migrations and logins.

mod iam_login;
mod migrations;
mod older_rows;
mod runs_migrate;
mod template;
mod template_operations;
