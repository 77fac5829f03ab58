//! `sealflow`: the command line of the API.
//!
//! The exit statuses stand in `failure.rs`.

mod api;
mod arguments;
mod commands;
mod context;
mod dispatch;
mod failure;
mod input;
mod listing;
mod output;
mod trial;
mod waits;

use std::process::ExitCode;

use clap::Parser as _;

use arguments::Arguments;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match dispatch::run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.print(arguments.global.format());
            failure.exit_code()
        }
    }
}
