//! What is acknowledged survives; what does not fit or does not read is said.

use std::{
    collections::BTreeMap,
    fs,
    future::Future,
    io,
    sync::Arc,
    task::{Context, Waker},
};

use seata_protocol::{BranchId, BranchStatus, BranchType, GlobalStatus, RowKey, RowLock, TransactionId};

use super::disk::Disk;
use crate::{
    journal::{
        JournalStore, OpenError, Options, Recovery,
        log::FILE_NAMES as LOGS,
        open::refused,
        rows::{FORMAT, FORMAT_VERSION, META},
    },
    record::{Branch, LockSet, Snapshot, Transaction},
    session::Decision,
    store::{Found, MemoryStore, Registered, Store, StoreError},
};

/// More branches than any of these transactions has.
const MANY: usize = 1_000_000;

const TABLES: &str = "journal.redb";

/// A log that is only so long before the tables follow.
fn checkpoint_after(bytes: u64) -> Options {
    Options { checkpoint_after: bytes, ..Options::from(0) }
}

/// What is issued in the acknowledged-steps test, one after another.
#[derive(Clone, Copy, Debug)]
enum Step {
    Begin(i64),
    Register(i64, i64),
    Decide(i64, Decision),
    DropBranch(i64, i64),
    Park(i64),
    Finish(i64),
}

/// How far the caller was at some moment, in numbers of steps, of syncs and of durable answers.
#[derive(Clone, Copy, Debug)]
struct Mark {
    syncs: usize,
    durable: usize,
}

fn script() -> Vec<Step> {
    let mut steps = Vec::new();
    for id in 1..=8 {
        let (first, second) = (id * 10, id * 10 + 1);
        steps.extend([Step::Begin(id), Step::Register(id, first), Step::Register(id, second)]);
        match id % 4 {
            0 => steps.extend([Step::Decide(id, Decision::Rollback), Step::Park(id)]),
            1 => steps.extend([Step::Decide(id, Decision::Commit), Step::Finish(id)]),
            2 => steps.extend([Step::Decide(id, Decision::Rollback), Step::DropBranch(id, second)]),
            _ => {}
        }
    }
    steps
}

impl Step {
    async fn run(self, store: &impl Store) -> Result<(), StoreError> {
        match self {
            Self::Begin(id) => store.begin(transaction(id)).await,
            Self::Register(id, branch_id) => {
                assert!(matches!(store.register(branch(branch_id, id), MANY).await?, Registered::Done(_)));
                Ok(())
            }
            Self::Decide(id, decision) => store.decide(TransactionId(id), decision, None, 1).await.map(drop),
            Self::DropBranch(id, branch) => store.drop_branch(TransactionId(id), BranchId(branch)).await,
            Self::Park(id) => {
                store.park(TransactionId(id), GlobalStatus::RollbackFailed, "dirty".into()).await
            }
            Self::Finish(id) => store.finish(TransactionId(id), GlobalStatus::Committed, None, 1).await,
        }
    }

    fn is_durable(self) -> bool {
        matches!(self, Self::Register(..) | Self::Decide(..) | Self::Park(_))
    }
}

/// Runs the script on `disk` and checks what each loss of power would have left: everything up to the
/// last durable answer, nothing that was not asked for, and no gap.
async fn check(disk: &Disk, options: &Options) -> Result<usize, String> {
    let model = MemoryStore::new("tc", 0);
    let mut states = vec![Vec::new()];
    let mut marks = Vec::new();
    let store = JournalStore::open_on(disk.clone(), options.clone()).map_err(|error| error.to_string())?;
    marks.push(Mark { syncs: disk.syncs(), durable: 0 });
    for (index, step) in script().into_iter().enumerate() {
        step.run(&model).await.map_err(|error| error.to_string())?;
        states.push(dump(&model).await);
        step.run(&store).await.map_err(|error| error.to_string())?;
        if step.is_durable() {
            marks.push(Mark { syncs: disk.syncs(), durable: index + 1 });
        }
    }
    let mut torn_tails = 0;
    for sync in 0..disk.syncs() {
        let durable =
            marks.iter().take_while(|mark| mark.syncs <= sync).last().map_or(0, |mark| mark.durable);
        let moment = disk.before_sync(sync);
        let mut disks = vec![moment.lost()];
        disks.extend((1..=4).map(|seed| moment.torn(seed)));
        for left in disks {
            let after = JournalStore::open_on(left, 0).map_err(|error| format!("at sync {sync}: {error}"))?;
            torn_tails += usize::from(after.recovery() == Recovery::TornTail);
            let found = dump(&after).await;
            if !states[durable..].contains(&found) {
                return Err(format!("at sync {sync}: {durable} steps were acknowledged, found {found:#?}"));
            }
        }
    }
    Ok(torn_tails)
}

