use clap::{Args, Command};
use clap_complete::Shell;

use crate::failure::Failure;
use crate::output::emit;

/// Print a completion script for a shell.
#[derive(Args)]
pub(crate) struct Completion {
    /// The shell.
    shell: Shell,
}

impl Completion {
    /// `command` is the whole command line.
    pub(crate) fn run(&self, mut command: Command) -> Result<(), Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut command, "sealflow", &mut script);
        emit(&String::from_utf8_lossy(&script));
        Ok(())
    }
}
