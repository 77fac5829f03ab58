use rustix::process::{Resource, Rlimit, setrlimit};

/// Keeps the kernel from writing this process's memory to a file when it dies: opened secrets are in it. First thing in `main` of
/// whatever opens some.
///
/// # Errors
/// The system's own, which it has no reason to give: a limit may always be lowered.
pub fn forbid_core_dumps() -> std::io::Result<()> {
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
    }
}
