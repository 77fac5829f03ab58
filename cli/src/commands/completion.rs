use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use crate::arguments::Arguments;
use crate::failure::Failure;

/// Print a completion script for a shell.
#[derive(Args)]
pub(crate) struct Completion {
    /// The shell.
    shell: Shell,
}

impl Completion {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        clap_complete::generate(self.shell, &mut Arguments::command(), "sealflow", &mut std::io::stdout());
        Ok(())
    }
}
