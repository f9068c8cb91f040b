//! Generates the gRPC code from `proto/order.proto`. protox is a compiler in Rust: no `protoc` is needed.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files = protox::compile(["proto/order.proto"], ["proto"])?;
    tonic_prost_build::compile_fds(files)?;
    println!("cargo::rerun-if-changed=proto");
    Ok(())
}
