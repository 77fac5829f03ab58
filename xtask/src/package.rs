//! `cargo xtask package`: a zip for each function, and the template as plain CloudFormation. With
//! them a deployment needs no Rust.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::environments::{self, Environment};
use crate::steps::say;
use crate::workspace::{Workspace, without_own_package};
use crate::{succeed, template};

const FUNCTIONS: [&str; 7] = ["api", "webhook", "builder", "executor", "sweeper", "migrate", "rewrap"];

/// The most bytes of a zip, which Lambda loads when it starts an instance. (The API's is the
/// largest: it checks definitions and prepares statements.)
const ZIP_BYTES_MAX: u64 = 3_600_000;
/// Starts of a function that are measured; the median is told.
const STARTS: usize = 15;
/// The longest time of one start.
const START_MAX: Duration = Duration::from_secs(10);

/// Puts zips and template into `dist/`. `--x86_64` or `--arm64` chooses the architecture: arm64,
/// the template's default, if none is given.
///
/// # Errors
///
/// When something doesn't build, or a zip is too large.
pub(crate) fn run(workspace: &Workspace, rest: &[String]) -> Result<()> {
    let architecture = match rest {
        [] => "arm64",
        [one] if one == "--arm64" => "arm64",
        [one] if one == "--x86_64" => "x86_64",
        _ => bail!("cargo xtask package [--arm64 | --x86_64]"),
    };
    environments::ensure(workspace, &[Environment::Dev, Environment::Template])?;
    let dist = workspace.root().join("dist");
    fs::create_dir_all(&dist)?;
    let mut too_large = Vec::new();
    println!("{:<10}{:>12}{:>14}{:>24}", "function", "zip", "unpacked", "start to first poll");
    for name in FUNCTIONS {
        build(workspace, name, architecture)?;
        let built = workspace.target().join("lambda").join(name);
        let (binary, zip) = (built.join("bootstrap"), dist.join(format!("{name}.zip")));
        pack(workspace, &binary, &zip)?;
        let zip = fs::metadata(&zip)?.len();
        let start = if std::env::consts::ARCH.replace("aarch64", "arm64") == architecture {
            format!("{:.1} ms", start_to_first_poll(&binary)?.as_secs_f64() * 1_000.0)
        } else {
            "another machine's".to_owned()
        };
        println!(
            "{name:<10}{:>12}{:>14}{start:>24}",
            megabytes(zip),
            megabytes(fs::metadata(&binary)?.len())
        );
        if zip > ZIP_BYTES_MAX {
            too_large.push(name);
        }
    }
    write_template(workspace, &dist, architecture)?;
    say(&format!(
        "dist/ has the zips and template.yaml for {architecture}; docs/deploying.md says how to deploy them"
    ));
    ensure!(too_large.is_empty(), "larger than {}: {}", megabytes(ZIP_BYTES_MAX), too_large.join(", "));
    Ok(())
}

fn megabytes(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "a size to read")]
    let bytes = bytes as f64;
    format!("{:.2} MB", bytes / 1e6)
}

/// Builds one function by itself: built together, each would have the features of all.
fn build(workspace: &Workspace, name: &str, architecture: &str) -> Result<()> {
    // cargo-lambda does not replace a binary that it takes for the newest.
    let built = workspace.target().join("lambda").join(name);
    if built.exists() {
        fs::remove_dir_all(&built)?;
    }
    let mut build = Command::new(Environment::Dev.program(workspace, "cargo-lambda"));
    build.args(["lambda", "build", "--release", "--quiet", "--package", name, "--bin", name]);
    build.arg(if architecture == "arm64" { "--arm64" } else { "--x86-64" });
    // cargo-lambda looks for zig beside itself.
    let bin = Environment::Dev.program(workspace, "");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(std::iter::once(bin).chain(std::env::split_paths(&path)))?;
    build.env("PATH", path).current_dir(workspace.root());
    without_own_package(&mut build);
    say(&format!("building {name} for {architecture}"));
    succeed(build)
}

