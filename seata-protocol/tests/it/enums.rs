//! The numbers of Java's enums.

use seata_protocol::{
    BranchStatus, BranchType, Codec, Compressor, GlobalStatus, Kind, Message, ResultCode,
    TransactionExceptionCode,
};
use serde_json::{Map, Value};

use crate::golden;

#[test]
fn every_constant_has_javas_name_and_number() {
    let enums = golden::json("enums.json");
    let table = |name: &str| enums[name].as_object().expect("a table").clone();
    assert_table(&table("ResultCode"), ResultCode::ALL.iter().map(|it| (it.name(), it.code())));
    assert_table(&table("BranchType"), BranchType::ALL.iter().map(|it| (it.name(), it.code())));
    assert_table(&table("BranchStatus"), BranchStatus::ALL.iter().map(|it| (it.name(), it.code())));
    assert_table(&table("GlobalStatus"), GlobalStatus::ALL.iter().map(|it| (it.name(), it.code())));
    let codes = TransactionExceptionCode::ALL.iter().map(|it| (it.name(), it.code()));
    assert_table(&table("TransactionExceptionCode"), codes);
    assert_table(&table("serializer"), Codec::ALL.iter().map(|it| (it.name(), it.code())));
    assert_table(&table("compressor"), Compressor::ALL.iter().map(|it| (it.name(), it.code())));
    assert_eq!(
        table("frame_message_type")
            .values()
            .map(|code| code.as_u64().unwrap() as u8)
            .collect::<std::collections::BTreeSet<_>>(),
        Kind::ALL.iter().map(|kind| kind.code()).collect()
    );
}

#[test]
fn every_type_code_of_java_is_a_message_but_heartbeats_and_its_internal_ones() {
    let enums = golden::json("enums.json");
    for (name, code) in enums["message_type_code"].as_object().expect("a table") {
        let code = i16::try_from(code.as_i64().unwrap()).unwrap();
        let is_none = matches!(&**name, "VERSION_NOT_SUPPORT" | "TYPE_NOT_EXIST" | "TYPE_HEARTBEAT_MSG");
        assert_eq!(Message::name_of(code).is_none(), is_none, "{name}");
    }
}

fn assert_table(java: &Map<String, Value>, ours: impl Iterator<Item = (Option<&'static str>, u8)>) {
    let ours: Map<String, Value> =
        ours.map(|(name, code)| (name.expect("a name").to_owned(), Value::from(code))).collect();
    assert_eq!(*java, ours);
}
