//! What is open, what ended, and who holds which rows: for operators.

use seata_protocol::{RowLock, TransactionId, Xid};

use crate::{
    driver::{Clock, Driver, TransactionView, Unavailable, command::Command},
    record::{Ended, HeldLock, Snapshot},
    session::is_parked,
    store::{Found, LockCursor, LockFilter, LockPage, Store},
};

/// What is known of one transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Known {
    /// It is not finished.
    Open(TransactionView),
    /// It ended, and is remembered for a while.
    Ended(Ended),
}

/// How many transactions are read from the store at a time.
const PAGE: usize = 1_024;
/// How many of the parked ones are looked at before others go on.
const PARKED_PAGE: usize = 64;

impl<S: Store, C: Clock> Driver<S, C> {
    /// Up to `limit` transactions that are not finished, from the oldest, with what keeps them.
    ///
    /// # Errors
    /// [`Unavailable`] when the store or the runner is.
    pub async fn transactions(&self, limit: usize) -> Result<Vec<TransactionView>, Unavailable> {
        self.page(None, limit).await
    }

    /// Those of them that no further try happens for until an operator asks for one.
    ///
    /// # Errors
    /// [`Unavailable`] when the store or the runner is.
    pub async fn parked(&self) -> Result<Vec<TransactionView>, Unavailable> {
        self.parked_where(None, usize::MAX, |_| true).await
    }

    /// Up to `limit` of them behind `after` that `wanted` takes, in the order of their numbers. Those that are not
    /// parked are not looked at, however many there are.
    ///
    /// # Errors
    /// [`Unavailable`] when the store or the runner is.
    pub async fn parked_where(
        &self,
        mut after: Option<TransactionId>,
        limit: usize,
        mut wanted: impl FnMut(&Snapshot) -> bool,
    ) -> Result<Vec<TransactionView>, Unavailable> {
        let mut page = Vec::new();
        while page.len() < limit {
            let part = self.shared.parked_behind(after, PARKED_PAGE);
            let Some(last) = part.last() else { break };
            after = Some(*last);
            // All are asked for before the first is waited for: where that is a flush, it is one for all of them.
            let looks: Vec<_> = part.into_iter().map(|id| self.shared.store.find(id)).collect();
            for look in looks {
                let Found::Open(snapshot) = look.await? else { continue };
                if page.len() < limit && is_parked(snapshot.status) && wanted(&snapshot) {
                    page.push(snapshot);
                }
            }
            tokio::task::yield_now().await;
        }
        self.ask(|reply| Command::View { page, reply }).await
    }

    /// Up to `limit` transactions that are not finished and were begun behind `after`, in the order of their
    /// numbers, with what keeps them. The number of the last one is the `after` of the next page.
    ///
    /// # Errors
    /// [`Unavailable`] when the store or the runner is.
    pub async fn page(
        &self,
        after: Option<TransactionId>,
        limit: usize,
    ) -> Result<Vec<TransactionView>, Unavailable> {
        self.page_where(after, limit, |_| true).await
    }

    /// Those of a [`page`](Self::page) that `wanted` takes. It reads on in small steps, which others pass, until
    /// it has `limit` of them or all were seen.
    ///
    /// # Errors
    /// [`Unavailable`] when the store or the runner is.
    pub async fn page_where(
        &self,
        mut after: Option<TransactionId>,
        limit: usize,
        mut wanted: impl FnMut(&Snapshot) -> bool,
    ) -> Result<Vec<TransactionView>, Unavailable> {
        let mut page = Vec::new();
        while page.len() < limit {
            let part = self.shared.store.page(after, PAGE).await?;
            let Some(last) = part.last() else { break };
            after = Some(last.transaction.id);
            let left = limit - page.len();
            page.extend(part.into_iter().filter(&mut wanted).take(left));
            tokio::task::yield_now().await;
        }
        self.ask(|reply| Command::View { page, reply }).await
    }

    /// One transaction, open or ended; `None` when it is not known (any more).
    ///
    /// # Errors
    /// [`Unavailable`] when the store or the runner is.
    pub async fn find(&self, xid: &Xid) -> Result<Option<Known>, Unavailable> {
        let Some(id) = self.own(xid).await? else { return Ok(None) };
        match self.shared.store.find(id).await? {
            Found::Unknown => Ok(None),
            Found::Ended(ended) => Ok(Some(Known::Ended(ended))),
            Found::Open(snapshot) => {
                let page = vec![snapshot];
                let views = self.ask(|reply| Command::View { page, reply }).await?;
                Ok(views.into_iter().next().map(Known::Open))
            }
        }
    }

    /// Up to `limit` of the transactions that ended and are remembered, from the one that ended last, or from
    /// the one that ended before `after`. Nothing when `after` is not remembered (any more).
    ///
    /// # Errors
    /// [`Unavailable`] when the store is.
    pub async fn ended(
        &self,
        mut after: Option<TransactionId>,
        limit: usize,
    ) -> Result<Vec<Ended>, Unavailable> {
        let mut page = Vec::new();
        while page.len() < limit {
            let mut part = self.shared.store.ended(after, PAGE.min(limit - page.len())).await?;
            let Some(last) = part.last() else { break };
            after = Some(last.transaction.id);
            page.append(&mut part);
            if page.len() < limit {
                tokio::task::yield_now().await;
            }
        }
        Ok(page)
    }

    /// Up to `limit` row locks that are held, each with its holder, in the order of their transactions.
    ///
    /// # Errors
    /// [`Unavailable`] when the store is.
    pub async fn locks(&self, limit: usize) -> Result<Vec<HeldLock>, Unavailable> {
        match limit {
            0 => Ok(Vec::new()),
            limit => Ok(self.locks_after(None, &LockFilter::default(), limit).await?.locks),
        }
    }

    /// Up to `limit` of the row locks that `filter` allows, behind `after`, in the order of their transactions.
    /// It reads on in small steps, which others pass.
    ///
    /// # Errors
    /// [`Unavailable`] when the store is.
    pub async fn locks_after(
        &self,
        mut after: Option<LockCursor>,
        filter: &LockFilter,
        limit: usize,
    ) -> Result<LockPage, Unavailable> {
        let mut page = LockPage::default();
        loop {
            let left = limit.max(1) - page.locks.len();
            let mut part = self.shared.store.locks_after(after, filter.clone(), left).await?;
            page.locks.append(&mut part.locks);
            page.next = part.next;
            if page.next.is_none() || page.locks.len() >= limit.max(1) {
                return Ok(page);
            }
            after = page.next;
            tokio::task::yield_now().await;
        }
    }

    /// Who holds this row. Cheap.
    ///
    /// # Errors
    /// [`Unavailable`] when the store is.
    pub async fn holder(&self, lock: &RowLock) -> Result<Option<HeldLock>, Unavailable> {
        let Some(conflict) = self.shared.store.conflict(None, std::slice::from_ref(lock)).await? else {
            return Ok(None);
        };
        let filter = LockFilter {
            transaction: Some(conflict.holder.transaction_id()),
            resource: Some(lock.resource.clone()),
            table: Some((&*lock.table).into()),
            key: Some(lock.key.as_str().into()),
        };
        Ok(self.locks_after(None, &filter, 1).await?.locks.into_iter().next())
    }
}