#[tokio::test]
async fn a_loss_of_power_at_any_sync_leaves_every_acknowledged_step() {
    let torn_tails = check(&Disk::recording(), &Options::from(0)).await.unwrap();
    assert!(torn_tails > 0, "some of the logs ended in the middle of a record");
}

/// The tables follow after every flush or after some, while the log goes on: power is lost at each sync of
/// either, with what the other had not synced.
#[tokio::test]
async fn a_loss_of_power_at_any_point_of_a_checkpoint_is_harmless() {
    for bytes in [1, 1, 300, 600] {
        let disk = Disk::recording();
        check(&disk, &checkpoint_after(bytes)).await.unwrap();
        let tables = |sync| disk.before_sync(sync).lost().bytes().remove(TABLES);
        let states: std::collections::HashSet<_> = (0..disk.syncs()).map(tables).collect();
        assert!(states.len() > 6, "the tables were written {} times", states.len());
    }
}

#[tokio::test]
async fn without_the_sync_the_same_check_fails() {
    let disk = Disk::recording();
    disk.ignore_syncs();
    assert!(check(&disk, &Options::from(0)).await.is_err());
}

#[tokio::test]
async fn a_full_disk_is_said_and_poisons_the_store_until_it_is_opened_again() {
    let disk = Disk::default();
    let store = JournalStore::open_on(disk.clone(), 0).unwrap();
    Step::Begin(1).run(&store).await.unwrap();
    Step::Register(1, 10).run(&store).await.unwrap();
    let before = dump(&store).await;
    disk.fill_up();
    let error = store.register(branch(11, 1), MANY).await.unwrap_err();
    assert!(matches!(error, StoreError::Failed { .. }), "{error:?}");
    assert!(error.to_string().contains("cannot be written"), "{error}");
    assert_eq!(store.find(TransactionId(1)).await, Err(error.clone()), "memory knows more than the disk");
    assert_eq!(store.begin(transaction(2)).await, Err(error));
    drop(store);
    let store = JournalStore::open_on(disk.now().lost(), 0).unwrap();
    assert_eq!(dump(&store).await, before);
}

/// Not even a lazy step is taken that the writer might not see any more.
#[tokio::test]
async fn nothing_is_acknowledged_once_the_store_is_closing() {
    for _ in 0..50 {
        let store = JournalStore::open_on(Disk::default(), 0).unwrap();
        let mut closing = Box::pin(store.close());
        let _ = closing.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert_eq!(store.begin(transaction(1)).await, Err(StoreError::Closed));
    }
}

