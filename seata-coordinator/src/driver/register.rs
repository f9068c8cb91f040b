//! A branch joins: at once, or after a wait for the rows of others.

use std::{pin::pin, sync::Arc, time::Duration};

use seata_protocol::{BranchId, BranchStatus, GlobalStatus, ResourceId, RowLock, TransactionId, Xid};

use crate::{
    driver::{
        BranchRequest, Clock, Driver, EventKind, RegisterError, Shared,
        lock_queue::{Blocked, Limits, NoPlace, Place, Turn, Wanted},
    },
    record::{Branch, LockSet},
    store::{Conflict, ConflictReason, Found, Registered, Store, StoreError},
};

/// How many further rows are looked at to learn of all holders, once one is known.
const MORE_HOLDERS: usize = 16;
/// How many rows are looked at in one step of the store.
const ROWS_AT_A_TIME: usize = 1_024;
/// How many such steps are waited for together.
const STEPS_AT_A_TIME: usize = 16;
/// The longest name of a row's table, in bytes: each row is kept with it.
const MAX_TABLE: usize = 512;
/// The longest key of a row, in bytes.
const MAX_KEY: usize = 4_096;

/// What became of asking the store for the rows.
enum Asked {
    Answered(BranchId, Registered),
    /// The first row that is held, and all holders that are known.
    Held(Conflict, Vec<Xid>),
}

impl<S: Store, C: Clock> Driver<S, C> {
    /// Adds a branch and takes all its row locks, durably, or changes nothing.
    ///
    /// With a [`lock_wait`](BranchRequest::lock_wait) a registration whose rows are held waits for them:
    /// - First come, first served: nobody who came later, waiting or not, gets a row before it; only those
    ///   that it waits for itself do.
    /// - It gets all its rows or none, and holds none while it waits.
    /// - It ends at once when a holder rolls back, when waiting would be a dead lock, when its own transaction
    ///   is decided, and when the coordinator stops. [`Conflict::reason`] says which it was.
    /// - One whose future is dropped, or whose time is up, gets nothing any more.
    ///
    /// The waiting does not survive a restart: nothing was promised yet.
    ///
    /// # Errors
    /// [`RegisterError`] names the cause: the row and its holder, the status that takes no more branches,
    /// the limit.
    pub async fn register_branch(&self, request: BranchRequest) -> Result<BranchId, RegisterError> {
        self.check_running()?;
        let shared = &*self.shared;
        self.check_request(&request)?;
        let Some(transaction) = self.own(&request.xid).await? else {
            return Err(RegisterError::UnknownTransaction { xid: request.xid });
        };
        let id = BranchId(shared.ids.next(&shared.store).await?);
        let rows = LockSet::new(&request.locks);
        let conflict = match shared.lock_queue.barrier(transaction, &request.resource, &rows) {
            Some((lock, holder)) => Box::pin(self.behind(transaction, &request, lock, holder)).await?,
            None => match shared.register(shared.branch(id, transaction, &request, rows)).await? {
                Registered::Conflict(conflict) => conflict,
                answer => return self.registered(id, request, answer),
            },
        };
        if request.lock_wait.is_zero() {
            return Err(RegisterError::LockConflict(conflict));
        }
        let began = shared.now();
        // Boxed, as few wait: the future of a registration is moved about by whoever keeps many.
        let result = Box::pin(self.wait_for_rows(transaction, request, conflict)).await;
        let took = Duration::from_millis(shared.now().saturating_sub(began));
        shared.observer.waited(took, result.is_ok());
        result
    }

    /// The conflict of one that came after others: with the holder of a row, or else with who is to have it next.
    async fn behind(
        &self,
        transaction: TransactionId,
        request: &BranchRequest,
        lock: RowLock,
        holder: Xid,
    ) -> Result<Conflict, StoreError> {
        let held = self.first_conflict(Some(transaction), &request.locks).await?;
        let reason = ConflictReason::Promised;
        Ok(held.unwrap_or(Conflict { lock, holder, holder_is_rolling_back: false, reason }))
    }

