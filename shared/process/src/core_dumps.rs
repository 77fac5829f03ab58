use rustix::process::{Resource, Rlimit, setrlimit};

/// Keeps the kernel from writing this process's memory to a file when it dies, and other processes
/// of the same user from reading it: opened secrets are in it. First thing in `main` of whatever
/// opens some.
///
/// The limit alone doesn't hold where `core_pattern` is a pipe; on Linux the process is made
/// undumpable too, as [prctl(2)](https://man7.org/linux/man-pages/man2/prctl.2.html) says.
///
/// # Errors
/// The system's own, which it has no reason to give: both may always be lowered.
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