#[tokio::test]
async fn many_callers_share_a_flush() {
    let disk = Disk::recording();
    let store = Arc::new(JournalStore::open_on(disk.clone(), 0).unwrap());
    Step::Begin(1).run(&*store).await.unwrap();
    let before = disk.syncs();
    let mut callers = tokio::task::JoinSet::new();
    for id in 100..200 {
        let store = Arc::clone(&store);
        callers.spawn(async move { store.register(branch(id, 1), MANY).await.unwrap() });
    }
    assert!(callers.join_all().await.iter().all(|registered| matches!(registered, Registered::Done(_))));
    let flushes = disk.syncs() - before;
    assert!(flushes < 50, "100 callers needed {flushes} flushes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_that_want_one_row_exactly_one_gets_it() {
    let store = Arc::new(JournalStore::open_on(Disk::default(), 0).unwrap());
    let mut callers = tokio::task::JoinSet::new();
    for id in 1..=32 {
        let store = Arc::clone(&store);
        callers.spawn(async move {
            store.begin(transaction(id)).await.unwrap();
            let mut branch = branch(id * 10, id);
            branch.locks = LockSet::new(&[row("wanted")]);
            store.register(branch, MANY).await.unwrap()
        });
    }
    let answers = callers.join_all().await;
    assert_eq!(answers.iter().filter(|answer| matches!(answer, Registered::Done(_))).count(), 1);
    assert_eq!(answers.iter().filter(|answer| matches!(answer, Registered::Conflict(_))).count(), 31);
}

#[tokio::test]
async fn an_empty_transaction_never_touches_the_disk() {
    let disk = Disk::recording();
    let store = JournalStore::open_on(disk.clone(), 0).unwrap();
    let before = disk.syncs();
    for id in 1..=100 {
        Step::Begin(id).run(&store).await.unwrap();
        Step::Decide(id, Decision::Commit).run(&store).await.unwrap();
    }
    assert!(disk.syncs() - before <= 2, "only what stays in memory too long is written");
}

/// One wrong byte in each page of a journal that was closed in order: it is refused at that page, or the
/// page was not in use.
#[tokio::test]
async fn a_damaged_journal_is_refused_with_the_place() {
    let disk = Disk::default();
    let store = JournalStore::open_on(disk.clone(), 0).unwrap();
    for id in 1..=100 {
        Step::Begin(id).run(&store).await.unwrap();
        Step::Register(id, id * 10).run(&store).await.unwrap();
    }
    let expected = dump(&store).await;
    drop(store);
    let files = disk.bytes();
    let mut refused = 0;
    for page in 1..files[TABLES].len() / 4096 {
        let at = page * 4096 + 9;
        let damaged = with_wrong_byte(&files, TABLES, at);
        let disk = Disk::with(damaged.clone());
        match JournalStore::open_on(disk.clone(), 0) {
            Ok(store) => assert_eq!(dump(&store).await, expected, "page {page} was not in use"),
            Err(OpenError::Damaged { offset, .. }) => {
                refused += 1;
                assert_eq!(disk.bytes(), damaged, "a refused journal is left as it was");
                assert!(offset <= at as u64 && at as u64 - offset < 64 * 1024, "{offset} is not near {at}");
            }
            Err(error) => panic!("page {page}: {error}"),
        }
    }
    assert!(refused > 3, "{refused} pages were in use");
}

/// The same in the tables after a crash: it never panics, and what it reads is what was written. A damage
/// makes the engine go back by one checkpoint; the log then has what is missing, or shows that it has not.
#[tokio::test]
async fn tables_damaged_after_a_crash_are_refused_or_whole() {
    let mut refused = 0;
    for bytes in [4_000, 4_000_000] {
        let disk = Disk::default();
        let store = JournalStore::open_on(disk.clone(), checkpoint_after(bytes)).unwrap();
        for id in 1..=100 {
            Step::Begin(id).run(&store).await.unwrap();
            Step::Register(id, id * 10).run(&store).await.unwrap();
        }
        let expected = dump(&store).await;
        let files = disk.bytes();
        for page in 0..files[TABLES].len() / 4096 {
            for offset in [9, 2_000] {
                let damaged = with_wrong_byte(&files, TABLES, page * 4096 + offset);
                match JournalStore::open_on(Disk::with(damaged), 0) {
                    Ok(store) => assert_eq!(dump(&store).await, expected, "page {page}"),
                    Err(OpenError::Damaged { .. }) => refused += 1,
                    Err(error) => panic!("page {page}: {error}"),
                }
            }
        }
    }
    assert!(refused > 0, "no page was in use");
}

/// Any wrong byte in the log of a crashed journal: the last record is taken for a torn one, an earlier one is
/// refused with its place.
#[tokio::test]
async fn a_wrong_byte_before_the_end_of_the_log_is_refused_with_the_place() {
    let disk = Disk::default();
    let store = JournalStore::open_on(disk.clone(), 0).unwrap();
    let mut states = Vec::new();
    for id in 1..=20 {
        Step::Begin(id).run(&store).await.unwrap();
        Step::Register(id, id * 10).run(&store).await.unwrap();
        states.push(dump(&store).await);
    }
    let files = disk.bytes();
    let name = LOGS.into_iter().find(|name| !files[*name].is_empty()).unwrap();
    let end = files[name].iter().rposition(|byte| *byte != 0).unwrap();
    let (mut refused, mut torn, mut padding) = (0, 0, 0);
    for at in (0..end).step_by(7) {
        match JournalStore::open_on(Disk::with(with_wrong_byte(&files, name, at)), 0) {
            Ok(store) => {
                let found = dump(&store).await;
                if found == states[states.len() - 1] {
                    padding += 1;
                } else {
                    torn += 1;
                    assert_eq!(found, states[states.len() - 2], "byte {at}");
                }
            }
            Err(OpenError::Damaged { offset, path, .. }) => {
                refused += 1;
                assert!(path.ends_with(name), "{}", path.display());
                assert!(offset <= at as u64 && at as u64 - offset < 400, "{offset} is not near {at}");
            }
            Err(error) => panic!("byte {at}: {error}"),
        }
    }
    assert!(refused > 15 * torn && torn > 0 && padding < refused / 20, "{refused}, {torn}, {padding}");
}

fn with_wrong_byte(files: &BTreeMap<String, Vec<u8>>, name: &str, at: usize) -> BTreeMap<String, Vec<u8>> {
    let mut files = files.clone();
    files.get_mut(name).unwrap()[at] ^= 0x55;
    files
}

/// The disk was full, or the process died, before the first journal was whole: there is nothing to lose yet.
#[test]
fn a_journal_that_was_never_whole_is_made_anew() {
    for writes in 0.. {
        let disk = Disk::default();
        disk.fill_up_after(writes);
        match JournalStore::open_on(disk.clone(), 0) {
            Err(OpenError::Io { source, .. }) => assert_eq!(source.kind(), io::ErrorKind::StorageFull),
            Err(error) => panic!("{writes} writes: {error}"),
            Ok(_) => {
                assert!(writes > 2, "the header and what it says of itself are written");
                break;
            }
        }
        for left in [Disk::with(disk.bytes()), disk.now().lost()] {
            let store = JournalStore::open_on(left, 0).unwrap_or_else(|error| panic!("{writes}: {error}"));
            assert_eq!(store.incarnation(), 1);
        }
    }
}

/// A file that has lost its beginning is not a new one if anything is behind that.
#[tokio::test]
async fn a_journal_without_its_beginning_is_refused() {
    let disk = Disk::default();
    drop(JournalStore::open_on(disk.clone(), 0).unwrap());
    let mut files = disk.bytes();
    files.get_mut(TABLES).unwrap()[..4096].fill(0);
    let result = JournalStore::open_on(Disk::with(files), 0);
    assert!(matches!(result, Err(OpenError::Damaged { offset: 0, .. })), "{result:?}");

    let disk = Disk::default();
    let store = JournalStore::open_on(disk.clone(), 0).unwrap();
    Step::Begin(1).run(&store).await.unwrap();
    Step::Register(1, 10).run(&store).await.unwrap();
    let mut files = disk.bytes();
    files.get_mut(TABLES).unwrap().fill(0);
    let result = JournalStore::open_on(Disk::with(files), 0);
    assert!(
        matches!(result, Err(OpenError::Damaged { .. })),
        "the log has what the tables have lost: {result:?}"
    );
}

/// A disk that fails is not a damaged journal, which somebody would move away.
#[tokio::test]
async fn a_disk_that_fails_at_the_start_is_told_from_damage() {
    let disk = Disk::default();
    let store = JournalStore::open_on(disk.clone(), 0).unwrap();
    Step::Begin(1).run(&store).await.unwrap();
    Step::Register(1, 10).run(&store).await.unwrap();
    let crashed = disk.now().lost().bytes();
    let expected = dump(&store).await;
    drop(store);
    for files in [crashed, disk.bytes()] {
        let full = Disk::with(files.clone());
        full.fill_up();
        let result = JournalStore::open_on(full.clone(), 0);
        let Err(OpenError::Io { source, .. }) = &result else { panic!("{result:?}") };
        assert_eq!(source.kind(), io::ErrorKind::StorageFull);
        let text = result.unwrap_err().to_string();
        assert!(text.contains("disk") && !text.contains("move it away"), "{text}");
        let broken = Disk::with(files.clone());
        broken.break_down();
        let result = JournalStore::open_on(broken, 0);
        assert!(matches!(result, Err(OpenError::Io { .. })), "{result:?}");
        let store = JournalStore::open_on(Disk::with(full.bytes()), 0).unwrap();
        assert_eq!(dump(&store).await, expected, "nothing was lost by the try");
    }
}

#[test]
fn a_cut_journal_is_refused() {
    let disk = Disk::default();
    drop(JournalStore::open_on(disk.clone(), 0).unwrap());
    let files = disk.bytes();
    for length in [1, 100, 4096, files[TABLES].len() / 2] {
        let mut cut = files.clone();
        cut.get_mut(TABLES).unwrap().truncate(length);
        let result = JournalStore::open_on(Disk::with(cut), 0);
        assert!(matches!(result, Err(OpenError::Damaged { .. })), "{length} bytes: {result:?}");
    }
}

#[test]
fn a_journal_of_another_version_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    drop(JournalStore::open(directory.path(), 0).unwrap());
    let with_format = |format: u32| {
        let database = redb::Database::open(directory.path().join(TABLES)).unwrap();
        let transaction = database.begin_write().unwrap();
        transaction.open_table(META).unwrap().insert(FORMAT, format.to_string().as_str()).unwrap();
        transaction.commit().unwrap();
        drop(database);
        let bytes = || fs::read(directory.path().join(TABLES)).unwrap();
        let before = bytes();
        let result = JournalStore::open(directory.path(), 0);
        assert!(result.is_ok() || bytes() == before, "a refused journal is left as it was");
        result
    };
    let newer = with_format(FORMAT_VERSION + 1);
    assert!(matches!(newer, Err(OpenError::NewerFormat { .. })), "{newer:?}");
    let older = with_format(FORMAT_VERSION - 1);
    assert!(matches!(older, Err(OpenError::OlderFormat { .. })), "{older:?}");
    drop(with_format(FORMAT_VERSION).unwrap());
}

