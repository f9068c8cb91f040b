//! A branch registration with ten row locks, between the client's rows and the bytes of a frame.

use bytes::{Bytes, BytesMut};
use divan::{AllocProfiler, Bencher, black_box};
use seata_protocol::{
    BranchRegister, BranchType, Codec, Compressor, Frame, FrameDecoder, Header, Kind, Limits, Message,
    ResourceId, RowKey, RowLock, compress, frame, lock_key_text, parse_lock_key,
};

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

const CODECS: [Codec; 2] = [Codec::Seata, Codec::Protobuf];
const COMPRESSORS: [Compressor; 6] = [
    Compressor::Gzip,
    Compressor::Zip,
    Compressor::Bzip2,
    Compressor::Lz4,
    Compressor::Deflater,
    Compressor::Zstd,
];

fn main() {
    println!(
        "A frame has {} bytes in the seata codec, {} in protobuf.",
        frame(Codec::Seata).len(),
        frame(Codec::Protobuf).len()
    );
    divan::main();
}

/// The message into a buffer that is used again, as a connection does.
#[divan::bench(args = CODECS)]
fn encode(bencher: Bencher<'_, '_>, codec: Codec) {
    let (header, message) = (header(codec), registration());
    let mut out = BytesMut::with_capacity(1024);
    bencher.bench_local(|| {
        out.clear();
        frame::write(&mut out, &header, black_box(&message)).expect("a message that can be written");
    });
}

/// The frame out of a buffer, and the message out of the frame.
#[divan::bench(args = CODECS)]
fn decode(bencher: Bencher<'_, '_>, codec: Codec) {
    let bytes = frame(codec);
    // Reading more into a buffer that others still look at costs the copy outside of what is measured.
    let input = || BytesMut::from(&bytes[..]);
    bencher.with_inputs(input).bench_local_values(|mut buffer| {
        let mut decoder = FrameDecoder::new(Limits::default());
        let frame = decoder.next(&mut buffer).expect("a frame").expect("a whole frame");
        frame.message(&Limits::default()).expect("a message").message
    });
}

/// The message out of a frame that is there.
#[divan::bench(args = CODECS)]
fn decode_message(bencher: Bencher<'_, '_>, codec: Codec) {
    let frame = received(codec);
    bencher.bench_local(|| black_box(&frame).message(&Limits::default()).expect("a message").message);
}

/// Ten rows into the text that travels.
#[divan::bench]
fn write_lock_key(bencher: Bencher<'_, '_>) {
    let rows = rows();
    bencher.bench_local(|| lock_key_text(black_box(&rows)).expect("rows that can be written"));
}

/// The text into ten rows, as a coordinator needs them.
#[divan::bench]
fn read_lock_key(bencher: Bencher<'_, '_>) {
    let (resource, text) = (resource(), lock_key_text(&rows()).expect("rows that can be written"));
    bencher.bench_local(|| parse_lock_key(&resource, black_box(&text)).expect("a lock key"));
}

#[divan::bench(args = COMPRESSORS)]
fn compress_body(bencher: Bencher<'_, '_>, compressor: Compressor) {
    let body = received(Codec::Seata).body;
    bencher.bench_local(|| compress::compress(compressor, black_box(&body)).expect("compressed bytes"));
}

#[divan::bench(args = COMPRESSORS)]
fn decompress_body(bencher: Bencher<'_, '_>, compressor: Compressor) {
    let body = compress::compress(compressor, &received(Codec::Seata).body).expect("compressed bytes");
    bencher
        .bench_local(|| compress::decompress(compressor, black_box(body.clone()), 1 << 20).expect("a body"));
}

fn received(codec: Codec) -> Frame {
    let mut buffer = BytesMut::from(&frame(codec)[..]);
    FrameDecoder::new(Limits::default()).next(&mut buffer).expect("a frame").expect("a whole frame")
}

fn frame(codec: Codec) -> Bytes {
    let mut out = BytesMut::new();
    frame::write(&mut out, &header(codec), &registration()).expect("a message that can be written");
    out.freeze()
}

fn header(codec: Codec) -> Header {
    Header { codec, ..Header::new(Kind::Request, 7) }
}

fn registration() -> Message {
    Message::BranchRegister(BranchRegister {
        xid: "192.168.1.20:8091:2612341069705662465".into(),
        branch_type: BranchType::At,
        resource_id: resource().as_str().into(),
        lock_key: lock_key_text(&rows()).expect("rows that can be written"),
        application_data: r#"{"autoCommit":false}"#.into(),
    })
}

fn rows() -> Vec<RowLock> {
    let row = |number: i64| RowLock {
        resource: resource(),
        table: if number < 8 { "stock_item" } else { "stock_movement" }.into(),
        key: RowKey::from_text(format!("{}", 100_000 + number)).expect("not empty"),
    };
    (0..10).map(row).collect()
}

fn resource() -> ResourceId {
    "jdbc:mysql://192.168.1.30:3306/seata_storage".into()
}
