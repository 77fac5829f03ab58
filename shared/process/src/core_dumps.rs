use rustix::process::{Resource, Rlimit, setrlimit};

/// Protects this process's memory, which holds opened secrets: the kernel writes it to no file at a
/// crash, and other processes of the same user can't read it. Every program that opens secrets
/// calls this first in `main`.
///
/// The limit alone has no effect where `core_pattern` is a pipe. So on Linux the process is made
/// undumpable too; see [prctl(2)](https://man7.org/linux/man-pages/man2/prctl.2.html).
///
/// # Errors
/// The system's error. None is expected, for a process may always lower both.
pub fn forbid_core_dumps() -> std::io::Result<()> {
    #[cfg(target_os = "linux")]
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)?;
    Ok(setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?)
}

#[cfg(test)]
mod tests {
    use rustix::process::getrlimit;

    use super::*;

    #[test]
    fn a_core_file_has_no_bytes_i1() {
        forbid_core_dumps().unwrap();
        let limit = getrlimit(Resource::Core);
        assert_eq!((limit.current, limit.maximum), (Some(0), Some(0)));
        #[cfg(target_os = "linux")]
        assert_eq!(
            rustix::process::dumpable_behavior().unwrap(),
            rustix::process::DumpableBehavior::NotDumpable
        );
    }
}
