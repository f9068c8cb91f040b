//! A server that frames and answers, and does nothing else: what others are measured by.

use seata_benches::responder::respond;

#[tokio::main]
async fn main() {
    respond().await;
}
