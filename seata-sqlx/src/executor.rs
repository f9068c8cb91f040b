//! sqlx's `Executor` on the values of AT mode, for each database by one macro: an implementation
//! generic over the database would have to be bounded by its connection's own, and overflows the solver.

use futures_core::{future::BoxFuture, stream::BoxStream};
use futures_util::TryStreamExt;
use sqlx::{Describe, Either, Error, Execute, Executor, SqlStr};

use crate::{
    AtConnection, AtPool, AtTransaction,
    caller::Caller,
    committed::GlobalCommitted,
    connection::run_on_pool,
    dialect::{Call, Output},
};

macro_rules! executor {
    ($DB:ty, [$($generics:tt)*] $executor:ty, |$self:ident, $query:ident| $run:expr, |$me:ident| $connection:expr) => {
        impl<'c, $($generics)*> Executor<'c> for $executor {
            type Database = $DB;

            fn fetch_many<'e, 'q: 'e, E>(
                $self,
                $query: E,
            ) -> BoxStream<'e, Result<Output<$DB>, Error>>
            where
                'c: 'e,
                E: 'q + Execute<'q, $DB>,
            {
                $run
            }

            fn fetch_optional<'e, 'q: 'e, E>(
                self,
                query: E,
            ) -> BoxFuture<'e, Result<Option<<$DB as sqlx::Database>::Row>, Error>>
            where
                'c: 'e,
                E: 'q + Execute<'q, $DB>,
            {
                let mut outputs = self.fetch_many(query);
                Box::pin(async move {
                    while let Some(output) = outputs.try_next().await? {
                        if let Either::Right(row) = output {
                            return Ok(Some(row));
                        }
                    }
                    Ok(None)
                })
            }

            fn prepare_with<'e>(
                self,
                sql: SqlStr,
                parameters: &'e [<$DB as sqlx::Database>::TypeInfo],
            ) -> BoxFuture<'e, Result<<$DB as sqlx::Database>::Statement, Error>>
            where
                'c: 'e,
            {
                let $me = self;
                Box::pin(async move { $connection.prepare_with(sql, parameters).await })
            }

            fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<$DB>, Error>>
            where
                'c: 'e,
            {
                let $me = self;
                Box::pin(async move { $connection.describe(sql).await })
            }
        }
    };
}

macro_rules! executors {
    ($DB:ty) => {
        executor!(
            $DB, [] &'c AtPool<$DB>,
            |self, query| {
                let caller = Caller::now();
                if self.core.passes_unseen(&caller) {
                    return self.core.pool.fetch_many(query);
                }
                run_on_pool(self.core.clone(), caller.reading(self.reads_committed), Call::take(query))
            },
            |me| (&me.core.pool)
        );
        executor!(
            $DB, [] &'c mut AtConnection<$DB>,
            |self, query| self.run(Caller::now(), Call::take(query)),
            |me| me.session.connection().await?
        );
        executor!(
            $DB, ['t] &'c mut AtTransaction<'t, $DB>,
            |self, query| (&mut **self).fetch_many(query),
            |me| me.session.connection().await?
        );
        executor!(
            $DB, ['t] GlobalCommitted<'c, $DB>,
            |self, query| self.run(Caller::now(), Call::take(query)),
            |me| (&me.core.pool)
        );
    };
}

#[cfg(feature = "mysql")]
executors!(sqlx::MySql);
#[cfg(feature = "postgres")]
executors!(sqlx::Postgres);
#[cfg(feature = "sqlite")]
executors!(sqlx::Sqlite);