/// What was told to a starter is told again after a crash, and as much of it as was asked for is kept.
#[tokio::test]
async fn outcomes_survive_a_crash_and_old_ones_are_forgotten() {
    for bytes in [1, 1_000, 4_000_000] {
        let options = Options { checkpoint_after: bytes, ..Options::from(10) };
        let mut disk = Disk::default();
        for life in 0..3 {
            let store = JournalStore::open_on(disk.clone(), options.clone()).unwrap();
            for id in life * 20 + 1..=life * 20 + 20 {
                Step::Begin(id).run(&store).await.unwrap();
                Step::Register(id, id * 1_000).run(&store).await.unwrap();
                Step::Decide(id, Decision::Commit).run(&store).await.unwrap();
                Step::Finish(id).run(&store).await.unwrap();
            }
            // The last lazy steps become durable with the next durable one.
            store.reserve_ids(1).await.unwrap();
            if life == 1 {
                store.close().await.unwrap();
            }
            disk = disk.now().lost();
            let store = JournalStore::open_on(disk.now().lost(), options.clone()).unwrap();
            let last = life * 20 + 20;
            for id in last - 9..=last {
                let found = store.find(TransactionId(id)).await.unwrap();
                assert!(
                    matches!(&found, Found::Ended(ended) if ended.status == GlobalStatus::Committed),
                    "{id}: {found:?}"
                );
            }
            assert_eq!(store.find(TransactionId(last - 10)).await.unwrap(), Found::Unknown);
        }
    }
}

