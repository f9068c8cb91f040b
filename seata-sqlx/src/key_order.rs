//! The order of a composite key in row locks and undo logs, as Java has it.

/// The columns of a primary key, given in the order of its index, in that of the `java.util.HashMap` in which Java
/// keeps them. With another one the same row would be locked under two keys.
pub(crate) fn java_key_order(mut columns: Vec<String>) -> Vec<String> {
    /// A map grows when it is three quarters full.
    const SMALL: usize = 12;
    let buckets = if columns.len() <= SMALL { 16 } else { 32 };
    // Stable: within one bucket the order stays that of the index.
    columns.sort_by_key(|column| spread(column) & (buckets - 1));
    columns
}

/// The hash by which a map finds the bucket.
fn spread(text: &str) -> u32 {
    let hash = text.encode_utf16().fold(0u32, |hash, unit| hash.wrapping_mul(31).wrapping_add(unit.into()));
    hash ^ (hash >> 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_that_of_javas_map() {
        for (index, map) in [
            ("order_id user_id", "user_id order_id"),
            ("id name", "name id"),
            ("b a", "a b"),
            ("tenant_id order_id", "tenant_id order_id"),
            ("pk2 pk1", "pk2 pk1"),
            ("uid oid", "uid oid"),
            ("product_id warehouse_id", "product_id warehouse_id"),
            ("Id code", "code Id"),
            ("only", "only"),
        ] {
            let columns = index.split(' ').map(str::to_owned).collect();
            assert_eq!(java_key_order(columns).join(" "), map, "{index}");
        }
    }
}
