use bytes::Bytes;

use super::{CompressError, Lz4Form, compress, compress_as, decompress};
use crate::Compressor;

const LIMIT: usize = 1 << 20;

/// What is built in: compressor, form, and the feature that brings it.
const BUILT: &[(Compressor, Lz4Form)] = &[
    (Compressor::None, Lz4Form::BlockStream),
    #[cfg(feature = "gzip")]
    (Compressor::Gzip, Lz4Form::BlockStream),
    #[cfg(feature = "zip")]
    (Compressor::Zip, Lz4Form::BlockStream),
    #[cfg(feature = "bzip2")]
    (Compressor::Bzip2, Lz4Form::BlockStream),
    #[cfg(feature = "lz4")]
    (Compressor::Lz4, Lz4Form::BlockStream),
    #[cfg(feature = "lz4")]
    (Compressor::Lz4, Lz4Form::Frame),
    #[cfg(feature = "deflate")]
    (Compressor::Deflater, Lz4Form::BlockStream),
    #[cfg(feature = "zstd")]
    (Compressor::Zstd, Lz4Form::BlockStream),
];

#[test]
fn every_body_comes_back() {
    for &(compressor, form) in BUILT {
        for body in bodies() {
            let small = compress_as(compressor, form, &body).unwrap();
            let back = decompress(compressor, small, LIMIT).unwrap();
            assert!(back == body, "{compressor} {form:?}, {} bytes", body.len());
        }
    }
}

#[test]
fn a_body_just_at_the_limit_passes_and_one_byte_more_does_not() {
    for &(compressor, form) in BUILT {
        let body = text(10_000);
        let small = compress_as(compressor, form, &body).unwrap();
        assert!(decompress(compressor, small.clone(), 10_000).unwrap() == body, "{compressor} {form:?}");
        assert_eq!(
            decompress(compressor, small, 9_999),
            Err(CompressError::TooLong { limit: 9_999 }),
            "{compressor} {form:?}"
        );
    }
}

/// 16 MiB of zeros in a few bytes: the limit stops it, not the end of memory.
#[test]
fn a_bomb_is_refused_at_the_limit() {
    let zeros = vec![0; 16 << 20];
    for &(compressor, form) in BUILT.iter().filter(|(compressor, _)| *compressor != Compressor::None) {
        let bomb = compress_as(compressor, form, &zeros).unwrap();
        let limit = 1 << 16;
        assert_eq!(
            decompress(compressor, bomb, limit),
            Err(CompressError::TooLong { limit }),
            "{compressor} {form:?}"
        );
    }
}

#[test]
fn a_body_cut_short_anywhere_is_an_error() {
    for &(compressor, form) in BUILT.iter().filter(|(compressor, _)| *compressor != Compressor::None) {
        let small = compress_as(compressor, form, &text(1_500)).unwrap();
        for length in 0..needed(compressor, &small) {
            let cut = small.slice(..length);
            let refused = decompress(compressor, cut, LIMIT);
            assert!(
                matches!(refused, Err(CompressError::Corrupt { .. })),
                "{compressor} {form:?}: {length} of {} bytes gave {refused:?}",
                small.len()
            );
        }
    }
}

/// The sizes at the end of a zip entry repeat what is known by then; they are not looked at.
fn needed(compressor: Compressor, small: &Bytes) -> usize {
    if compressor == Compressor::Zip { small.len() - 8 } else { small.len() }
}

#[test]
fn a_changed_bit_never_gives_another_body_where_the_form_has_a_checksum() {
    let checked = |compressor: Compressor, form: Lz4Form| match compressor {
        Compressor::None => false,
        Compressor::Lz4 => form == Lz4Form::BlockStream,
        _ => true,
    };
    let body = text(100);
    for &(compressor, form) in BUILT.iter().filter(|(compressor, form)| checked(*compressor, *form)) {
        let small = compress_as(compressor, form, &body).unwrap();
        for bit in 0..8 * small.len() {
            let mut damaged = small.to_vec();
            damaged[bit / 8] ^= 1 << (bit % 8);
            if let Ok(other) = decompress(compressor, damaged.into(), LIMIT) {
                assert!(other == body, "{compressor} {form:?}, bit {bit}");
            }
        }
    }
}

#[test]
fn what_is_not_built_in_is_refused_with_its_feature() {
    for &compressor in Compressor::ALL.iter().chain(&[Compressor::Other(99)]) {
        if BUILT.iter().any(|(built, _)| *built == compressor) {
            continue;
        }
        let refused = compress(compressor, b"body").unwrap_err();
        assert_eq!(decompress(compressor, Bytes::from_static(b"body"), LIMIT), Err(refused.clone()));
        match compressor {
            Compressor::SevenZ | Compressor::Other(_) => {
                assert_eq!(refused, CompressError::Unsupported { compressor });
            }
            _ => assert!(refused.to_string().contains("switch it on"), "{refused}"),
        }
    }
}

#[cfg(feature = "lz4")]
#[test]
fn lz4_is_read_in_the_form_that_came_and_written_in_the_form_asked_for() {
    let body = text(5_000);
    assert_eq!(Lz4Form::of(&compress(Compressor::Lz4, &body).unwrap()), Some(Lz4Form::BlockStream));
    for form in [Lz4Form::BlockStream, Lz4Form::Frame] {
        assert_eq!(Lz4Form::of(&compress_as(Compressor::Lz4, form, &body).unwrap()), Some(form));
    }
    assert_eq!(Lz4Form::of(b"something else"), None);
}

/// An LZ4 block stream whose one block claims 32 MiB.
#[cfg(feature = "lz4")]
#[test]
fn a_lying_lz4_block_costs_no_more_than_its_bytes_could_hold() {
    let mut bytes = b"LZ4Block\x2f".to_vec();
    for number in [3_u32, 32 << 20, 0] {
        bytes.extend(number.to_le_bytes());
    }
    bytes.extend([0x10, b'x', 0]);
    let refused = decompress(Compressor::Lz4, bytes.into(), usize::MAX);
    assert!(matches!(refused, Err(CompressError::Corrupt { .. })), "{refused:?}");
}

/// A zstd frame that claims a content of 2^40 bytes, as CVE-2024-54016 was used.
#[cfg(feature = "zstd")]
#[test]
fn a_lying_zstd_frame_is_refused() {
    let mut bytes = vec![0x28, 0xb5, 0x2f, 0xfd, 0xe0];
    bytes.extend((1_u64 << 40).to_le_bytes());
    bytes.extend([0x01, 0x00, 0x00]);
    let refused = decompress(Compressor::Zstd, bytes.into(), LIMIT);
    assert!(matches!(refused, Err(CompressError::Corrupt { .. })), "{refused:?}");
}

fn bodies() -> Vec<Vec<u8>> {
    let noise = |length: u32| (0..length).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    vec![
        Vec::new(),
        vec![7],
        text(1_023),
        text(1_024),
        text(1_025),
        text(200_000),
        noise(1_000),
        noise(150_000),
    ]
}

fn text(length: usize) -> Vec<u8> {
    let words = (0..).flat_map(|n: u32| format!("t_order:{n};").into_bytes());
    words.take(length).collect()
}
