//! What programs do with entities. Each story changes something, and says by itself whether it went well; whether it
//! is undone and kept is for its caller to see.

use futures_util::{TryStreamExt, future::BoxFuture};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, DbErr, EntityTrait, ExprTrait, FromQueryResult,
    IntoActiveModel, ModelTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect, Set, Statement,
    StreamTrait, TransactionError, TransactionTrait,
    sea_query::{Expr, OnConflict},
};
use seata_sea_orm::AtDatabase;

use super::entities::{any_delivery, cake, delivery, filling};

pub(crate) type Story = for<'a> fn(&'a AtDatabase) -> BoxFuture<'a, Result<(), DbErr>>;

pub(crate) const STORIES: [(&str, Story); 12] = [
    ("insert", |db| Box::pin(insert(db))),
    ("save", |db| Box::pin(save(db))),
    ("insert_many", |db| Box::pin(insert_many(db))),
    ("update", |db| Box::pin(update(db))),
    ("update_many", |db| Box::pin(update_many(db))),
    ("delete", |db| Box::pin(delete(db))),
    ("upsert", |db| Box::pin(upsert(db))),
    ("types", |db| Box::pin(types(db))),
    ("reads", |db| Box::pin(reads(db))),
    ("streams", |db| Box::pin(streams(db))),
    ("raw", |db| Box::pin(raw(db))),
    ("transactions", |db| Box::pin(transactions(db))),
];

fn new_cake(name: &str) -> cake::ActiveModel {
    cake::ActiveModel { name: Set(name.to_owned()), pieces: Set(6), ..Default::default() }
}

async fn apple(db: &impl ConnectionTrait) -> Result<cake::Model, DbErr> {
    Ok(cake::Entity::find_by_id(1).one(db).await?.expect("an apple cake"))
}

async fn insert(db: &impl ConnectionTrait) -> Result<(), DbErr> {
    let cherry = new_cake("cherry").insert(db).await?;
    assert_eq!((cherry.id, cherry.note), (4, None));
    let peach = cake::Entity::insert(new_cake("peach")).exec(db).await?;
    assert_eq!(peach.last_insert_id, 5);
    let filling = filling::Model { cake_id: 5, name: "cream".to_owned(), grams: 30 };
    let inserted = filling.clone().into_active_model().insert(db).await?;
    assert_eq!(inserted, filling);
    let key = filling::Entity::insert(filling::ActiveModel { name: Set("jam".into()), ..filling.into() });
    assert_eq!(key.exec(db).await?.last_insert_id, (5, "jam".to_owned()));
    assert_eq!(cake::Entity::insert(new_cake("pear")).exec_without_returning(db).await?, 1);
    Ok(())
}

async fn save(db: &impl ConnectionTrait) -> Result<(), DbErr> {
    let mut saved = new_cake("cherry").save(db).await?;
    assert!(saved.id.is_unchanged());
    saved.note = Set(Some("with stones".into()));
    let saved = saved.save(db).await?;
    let found = cake::Entity::find_by_id(saved.id.unwrap()).one(db).await?.expect("it was saved");
    assert_eq!(found.note.as_deref(), Some("with stones"));
    Ok(())
}

async fn insert_many(db: &impl ConnectionTrait) -> Result<(), DbErr> {
    let cakes = ["cherry", "peach", "pear"].map(new_cake);
    assert_eq!(cake::Entity::insert_many(cakes).exec_without_returning(db).await?, 3);
    if db.support_returning() {
        let more = cake::Entity::insert_many([new_cake("nut"), new_cake("fig")]);
        let names = more.exec_with_returning(db).await?.into_iter().map(|cake| cake.name);
        assert_eq!(names.collect::<Vec<_>>(), ["nut", "fig"]);
    }
    let none: [cake::ActiveModel; 0] = [];
    cake::Entity::insert_many(none).exec(db).await?;
    let names = cake::Entity::find().order_by_asc(cake::Column::Id).all(db).await?;
    assert_eq!(
        names[3..6].iter().map(|cake| cake.name.as_str()).collect::<Vec<_>>(),
        ["cherry", "peach", "pear"]
    );
    Ok(())
}

async fn update(db: &impl ConnectionTrait) -> Result<(), DbErr> {
    let mut apple: cake::ActiveModel = apple(db).await?.into();
    apple.pieces = Set(11);
    let updated = apple.update(db).await?;
    assert_eq!((updated.id, updated.pieces), (1, 11));
    let sugar = filling::Entity::find_by_id((1, "sugar".to_owned())).one(db).await?.expect("sugar");
    let sugar = filling::ActiveModel { grams: Set(70), ..sugar.into() }.update(db).await?;
    assert_eq!(sugar.grams, 70);
    let nobody = cake::ActiveModel { id: Set(99), pieces: Set(1), ..Default::default() };
    assert_eq!(nobody.update(db).await, Err(DbErr::RecordNotUpdated));
    Ok(())
}

