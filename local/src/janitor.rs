//! The janitor: a small shell that waits for our end and cleans up what we could not.
//!
//! `Drop` stops children and removes folders, but not when we are killed, nor for a value in a
//! `static` (a test binary that shares one stack). The janitor reads a list of processes and
//! folders from a pipe; when the pipe closes, which the kernel does however we end, it stops what
//! is still on the list and goes.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};

use rustix::process::{Pid, Signal};

/// `$processes` holds `PID:SIGNAL` words, `$folders` one path a line (ours have no line breaks).
const SCRIPT: &str = r#"
trap '' INT TERM HUP QUIT
processes=; folders=
while read -r what value; do
  case $what in
    process) processes="$processes $value" ;;
    ended) kept=
      for word in $processes; do [ "${word%%:*}" = "$value" ] || kept="$kept $word"; done
      processes=$kept ;;
    folder) folders="$folders$value
" ;;
    removed) folders=$(printf %s "$folders" | grep -vxF -- "$value")
      [ -z "$folders" ] || folders="$folders
" ;;
  esac
done
for word in $processes; do kill -s "${word#*:}" -- "-${word%%:*}"; done
for round in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
  alive=
  for word in $processes; do kill -s 0 -- "-${word%%:*}" && alive=1; done
  [ -n "$alive" ] || break
  sleep 0.1
done
for word in $processes; do kill -s KILL -- "-${word%%:*}"; done
printf %s "$folders" | while read -r folder; do rm -rf -- "$folder"; done
"#;

/// Has the janitor stop this process group when we end.
pub fn add_process(pid: Pid, stop_signal: Signal) {
    let name = if stop_signal == Signal::INT {
        "INT"
    } else if stop_signal == Signal::KILL {
        "KILL"
    } else {
        "TERM"
    };
    tell(&format!("process {}:{name}\n", pid.as_raw_nonzero()));
}

/// The process has been reaped: its id may be another's soon.
pub fn remove_process(pid: Pid) {
    tell(&format!("ended {}\n", pid.as_raw_nonzero()));
}

/// Has the janitor remove this folder when we end.
pub fn add_folder(path: &Path) {
    tell(&format!("folder {}\n", path.display()));
}

/// The folder has been removed.
pub fn remove_folder(path: &Path) {
    tell(&format!("removed {}\n", path.display()));
}

fn tell(line: &str) {
    static JANITOR: OnceLock<Option<Mutex<ChildStdin>>> = OnceLock::new();
    let Some(janitor) = JANITOR.get_or_init(start) else { return };
    let mut pipe = janitor.lock().unwrap_or_else(PoisonError::into_inner);
    // Without a janitor we still have `Drop`, so a broken pipe changes nothing.
    let _no_janitor = pipe.write_all(line.as_bytes());
}

fn start() -> Option<Mutex<ChildStdin>> {
    let mut child = Command::new("sh")
        .args(["-c", SCRIPT])
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .current_dir("/")
        .spawn()
        .ok()?;
    // The janitor ends after us, so no code of ours could wait for it.
    child.stdin.take().map(Mutex::new)
}
