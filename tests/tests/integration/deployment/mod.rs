//! Deployment: the template, migrations and logins.

mod iam_login;
mod migrations;
mod older_rows;
mod releases;
mod runs_migrate;
mod template;
mod template_operations;