#[tokio::test]
async fn numbers_begin_where_they_are_told_to_and_go_on_from_there() {
    let disk = Disk::default();
    let options = |first_id| Options { first_id, ..Options::from(0) };
    let store = JournalStore::open_on(disk.clone(), options(1 << 40)).unwrap();
    assert_eq!(store.reserve_ids(10).await.unwrap().start, 1 << 40);
    let store = JournalStore::open_on(disk.now().lost(), options(5)).unwrap();
    let next = store.reserve_ids(10).await.unwrap().start;
    // What was kept ahead of need is gone.
    assert!(((1 << 40) + 10..(1 << 40) + 200).contains(&next), "{next}");
}

#[tokio::test]
async fn each_flush_is_told_with_what_it_held() {
    let told = Arc::new(std::sync::Mutex::new(Vec::new()));
    let tell = Arc::clone(&told);
    let on_flush = move |took, records| tell.lock().unwrap().push((took, records));
    let options = Options { on_flush: Some(Arc::new(on_flush)), ..Options::from(0) };
    let store = JournalStore::open_on(Disk::default(), options).unwrap();
    Step::Begin(1).run(&store).await.unwrap();
    Step::Register(1, 10).run(&store).await.unwrap();
    let records: Vec<usize> = told.lock().unwrap().iter().map(|(_, records)| *records).collect();
    assert_eq!(records, [2]);
}

#[test]
fn a_directory_is_created_with_all_that_is_missing_above_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("one/two/three");
    assert_eq!(JournalStore::open(&path, 0).unwrap().recovery(), Recovery::New);
    assert_eq!(JournalStore::open(&path, 0).unwrap().recovery(), Recovery::Clean);
}

