//! The types of columns: how their values are read and written, and what Java's driver makes of them.

use crate::undo::jdbc::{
    BIGINT, BINARY, BIT, CHAR, DATE, DECIMAL, DOUBLE, INTEGER, LONGVARBINARY, LONGVARCHAR, OTHER, REAL,
    SMALLINT, TIME, TIMESTAMP, TINYINT, VARBINARY, VARCHAR,
};

/// What has to be known of a column's type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnType {
    pub(super) kind: Kind,
    /// The number of `java.sql.Types` that Connector/J tells for the column.
    pub(super) jdbc_type: i32,
    /// The server gives it a number of its own when the INSERT has none.
    pub(super) is_auto_increment: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// `tinyint(1)`, of which Java makes a truth value.
    Boolean,
    Integer(Integer),
    Decimal {
        precision: u8,
        scale: u8,
    },
    Float,
    Double,
    /// So many bits.
    Bit(u8),
    Text(Text),
    Bytes,
    Date,
    /// With fractions of a second, or without.
    Time {
        has_fraction: bool,
    },
    DateTime,
    Timestamp,
    Year,
    Json,
    Geometry,
    /// A type that the server reads and writes as a text of its own, such as MariaDB's `inet6` and `uuid`.
    Named,
    /// A type of which nothing is known here.
    Unknown(String),
}

/// The Java class that holds the numbers of a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Integer {
    Int,
    Long,
    Big,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Text {
    pub(super) charset: String,
    pub(super) collation: String,
    /// `char`, which has no spaces at its end.
    pub(super) is_padded: bool,
}

impl Text {
    /// Whether no two texts of it become one in UTF-8, and none is lost.
    pub(super) fn is_unicode(&self) -> bool {
        const NAMES: [&str; 8] =
            ["utf8mb4", "utf8mb3", "utf8", "latin1", "ucs2", "utf16", "utf16le", "utf32"];
        NAMES.contains(&self.charset.as_str())
    }
}

/// A column as `information_schema.columns` describes it.
pub(super) struct Description<'a> {
    /// `data_type`: `int`
    pub(super) name: &'a str,
    /// `column_type`: `int(10) unsigned`
    pub(super) definition: &'a str,
    /// `character_set_name` and `collation_name`
    pub(super) charset: Option<(&'a str, &'a str)>,
    /// `extra`
    pub(super) extra: &'a str,
}

impl ColumnType {
    pub(super) fn parse(description: &Description<'_>) -> Self {
        let (jdbc_type, kind) = parse(description);
        let is_auto_increment = description.extra.to_ascii_lowercase().contains("auto_increment");
        Self { kind, jdbc_type, is_auto_increment }
    }
}

fn parse(description: &Description<'_>) -> (i32, Kind) {
    let Description { name, definition, charset, .. } = description;
    let name = name.to_ascii_lowercase();
    let definition = definition.to_ascii_lowercase();
    let is_unsigned = definition.contains("unsigned") || definition.contains("zerofill");
    let text = || match charset {
        Some((charset, collation)) => Kind::Text(Text {
            charset: charset.to_ascii_lowercase(),
            collation: collation.to_ascii_lowercase(),
            is_padded: name == "char",
        }),
        None => Kind::Bytes,
    };
    let integer =
        |jdbc_type, signed, unsigned| (jdbc_type, Kind::Integer(if is_unsigned { unsigned } else { signed }));
    match name.as_str() {
        "tinyint" if definition == "tinyint(1)" => (BIT, Kind::Boolean),
        "tinyint" => integer(TINYINT, Integer::Int, Integer::Int),
        "smallint" => integer(SMALLINT, Integer::Int, Integer::Int),
        "mediumint" => integer(INTEGER, Integer::Int, Integer::Int),
        "int" => integer(INTEGER, Integer::Int, Integer::Long),
        "bigint" => integer(BIGINT, Integer::Long, Integer::Big),
        "decimal" => {
            let mut sizes = sizes(&definition);
            let precision = sizes.next().unwrap_or(10);
            (DECIMAL, Kind::Decimal { precision, scale: sizes.next().unwrap_or(0) })
        }
        "float" => (REAL, Kind::Float),
        "double" => (DOUBLE, Kind::Double),
        "bit" => (BIT, Kind::Bit(sizes(&definition).next().unwrap_or(1))),
        "char" | "enum" | "set" => (CHAR, text()),
        "varchar" | "tinytext" => (VARCHAR, text()),
        "text" | "mediumtext" | "longtext" => (LONGVARCHAR, text()),
        "json" => (LONGVARCHAR, Kind::Json),
        "binary" => (BINARY, Kind::Bytes),
        "varbinary" | "tinyblob" => (VARBINARY, Kind::Bytes),
        "blob" | "mediumblob" | "longblob" => (LONGVARBINARY, Kind::Bytes),
        "date" => (DATE, Kind::Date),
        "time" => (TIME, Kind::Time { has_fraction: sizes(&definition).any(|digits| digits > 0) }),
        "datetime" => (TIMESTAMP, Kind::DateTime),
        "timestamp" => (TIMESTAMP, Kind::Timestamp),
        "year" => (DATE, Kind::Year),
        "geometry" | "point" | "linestring" | "polygon" | "multipoint" | "multilinestring"
        | "multipolygon" | "geometrycollection" | "geomcollection" => (BINARY, Kind::Geometry),
        "inet4" | "inet6" | "uuid" => (OTHER, Kind::Named),
        _ => (OTHER, Kind::Unknown(name)),
    }
}

