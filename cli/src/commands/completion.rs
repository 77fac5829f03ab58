use clap::{Args, Command};
use clap_complete::Shell;

use crate::failure::Failure;

/// Print a completion script for a shell.
#[derive(Args)]
pub(crate) struct Completion {
    /// The shell.
    shell: Shell,
}

impl Completion {
    /// `command` is the whole command line.
    pub(crate) fn run(&self, mut command: Command) -> Result<(), Failure> {
        clap_complete::generate(self.shell, &mut command, "sealflow", &mut std::io::stdout());
        Ok(())
    }
}
