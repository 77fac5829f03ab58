//! The builder Lambda.

use std::process::ExitCode;

use builder::{Parts, serve};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    process::serve_function(Box::pin(serve(Parts::default()))).await
}
