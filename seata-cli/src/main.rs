//! The `seata` command.

#![forbid(unsafe_code)]

fn main() {
    println!("seata {}", env!("CARGO_PKG_VERSION"));
}
