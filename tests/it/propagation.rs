//! What each propagation leaves in the database when its caller, or it itself, fails.

use seata::{
    Propagation::{self, *},
    RootContext, global_transactional,
};
use seata_tests::bank::{Bank, Plan, TransferError};

async fn write(bank: &Bank, id: &str) -> Result<(), TransferError> {
    let note = sqlx::query("INSERT INTO ledger (transfer, account, amount) VALUES (?, 0, 0)").bind(id);
    note.execute(&bank.offices[0].at).await?;
    Ok(())
}

fn end(fails: bool) -> Result<(), TransferError> {
    if fails { Err(TransferError::Declined) } else { Ok(()) }
}

macro_rules! callee {
    ($name:ident, $propagation:ident) => {
        #[global_transactional(name = "callee", propagation = $propagation, client = bank.seata)]
        async fn $name(bank: &Bank, fails: bool) -> Result<(), TransferError> {
            write(bank, "callee").await?;
            end(fails)
        }
    };
}

callee!(required, Required);
callee!(requires_new, RequiresNew);
callee!(not_supported, NotSupported);
callee!(supports, Supports);
callee!(never, Never);
callee!(mandatory, Mandatory);

async fn callee(bank: &Bank, propagation: Propagation, fails: bool) -> Result<(), TransferError> {
    match propagation {
        Required => required(bank, fails).await,
        RequiresNew => requires_new(bank, fails).await,
        NotSupported => not_supported(bank, fails).await,
        Supports => supports(bank, fails).await,
        Never => never(bank, fails).await,
        Mandatory => mandatory(bank, fails).await,
    }
}

/// Takes note of how the callee ended, and goes on whatever it was.
#[global_transactional(name = "caller", client = bank.seata)]
async fn caller(bank: &Bank, case: Case, callee_end: &mut Option<String>) -> Result<(), TransferError> {
    let xid = RootContext::xid();
    write(bank, "caller").await?;
    let ended = callee(bank, case.propagation, case.callee_fails).await;
    *callee_end = ended.err().map(|error| error.to_string());
    assert_eq!(RootContext::xid(), xid, "the caller's own transaction is back");
    end(case.caller_fails)
}

#[derive(Clone, Copy, Debug)]
struct Case {
    propagation: Propagation,
    callee_fails: bool,
    caller_fails: bool,
}

/// The rows that are left when all is over, and the callee's error.
async fn left_by(case: Case, in_transaction: bool) -> (Vec<String>, Option<String>) {
    let directory = tempfile::tempdir().unwrap();
    let bank = Bank::open(directory.path(), Plan { offices: 1, ..Plan::default() }).await.unwrap();
    let mut callee_end = None;
    if in_transaction {
        let ended = caller(&bank, case, &mut callee_end).await;
        assert_eq!(ended.is_err(), case.caller_fails, "{case:?}: {ended:?}");
    } else {
        let ended = bank.seata.scope(callee(&bank, case.propagation, case.callee_fails)).await;
        callee_end = ended.err().map(|error| error.to_string());
    }
    let books = bank.settle().await;
    bank.close().await;
    (books.transfers.into_keys().collect(), callee_end)
}

const NOTHING: &[&str] = &[];
const CALLER: &[&str] = &["caller"];
const CALLEE: &[&str] = &["callee"];
const BOTH: &[&str] = &["callee", "caller"];

#[tokio::test]
async fn in_a_callers_transaction() {
    let declined = Some("declined");
    let never = Some("callee has propagation Never, but was called in global transaction");
    // Propagation, whether the callee and the caller fail, rows left, the callee's error.
    for (propagation, callee_fails, caller_fails, rows, error) in [
        (Required, false, false, BOTH, None),
        (Required, false, true, NOTHING, None),
        // The caller swallows the error, so what the callee wrote is the caller's to keep.
        (Required, true, false, BOTH, declined),
        (Required, true, true, NOTHING, declined),
        (RequiresNew, false, false, BOTH, None),
        (RequiresNew, false, true, CALLEE, None),
        (RequiresNew, true, false, CALLER, declined),
        (RequiresNew, true, true, NOTHING, declined),
        (NotSupported, false, false, BOTH, None),
        (NotSupported, false, true, CALLEE, None),
        (NotSupported, true, false, BOTH, declined),
        (NotSupported, true, true, CALLEE, declined),
        (Supports, false, false, BOTH, None),
        (Supports, false, true, NOTHING, None),
        (Supports, true, false, BOTH, declined),
        (Supports, true, true, NOTHING, declined),
        (Never, false, false, CALLER, never),
        (Never, false, true, NOTHING, never),
        (Mandatory, false, false, BOTH, None),
        (Mandatory, false, true, NOTHING, None),
        (Mandatory, true, false, BOTH, declined),
        (Mandatory, true, true, NOTHING, declined),
    ] {
        let case = Case { propagation, callee_fails, caller_fails };
        assert_left(case, left_by(case, true).await, rows, error);
    }
}

#[tokio::test]
async fn outside_any_transaction() {
    let declined = Some("declined");
    let mandatory = Some("callee has propagation Mandatory, but was called outside any global transaction");
    for (propagation, callee_fails, rows, error) in [
        (Required, false, CALLEE, None),
        (Required, true, NOTHING, declined),
        (RequiresNew, false, CALLEE, None),
        (RequiresNew, true, NOTHING, declined),
        (NotSupported, false, CALLEE, None),
        (NotSupported, true, CALLEE, declined),
        (Supports, false, CALLEE, None),
        (Supports, true, CALLEE, declined),
        (Never, false, CALLEE, None),
        (Never, true, CALLEE, declined),
        (Mandatory, false, NOTHING, mandatory),
    ] {
        let case = Case { propagation, callee_fails, caller_fails: false };
        assert_left(case, left_by(case, false).await, rows, error);
    }
}

fn assert_left(case: Case, left: (Vec<String>, Option<String>), rows: &[&str], error: Option<&str>) {
    assert_eq!(left.0, rows, "{case:?}");
    match (&left.1, error) {
        (None, None) => {}
        (Some(found), Some(part)) => assert!(found.contains(part), "{case:?}: {found}"),
        (found, expected) => panic!("{case:?}: expected {expected:?}, found {found:?}"),
    }
}