async fn update_many(db: &impl ConnectionTrait) -> Result<(), DbErr> {
    let one_less = Expr::col(cake::Column::Pieces).sub(1);
    let update = cake::Entity::update_many().col_expr(cake::Column::Pieces, one_less);
    let updated = update.filter(cake::Column::Pieces.gt(0)).exec(db).await?;
    assert_eq!(updated.rows_affected, 2);
    assert_eq!(apple(db).await?.pieces, 11);
    let none = cake::Entity::update_many().col_expr(cake::Column::Pieces, Expr::value(0));
    assert_eq!(none.filter(cake::Column::Id.eq(99)).exec(db).await?.rows_affected, 0);
    Ok(())
}

async fn delete(db: &impl ConnectionTrait) -> Result<(), DbErr> {
    let sugar = filling::Entity::delete_many().filter(filling::Column::Name.eq("sugar")).exec(db).await?;
    assert_eq!(sugar.rows_affected, 2);
    filling::Entity::delete_by_id((1, "cinnamon".to_owned())).exec(db).await?;
    assert_eq!(apple(db).await?.delete(db).await?.rows_affected, 1);
    assert_eq!(cake::Entity::delete_by_id(99).exec(db).await?.rows_affected, 0);
    assert_eq!(cake::Entity::find().count(db).await?, 2);
    Ok(())
}

async fn upsert(db: &impl ConnectionTrait) -> Result<(), DbErr> {
    let by_name = || {
        let mut conflict = OnConflict::column(cake::Column::Name);
        conflict.update_column(cake::Column::Pieces).to_owned()
    };
    cake::Entity::insert(new_cake("apple")).on_conflict(by_name()).exec_without_returning(db).await?;
    cake::Entity::insert_many([new_cake("plum"), new_cake("cherry")])
        .on_conflict(by_name())
        .exec_without_returning(db)
        .await?;
    let found = cake::Entity::find().filter(cake::Column::Pieces.eq(6)).order_by_asc(cake::Column::Name);
    let names = found.all(db).await?.into_iter().map(|cake| cake.name);
    assert_eq!(names.collect::<Vec<_>>(), ["apple", "cherry", "plum"]);

    let kept = OnConflict::column(cake::Column::Name).do_nothing_on([cake::Column::Id]).to_owned();
    let kept =
        cake::Entity::insert(cake::ActiveModel { pieces: Set(1), ..new_cake("apple") }).on_conflict(kept);
    let changed = kept.exec_without_returning(db).await?;
    // MySQL has no words for it, and counts the row that was found.
    assert!(changed == 0 || db.get_database_backend() == sea_orm::DbBackend::MySql, "{changed}");
    assert_eq!(apple(db).await?.pieces, 6);
    Ok(())
}

async fn types(db: &impl ConnectionTrait) -> Result<(), DbErr> {
    let second = any_delivery(2);
    assert_eq!(second.clone().into_active_model().insert(db).await?, second);
    let first = any_delivery(1);
    let changed = delivery::Model { id: first.id, ..any_delivery(3) };
    let all = changed.clone().into_active_model().reset_all();
    assert_eq!(all.update(db).await?, changed);
    delivery::Entity::delete_by_id(second.id).exec(db).await?;
    assert_eq!(delivery::Entity::find().all(db).await?, [changed]);
    Ok(())
}

async fn reads(db: &impl ConnectionTrait) -> Result<(), DbErr> {
    let locked = cake::Entity::find_by_id(1).lock_exclusive().one(db).await?.expect("an apple cake");
    cake::ActiveModel { pieces: Set(locked.pieces - 1), ..locked.into() }.update(db).await?;
    let shared = cake::Entity::find().filter(cake::Column::Pieces.gt(0)).lock_shared().all(db).await?;
    assert_eq!(shared.iter().map(|cake| cake.pieces).sum::<i32>(), 19);

    let pages = cake::Entity::find().order_by_asc(cake::Column::Id).paginate(db, 2);
    assert_eq!((pages.num_items().await?, pages.num_pages().await?), (3, 2));
    assert_eq!(pages.fetch_page(1).await?[0].name, "零食 😀");
    let mut cursor = cake::Entity::find().cursor_by(cake::Column::Id);
    assert_eq!(cursor.after(1).first(1).all(db).await?[0].name, "plum");
    let related = cake::Entity::find().find_with_related(filling::Entity).order_by_asc(cake::Column::Id);
    let fillings = related.all(db).await?.into_iter().map(|(_, fillings)| fillings.len());
    assert_eq!(fillings.collect::<Vec<_>>(), [2, 1, 0]);
    let names = cake::Entity::find().select_only().column(cake::Column::Name).order_by_asc(cake::Column::Id);
    assert_eq!(names.into_tuple::<String>().all(db).await?[0], "apple");
    assert!(cake::Entity::find_by_id(99).lock_exclusive().one(db).await?.is_none());
    Ok(())
}

