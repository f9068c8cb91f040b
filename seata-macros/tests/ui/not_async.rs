use seata::{global_lock, global_transactional};

#[global_transactional]
pub fn purchase() -> Result<(), seata::Error> {
    Ok(())
}

#[global_lock]
fn read() -> u32 {
    1
}

fn main() {
    let _ = purchase();
    read();
}