/// The numbers in `decimal(20,6)`.
fn sizes(definition: &str) -> impl Iterator<Item = u8> {
    let inside =
        definition.split_once('(').and_then(|(_, rest)| rest.split_once(')')).map(|(inside, _)| inside);
    inside.into_iter().flat_map(|inside| inside.split(',')).filter_map(|size| size.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(name: &str, definition: &str) -> ColumnType {
        let charset = matches!(name, "char" | "varchar" | "text").then_some(("latin1", "latin1_bin"));
        ColumnType::parse(&Description { name, definition, charset, extra: "" })
    }

    #[test]
    fn a_type_is_what_javas_driver_makes_of_it() {
        let text = |is_padded| {
            Kind::Text(Text { charset: "latin1".into(), collation: "latin1_bin".into(), is_padded })
        };
        for (name, definition, jdbc_type, kind) in [
            ("tinyint", "tinyint(1)", -7, Kind::Boolean),
            ("tinyint", "tinyint(1) unsigned", -6, Kind::Integer(Integer::Int)),
            ("tinyint", "tinyint(4)", -6, Kind::Integer(Integer::Int)),
            ("smallint", "smallint(5) unsigned zerofill", 5, Kind::Integer(Integer::Int)),
            ("mediumint", "mediumint(8) unsigned", 4, Kind::Integer(Integer::Int)),
            ("int", "int(11)", 4, Kind::Integer(Integer::Int)),
            ("int", "int(10) unsigned", 4, Kind::Integer(Integer::Long)),
            ("bigint", "bigint(20)", -5, Kind::Integer(Integer::Long)),
            ("bigint", "bigint unsigned", -5, Kind::Integer(Integer::Big)),
            ("decimal", "decimal(20,6) unsigned", 3, Kind::Decimal { precision: 20, scale: 6 }),
            ("float", "float(7,3)", 7, Kind::Float),
            ("bit", "bit(9)", -7, Kind::Bit(9)),
            ("char", "char(4)", 1, text(true)),
            ("varchar", "varchar(4)", 12, text(false)),
            ("longblob", "longblob", -4, Kind::Bytes),
            ("tinyblob", "tinyblob", -3, Kind::Bytes),
            ("time", "time", 92, Kind::Time { has_fraction: false }),
            ("time", "time(3)", 92, Kind::Time { has_fraction: true }),
            ("year", "year(4)", 91, Kind::Year),
            ("uuid", "uuid", 1111, Kind::Named),
            ("vector", "vector(3)", 1111, Kind::Unknown("vector".into())),
        ] {
            let parsed = parsed(name, definition);
            assert_eq!((parsed.jdbc_type, parsed.kind), (jdbc_type, kind), "{definition}");
        }
    }
}
