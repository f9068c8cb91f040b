//! What has to be known of a column's type: how it is read and written, and what Java's driver makes of it.

use crate::undo::jdbc::{
    ARRAY, BIGINT, BINARY, BIT, CHAR, DATE, DISTINCT, DOUBLE, INTEGER, NUMERIC, OTHER, REAL, REF_CURSOR,
    SMALLINT, SQLXML, STRUCT, TIME, TIMESTAMP, VARCHAR,
};

/// A column's type. A domain stands as what it is made of, for that is what the server sends.
#[derive(Debug, PartialEq)]
pub struct ColumnType {
    /// How a cast names it, whatever the search path: `numeric(10,2)`, `"shop"."colour"`.
    pub(super) name: String,
    /// How Java's driver names it: `numeric`, `int4`, `_text`.
    pub(super) java_name: String,
    pub(super) kind: Kind,
    /// The number of the type that Java's driver says the column has.
    pub(super) jdbc_type: i32,
    /// Its text says everything, under whatever settings of the session it is written and read.
    pub(super) text_is_exact: bool,
    /// The name of the ranges that it is made of. Their array stands for it in binary form, since sqlx does not know types
    /// of this kind.
    pub(super) multirange_of: Option<String>,
    /// It, and every type that it is made of, can be sent and received in binary form.
    pub(super) has_binary: bool,
    /// GENERATED ALWAYS AS IDENTITY.
    pub(super) is_identity_always: bool,
}

/// How the values of a type are understood.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    Boolean,
    /// int2 and int4, an `Integer` to Java.
    Integer,
    /// int8 and oid.
    Long,
    Float,
    Double,
    Numeric,
    Money,
    Text,
    /// An enumeration. Its type is unknown to sqlx, which asks for it, and meanwhile loses a statement without a name.
    Enumeration,
    /// The one-byte type `"char"`.
    Byte,
    Xml,
    /// json and jsonb, and everything that Java's driver has no class for.
    Object,
    Uuid,
    Bytes,
    Date,
    Time,
    TimeWithZone,
    Timestamp,
    TimestampWithZone,
    Interval,
    /// bit(1), a `Boolean` to Java.
    Bit,
    /// A class of its own in Java's driver, of this name.
    Geometric(&'static str),
    Array(Element),
}

/// What an array is made of, as Java's driver says it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Element {
    pub(super) java_name: String,
    pub(super) jdbc_type: i32,
    pub(super) delimiter: char,
    pub(super) kind: Box<Kind>,
}

impl Kind {
    /// Its values are read in binary form, which no setting of the session changes.
    pub(super) fn is_binary(&self) -> bool {
        !matches!(
            self,
            Self::Numeric
                | Self::Enumeration
                | Self::Xml
                | Self::Uuid
                | Self::Bit
                | Self::Object
                | Self::Array(_)
        )
    }
}

/// How an image query asks for a value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Form {
    /// In binary form.
    Binary,
    /// As a text.
    Text,
    /// As a record of its text, for Java, and its binary form.
    Both,
}

/// A type as the catalogue describes it.
#[derive(Debug, Default)]
pub(super) struct Described {
    pub(super) name: String,
    pub(super) schema: String,
    /// `pg_type.typname`.
    pub(super) type_name: String,
    /// `pg_type.typtype`.
    pub(super) type_type: char,
    pub(super) modifier: i32,
    pub(super) is_domain: bool,
    pub(super) element: Option<DescribedElement>,
    pub(super) multirange_of: Option<String>,
    pub(super) text_is_exact: bool,
    pub(super) has_binary: bool,
    pub(super) is_identity_always: bool,
}

/// The elements of an array, as the catalogue describes them.
#[derive(Debug, Default)]
pub(super) struct DescribedElement {
    pub(super) schema: String,
    pub(super) type_name: String,
    pub(super) type_type: char,
    pub(super) delimiter: char,
}

const BUILT_IN: &str = "pg_catalog";

