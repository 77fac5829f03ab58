//! The builder with components and an evaluator that have a bug: started by tests in the place of
//! the function's own binary.

use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    process::serve_function(Box::pin(builder::serve(tests::panicking::builder_components()))).await
}
