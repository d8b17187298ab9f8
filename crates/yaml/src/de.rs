//! A tree into serde types. The conventions stand in the crate's doc.

use serde::de::value::StrDeserializer;
use serde::de::{self, DeserializeSeed, IntoDeserializer, Unexpected, Visitor};

use crate::node::{Entry, Mark, Node, Value};
use crate::{Error, INLINE};

/// Reads one node.
#[derive(Debug, Clone, Copy)]
pub struct NodeDeserializer<'a> {
    node: &'a Node,
}

impl<'a> NodeDeserializer<'a> {
    /// Reads `node`.
    pub fn new(node: &'a Node) -> Self {
        Self { node }
    }

    /// The text of a scalar; null is empty.
    fn text(&self) -> Option<&'a str> {
        match &self.node.value {
            Value::Scalar { .. } if self.node.is_null() => Some(""),
            Value::Scalar { text, .. } => Some(text),
            _ => None,
        }
    }

    fn plain(&self) -> Option<&'a str> {
        match &self.node.value {
            Value::Scalar { text, plain: true } => Some(text),
            _ => None,
        }
    }

    fn wrong<'de, V: Visitor<'de>>(&self, visitor: &V) -> Error {
        self.not(visitor as &dyn de::Expected)
    }

    fn not(&self, expected: &dyn de::Expected) -> Error {
        let error = <Error as de::Error>::invalid_type(self.unexpected(), expected);
        let quoted_number = match &self.node.value {
            Value::Scalar { text, plain: false } => parse_bool(text).is_some() || parse_float(text).is_some(),
            _ => false,
        };
        let error = if quoted_number { error.with_remedy("remove the quotes") } else { error };
        error.or_at(self.node.mark)
    }

    fn unexpected(&self) -> Unexpected<'a> {
        match &self.node.value {
            Value::Scalar { .. } if self.node.is_null() => Unexpected::Other("nothing"),
            Value::Scalar { text, .. } => Unexpected::Str(text),
            Value::Sequence(_) => Unexpected::Other("a list"),
            Value::Mapping(_) => Unexpected::Other("keys and values"),
        }
    }

    fn entries(&self) -> Result<&'a [Entry], Error> {
        match &self.node.value {
            Value::Mapping(entries) => Ok(entries),
            _ if self.node.is_null() => Ok(&[]),
            _ => Err(self.not(&"keys and values")),
        }
    }
}

/// What Go's YAML takes for a boolean where one is wanted.
fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" | "y" | "Y" => Some(true),
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" | "n" | "N" => Some(false),
        _ => None,
    }
}

fn parse_int(text: &str) -> Option<i128> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let digits = digits.replace('_', "");
    let magnitude = match digits.get(..2) {
        Some("0x") => i128::from_str_radix(digits.get(2..)?, 16),
        Some("0o") => i128::from_str_radix(digits.get(2..)?, 8),
        Some("0b") => i128::from_str_radix(digits.get(2..)?, 2),
        _ if digits.starts_with(['+', '-']) => return None,
        _ => digits.parse(),
    };
    magnitude.ok().map(|magnitude| if negative { -magnitude } else { magnitude })
}

fn parse_float(text: &str) -> Option<f64> {
    match text {
        ".inf" | ".Inf" | ".INF" | "+.inf" => Some(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => Some(f64::NEG_INFINITY),
        ".nan" | ".NaN" | ".NAN" => Some(f64::NAN),
        _ if text.contains(|c: char| c.is_ascii_digit())
            && text.chars().all(|c| c.is_ascii_digit() || "+-.eE_".contains(c)) =>
        {
            text.replace('_', "").parse().ok()
        }
        _ => parse_int(text).map(|int| int as f64),
    }
}

macro_rules! integers {
    ($($method:ident $visit:ident $type:ty;)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            if self.node.is_null() {
                return visitor.$visit(0);
            }
            let wrong = || {
                let range = format!("a whole number from {} to {}", <$type>::MIN, <$type>::MAX);
                self.not(&range.as_str())
            };
            let number = self.plain().and_then(parse_int).ok_or_else(wrong)?;
            let number = <$type>::try_from(number).map_err(|_| wrong())?;
            visitor.$visit(number).map_err(|error: Error| error.or_at(self.node.mark))
        }
    )*};
}