impl ColumnType {
    pub(super) fn new(described: Described) -> Self {
        let kind = kind(&described);
        let jdbc_type = match &described {
            Described { is_domain: true, .. } => DISTINCT,
            Described { element: Some(_), .. } => ARRAY,
            _ => jdbc_type(&described.type_name, described.type_type, described.is_built_in()),
        };
        Self {
            java_name: java_name(&described.schema, &described.type_name),
            name: described.name,
            kind,
            jdbc_type,
            text_is_exact: described.text_is_exact,
            multirange_of: described.multirange_of,
            has_binary: described.has_binary,
            is_identity_always: described.is_identity_always,
        }
    }

    pub(super) fn form(&self) -> Form {
        match &self.kind {
            kind if kind.is_binary() => Form::Binary,
            Kind::Object if self.text_is_exact => Form::Text,
            Kind::Object | Kind::Array(_) if self.has_binary => Form::Both,
            _ => Form::Text,
        }
    }
}

impl Described {
    fn is_built_in(&self) -> bool {
        self.schema == BUILT_IN
    }
}

fn kind(described: &Described) -> Kind {
    let Some(element) = &described.element else {
        let is_built_in = described.is_built_in();
        return kind_alone(&described.type_name, described.type_type, is_built_in, described.modifier);
    };
    let is_built_in = element.schema == BUILT_IN;
    Kind::Array(Element {
        java_name: java_name(&element.schema, &element.type_name),
        jdbc_type: jdbc_type(&element.type_name, element.type_type, is_built_in),
        delimiter: element.delimiter,
        kind: Box::new(kind_alone(&element.type_name, element.type_type, is_built_in, described.modifier)),
    })
}

/// What it is, if it is no array.
fn kind_alone(type_name: &str, type_type: char, is_built_in: bool, modifier: i32) -> Kind {
    if type_type == 'e' {
        return Kind::Enumeration;
    }
    if !is_built_in {
        return Kind::Object;
    }
    match type_name {
        "bool" => Kind::Boolean,
        "int2" | "int4" => Kind::Integer,
        "int8" | "oid" => Kind::Long,
        "float4" => Kind::Float,
        "float8" => Kind::Double,
        "numeric" => Kind::Numeric,
        "money" => Kind::Money,
        "text" | "varchar" | "bpchar" | "name" | "refcursor" => Kind::Text,
        "char" => Kind::Byte,
        "xml" => Kind::Xml,
        "uuid" => Kind::Uuid,
        "bytea" => Kind::Bytes,
        "date" => Kind::Date,
        "time" => Kind::Time,
        "timetz" => Kind::TimeWithZone,
        "timestamp" => Kind::Timestamp,
        "timestamptz" => Kind::TimestampWithZone,
        "interval" => Kind::Interval,
        "bit" if modifier == 1 => Kind::Bit,
        "point" => Kind::Geometric("PGpoint"),
        "box" => Kind::Geometric("PGbox"),
        "circle" => Kind::Geometric("PGcircle"),
        "line" => Kind::Geometric("PGline"),
        "lseg" => Kind::Geometric("PGlseg"),
        "path" => Kind::Geometric("PGpath"),
        "polygon" => Kind::Geometric("PGpolygon"),
        _ => Kind::Object,
    }
}

fn jdbc_type(type_name: &str, type_type: char, is_built_in: bool) -> i32 {
    match type_type {
        'c' => return STRUCT,
        'd' => return DISTINCT,
        'e' => return VARCHAR,
        _ if !is_built_in => return OTHER,
        _ => {}
    }
    match type_name {
        "bool" | "bit" => BIT,
        "int2" => SMALLINT,
        "int4" => INTEGER,
        "int8" | "oid" => BIGINT,
        "float4" => REAL,
        "float8" | "money" => DOUBLE,
        "numeric" => NUMERIC,
        "char" | "bpchar" => CHAR,
        "text" | "varchar" | "name" => VARCHAR,
        "bytea" => BINARY,
        "date" => DATE,
        "time" | "timetz" => TIME,
        "timestamp" | "timestamptz" => TIMESTAMP,
        "xml" => SQLXML,
        "refcursor" => REF_CURSOR,
        _ => OTHER,
    }
}

/// Java's driver leaves out the schema of whatever the search path finds.
fn java_name(schema: &str, type_name: &str) -> String {
    match schema {
        BUILT_IN | "public" => type_name.to_owned(),
        schema => format!("\"{schema}\".\"{type_name}\""),
    }
}
