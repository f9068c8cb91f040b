//! What the services do in their databases, with SeaORM: its entities as they are, on an `AtDatabase`.

use sea_orm::{ExprTrait, Set, entity::prelude::*, sea_query::Expr};
use seata::sea_orm::AtDatabase;

use crate::order::proto::NewOrder;

mod stock {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "stock")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub product: String,
        pub pieces: i64,
    }

    #[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

mod orders {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "orders")]
    pub(crate) struct Model {
        #[sea_orm(primary_key)]
        pub id: i64,
        pub buyer: String,
        pub product: String,
        pub pieces: i64,
        pub amount: i64,
    }

    #[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

mod account {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "account")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub owner: String,
        pub money: i64,
    }

    #[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

mod audit {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "audit")]
    pub(crate) struct Model {
        #[sea_orm(primary_key)]
        pub id: i64,
        pub text: String,
    }

    #[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// Takes pieces out of the stock. `false`: there are not as many.
pub(crate) async fn deduct(database: &AtDatabase, product: &str, pieces: u32) -> Result<bool, DbErr> {
    let updated = stock::Entity::update_many()
        .col_expr(stock::Column::Pieces, Expr::col(stock::Column::Pieces).sub(pieces))
        .filter(stock::Column::Product.eq(product))
        .filter(stock::Column::Pieces.gte(pieces))
        .exec(database)
        .await?;
    Ok(updated.rows_affected > 0)
}

/// Writes an order down, and gives its number.
pub(crate) async fn insert_order(database: &AtDatabase, order: &NewOrder) -> Result<i64, DbErr> {
    let order = orders::ActiveModel {
        buyer: Set(order.buyer.clone()),
        product: Set(order.product.clone()),
        pieces: Set(order.pieces.into()),
        amount: Set(order.amount),
        ..Default::default()
    };
    Ok(order.insert(database).await?.id)
}

/// Takes money out of an account. `false`: there is not as much.
pub(crate) async fn debit(database: &AtDatabase, owner: &str, amount: i64) -> Result<bool, DbErr> {
    let updated = account::Entity::update_many()
        .col_expr(account::Column::Money, Expr::col(account::Column::Money).sub(amount))
        .filter(account::Column::Owner.eq(owner))
        .filter(account::Column::Money.gte(amount))
        .exec(database)
        .await?;
    Ok(updated.rows_affected > 0)
}

/// Notes an attempt to buy.
pub(crate) async fn note(database: &AtDatabase, text: &str) -> Result<(), DbErr> {
    audit::ActiveModel { text: Set(text.to_owned()), ..Default::default() }.insert(database).await?;
    Ok(())
}
