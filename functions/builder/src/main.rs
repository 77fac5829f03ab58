//! The builder Lambda.

use builder::{Parts, serve};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    serve(Parts::default()).await
}