    async fn wait_for_rows(
        &self,
        transaction: TransactionId,
        request: BranchRequest,
        conflict: Conflict,
    ) -> Result<BranchId, RegisterError> {
        let shared = &*self.shared;
        if conflict.holder_is_rolling_back {
            return Err(refused(conflict, ConflictReason::HolderRollsBack));
        }
        let wanted = Wanted {
            xid: request.xid.clone(),
            resource: request.resource.clone(),
            rows: LockSet::new(&request.locks),
            client: Arc::clone(&request.client),
        };
        let blocked = (conflict.lock.clone(), conflict.holder.clone());
        let limits = {
            let settings = shared.settings();
            Limits {
                waiters: settings.max_waiters,
                per_client: settings.max_waiters_per_client,
                rows: settings.max_waiting_rows,
            }
        };
        let place = match shared.lock_queue.enter(wanted, blocked, shared.now(), limits) {
            Ok(place) => place,
            Err(NoPlace::Full) => return Err(refused(conflict, ConflictReason::TooManyWait)),
            Err(NoPlace::Closed) => return Err(self.why_ended().await.into()),
        };
        let mut expiry = pin!(shared.clock.sleep(request.lock_wait));
        loop {
            match place.turn() {
                Turn::Closed => return Err(self.why_ended().await.into()),
                Turn::Check => {
                    self.check_open(transaction, &request.xid).await?;
                    continue;
                }
                Turn::Ask => match self.ask_for_rows(transaction, &request).await? {
                    Asked::Answered(id, answer) => return self.registered(id, request, answer),
                    Asked::Held(conflict, _) if conflict.holder_is_rolling_back => {
                        return Err(refused(conflict, ConflictReason::HolderRollsBack));
                    }
                    Asked::Held(conflict, holders) => {
                        match place.is_blocked(conflict.lock.clone(), &holders) {
                            Blocked::New => continue,
                            Blocked::Known => {}
                            Blocked::DeadLock(cycle) => {
                                return Err(refused(conflict, ConflictReason::DeadLock { cycle }));
                            }
                        }
                    }
                },
                Turn::Sleep => {}
            }
            // Only here: a step of the store is not left half-way, or the rows would be granted to nobody.
            tokio::select! {
                biased;
                () = &mut expiry => return Err(self.too_late(&place, transaction, &request).await?),
                () = place.wake() => {}
            }
        }
    }

    /// Each time under a new number: branches are undone in the reverse order of their numbers.
    async fn ask_for_rows(
        &self,
        transaction: TransactionId,
        request: &BranchRequest,
    ) -> Result<Asked, StoreError> {
        let (shared, locks) = (&*self.shared, &request.locks);
        let id = BranchId(shared.ids.next(&shared.store).await?);
        let branch = shared.branch(id, transaction, request, LockSet::new(locks));
        let first = match shared.register(branch).await? {
            Registered::Conflict(conflict) => conflict,
            answer => return Ok(Asked::Answered(id, answer)),
        };
        let mut holders = vec![first.holder.clone()];
        let mut rest = after(locks, &first.lock);
        for _ in 0..MORE_HOLDERS {
            if rest.is_empty() {
                break;
            }
            let Some(next) = self.first_conflict(Some(transaction), rest).await? else { break };
            if next.holder_is_rolling_back {
                return Ok(Asked::Held(next, holders));
            }
            if !holders.contains(&next.holder) {
                holders.push(next.holder.clone());
            }
            rest = after(rest, &next.lock);
        }
        Ok(Asked::Held(first, holders))
    }

    /// The first of these rows that a transaction other than `except` holds. Others go on between its parts.
    pub(super) async fn first_conflict(
        &self,
        except: Option<TransactionId>,
        locks: &[RowLock],
    ) -> Result<Option<Conflict>, StoreError> {
        for (round, steps) in locks.chunks(STEPS_AT_A_TIME * ROWS_AT_A_TIME).enumerate() {
            // All are asked for before the first is waited for: where that is a flush, it is one for all of them.
            let mut looks = Vec::new();
            for (index, part) in steps.chunks(ROWS_AT_A_TIME).enumerate() {
                if round + index > 0 {
                    tokio::task::yield_now().await;
                }
                looks.push(self.shared.store.conflict(except, part));
            }
            for look in looks {
                let conflict = look.await?;
                if conflict.is_some() {
                    return Ok(conflict);
                }
            }
        }
        Ok(None)
    }

