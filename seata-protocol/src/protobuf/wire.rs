//! The protobuf messages as Seata's `.proto` files declare them: each wraps those that its Java class
//! extends. A `string` is declared as bytes here, so that it stays a slice of the frame, and bytes that
//! are no UTF-8 are no error.

use bytes::Bytes;
use prost::Message;

/// `AbstractMessage`
#[derive(Clone, PartialEq, Message)]
pub(super) struct Base {
    #[prost(int32, tag = "1")]
    pub(super) message_type: i32,
}

/// `AbstractResultMessage`
#[derive(Clone, PartialEq, Message)]
pub(super) struct ResultBase {
    #[prost(message, required, tag = "1")]
    pub(super) base: Base,
    #[prost(int32, tag = "2")]
    pub(super) result_code: i32,
    #[prost(bytes = "bytes", tag = "3")]
    pub(super) message: Bytes,
}

/// `AbstractTransactionRequest`
#[derive(Clone, PartialEq, Message)]
pub(super) struct Request {
    #[prost(message, required, tag = "1")]
    pub(super) base: Base,
}

/// `AbstractTransactionResponse`
#[derive(Clone, PartialEq, Message)]
pub(super) struct Response {
    #[prost(message, required, tag = "1")]
    pub(super) base: ResultBase,
    #[prost(int32, tag = "2")]
    pub(super) exception_code: i32,
}

/// `AbstractIdentifyRequest`
#[derive(Clone, PartialEq, Message)]
pub(super) struct IdentifyRequest {
    #[prost(message, required, tag = "1")]
    pub(super) base: Base,
    #[prost(bytes = "bytes", tag = "2")]
    pub(super) version: Bytes,
    #[prost(bytes = "bytes", tag = "3")]
    pub(super) application_id: Bytes,
    #[prost(bytes = "bytes", tag = "4")]
    pub(super) transaction_service_group: Bytes,
    #[prost(bytes = "bytes", tag = "5")]
    pub(super) extra_data: Bytes,
}

/// `AbstractIdentifyResponse`
#[derive(Clone, PartialEq, Message)]
pub(super) struct IdentifyResponse {
    #[prost(message, required, tag = "1")]
    pub(super) base: ResultBase,
    #[prost(bytes = "bytes", tag = "2")]
    pub(super) version: Bytes,
    #[prost(bytes = "bytes", tag = "3")]
    pub(super) extra_data: Bytes,
    #[prost(bool, tag = "4")]
    pub(super) identified: bool,
}

/// `RegisterTMRequest`
#[derive(Clone, PartialEq, Message)]
pub(super) struct RegisterTm {
    #[prost(message, required, tag = "1")]
    pub(super) base: IdentifyRequest,
}

/// `RegisterRMRequest`
#[derive(Clone, PartialEq, Message)]
pub(super) struct RegisterRm {
    #[prost(message, required, tag = "1")]
    pub(super) base: IdentifyRequest,
    #[prost(bytes = "bytes", tag = "2")]
    pub(super) resource_ids: Bytes,
}

/// `RegisterTMResponse`, `RegisterRMResponse`
#[derive(Clone, PartialEq, Message)]
pub(super) struct Registered {
    #[prost(message, required, tag = "1")]
    pub(super) base: IdentifyResponse,
}

/// `GlobalBeginRequest`
#[derive(Clone, PartialEq, Message)]
pub(super) struct GlobalBegin {
    #[prost(message, required, tag = "1")]
    pub(super) base: Request,
    #[prost(int32, tag = "2")]
    pub(super) timeout: i32,
    #[prost(bytes = "bytes", tag = "3")]
    pub(super) transaction_name: Bytes,
}

/// `GlobalBeginResponse`
#[derive(Clone, PartialEq, Message)]
pub(super) struct GlobalBegun {
    #[prost(message, required, tag = "1")]
    pub(super) base: Response,
    #[prost(bytes = "bytes", tag = "2")]
    pub(super) xid: Bytes,
    #[prost(bytes = "bytes", tag = "3")]
    pub(super) extra_data: Bytes,
}

/// `AbstractGlobalEndRequest`
#[derive(Clone, PartialEq, Message)]
pub(super) struct GlobalEnd {
    #[prost(message, required, tag = "1")]
    pub(super) base: Request,
    #[prost(bytes = "bytes", tag = "2")]
    pub(super) xid: Bytes,
    #[prost(bytes = "bytes", tag = "3")]
    pub(super) extra_data: Bytes,
}

/// `GlobalCommitRequest`, `GlobalRollbackRequest`, `GlobalStatusRequest`
#[derive(Clone, PartialEq, Message)]
pub(super) struct GlobalRequest {
    #[prost(message, required, tag = "1")]
    pub(super) base: GlobalEnd,
}

/// `GlobalReportRequest`
#[derive(Clone, PartialEq, Message)]
pub(super) struct GlobalReport {
    #[prost(message, required, tag = "1")]
    pub(super) base: GlobalEnd,
    #[prost(int32, tag = "2")]
    pub(super) global_status: i32,
}

/// `AbstractGlobalEndResponse`
#[derive(Clone, PartialEq, Message)]
pub(super) struct GlobalEnded {
    #[prost(message, required, tag = "1")]
    pub(super) base: Response,
    #[prost(int32, tag = "2")]
    pub(super) global_status: i32,
}

