//! Child processes that never outlive us: each has a thread that starts it, waits for it and reaps
//! it.
//!
//! The thread matters: `setpriv --pdeathsig` fires when the *thread* that started the child ends,
//! so the end of a short-lived thread would kill the child at once. Each child leads a process
//! group of its own, so that Ctrl-C in a terminal reaches only us and we stop everything in order.
//! If we are killed, no `Drop` runs, and the janitor ends the children.

use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus};
use std::sync::mpsc;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::{Pid, WaitId, WaitIdOptions, kill_process_group, waitid};
use tokio::sync::watch;

use crate::janitor;

pub use rustix::process::Signal;

/// The longest time from a child's stop signal to its end. After that time the child is killed.
const STOP_SECONDS_MAX: u64 = 5;

/// The stack of a waiting thread, which calls nothing deep.
const THREAD_STACK_BYTES: usize = 128 * 1024;

/// A running child process with its process group; dropped, it is stopped and waited for.
#[derive(Debug)]
pub struct Process {
    name: String,
    pid: Pid,
    stop_signal: Signal,
    child: Arc<Mutex<Option<Child>>>,
    exited: watch::Receiver<Option<ExitStatus>>,
}

impl Process {
    /// Starts `command` as the leader of a new process group; `stop_signal` asks the group to end.
    ///
    /// # Errors
    ///
    /// When the program can't be started: its name is in the error.
    pub fn start(name: &str, command: Command, stop_signal: Signal) -> Result<Self> {
        let (send_exit, exited) = watch::channel(None);
        let child = Arc::new(Mutex::new(None));
        let (send_started, started) = mpsc::channel();
        let slot = Arc::clone(&child);
        thread::Builder::new()
            .name(format!("child {name}"))
            .stack_size(THREAD_STACK_BYTES)
            .spawn(move || run(command, stop_signal, &slot, &send_started, &send_exit))
            .with_context(|| format!("cannot start a thread for {name}"))?;
        let pid = started
            .recv()
            .with_context(|| format!("the thread of {name} ended early"))?
            .with_context(|| format!("cannot start {name}"))?;
        Ok(Self { name: name.to_owned(), pid, stop_signal, child, exited })
    }

    /// The name that the process was given at its start.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The process id, which is also the id of its group.
    pub fn pid(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// The status with which it ended, or `None` while it runs.
    pub fn exit_status(&self) -> Option<ExitStatus> {
        *self.exited.borrow()
    }

    /// Waits until it has ended.
    pub async fn wait(&self) -> ExitStatus {
        let mut exited = self.exited.clone();
        let status = exited.wait_for(Option::is_some).await.ok().and_then(|status| *status);
        status.unwrap_or_else(|| ExitStatus::from_raw(0))
    }

    /// Sends a signal to the whole process group; nothing happens when the child has ended.
    pub fn signal(&self, signal: Signal) {
        // The thread that reaps the child holds the same lock, so the id is still this child's.
        let child = lock(&self.child);
        if child.is_some() {
            // An error means that the group is gone already.
            let _gone = kill_process_group(self.pid, signal);
        }
    }

    /// Asks the process to end, waits a bounded time, then kills it. Blocks, but not for a process
    /// that has ended.
    pub fn stop(&self) {
        self.signal(self.stop_signal);
        if !self.has_ended_within(Duration::from_secs(STOP_SECONDS_MAX)) {
            self.signal(Signal::KILL);
            self.has_ended_within(Duration::from_secs(STOP_SECONDS_MAX));
        }
    }

    /// Kills it and waits until it is gone.
    pub fn kill(&self) {
        self.signal(Signal::KILL);
        self.has_ended_within(Duration::from_secs(STOP_SECONDS_MAX));
    }

    fn has_ended_within(&self, limit: Duration) -> bool {
        let step = Duration::from_millis(2);
        let mut waited = Duration::ZERO;
        while self.exit_status().is_none() && waited < limit {
            thread::sleep(step);
            waited += step;
        }
        self.exit_status().is_some()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stop();
    }
}

impl std::fmt::Display for Process {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} (pid {})", self.name, self.pid())
    }
}

