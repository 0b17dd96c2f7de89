//! Cells as parameters and results.
//!
//! Parameters travel as text and are read by the server as whatever type it found for their place, so no
//! column type is named in a statement. Only arrays need work: a document writes them as JSON.

use std::error::Error;

use bytes::BytesMut;
use serde_json::Value;
use tokio_postgres::types::{Format, FromSql, IsNull, Kind, ToSql, Type, to_sql_checked};

use crate::store::import::Cell;

type Boxed = Box<dyn Error + Sync + Send>;

/// A parameter.
#[derive(Debug)]
pub(super) struct Parameter<'c>(pub(super) &'c Cell);

impl ToSql for Parameter<'_> {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Boxed> {
        match self.0 {
            Cell::Null => return Ok(IsNull::Yes),
            Cell::Bool(value) => out.extend_from_slice(if *value { b"true" } else { b"false" }),
            Cell::Int(value) => out.extend_from_slice(value.to_string().as_bytes()),
            Cell::Text(value) => match ty.kind() {
                Kind::Array(_) => out.extend_from_slice(array_literal(value)?.as_bytes()),
                _ => out.extend_from_slice(value.as_bytes()),
            },
        }
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        Format::Text
    }

    to_sql_checked!();
}

/// `["a", null]` as `{"a",NULL}`; elements that are not text keep their JSON text.
fn array_literal(json: &str) -> Result<String, Boxed> {
    let elements: Vec<Value> = serde_json::from_str(json)?;
    let mut literal = String::with_capacity(json.len() + 2);
    literal.push('{');
    for (index, element) in elements.iter().enumerate() {
        if index > 0 {
            literal.push(',');
        }
        let text = match element {
            Value::Null => {
                literal.push_str("NULL");
                continue;
            }
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        literal.push('"');
        for character in text.chars() {
            if matches!(character, '"' | '\\') {
                literal.push('\\');
            }
            literal.push(character);
        }
        literal.push('"');
    }
    literal.push('}');
    Ok(literal)
}

/// A result.
pub(super) struct Found(pub(super) Cell);

impl<'a> FromSql<'a> for Found {
    fn from_sql(ty: &Type, raw: &'a [u8]) -> Result<Self, Boxed> {
        let cell = match *ty {
            Type::BOOL => Cell::Bool(bool::from_sql(ty, raw)?),
            Type::INT2 => Cell::Int(i16::from_sql(ty, raw)?.into()),
            Type::INT4 => Cell::Int(i32::from_sql(ty, raw)?.into()),
            Type::INT8 => Cell::Int(i64::from_sql(ty, raw)?),
            Type::UUID => Cell::Text(uuid::Uuid::from_sql(ty, raw)?.hyphenated().to_string()),
            _ => Cell::Text(<&str>::from_sql(ty, raw)?.to_owned()),
        };
        Ok(Self(cell))
    }

    fn from_sql_null(_: &Type) -> Result<Self, Boxed> {
        Ok(Self(Cell::Null))
    }

    fn accepts(ty: &Type) -> bool {
        matches!(
            *ty,
            Type::BOOL | Type::INT2 | Type::INT4 | Type::INT8 | Type::UUID
        ) || <&str as FromSql>::accepts(ty)
    }
}

#[cfg(test)]
mod tests {
    use super::array_literal;

    #[test]
    fn arrays_are_quoted() {
        let literal = array_literal(r#"["a\"b\\c", null, "NULL", "{,}", {"a": [1]}, 5]"#).expect("an array");
        assert_eq!(literal, r#"{"a\"b\\c",NULL,"NULL","{,}","{\"a\":[1]}","5"}"#);
        assert_eq!(array_literal("[]").expect("an array"), "{}");
        assert!(array_literal("{}").is_err());
    }
}
