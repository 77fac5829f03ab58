//! The executor Lambda.

use std::process::ExitCode;

use executor::{ComponentSet, serve};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    process::serve_function(Box::pin(serve(ComponentSet::default()))).await
}
