use seata::global_transactional;

struct Shop;

#[global_transactional]
impl Shop {}

trait Purchase {
    #[global_transactional]
    async fn purchase(&self) -> Result<(), seata::Error>;
}

fn main() {}
