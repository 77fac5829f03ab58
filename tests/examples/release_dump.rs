//! Writes the dump of a release: `cargo run -p tests --example release_dump -- FILE`.

#[tokio::main]
async fn main() {
    let file = std::env::args().nth(1).expect("the file to write: tests/data/releases/VERSION.sql");
    std::fs::write(&file, tests::release::dump().await + "\n").expect("the file is written");
    println!("written: {file}");
}
