//! From the fields of a Java bean to a message. Every field has to be used: none is left out by mistake.

use std::{cell::RefCell, collections::BTreeSet};

use seata_protocol::{
    Batch, BranchId, BranchRegister, BranchRegistered, BranchReport, BranchRequest, BranchResponse,
    BranchStatus, BranchType, GlobalBegin, GlobalBegun, GlobalReport, GlobalRequest, GlobalResponse,
    GlobalStatus, Lockable, Message, Outcome, RegisterRm, RegisterTm, Registered, ResultCode, Text,
    TransactionExceptionCode, UndoLogDelete,
};
use serde_json::{Map, Value};

use crate::golden::string;

/// The message that an entry's `type` and `fields` describe.
pub(crate) fn message(entry: &Value) -> Message {
    from_fields(entry["type"].as_str().expect("a type"), entry["fields"].as_object().expect("fields"))
}

/// The message that Java's decoder gives for an entry: its fields, but those under `decoded` as they are there.
pub(crate) fn decoded_message(entry: &Value) -> Message {
    let mut fields = entry["fields"].as_object().expect("fields").clone();
    if let Some(changed) = entry["decoded"].as_object() {
        fields.extend(changed.clone());
    }
    from_fields(entry["type"].as_str().expect("a type"), &fields)
}

fn from_fields(class: &str, fields: &Map<String, Value>) -> Message {
    let fields = Fields { fields, used: RefCell::default() };
    let message = match class {
        "RegisterTMRequest" => Message::RegisterTm(fields.register_tm()),
        "RegisterTMResponse" => Message::RegisterTmResponse(fields.registered()),
        "RegisterRMRequest" => Message::RegisterRm(fields.register_rm()),
        "RegisterRMResponse" => Message::RegisterRmResponse(fields.registered()),
        "GlobalBeginRequest" => Message::GlobalBegin(GlobalBegin {
            timeout_ms: fields.number("timeout"),
            name: fields.text("transactionName"),
        }),
        "GlobalBeginResponse" => Message::GlobalBeginResponse(GlobalBegun {
            outcome: fields.outcome(),
            xid: fields.text("xid"),
            extra_data: fields.text("extraData"),
        }),
        "GlobalCommitRequest" => Message::GlobalCommit(fields.global_request()),
        "GlobalCommitResponse" => Message::GlobalCommitResponse(fields.global_response()),
        "GlobalRollbackRequest" => Message::GlobalRollback(fields.global_request()),
        "GlobalRollbackResponse" => Message::GlobalRollbackResponse(fields.global_response()),
        "GlobalStatusRequest" => Message::GlobalStatus(fields.global_request()),
        "GlobalStatusResponse" => Message::GlobalStatusResponse(fields.global_response()),
        "GlobalReportRequest" => Message::GlobalReport(GlobalReport {
            xid: fields.text("xid"),
            extra_data: fields.text("extraData"),
            status: fields.code("globalStatus", GlobalStatus::ALL, GlobalStatus::name),
        }),
        "GlobalReportResponse" => Message::GlobalReportResponse(fields.global_response()),
        "BranchRegisterRequest" => Message::BranchRegister(fields.branch_register()),
        "BranchRegisterResponse" => Message::BranchRegisterResponse(BranchRegistered {
            outcome: fields.outcome(),
            branch_id: BranchId(fields.number("branchId")),
        }),
        "BranchReportRequest" => Message::BranchReport(BranchReport {
            xid: fields.text("xid"),
            branch_id: BranchId(fields.number("branchId")),
            status: fields.branch_status("status"),
            resource_id: fields.text("resourceId"),
            application_data: fields.text("applicationData"),
            branch_type: fields.branch_type(),
        }),
        "BranchReportResponse" => Message::BranchReportResponse(fields.outcome()),
        "GlobalLockQueryRequest" => Message::GlobalLockQuery(fields.branch_register()),
        "GlobalLockQueryResponse" => Message::GlobalLockQueryResponse(Lockable {
            outcome: fields.outcome(),
            lockable: fields.flag("lockable"),
        }),
        "BranchCommitRequest" => Message::BranchCommit(fields.branch_request()),
        "BranchCommitResponse" => Message::BranchCommitResponse(fields.branch_response()),
        "BranchRollbackRequest" => Message::BranchRollback(fields.branch_request()),
        "BranchRollbackResponse" => Message::BranchRollbackResponse(fields.branch_response()),
        "UndoLogDeleteRequest" => Message::UndoLogDelete(UndoLogDelete {
            branch_type: fields.branch_type(),
            resource_id: fields.text("resourceId"),
            save_days: fields.number("saveDays"),
        }),
        "MergedWarpMessage" => {
            Message::Merged(Batch { messages: fields.messages("msgs"), ids: fields.ids() })
        }
        "MergeResultMessage" => Message::MergeResult(fields.messages("msgs")),
        "BatchResultMessage" => {
            Message::BatchResult(Batch { messages: fields.messages("resultMessages"), ids: fields.ids() })
        }
        other => panic!("no message is called {other}"),
    };
    fields.assert_all_used(class);
    message
}

