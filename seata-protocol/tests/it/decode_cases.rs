//! Bytes that no encoder writes, and what Java's decoder makes of them.

use bytes::BytesMut;
use seata_protocol::{
    BranchStatus, BranchType, DecodeError, FrameDecoder, FrameError, GlobalStatus, Limits, Message,
    ResultCode, TransactionExceptionCode, seata_codec,
};
use serde_json::Value;

use crate::{
    fields,
    golden::{bytes, entries, name, number, string},
};

/// Numbers without a name: an error in Java, here kept as they came.
const KEPT: [&str; 6] = [
    "body/global_report_request/unknown_status_99",
    "body/global_status_response/unknown_status_99",
    "body/global_status_response/unknown_result_code_2",
    "body/global_status_response/unknown_exception_code_99",
    "body/branch_register_request/unknown_branch_type_9",
    "body/branch_report_request/unknown_status_99",
];

/// Frames of which other things come here, and why.
const OTHERWISE: [(&str, &str); 9] = [
    ("frame/one_byte_per_read", "Java's choice of a version needs three bytes in the first read"),
    ("frame/two_bytes_then_the_rest", "the same"),
    ("frame/version_2", "a version that is not known is refused, as releases before 2.6 do"),
    ("frame/version_255", "the same"),
    ("frame/no_body", "Java passes null on"),
    (
        "frame/v0_two_frames_in_one_read",
        "Java takes all that is read for one body; here the body says its end",
    ),
    ("frame/v0_frame_then_v1_frame_in_one_read", "the same, and a connection does not change its version"),
    ("frame/v0_split_in_the_header", "Java takes what one read brings for a whole frame"),
    ("frame/v0_split_in_the_body", "the same"),
];

#[test]
fn bodies() {
    let mut checked = 0;
    for case in cases("body/") {
        checked += 1;
        let called = name(&case, "name");
        let decoded = seata_codec::decode(bytes(&case["body_hex"]).into(), &Limits::default());
        if KEPT.contains(&called) {
            assert!(case["error"].is_string(), "{called}");
            decoded.expect(called);
        } else if case["error"].is_string() {
            decoded.expect_err(called);
        } else {
            assert_eq!(decoded.expect(called).message, fields::message(&case), "{called}");
        }
    }
    assert_eq!(checked, 69);
}

#[test]
fn a_number_without_a_name_is_kept() {
    let decode = |case: &str| {
        let case = case_called(case);
        seata_codec::decode(bytes(&case["body_hex"]).into(), &Limits::default()).unwrap().message
    };
    let Message::GlobalReport(report) = decode(KEPT[0]) else { panic!("no report") };
    assert_eq!(report.status, Some(GlobalStatus::Other(99)));
    let Message::GlobalStatusResponse(answer) = decode(KEPT[1]) else { panic!("no answer") };
    assert_eq!(answer.status, GlobalStatus::Other(99));
    let Message::GlobalStatusResponse(answer) = decode(KEPT[2]) else { panic!("no answer") };
    assert_eq!(answer.outcome.result, ResultCode::Other(2));
    let Message::GlobalStatusResponse(answer) = decode(KEPT[3]) else { panic!("no answer") };
    assert_eq!(answer.outcome.code, TransactionExceptionCode::Other(99));
    let Message::BranchRegister(branch) = decode(KEPT[4]) else { panic!("no branch") };
    assert_eq!(branch.branch_type, BranchType::Other(9));
    let Message::BranchReport(report) = decode(KEPT[5]) else { panic!("no report") };
    assert_eq!(report.status, BranchStatus::Other(99));
}

#[test]
fn bytes_behind_a_message_are_counted() {
    let case = case_called("body/global_begin_request/trailing_bytes_are_ignored");
    let decoded = seata_codec::decode(bytes(&case["body_hex"]).into(), &Limits::default()).unwrap();
    assert_eq!(decoded.trailing, 2);
}

#[test]
fn frames() {
    let mut checked = 0;
    for case in
        cases("frame/").iter().filter(|case| !OTHERWISE.iter().any(|(other, _)| case["name"] == *other))
    {
        checked += 1;
        let came = receive(case);
        assert_eq!(came.messages, expected(case), "{}", case["name"]);
        let errors = case["errors"].as_array().expect("errors");
        assert_eq!(came.is_faultless(), errors.is_empty(), "{}: {came:?}", case["name"]);
    }
    assert_eq!(checked, 33);
}

