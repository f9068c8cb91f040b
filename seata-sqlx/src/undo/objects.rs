//! Values that are objects in the document: those of PostgreSQL's driver, and arrays.

use super::Value;

/// A value of PostgreSQL's driver: a type's name, and the text that Java hands to the database for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PgObject {
    /// `org.postgresql.util.PGobject`, or a class that extends it.
    pub class: String,
    /// The name of the type, as `jsonb`.
    pub type_name: String,
    /// The text; `None` stands for NULL.
    pub text: Option<String>,
    /// The other properties of the object in their order, each as JSON text. The last that Java writes is always
    /// `null`, a boolean.
    pub properties: Vec<(String, String)>,
}

impl PgObject {
    /// The object of a type that has no class of its own.
    ///
    /// ```
    /// # use seata_sqlx::undo::PgObject;
    /// let document = PgObject::plain("jsonb", r#"{"a": 1}"#);
    /// assert_eq!(document.class, "org.postgresql.util.PGobject");
    /// ```
    pub fn plain(type_name: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            class: "org.postgresql.util.PGobject".to_owned(),
            type_name: type_name.into(),
            text: Some(text.into()),
            properties: vec![("null".to_owned(), "false".to_owned())],
        }
    }
}

/// An array of a database, as Seata's `SerialArray`.
///
/// Java boxes elements of some classes only, and reads others back as `Long` or text; a document by Java tells
/// less than the array held.
#[derive(Clone, Debug, PartialEq)]
pub struct SerialArray {
    /// The JDBC type number of the elements.
    pub base_type: i32,
    /// The database's name of the elements' type, as `int4`.
    pub base_type_name: String,
    /// The elements. An array in an array is a [`Value::Other`].
    pub elements: Vec<Value>,
}
