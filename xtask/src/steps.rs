//! The report of the steps: the name, the time and the result of each.

use std::io::{IsTerminal, Write};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// The time between two signs of life in a log, where each of them stays.
const LOG_SECONDS: u64 = 15;

/// Prints the name of a step or task.
pub(crate) fn say(what: &str) {
    eprintln!("xtask: {what}");
}

/// Does a long and silent task, with signs of life on standard error.
pub(crate) fn with_progress<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let is_terminal = std::io::stderr().is_terminal();
    say(what);
    let started = Instant::now();
    let (done, is_done) = mpsc::channel::<()>();
    let every = Duration::from_secs(if is_terminal { 1 } else { LOG_SECONDS });
    let ticker = thread::spawn(move || {
        while is_done.recv_timeout(every) == Err(mpsc::RecvTimeoutError::Timeout) {
            let seconds = started.elapsed().as_secs();
            if is_terminal {
                eprint!("\r  {seconds} s ");
                // A terminal that can't be written to needs no sign of life.
                let _unseen = std::io::stderr().flush();
            } else {
                eprintln!("  {seconds} s");
            }
        }
        if is_terminal {
            eprint!("\r        \r");
        }
    });
    let result = work();
    drop(done);
    // The ticker only prints, so a panic in it does not matter.
    let _ended = ticker.join();
    result
}

/// Steps that are all taken even when one fails, with a summary at the end.
#[derive(Default)]
pub(crate) struct Steps {
    taken: Vec<Taken>,
}

struct Taken {
    name: &'static str,
    seconds: f64,
    error: Option<String>,
}

impl Steps {
    /// Takes a step; gives whether it succeeded.
    pub(crate) fn run(&mut self, name: &'static str, work: impl FnOnce() -> Result<()>) -> bool {
        say(name);
        let started = Instant::now();
        let error = work().err().map(|error| format!("{error:#}"));
        if let Some(error) = &error {
            eprintln!("xtask: {name} failed: {error}");
        }
        let is_success = error.is_none();
        self.taken.push(Taken { name, seconds: started.elapsed().as_secs_f64(), error });
        is_success
    }

    /// A step that can't be taken because another failed.
    pub(crate) fn skip(&mut self, name: &'static str, why: &str) {
        self.taken.push(Taken { name, seconds: 0.0, error: Some(format!("not run: {why}")) });
    }

    /// Prints the summary.
    ///
    /// # Errors
    ///
    /// When a step failed.
    pub(crate) fn end(self) -> Result<()> {
        println!();
        for Taken { name, seconds, error } in &self.taken {
            let result = error.as_ref().map_or("ok".to_owned(), |error| format!("FAILED  {error}"));
            println!("{name:<24} {seconds:>7.1} s  {result}");
        }
        let failed = self.taken.iter().filter(|taken| taken.error.is_some()).count();
        println!("steps: {} passed, {failed} failed", self.taken.len() - failed);
        if failed > 0 {
            bail!("{failed} of {} steps failed", self.taken.len());
        }
        Ok(())
    }
}