#[test]
fn an_unusable_directory_is_refused_with_its_cause() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, "").unwrap();
    for path in [file.clone(), file.join("below")] {
        let result = JournalStore::open(&path, 0);
        assert!(matches!(result, Err(OpenError::NotADirectory { .. })), "{}: {result:?}", path.display());
    }
    let denied = refused(&file)(io::ErrorKind::PermissionDenied.into());
    assert!(matches!(denied, OpenError::PermissionDenied { .. }), "{denied:?}");
    let other = refused(&file)(io::ErrorKind::ReadOnlyFilesystem.into());
    assert!(matches!(other, OpenError::Io { .. }), "{other:?}");
}

#[test]
fn a_journal_says_how_it_was_found() {
    let disk = Disk::default();
    let store = JournalStore::open_on(disk.clone(), 0).unwrap();
    assert_eq!((store.recovery(), store.incarnation()), (Recovery::New, 1));
    let crashed = JournalStore::open_on(disk.now().lost(), 0).unwrap();
    assert_eq!((crashed.recovery(), crashed.incarnation()), (Recovery::Crashed, 2));
    assert_eq!(crashed.identity(), store.identity());
    drop(store);
    let clean = JournalStore::open_on(disk, 0).unwrap();
    assert_eq!((clean.recovery(), clean.incarnation()), (Recovery::Clean, 2));
}

/// The file is proportional to what is open, not to what was done.
#[tokio::test]
async fn finished_transactions_leave_no_trace_in_the_file() {
    let disk = Disk::default();
    let store = JournalStore::open_on(disk.clone(), checkpoint_after(30_000)).unwrap();
    let mut sizes = Vec::new();
    for round in 0..4 {
        for id in round * 500..(round + 1) * 500 {
            Step::Begin(id).run(&store).await.unwrap();
            Step::Register(id, id * 10).run(&store).await.unwrap();
            Step::Decide(id, Decision::Commit).run(&store).await.unwrap();
            Step::Finish(id).run(&store).await.unwrap();
        }
        sizes.push(disk.bytes().values().map(Vec::len).sum::<usize>());
    }
    // When the tables follow is a matter of luck, and with it a few pages.
    assert!(sizes[3] <= sizes[0] * 3 / 2, "{sizes:?}");
}

/// A file that was once full gives its room back at the next start.
#[tokio::test]
async fn a_journal_that_was_once_full_becomes_small_again() {
    let directory = tempfile::tempdir().unwrap();
    let size = || fs::metadata(directory.path().join("journal.redb")).unwrap().len();
    // All of it reaches the tables, however slow they are.
    let store = JournalStore::open(directory.path(), checkpoint_after(100_000)).unwrap();
    for id in 1..=300 {
        let mut large = branch(id * 10, id);
        large.application_data = "d".repeat(60_000).into();
        Step::Begin(id).run(&store).await.unwrap();
        store.register(large, MANY).await.unwrap();
    }
    for id in 1..300 {
        Step::Finish(id).run(&store).await.unwrap();
    }
    let expected = dump(&store).await;
    drop(store);
    let before = size();
    assert!(before > 8 * 1024 * 1024, "{before}");
    let store = JournalStore::open(directory.path(), 0).unwrap();
    assert!(size() < before / 4, "{before} bytes became {}", size());
    assert_eq!(dump(&store).await, expected);
}

async fn dump(store: &impl Store) -> Vec<Snapshot> {
    store.page(None, usize::MAX).await.unwrap()
}

pub(super) fn transaction(id: i64) -> Arc<Transaction> {
    Arc::new(Transaction {
        id: TransactionId(id),
        xid: format!("tc-test:0:{id}").parse().unwrap(),
        application: "shop".into(),
        group: "default_tx_group".into(),
        name: "buy".into(),
        begun_at: 0,
        timeout: 60_000,
        incarnation: Some(1),
    })
}

fn branch(id: i64, of: i64) -> Branch {
    Branch {
        id: BranchId(id),
        transaction: TransactionId(of),
        branch_type: BranchType::At,
        resource: "db".into(),
        status: BranchStatus::Registered,
        application_data: "data".into(),
        client: "".into(),
        registered_at: 0,
        locks: LockSet::new(&[row(&id.to_string())]),
    }
}

fn row(key: &str) -> RowLock {
    RowLock { resource: "db".into(), table: "stock".into(), key: RowKey::from_text(key).unwrap() }
}
