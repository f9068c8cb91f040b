//! The example shop with its coordinator on the Java server: purchases that commit, fail and are given up.

use seata_examples::{Databases, scenes::Stage};
use seata_tests::java::Java;

#[tokio::test(flavor = "multi_thread")]
async fn the_shop_plays_all_its_scenes_on_the_java_server() {
    let java = Java::shared().await;
    let directory = tempfile::tempdir().unwrap();
    let mut stage = Stage::open_on(java.server(), Databases::in_directory(directory.path())).await.unwrap();
    stage.play().await.unwrap();
    stage.shop.close().await.unwrap();
}
