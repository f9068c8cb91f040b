//! A server that frames and answers, and does nothing else: what others are measured by.

use seata_benches::responder::respond;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    respond().await;
}
