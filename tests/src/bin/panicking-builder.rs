//! The builder with components and an evaluator that have a bug: started by tests in the place of the function's own binary.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    Ok(builder::serve(tests::panicking::builder_parts()).await?)
}
