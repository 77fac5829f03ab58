//! The builder Lambda.

use std::process::ExitCode;

use builder::{ComponentSet, serve};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    process::serve_function(Box::pin(serve(ComponentSet::default()))).await
}
