use seata::global_transactional;

type Count = u32;

#[global_transactional]
async fn alias() -> Count {
    1
}

fn main() {}