    async fn check_open(&self, transaction: TransactionId, xid: &Xid) -> Result<(), RegisterError> {
        let xid = xid.clone();
        match self.shared.store.find(transaction).await? {
            Found::Open(snapshot) if snapshot.status == GlobalStatus::Begin => Ok(()),
            Found::Open(snapshot) => Err(RegisterError::NotActive { xid, status: snapshot.status }),
            Found::Ended(ended) => Err(RegisterError::NotActive { xid, status: ended.status }),
            Found::Unknown => Err(RegisterError::UnknownTransaction { xid }),
        }
    }

    async fn too_late(
        &self,
        place: &Place<'_>,
        transaction: TransactionId,
        request: &BranchRequest,
    ) -> Result<RegisterError, StoreError> {
        let (lock, holder) = place.blocked();
        let conflict = self.behind(transaction, request, lock, holder).await?;
        Ok(refused(conflict, ConflictReason::WaitedFor(request.lock_wait)))
    }

    fn registered(
        &self,
        id: BranchId,
        request: BranchRequest,
        answer: Registered,
    ) -> Result<BranchId, RegisterError> {
        let BranchRequest { xid, branch_type, resource, locks, .. } = request;
        let transaction = match answer {
            Registered::Done(transaction) => transaction,
            Registered::Conflict(conflict) => return Err(RegisterError::LockConflict(conflict)),
            Registered::NotActive(status) => return Err(RegisterError::NotActive { xid, status }),
            Registered::Full => {
                let limit = self.shared.settings().max_branches;
                return Err(RegisterError::TooManyBranches { xid, limit });
            }
            Registered::Unknown => return Err(RegisterError::UnknownTransaction { xid }),
        };
        tracing::debug!(%xid, branch = %id, locks = locks.len(), "branch registered");
        let kind = || EventKind::BranchRegistered { branch: id, branch_type, resource, locks };
        self.shared.emit(&transaction, kind);
        Ok(id)
    }

    fn check_request(&self, request: &BranchRequest) -> Result<(), RegisterError> {
        let (max_data, max_locks) = {
            let settings = self.shared.settings();
            (settings.max_application_data, settings.max_locks)
        };
        let BranchRequest { resource, locks, application_data, .. } = request;
        if application_data.len() > max_data {
            return Err(RegisterError::DataTooLong { length: application_data.len(), limit: max_data });
        }
        if locks.len() > max_locks {
            return Err(RegisterError::TooManyLocks { count: locks.len(), limit: max_locks });
        }
        locks.iter().try_for_each(|lock| check_lock(lock, resource))
    }
}

impl<S: Store, C: Clock> Shared<S, C> {
    fn register(&self, branch: Branch) -> impl Future<Output = Result<Registered, StoreError>> + Send {
        let max_branches = self.settings().max_branches;
        self.store.register(branch, max_branches)
    }

    fn branch(
        &self,
        id: BranchId,
        transaction: TransactionId,
        request: &BranchRequest,
        locks: LockSet,
    ) -> Branch {
        Branch {
            id,
            transaction,
            branch_type: request.branch_type,
            status: BranchStatus::Registered,
            application_data: Arc::clone(&request.application_data),
            client: Arc::clone(&request.client),
            registered_at: self.now(),
            resource: request.resource.clone(),
            locks,
        }
    }
}

fn check_lock(lock: &RowLock, resource: &ResourceId) -> Result<(), RegisterError> {
    let RowLock { table, key, .. } = lock;
    if table.len() > MAX_TABLE {
        return Err(RegisterError::TableTooLong { length: table.len(), limit: MAX_TABLE });
    }
    let length = key.as_str().len();
    if length > MAX_KEY {
        return Err(RegisterError::KeyTooLong { table: Arc::clone(table), length, limit: MAX_KEY });
    }
    if lock.resource != *resource || table.contains('\0') {
        return Err(RegisterError::WrongLock { lock: lock.clone(), resource: resource.clone() });
    }
    Ok(())
}

fn refused(conflict: Conflict, reason: ConflictReason) -> RegisterError {
    RegisterError::LockConflict(Conflict { reason, ..conflict })
}

/// The rows after this one.
fn after<'a>(locks: &'a [RowLock], lock: &RowLock) -> &'a [RowLock] {
    let index = locks.iter().position(|each| each == lock);
    index.map_or(&[], |index| &locks[index + 1..])
}
