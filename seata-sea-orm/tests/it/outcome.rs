//! Every story in a global transaction: undone byte for byte when that is rolled back, kept when it commits.

use sea_orm::TransactionTrait;

use crate::{
    stories::STORIES,
    world::{World, outside},
};

#[tokio::test]
async fn every_story_is_undone_by_a_rollback_and_kept_by_a_commit() {
    for (name, story) in STORIES {
        let world = World::new().await;
        let before = world.dump().await;
        let (open, told) = world.begin(story(&world.db)).await;
        told.unwrap_or_else(|error| panic!("{name}: {error}"));
        let changed = world.dump().await;
        assert_ne!(changed, before, "{name} is committed locally");
        assert!(!world.locks().await.is_empty(), "{name} locks what it changed");
        open.rollback().await;
        world.settle().await;
        assert_eq!(world.dump().await, before, "{name} is undone");
        assert_eq!(world.undo_rows().await, 0, "{name}");

        let world = World::new().await;
        let (open, told) = world.begin(story(&world.db)).await;
        told.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(world.dump().await, changed, "{name} is the same each time");
        open.commit().await;
        world.settle().await;
        assert_eq!(world.dump().await, changed, "{name} is kept");
        assert_eq!(world.undo_rows().await, 0, "{name}");
    }
}

#[tokio::test]
async fn outside_a_global_transaction_every_story_is_plain_seaorm() {
    for (name, story) in STORIES {
        let world = World::new().await;
        outside(story(&world.db)).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(world.undo_rows().await, 0, "{name}");
        assert!(world.locks().await.is_empty(), "{name}");
    }
}

#[tokio::test]
async fn a_transaction_is_one_branch_and_a_statement_another() {
    let world = World::new().await;
    let (open, ()) = world
        .begin(async {
            let tx = world.db.begin().await.unwrap();
            for id in [1, 2] {
                crate::world::rename(&tx, id).await.unwrap();
            }
            tx.commit().await.unwrap();
            crate::world::rename(&world.db, 3).await.unwrap();
        })
        .await;
    assert_eq!(world.branches(&open.xid()).await, 2);
    assert_eq!(world.locks().await, ["cake:1", "cake:2", "cake:3"]);
    open.rollback().await;
    world.settle().await;
}
