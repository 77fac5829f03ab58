//! `cargo xtask bench`: what one node execution costs.

use std::path::PathBuf;

use tests::bench::{Options, Profile, Workload, run};

const USAGE: &str = "bench [--workloads w1,w2,w3,w4,w5,w6] [--runs N] [--deliveries N] [--at-once N] [--low-rate N] [--history N] [--instances N] [--json FILE] [--profile FUNCTION|postgres] [--profile-to FOLDER]";

#[tokio::main]
async fn main() {
    let bin_dir = std::env::var_os("SEALFLOW_BIN_DIR")
        .map(PathBuf::from)
        .expect("SEALFLOW_BIN_DIR names the functions' programs: cargo xtask bench");
    let mut options = Options::usual(bin_dir);
    let mut json = None;
    let (mut profiled, mut folder) = (None, PathBuf::from("target/profile"));
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().unwrap_or_else(|| panic!("{argument} wants a value: {USAGE}"));
        let number =
            |text: String| text.parse().unwrap_or_else(|_| panic!("{argument} takes a number, not {text}"));
        match argument.as_str() {
            "--help" => return println!("{USAGE}"),
            "--workloads" => {
                let named = |name: &str| {
                    Workload::named(name).unwrap_or_else(|| panic!("there is no workload {name}: {USAGE}"))
                };
                let names = value();
                options.has_neighbours = names.split(',').any(|name| name == "w4");
                options.has_retention = names.split(',').any(|name| name == "w5");
                options.has_lost = names.split(',').any(|name| name == "w6");
                let others = names.split(',').filter(|name| !["w4", "w5", "w6"].contains(name));
                options.workloads = others.map(named).collect();
            }
            "--runs" => options.runs = number(value()),
            "--deliveries" => options.deliveries = number(value()),
            "--at-once" => options.at_once = number(value()),
            "--low-rate" => options.low_rate = u32::try_from(number(value())).unwrap_or(u32::MAX),
            "--history" => options.history = number(value()),
            "--instances" => options.instances = number(value()),
            "--json" => json = Some(PathBuf::from(value())),
            "--profile" => profiled = Some(value()),
            "--profile-to" => folder = PathBuf::from(value()),
            other => panic!("{other} is not known: {USAGE}"),
        }
    }
    options.profile = profiled.map(|of| Profile { of, folder });
    let report = run(&options).await;
    println!("\n{report}");
    if let Some(file) = json {
        std::fs::write(&file, format!("{:#}\n", report.to_json()))
            .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        println!("written: {}", file.display());
    }
}
