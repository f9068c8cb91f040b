//! The server, as its own binary starts it: for tests of this package, which cannot name the other's.

use std::process::ExitCode;

fn main() -> ExitCode {
    seata_server::command::main()
}
