//! The `altyn` binary.

fn main() -> std::process::ExitCode {
    altyn::cli::main()
}