impl<'de> de::Deserializer<'de> for NodeDeserializer<'_> {
    type Error = Error;

    integers! {
        deserialize_i8 visit_i8 i8;
        deserialize_i16 visit_i16 i16;
        deserialize_i32 visit_i32 i32;
        deserialize_i64 visit_i64 i64;
        deserialize_u8 visit_u8 u8;
        deserialize_u16 visit_u16 u16;
        deserialize_u32 visit_u32 u32;
        deserialize_u64 visit_u64 u64;
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let result = match &self.node.value {
            Value::Sequence(_) => return self.deserialize_seq(visitor),
            Value::Mapping(_) => return self.deserialize_map(visitor),
            Value::Scalar { text, plain: false } => visitor.visit_str(text),
            Value::Scalar { text, .. } => {
                if self.node.is_null() {
                    visitor.visit_unit()
                } else if let (true, Some(value)) = (text.len() > 1, parse_bool(text)) {
                    visitor.visit_bool(value)
                } else if let Some(value) = parse_int(text).and_then(|int| i64::try_from(int).ok()) {
                    visitor.visit_i64(value)
                } else if let Some(value) = parse_float(text) {
                    visitor.visit_f64(value)
                } else {
                    visitor.visit_str(text)
                }
            }
        };
        result.map_err(|error: Error| error.or_at(self.node.mark))
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.node.is_null() {
            return visitor.visit_bool(false);
        }
        match self.plain().and_then(parse_bool) {
            Some(value) => visitor.visit_bool(value),
            None => Err(self.wrong(&visitor)),
        }
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.node.is_null() {
            return visitor.visit_f64(0.0);
        }
        match self.plain().and_then(parse_float) {
            Some(value) => visitor.visit_f64(value),
            None => Err(self.wrong(&visitor)),
        }
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.text() {
            Some(text) => visitor.visit_str(text).map_err(|error: Error| error.or_at(self.node.mark)),
            None => Err(self.wrong(&visitor)),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.node.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.node.is_null() { visitor.visit_unit() } else { Err(self.wrong(&visitor)) }
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        if name == "Secret" {
            self.node.secret.set(true);
        }
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let items: &[Node] = match &self.node.value {
            Value::Sequence(items) => items,
            _ if self.node.is_null() => &[],
            _ => return Err(self.wrong(&visitor)),
        };
        let access = Items { items: items.iter().enumerate() };
        visitor.visit_seq(access).map_err(|error| error.or_at(self.node.mark))
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let entries = self.entries()?;
        let access = Entries::new(entries.iter().collect(), None, &[], Vec::new(), self.node.mark);
        visitor.visit_map(access).map_err(|error| error.or_at(self.node.mark))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let entries = self.entries()?;
        visit_struct(entries.iter().collect(), fields, Vec::new(), self.node.mark, visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.text() {
            Some(text) => {
                let name: StrDeserializer<'_, Error> = text.into_deserializer();
                visitor.visit_enum(name).map_err(|error| error.or_at(self.node.mark))
            }
            None => Err(self.wrong(&visitor)),
        }
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }
}

/// `also`: keys of the structs around that share this mapping, to be suggested for misspelt ones.
fn visit_struct<'de, V: Visitor<'de>>(
    entries: Vec<&Entry>,
    fields: &'static [&'static str],
    also: Vec<&'static [&'static str]>,
    mark: Mark,
    visitor: V,
) -> Result<V::Value, Error> {
    let access = if fields.contains(&INLINE) {
        let (own, rest) = entries.into_iter().partition(|entry| fields.contains(&entry.key.as_str()));
        Entries::new(own, Some(rest), fields, also, mark)
    } else {
        Entries::new(entries, None, fields, also, mark)
    };
    visitor.visit_map(access).map_err(|error| error.or_at(mark))
}

struct Items<'a> {
    items: std::iter::Enumerate<std::slice::Iter<'a, Node>>,
}

impl<'de> de::SeqAccess<'de> for Items<'_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        let Some((index, item)) = self.items.next() else { return Ok(None) };
        let element = seed.deserialize(NodeDeserializer { node: item });
        element.map(Some).map_err(|error| error.or_at(item.mark).within_index(index))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len())
    }
}

struct Entries<'a> {
    entries: std::vec::IntoIter<&'a Entry>,
    value: Option<&'a Entry>,
    /// What the field named [`INLINE`] gets, until it got it.
    rest: Option<Vec<&'a Entry>>,
    inline_now: bool,
    fields: &'static [&'static str],
    also: Vec<&'static [&'static str]>,
    mark: Mark,
}

impl<'a> Entries<'a> {
    fn new(
        entries: Vec<&'a Entry>,
        rest: Option<Vec<&'a Entry>>,
        fields: &'static [&'static str],
        also: Vec<&'static [&'static str]>,
        mark: Mark,
    ) -> Self {
        Self { entries: entries.into_iter(), value: None, rest, inline_now: false, fields, also, mark }
    }
}

impl<'de> de::MapAccess<'de> for Entries<'_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        let key = match self.entries.next() {
            Some(entry) => {
                self.value = Some(entry);
                entry.key.as_str()
            }
            None if self.rest.is_some() => {
                self.inline_now = true;
                INLINE
            }
            None => return Ok(None),
        };
        let name: StrDeserializer<'_, Error> = key.into_deserializer();
        let mark = self.value.map_or(self.mark, |entry| entry.mark);
        seed.deserialize(name)
            .map(Some)
            .map_err(|error: Error| error.or_at(mark).suggest_among(self.fields, &self.also))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        if self.inline_now {
            self.inline_now = false;
            let rest = self.rest.take().unwrap_or_default();
            // All the structs around share this mapping, not only the nearest.
            let also = self.also.iter().copied().chain([self.fields]).collect();
            return seed.deserialize(Inline { entries: rest, also, mark: self.mark });
        }
        let Some(entry) = self.value.take() else {
            return Err(Error::new("BUG: a value was asked for before its key"));
        };
        let value = seed.deserialize(NodeDeserializer { node: &entry.value });
        value.map_err(|error| error.or_at(entry.value.mark).within_key(&entry.key))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.entries.len())
    }
}

/// The keys that an outer struct did not know.
struct Inline<'a> {
    entries: Vec<&'a Entry>,
    also: Vec<&'static [&'static str]>,
    mark: Mark,
}

impl<'de> de::Deserializer<'de> for Inline<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_map(Entries::new(self.entries, None, &[], self.also, self.mark))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        visit_struct(self.entries, fields, self.also, self.mark, visitor)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests;
