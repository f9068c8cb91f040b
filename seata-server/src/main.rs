//! The `seata-server` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    seata_server::command::main()
}
