//! The command line.

mod administration;
mod api;
mod arguments;
#[cfg(feature = "backend")]
mod backend;
#[cfg(feature = "backend")]
mod dev;
mod dev_file;
mod doctor;
mod isolation;
mod jail;
#[cfg(feature = "backend")]
mod migrate;
#[cfg(feature = "backend")]
mod oauth;
mod output;
mod run;
mod signals;
mod status;
mod systemd;
mod tools;

use std::ffi::OsString;
use std::io;
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

use self::arguments::{Arguments, Command};
use self::output::Form;
use crate::exit::{DONE, Exit, fault, usage};
use crate::settings::Sources;

/// Where `dev` keeps what it creates, unless told otherwise.
const DEV_DIRECTORY: &str = ".satellite";

/// Runs the command of this process's arguments.
pub fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    // Before anything else: the process is alone in its namespaces and must stay single-threaded.
    if matches!(&*arguments, [_, command] if command == crate::jail::COMMAND) {
        return crate::jail::main();
    }
    let form = match arguments.iter().any(|it| it == "--json") {
        false => Form::Human,
        true if arguments.get(1).is_some_and(|it| it == "dev") => Form::Json("ready"),
        true => Form::Json("success"),
    };
    let command = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments.command,
        Err(error) => return misunderstood(&error, form),
    };
    match perform(command) {
        Ok(()) => ExitCode::from(DONE),
        Err(exit) => {
            output::failure(&exit, form);
            ExitCode::from(exit.code)
        }
    }
}

/// Half of the cores: the other half is for the servers. A call is handed from task to task, and on
/// few cores each hand-over to another thread costs more than it wins (`tests/bench/run`).
fn worker_threads() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| cores.get().div_ceil(2))
}

fn perform(command: Command) -> Result<(), Exit> {
    if let Command::DemoServer = command {
        let served = crate::demo::serve(io::stdin().lock(), io::stdout());
        return served.map_err(|error| fault(format!("the connection broke: {error}"), ""));
    }
    let sources = Sources::from_process()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(worker_threads())
        .enable_all()
        .build()
        .map_err(|error| {
            fault(format!("cannot start: {error}"), "check the limits of this user")
        })?;
    let outcome = runtime.block_on(async {
        match command {
            #[cfg(feature = "backend")]
            Command::Dev(arguments) => dev::run(&arguments, sources).await,
            Command::Run(arguments) => run::run(&arguments, sources).await,
            #[cfg(feature = "backend")]
            Command::Backend(arguments) => backend::run(&arguments, sources).await,
            Command::Tools(arguments) => tools::tools(&arguments, &sources).await,
            Command::Call(arguments) => tools::call(&arguments, &sources).await,
            Command::Status(arguments) => status::run(&arguments, &sources).await,
            Command::Doctor(arguments) => doctor::run(&arguments, sources).await,
            Command::SystemdUnit => systemd::print(),
            Command::Administration(command) => administration::run(&command, &sources).await,
            Command::DemoServer => Ok(()),
        }
    });
    // A thread that waits for a file or a name would keep the process alive.
    runtime.shutdown_background();
    outcome
}

/// What clap has to say: help and version, or what is wrong with the command line.
fn misunderstood(error: &clap::Error, form: Form) -> ExitCode {
    let is_help = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    if matches!(form, Form::Json(_)) && !is_help {
        let text = error.to_string();
        let first = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
        output::failure(&usage(first, "see satellite --help"), form);
    } else {
        // Nobody is left to tell if this fails.
        let _ = error.print();
    }
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(crate::exit::USAGE))
}

#[cfg(test)]
mod tests;
