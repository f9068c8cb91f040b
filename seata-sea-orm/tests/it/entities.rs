//! A bakery: a key the database gives, one that the program gives, one of two columns, and values of many types.

// The derives write public items beside these.
#![allow(unreachable_pub)]

use sea_orm::{ConnectionTrait, DbErr, EntityTrait, Schema, Set};

pub(crate) mod cake {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "cake")]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: i64,
        #[sea_orm(unique)]
        pub name: String,
        pub pieces: i32,
        pub note: Option<String>,
    }

    #[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {
        #[sea_orm(has_many = "super::filling::Entity")]
        Filling,
    }

    impl Related<super::filling::Entity> for Entity {
        fn to() -> RelationDef {
            Relation::Filling.def()
        }
    }

    impl ActiveModelBehavior for ActiveModel {}
}

pub(crate) mod filling {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "filling")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub cake_id: i64,
        #[sea_orm(primary_key, auto_increment = false)]
        pub name: String,
        pub grams: i32,
    }

    #[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {
        #[sea_orm(
            belongs_to = "super::cake::Entity",
            from = "Column::CakeId",
            to = "super::cake::Column::Id"
        )]
        Cake,
    }

    impl Related<super::cake::Entity> for Entity {
        fn to() -> RelationDef {
            Relation::Cake.def()
        }
    }

    impl ActiveModelBehavior for ActiveModel {}
}

pub(crate) mod delivery {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "delivery")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub is_paid: bool,
        pub weight: f64,
        pub label: Vec<u8>,
    }

    #[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// The tables and their first rows.
pub(crate) async fn create(db: &impl ConnectionTrait) -> Result<(), DbErr> {
    let schema = Schema::new(db.get_database_backend());
    db.execute(&schema.create_table_from_entity(cake::Entity)).await?;
    db.execute(&schema.create_table_from_entity(filling::Entity)).await?;
    db.execute(&schema.create_table_from_entity(delivery::Entity)).await?;
    for (id, name, pieces) in [(1, "apple", 12), (2, "plum", 8), (3, "零食 😀", 0)] {
        let cake = cake::ActiveModel { name: Set(name.into()), pieces: Set(pieces), ..Default::default() };
        assert_eq!(cake::Entity::insert(cake).exec(db).await?.last_insert_id, id);
    }
    let fillings = [(1, "cinnamon", 5), (1, "sugar", 80), (2, "sugar", 90)];
    let fillings =
        fillings.map(|(cake_id, name, grams)| filling::Model { cake_id, name: name.into(), grams });
    filling::Entity::insert_many(fillings.map(filling::ActiveModel::from)).exec(db).await?;
    delivery::Entity::insert(delivery::ActiveModel::from(any_delivery(1))).exec(db).await?;
    Ok(())
}

pub(crate) fn any_delivery(number: u128) -> delivery::Model {
    delivery::Model {
        id: sea_orm::prelude::Uuid::from_u128(number),
        is_paid: number.is_multiple_of(2),
        weight: 0.1 * number as f64,
        label: vec![0, 255, number as u8, b'\''],
    }
}