/// A command for `program`, still without arguments. Where `setpriv` exists, the child dies with
/// us.
pub fn command(program: impl Into<PathBuf>) -> Command {
    let program = program.into();
    match setpriv() {
        Some(setpriv) => {
            let mut command = Command::new(setpriv);
            command.args(["--pdeathsig", "TERM", "--"]).arg(program);
            command
        }
        None => Command::new(program),
    }
}

/// The path of `setpriv` (util-linux), if this machine has it.
pub fn setpriv() -> Option<&'static PathBuf> {
    static SETPRIV: OnceLock<Option<PathBuf>> = OnceLock::new();
    SETPRIV.get_or_init(|| find_program("setpriv")).as_ref()
}

/// The first file of that name in the folders of `PATH`.
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}

fn run(
    mut command: Command,
    stop_signal: Signal,
    slot: &Mutex<Option<Child>>,
    started: &mpsc::Sender<io::Result<Pid>>,
    exited: &watch::Sender<Option<ExitStatus>>,
) {
    let child = match command.process_group(0).spawn() {
        Ok(child) => child,
        Err(error) => {
            // A failed send means that `start` is gone and needs no answer.
            let _nobody_asks = started.send(Err(error));
            return;
        }
    };
    let pid = Pid::from_child(&child);
    janitor::add_process(pid, stop_signal);
    *lock(slot) = Some(child);
    let _nobody_asks = started.send(Ok(pid));
    // First wait without reaping: until the child is reaped, its id can't become another process's.
    while let Err(rustix::io::Errno::INTR) =
        waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)
    {}
    let mut child = lock(slot);
    // The processes that the child left behind in its group go with it.
    let _gone = kill_process_group(pid, Signal::KILL);
    let status = child.take().and_then(|mut child| child.wait().ok());
    janitor::remove_process(pid);
    exited.send_replace(Some(status.unwrap_or_else(|| ExitStatus::from_raw(0))));
}

fn lock(slot: &Mutex<Option<Child>>) -> MutexGuard<'_, Option<Child>> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sleep() -> Command {
        let mut sleep = command("sleep");
        sleep.arg("100");
        sleep
    }

    #[tokio::test]
    async fn a_dropped_process_is_gone() {
        let process = Process::start("sleep", sleep(), Signal::TERM).unwrap();
        let pid = process.pid();
        assert!(PathBuf::from(format!("/proc/{pid}")).exists() || cfg!(not(target_os = "linux")));
        drop(process);
        assert!(!PathBuf::from(format!("/proc/{pid}")).exists());
    }

    #[tokio::test]
    async fn waiting_tells_how_it_ended() {
        let mut shell = command("sh");
        shell.args(["-c", "exit 7"]);
        let process = Process::start("sh", shell, Signal::TERM).unwrap();
        assert_eq!(process.wait().await.code(), Some(7));
    }

    #[tokio::test]
    async fn grandchildren_go_with_their_parent() {
        let mut shell = command("sh");
        shell.args(["-c", "sleep 100 & echo $! > \"$0\"; wait"]);
        let folder = crate::folder::Folder::create("child").unwrap();
        let file = folder.path().join("pid");
        shell.arg(&file);
        let process = Process::start("sh", shell, Signal::KILL).unwrap();
        let pid = loop {
            match std::fs::read_to_string(&file) {
                Ok(text) if text.ends_with('\n') => break text.trim().to_owned(),
                _ => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        };
        drop(process);
        // The process was killed with its group, but the kernel may take a moment to remove it.
        let ended = async {
            loop {
                let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
                if state.is_empty() || state.contains(" Z ") {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(5), ended).await.expect("the grandchild ends");
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = Process::start("nothing", Command::new("/nonexistent"), Signal::TERM).unwrap_err();
        assert!(format!("{error:#}").contains("cannot start nothing"), "{error:#}");
    }
}