#[test]
fn frames_of_which_more_comes_here() {
    let good = expected(&case_called("frame/good"));
    let v0 = expected(&case_called("frame/v0_frame"));
    for (case, messages) in [
        ("frame/one_byte_per_read", good.clone()),
        ("frame/two_bytes_then_the_rest", good),
        ("frame/v0_two_frames_in_one_read", [v0.clone(), v0.clone()].concat()),
        ("frame/v0_split_in_the_header", v0.clone()),
        ("frame/v0_split_in_the_body", v0.clone()),
    ] {
        let came = receive(&case_called(case));
        assert_eq!(came.messages, messages, "{case}");
        assert!(came.is_faultless(), "{case}: {came:?}");
    }

    let came = receive(&case_called("frame/v0_frame_then_v1_frame_in_one_read"));
    assert_eq!(came.messages, v0);
    assert_eq!(came.end, Some(FrameError::VersionChanged { found: 1, expected: 0 }));
}

#[test]
fn frames_of_which_less_comes_here() {
    for (case, found) in [("frame/version_2", 2), ("frame/version_255", 255)] {
        let came = receive(&case_called(case));
        assert_eq!((came.messages, came.end), (vec![], Some(FrameError::Version { found })), "{case}");
    }
    assert_eq!(receive(&case_called("frame/no_body")).refused, [DecodeError::NoBody]);
}

/// What came out of the bytes of one connection.
#[derive(Debug, Default)]
struct Came {
    messages: Vec<Arrived>,
    refused: Vec<DecodeError>,
    end: Option<FrameError>,
}

impl Came {
    fn is_faultless(&self) -> bool {
        self.refused.is_empty() && self.end.is_none()
    }
}

/// What a frame says that arrived.
#[derive(Clone, Debug, PartialEq)]
struct Arrived {
    id: i32,
    kind: u8,
    codec: u8,
    compressor: u8,
    head_map: Vec<(Option<String>, Option<String>)>,
    /// `None` for a heartbeat.
    message: Option<Message>,
}

fn receive(case: &Value) -> Came {
    let limits = Limits::default();
    let mut decoder = FrameDecoder::new(limits);
    let mut buffer = BytesMut::new();
    let mut came = Came::default();
    for read in case["reads_hex"].as_array().expect("reads") {
        buffer.extend_from_slice(&bytes(read));
        loop {
            let frame = match decoder.next(&mut buffer) {
                Ok(Some(frame)) => frame,
                Ok(None) => break,
                Err(error) => return Came { end: Some(error), ..came },
            };
            let message = match frame.message(&limits) {
                Ok(decoded) => Some(decoded.message),
                Err(DecodeError::Heartbeat) => None,
                Err(error) => {
                    came.refused.push(error);
                    continue;
                }
            };
            let mut head_map: Vec<(Option<String>, Option<String>)> = Vec::new();
            for (key, value) in frame.header.head_map.iter() {
                // A Java map: the last value of a key counts.
                head_map.retain(|(known, _)| known.as_deref() != key);
                head_map.push((key.map(str::to_owned), value.map(ToString::to_string)));
            }
            came.messages.push(Arrived {
                id: frame.header.id,
                kind: frame.header.kind.code(),
                codec: frame.header.codec.code(),
                compressor: frame.header.compressor.code(),
                head_map,
                message,
            });
        }
    }
    came
}

fn expected(case: &Value) -> Vec<Arrived> {
    let messages = case["messages"].as_array().expect("messages");
    messages
        .iter()
        .map(|it| Arrived {
            id: number(it, "request_id"),
            kind: number::<i8>(it, "message_type").cast_unsigned(),
            codec: number(it, "codec"),
            compressor: number(it, "compressor"),
            head_map: it["head_map"]
                .as_array()
                .expect("a head map")
                .iter()
                .map(|pair| (string(&pair[0]), string(&pair[1])))
                .collect(),
            message: (it["type"] != "HeartbeatMessage").then(|| fields::message(it)),
        })
        .collect()
}

fn cases(prefix: &str) -> Vec<Value> {
    let cases = entries("decode_cases.json");
    cases.into_iter().filter(|case| name(case, "name").starts_with(prefix)).collect()
}

fn case_called(called: &str) -> Value {
    let mut cases = cases(called).into_iter();
    cases.find(|case| case["name"] == called).unwrap_or_else(|| panic!("no case {called}"))
}