async fn streams<C>(db: &C) -> Result<(), DbErr>
where
    C: ConnectionTrait + StreamTrait + Send,
{
    let mut names = Vec::new();
    let mut stream = cake::Entity::find().order_by_asc(cake::Column::Id).stream(db).await?;
    while let Some(cake) = stream.try_next().await? {
        names.push(cake.name);
    }
    drop(stream);
    for name in names.iter().map(|name| format!("{name} 2")) {
        new_cake(&name).insert(db).await?;
    }
    let stream = cake::Entity::find().filter(cake::Column::Pieces.eq(6)).lock_exclusive().stream(db).await?;
    assert_eq!(stream.try_collect::<Vec<_>>().await?.len(), 3);
    Ok(())
}

#[derive(FromQueryResult)]
struct Count {
    cakes: i64,
}

async fn raw(db: &impl ConnectionTrait) -> Result<(), DbErr> {
    let backend = db.get_database_backend();
    let mark = |number: usize| match backend {
        sea_orm::DbBackend::Postgres => format!("${number}"),
        _ => "?".to_owned(),
    };
    let update = format!("UPDATE cake SET pieces = pieces + {} WHERE name = {}", mark(1), mark(2));
    let update = Statement::from_sql_and_values(backend, update, [5.into(), "plum".into()]);
    assert_eq!(db.execute_raw(update).await?.rows_affected(), 1);
    assert_eq!(db.execute_unprepared("DELETE FROM filling WHERE grams = 5").await?.rows_affected(), 1);

    let sum = Statement::from_string(backend, "SELECT count(*) AS cakes FROM cake");
    let one = Count::find_by_statement(sum).one(db).await?.expect("a row");
    assert_eq!(one.cakes, 3);
    let all = db.query_all_raw(Statement::from_string(backend, "SELECT name FROM cake ORDER BY id")).await?;
    assert_eq!(all[1].try_get::<String>("", "name")?, "plum");
    let none = Statement::from_string(backend, "SELECT name FROM cake WHERE id = 99");
    assert!(db.query_one_raw(none).await?.is_none());
    Ok(())
}

async fn transactions(db: &AtDatabase) -> Result<(), DbErr> {
    // One that commits, with a stream in it.
    let streamed = db.transaction(|tx| Box::pin(async move { streams(tx).await })).await;
    assert!(streamed.is_ok(), "{streamed:?}");

    // One that is rolled back by its error.
    let failed: Result<(), _> = db
        .transaction(|tx| {
            Box::pin(async move {
                new_cake("never").insert(tx).await?;
                Err(DbErr::Custom("no flour".into()))
            })
        })
        .await;
    assert!(matches!(failed, Err(TransactionError::Transaction(DbErr::Custom(_)))), "{failed:?}");

    // Savepoints: kept, left and dropped; what is left is no part of the branch.
    let tx = db.begin().await?;
    insert_and_nest(&tx).await?;
    tx.commit().await?;

    // A transaction that is dropped.
    let tx = db.begin().await?;
    update(&tx).await?;
    drop(tx);

    let asynchronous = db.transaction_async(async |tx| new_cake("async").insert(tx).await).await;
    assert!(asynchronous.is_ok(), "{asynchronous:?}");

    let names = cake::Entity::find().order_by_asc(cake::Column::Name).all(db).await?;
    let names: Vec<_> = names.into_iter().map(|cake| cake.name).filter(|name| !name.ends_with('2')).collect();
    assert_eq!(names, ["apple", "async", "outer", "plum", "saved", "零食 😀"]);
    assert_eq!(apple(db).await?.pieces, 12);
    Ok(())
}

async fn insert_and_nest<C: ConnectionTrait + TransactionTrait>(tx: &C) -> Result<(), DbErr> {
    new_cake("outer").insert(tx).await?;
    let kept = tx.transaction(|inner| {
        Box::pin(async move {
            new_cake("saved").insert(inner).await?;
            let innermost = inner.begin().await?;
            cake::Entity::delete_by_id(3).exec(&innermost).await?;
            sea_orm::TransactionSession::rollback(innermost).await
        })
    });
    kept.await.map_err(|error| DbErr::Custom(error.to_string()))?;
    let left: Result<(), _> = tx
        .transaction(|inner| {
            Box::pin(async move {
                update(inner).await?;
                new_cake("left").insert(inner).await?;
                Err(DbErr::Custom("changed my mind".into()))
            })
        })
        .await;
    assert!(left.is_err());
    let dropped = tx.begin().await?;
    new_cake("dropped").insert(&dropped).await?;
    drop(dropped);
    Ok(())
}
