//! The `satellite` command.

fn main() -> std::process::ExitCode {
    satellite_io::cli::main()
}
