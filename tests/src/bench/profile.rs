//! `--profile`: a flame graph of one function, or of Postgres, while a workload runs.
//!
//! Linux's `perf` takes the samples from outside, so the programs are those that are measured.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use inferno::collapse::Collapse as _;
use inferno::collapse::perf::{Folder, Options as Collapsing};
use inferno::flamegraph::{self, Options as Drawing};

/// Samples a second of each process. Not a round number, so that it does not beat in time with
/// timers.
const SAMPLES_PER_SECOND: &str = "499";
/// The frames are found afterwards, in 16 KiB of the stack that each sample keeps.
const CALL_GRAPH: &str = "dwarf,16384";

/// A flame graph that is asked for.
#[derive(Clone, Debug)]
pub struct Profile {
    /// A function's name, or `postgres`.
    pub of: String,
    /// The folder that the flame graphs go to.
    pub folder: PathBuf,
}

impl Profile {
    /// Tells before a long run, rather than after it, that something is missing.
    ///
    /// # Errors
    ///
    /// A sentence with the next step, when there is no `perf` or it may not look at processes.
    pub fn check(&self, known: &[&str]) -> Result<(), String> {
        if !known.contains(&self.of.as_str()) {
            return Err(format!("--profile takes one of {}, not {}", known.join(", "), self.of));
        }
        let tried = Command::new("perf")
            .args(["record", "--event", "cpu-clock", "--output", "/dev/null", "--", "true"])
            .output();
        match tried {
            Err(_) => Err("--profile needs `perf`: apt-get install linux-perf".to_owned()),
            Ok(output) if !output.status.success() => Err(format!(
                "perf can't look at processes here (sysctl kernel.perf_event_paranoid=1, or root, lets it): {}",
                String::from_utf8_lossy(&output.stderr).trim()
            )),
            Ok(_) => Ok(()),
        }
    }

    /// Takes samples of these processes until [`Sampling::draw`]; none where there are no
    /// processes.
    pub(super) fn start(&self, pids: &[i32], workload: &str) -> Option<Sampling> {
        if pids.is_empty() {
            return None;
        }
        std::fs::create_dir_all(&self.folder).expect("the folder of --profile-to can be made");
        let samples = self.folder.join(format!("{workload}-{}.perf", self.of));
        // One that has ended meanwhile, as a worker of the autovacuum, would end perf at once.
        let is_there = |pid: &&i32| Path::new("/proc").join(pid.to_string()).exists();
        let pids: Vec<String> = pids.iter().filter(is_there).map(i32::to_string).collect();
        let perf = Command::new("perf")
            .args(["record", "--quiet", "--event", "cpu-clock", "--freq", SAMPLES_PER_SECOND])
            .args(["--call-graph", CALL_GRAPH, "--pid", &pids.join(","), "--output"])
            .arg(&samples)
            .stderr(Stdio::inherit())
            .spawn()
            .expect("perf starts");
        Some(Sampling { perf, samples, title: format!("{} in {workload}", self.of) })
    }
}

/// A `perf` at work.
pub(super) struct Sampling {
    perf: Child,
    samples: PathBuf,
    title: String,
}

impl Sampling {
    /// Ends it and draws; gives the picture's path, or none where the processes did nothing. The
    /// samples are deleted: they are large, and hold bytes of the processes' stacks.
    pub(super) fn draw(mut self) -> Option<PathBuf> {
        let interrupted = Command::new("kill").args(["-INT", &self.perf.id().to_string()]).status();
        assert!(interrupted.is_ok_and(|status| status.success()), "perf runs");
        self.perf.wait().expect("perf ends");
        let drawn = draw(&self.samples, &self.title);
        std::fs::remove_file(&self.samples).expect("the samples can be deleted");
        drawn
    }
}

fn draw(samples: &Path, title: &str) -> Option<PathBuf> {
    // Inlined frames are left out: to find them takes minutes.
    let script = Command::new("perf")
        .args(["script", "--no-inline", "--input"])
        .arg(samples)
        .stderr(Stdio::null())
        .output()
        .expect("perf reads its samples");
    let mut folded = Vec::new();
    Folder::from(Collapsing::default())
        .collapse(script.stdout.as_slice(), &mut folded)
        .expect("perf's text is understood");
    let folded = String::from_utf8(folded).expect("names are text");
    if folded.is_empty() {
        return None;
    }
    std::fs::write(samples.with_extension("folded"), &folded).expect("the stacks can be written");
    let picture = samples.with_extension("svg");
    let mut file = File::create(&picture).expect("the picture can be written");
    let mut options = Drawing::default();
    options.title = title.to_owned();
    flamegraph::from_lines(&mut options, folded.lines(), &mut file).expect("there are samples");
    file.flush().expect("the picture can be written");
    Some(picture)
}
