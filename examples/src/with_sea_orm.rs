//! The services' statements with SeaORM: its entities as they are, on an `AtDatabase`, whatever the database is.

use async_trait::async_trait;
use sea_orm::{ExprTrait, Set, entity::prelude::*, sea_query::Expr};
use seata::sea_orm::AtDatabase;

use crate::{ShopError, order::proto::NewOrder, statements::Statements};

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

#[async_trait]
impl Statements for AtDatabase {
    async fn deduct(&self, product: &str, pieces: u32) -> Result<bool, ShopError> {
        let updated = stock::Entity::update_many()
            .col_expr(stock::Column::Pieces, Expr::col(stock::Column::Pieces).sub(pieces))
            .filter(stock::Column::Product.eq(product))
            .filter(stock::Column::Pieces.gte(pieces))
            .exec(self)
            .await?;
        Ok(updated.rows_affected > 0)
    }

    async fn insert_order(&self, order: &NewOrder) -> Result<i64, ShopError> {
        let order = orders::ActiveModel {
            buyer: Set(order.buyer.clone()),
            product: Set(order.product.clone()),
            pieces: Set(order.pieces.into()),
            amount: Set(order.amount),
            ..Default::default()
        };
        Ok(order.insert(self).await?.id)
    }

    async fn debit(&self, owner: &str, amount: i64) -> Result<bool, ShopError> {
        let updated = account::Entity::update_many()
            .col_expr(account::Column::Money, Expr::col(account::Column::Money).sub(amount))
            .filter(account::Column::Owner.eq(owner))
            .filter(account::Column::Money.gte(amount))
            .exec(self)
            .await?;
        Ok(updated.rows_affected > 0)
    }

    async fn note(&self, text: &str) -> Result<(), ShopError> {
        audit::ActiveModel { text: Set(text.to_owned()), ..Default::default() }.insert(self).await?;
        Ok(())
    }
}