/// `GlobalCommitResponse`, `GlobalRollbackResponse`, `GlobalStatusResponse`, `GlobalReportResponse`
#[derive(Clone, PartialEq, Message)]
pub(super) struct GlobalResponse {
    #[prost(message, required, tag = "1")]
    pub(super) base: GlobalEnded,
}

/// `BranchRegisterRequest`
#[derive(Clone, PartialEq, Message)]
pub(super) struct BranchRegister {
    #[prost(message, required, tag = "1")]
    pub(super) base: Request,
    #[prost(bytes = "bytes", tag = "2")]
    pub(super) xid: Bytes,
    #[prost(int32, tag = "3")]
    pub(super) branch_type: i32,
    #[prost(bytes = "bytes", tag = "4")]
    pub(super) resource_id: Bytes,
    #[prost(bytes = "bytes", tag = "5")]
    pub(super) lock_key: Bytes,
    #[prost(bytes = "bytes", tag = "6")]
    pub(super) application_data: Bytes,
}

/// `BranchRegisterResponse`
#[derive(Clone, PartialEq, Message)]
pub(super) struct BranchRegistered {
    #[prost(message, required, tag = "1")]
    pub(super) base: Response,
    #[prost(int64, tag = "2")]
    pub(super) branch_id: i64,
}

/// `GlobalLockQueryRequest`
#[derive(Clone, PartialEq, Message)]
pub(super) struct LockQuery {
    #[prost(message, required, tag = "1")]
    pub(super) base: BranchRegister,
}

/// `GlobalLockQueryResponse`
#[derive(Clone, PartialEq, Message)]
pub(super) struct Lockable {
    #[prost(message, required, tag = "1")]
    pub(super) base: Response,
    #[prost(bool, tag = "2")]
    pub(super) lockable: bool,
}

/// `BranchReportRequest`
#[derive(Clone, PartialEq, Message)]
pub(super) struct BranchReport {
    #[prost(message, required, tag = "1")]
    pub(super) base: Request,
    #[prost(bytes = "bytes", tag = "2")]
    pub(super) xid: Bytes,
    #[prost(int64, tag = "3")]
    pub(super) branch_id: i64,
    #[prost(bytes = "bytes", tag = "4")]
    pub(super) resource_id: Bytes,
    #[prost(int32, tag = "5")]
    pub(super) status: i32,
    #[prost(bytes = "bytes", tag = "6")]
    pub(super) application_data: Bytes,
    #[prost(int32, tag = "7")]
    pub(super) branch_type: i32,
}

/// `BranchReportResponse`
#[derive(Clone, PartialEq, Message)]
pub(super) struct BranchReported {
    #[prost(message, required, tag = "1")]
    pub(super) base: Response,
}

/// `AbstractBranchEndRequest`
#[derive(Clone, PartialEq, Message)]
pub(super) struct BranchEnd {
    #[prost(message, required, tag = "1")]
    pub(super) base: Request,
    #[prost(bytes = "bytes", tag = "2")]
    pub(super) xid: Bytes,
    #[prost(int64, tag = "3")]
    pub(super) branch_id: i64,
    #[prost(int32, tag = "4")]
    pub(super) branch_type: i32,
    #[prost(bytes = "bytes", tag = "5")]
    pub(super) resource_id: Bytes,
    #[prost(bytes = "bytes", tag = "6")]
    pub(super) application_data: Bytes,
}

/// `BranchCommitRequest`, `BranchRollbackRequest`
#[derive(Clone, PartialEq, Message)]
pub(super) struct BranchRequest {
    #[prost(message, required, tag = "1")]
    pub(super) base: BranchEnd,
}

/// `AbstractBranchEndResponse`
#[derive(Clone, PartialEq, Message)]
pub(super) struct BranchEnded {
    #[prost(message, required, tag = "1")]
    pub(super) base: Response,
    #[prost(bytes = "bytes", tag = "2")]
    pub(super) xid: Bytes,
    #[prost(int64, tag = "3")]
    pub(super) branch_id: i64,
    #[prost(int32, tag = "4")]
    pub(super) branch_status: i32,
}

/// `BranchCommitResponse`, `BranchRollbackResponse`
#[derive(Clone, PartialEq, Message)]
pub(super) struct BranchResponse {
    #[prost(message, required, tag = "1")]
    pub(super) base: BranchEnded,
}

/// `UndoLogDeleteRequest`
#[derive(Clone, PartialEq, Message)]
pub(super) struct UndoLogDelete {
    #[prost(message, required, tag = "1")]
    pub(super) base: Request,
    #[prost(bytes = "bytes", tag = "2")]
    pub(super) resource_id: Bytes,
    #[prost(int32, tag = "3")]
    pub(super) save_days: i32,
    #[prost(int32, tag = "4")]
    pub(super) branch_type: i32,
}

/// `MergedWarpMessage`, `BatchResultMessage` and, without ids, `MergedResultMessage`
#[derive(Clone, PartialEq, Message)]
pub(super) struct Merged {
    #[prost(message, required, tag = "1")]
    pub(super) base: Base,
    #[prost(message, repeated, tag = "2")]
    pub(super) messages: Vec<Any>,
    #[prost(int32, repeated, tag = "3")]
    pub(super) ids: Vec<i32>,
}

/// `google.protobuf.Any`
#[derive(Clone, PartialEq, Message)]
pub(super) struct Any {
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) type_url: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    pub(super) value: Bytes,
}
