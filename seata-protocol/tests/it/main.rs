//! What Java peers write and read, byte for byte (`tests/golden/README.md`), and what else may arrive.

mod compressed;
mod conversations;
mod corpora;
mod decode_cases;
mod enums;
mod fields;
mod frames;
mod golden;
mod messages;
mod properties;
#[cfg(feature = "protobuf")]
mod protobuf;
mod quirks;
mod stream;