struct Fields<'a> {
    fields: &'a Map<String, Value>,
    used: RefCell<BTreeSet<&'static str>>,
}

impl Fields<'_> {
    fn get(&self, name: &'static str) -> &Value {
        self.used.borrow_mut().insert(name);
        self.fields.get(name).unwrap_or_else(|| panic!("no field {name} in {:?}", self.fields))
    }

    fn text(&self, name: &'static str) -> Text {
        string(self.get(name)).unwrap_or_default().into()
    }

    fn number<N: TryFrom<i64>>(&self, name: &'static str) -> N {
        let number = self.get(name).as_i64().unwrap_or_else(|| panic!("{name} is no number"));
        N::try_from(number).unwrap_or_else(|_| panic!("{name} is {number}"))
    }

    fn flag(&self, name: &'static str) -> bool {
        self.get(name).as_bool().unwrap_or_else(|| panic!("{name} is no flag"))
    }

    /// The constant that a field names; `None` for null.
    fn code<C: Copy>(&self, name: &'static str, all: &[C], java: fn(C) -> Option<&'static str>) -> Option<C> {
        let constant = self.get(name).as_str()?;
        let found = all.iter().copied().find(|code| java(*code) == Some(constant));
        Some(found.unwrap_or_else(|| panic!("{name} is {constant}, which has no name here")))
    }

    fn branch_type(&self) -> BranchType {
        self.code("branchType", BranchType::ALL, BranchType::name).expect("a branch type")
    }

    fn branch_status(&self, name: &'static str) -> BranchStatus {
        self.code(name, BranchStatus::ALL, BranchStatus::name).expect("a branch status")
    }

    fn outcome(&self) -> Outcome {
        Outcome {
            result: self.code("resultCode", ResultCode::ALL, ResultCode::name).expect("a result"),
            message: self.text("msg"),
            code: self
                .code(
                    "transactionExceptionCode",
                    TransactionExceptionCode::ALL,
                    TransactionExceptionCode::name,
                )
                .expect("an exception code"),
        }
    }

    fn register_tm(&self) -> RegisterTm {
        RegisterTm {
            version: self.text("version"),
            application_id: self.text("applicationId"),
            transaction_service_group: self.text("transactionServiceGroup"),
            extra_data: self.text("extraData"),
        }
    }

    fn register_rm(&self) -> RegisterRm {
        RegisterRm {
            version: self.text("version"),
            application_id: self.text("applicationId"),
            transaction_service_group: self.text("transactionServiceGroup"),
            extra_data: self.text("extraData"),
            resource_ids: self.text("resourceIds"),
        }
    }

    /// The result is null where it did not travel; here it then follows from `identified`.
    fn registered(&self) -> Registered {
        let identified = self.flag("identified");
        let derived = if identified { ResultCode::Success } else { ResultCode::Failed };
        let outcome = Outcome {
            result: self.code("resultCode", ResultCode::ALL, ResultCode::name).unwrap_or(derived),
            message: self.text("msg"),
            code: TransactionExceptionCode::Unknown,
        };
        Registered { identified, version: self.text("version"), outcome, extra_data: self.text("extraData") }
    }

    fn global_request(&self) -> GlobalRequest {
        GlobalRequest { xid: self.text("xid"), extra_data: self.text("extraData") }
    }

    fn global_response(&self) -> GlobalResponse {
        let status =
            self.code("globalStatus", GlobalStatus::ALL, GlobalStatus::name).expect("a global status");
        GlobalResponse { outcome: self.outcome(), status }
    }

    fn branch_register(&self) -> BranchRegister {
        BranchRegister {
            xid: self.text("xid"),
            branch_type: self.branch_type(),
            resource_id: self.text("resourceId"),
            lock_key: self.text("lockKey"),
            application_data: self.text("applicationData"),
        }
    }

    fn branch_request(&self) -> BranchRequest {
        BranchRequest {
            xid: self.text("xid"),
            branch_id: BranchId(self.number("branchId")),
            branch_type: self.branch_type(),
            resource_id: self.text("resourceId"),
            application_data: self.text("applicationData"),
        }
    }

    fn branch_response(&self) -> BranchResponse {
        BranchResponse {
            outcome: self.outcome(),
            xid: self.text("xid"),
            branch_id: BranchId(self.number("branchId")),
            status: self.branch_status("branchStatus"),
        }
    }

    fn messages(&self, name: &'static str) -> Vec<Message> {
        self.get(name).as_array().expect("a list of messages").iter().map(message).collect()
    }

    fn ids(&self) -> Vec<i32> {
        let ids = self.get("msgIds").as_array().expect("a list of ids");
        ids.iter().map(|id| i32::try_from(id.as_i64().expect("an id")).expect("an id of 32 bits")).collect()
    }

    fn assert_all_used(&self, class: &str) {
        let used = self.used.borrow();
        let unused: Vec<_> = self.fields.keys().filter(|name| !used.contains(name.as_str())).collect();
        assert!(unused.is_empty(), "{class} has fields that no message has: {unused:?}");
    }
}