/// Python packs the zip: as small as deflate gets, and with the same bytes each time.
const PACK: &str = r#"
import sys, zipfile
binary, target = sys.argv[1:]
with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
    entry = zipfile.ZipInfo("bootstrap")
    entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o755 << 16
    with open(binary, "rb") as file:
        archive.writestr(entry, file.read(), compresslevel=9)
"#;

fn pack(workspace: &Workspace, binary: &Path, zip: &Path) -> Result<()> {
    let mut python = Command::new(Environment::Template.program(workspace, "python"));
    python.args(["-c", PACK]).arg(binary).arg(zip);
    succeed(python)
}

/// The median time from the start of the process to its first request for work.
fn start_to_first_poll(binary: &Path) -> Result<Duration> {
    let mut times = Vec::new();
    for _ in 0..STARTS {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?.to_string();
        let mut command = Command::new(binary);
        command.env_clear().stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.envs([
            ("AWS_LAMBDA_RUNTIME_API", address.as_str()),
            ("AWS_LAMBDA_FUNCTION_NAME", "measured"),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "none"),
            ("AWS_SECRET_ACCESS_KEY", "none"),
            ("SEALFLOW_DATABASE_URL", "postgres://sealflow_api@db.invalid:5432/sealflow"),
            ("SEALFLOW_DATABASE_LOGIN", "iam"),
            ("SEALFLOW_NODE_QUEUE_URL", "https://sqs.invalid/nodes"),
            ("SEALFLOW_EXECUTION_QUEUE_URL", "https://sqs.invalid/executions"),
            ("SEALFLOW_KMS_KEY_ID", "none"),
            ("SEALFLOW_REWRAP_FROM_KEY_ID", "other"),
            ("SEALFLOW_PUBLIC_URL", "https://hooks.invalid"),
        ]);
        let started = Instant::now();
        let mut child = command.spawn().with_context(|| format!("cannot run {}", binary.display()))?;
        listener.set_nonblocking(true)?;
        let client = loop {
            match listener.accept() {
                Ok((client, _)) => break client,
                Err(_) if started.elapsed() > START_MAX || child.try_wait()?.is_some() => {
                    bail!("{} did not ask for work", binary.display())
                }
                Err(_) => std::hint::spin_loop(),
            }
        };
        client.set_nonblocking(false)?;
        let mut line = String::new();
        BufReader::new(&client).read_line(&mut line)?;
        times.push(started.elapsed());
        ensure!(line.contains("/invocation/next"), "its first request is {line}");
        child.kill()?;
        child.wait()?;
    }
    times.sort_unstable();
    Ok(times[STARTS / 2])
}

/// Points each function's code at the zip beside the template, which `aws cloudformation package`
/// uploads.
const POINT_AT_ZIPS: &str = r##"
import json, sys, yaml
source, target, architecture, functions = sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4].split(",")
template = json.load(open(source, encoding="utf-8"))
template["Parameters"]["Architecture"]["Default"] = architecture
for name, resource in template["Resources"].items():
    if resource["Type"] == "AWS::Lambda::Function":
        function = name.removesuffix("Function").lower()
        assert function in functions, name
        resource["Properties"]["Code"] = function + ".zip"
with open(target, "w", encoding="utf-8") as file:
    file.write("# Made by `cargo xtask package` from template.yaml: plain CloudFormation.\n")
    yaml.safe_dump(template, file, sort_keys=False, width=140)
"##;

fn write_template(workspace: &Workspace, dist: &Path, architecture: &str) -> Result<()> {
    let expanded = workspace.target().join("template-expanded.json");
    template::transform(workspace, &workspace.root().join("template.yaml"), &expanded)?;
    let mut python = Command::new(Environment::Template.program(workspace, "python"));
    python.args(["-c", POINT_AT_ZIPS]).arg(&expanded).arg(dist.join("template.yaml"));
    python.args([architecture, &FUNCTIONS.join(",")]);
    succeed(python)
}
