//! Mechanisms that Kymo does not have yet: their sections are read and checked, so that a file which Prometheus
//! would refuse is refused, but nothing is kept of them.
//!
//! [`table`] lists their keys; here is what reads by it. A mechanism that is built leaves the table and gets
//! a type of its own.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::LazyLock;

use http_client::{InvalidSettings, Secret};
use model::time::DurationMs;
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

mod check;
mod table;

/// What a key may hold.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Text,
    Secret,
    Int,
    Duration,
    Texts,
}

/// A key of a section.
#[derive(Debug)]
struct Key {
    name: &'static str,
    kind: Kind,
}

/// A mechanism's section.
struct Mechanism {
    key: &'static str,
    keys: &'static [Key],
    /// Whether the keys of an HTTP client may stand beside its own.
    http: bool,
    check: fn(&Found) -> Result<(), String>,
}

/// What a section held, as far as checks look at it.
#[derive(Debug, Default)]
struct Found {
    texts: BTreeMap<&'static str, String>,
    lists: BTreeMap<&'static str, Vec<String>>,
    http: http_client::Settings,
}

impl Found {
    /// The text of a key; empty if it is absent.
    fn text(&self, key: &str) -> &str {
        self.texts.get(key).map_or("", String::as_str)
    }

    fn list(&self, key: &str) -> &[String] {
        self.lists.get(key).map_or(&[], Vec::as_slice)
    }
}

/// Keys of all mechanisms in the table.
pub(super) fn keys() -> impl Iterator<Item = &'static str> {
    table::MECHANISMS.iter().map(|mechanism| mechanism.key)
}

/// Reads and checks the value of a mechanism's key; `None` if no mechanism has it.
pub(super) fn seed(key: &str) -> Option<ListSeed> {
    table::MECHANISMS.iter().position(|mechanism| mechanism.key == key).map(ListSeed)
}

/// For each mechanism the names of its keys, in the form that serde wants them.
static NAMES: LazyLock<Vec<Vec<&'static str>>> = LazyLock::new(|| {
    let names = |mechanism: &Mechanism| {
        let inline = mechanism.http.then_some("*");
        mechanism.keys.iter().map(|key| key.name).chain(inline).collect()
    };
    table::MECHANISMS.iter().map(names).collect()
});

/// Reads a list of sections of one mechanism, given by its place in the table; yields how many there were.
pub(super) struct ListSeed(usize);

impl<'de> DeserializeSeed<'de> for ListSeed {
    type Value = usize;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<usize, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for ListSeed {
    type Value = usize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a sequence")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<usize, A::Error> {
        let mut count = 0;
        while items.next_element_seed(MechanismSeed(self.0))?.is_some() {
            count += 1;
        }
        Ok(count)
    }
}

struct MechanismSeed(usize);

impl<'de> DeserializeSeed<'de> for MechanismSeed {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        let mechanism = &table::MECHANISMS[self.0];
        let section = SectionSeed(mechanism.keys);
        let found = deserializer.deserialize_struct(mechanism.key, &NAMES[self.0], section)?;
        found.http.check().map_err(|error: InvalidSettings| de::Error::custom(error.message))?;
        (mechanism.check)(&found).map_err(de::Error::custom)
    }
}

#[derive(Clone, Copy)]
struct SectionSeed(&'static [Key]);

impl<'de> DeserializeSeed<'de> for SectionSeed {
    type Value = Found;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Found, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for SectionSeed {
    type Value = Found;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("keys and values")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Found, A::Error> {
        let mut found = Found::default();
        while let Some(name) = map.next_key_seed(NameSeed(self.0))? {
            let Some(key) = name else {
                found.http = map.next_value()?;
                continue;
            };
            match key.kind {
                Kind::Text => {
                    found.texts.insert(key.name, map.next_value()?);
                }
                Kind::Secret => {
                    let secret: Secret = map.next_value()?;
                    found.texts.insert(key.name, secret.reveal().to_owned());
                }
                Kind::Int => {
                    let value: i64 = map.next_value()?;
                    found.texts.insert(key.name, value.to_string());
                }
                Kind::Duration => {
                    let value: DurationMs = map.next_value()?;
                    found.texts.insert(key.name, value.to_string());
                }
                Kind::Texts => {
                    found.lists.insert(key.name, map.next_value()?);
                }
            }
        }
        Ok(found)
    }
}

/// Reads a key's name; `None` for the name under which the HTTP client's keys come.
struct NameSeed(&'static [Key]);

impl<'de> DeserializeSeed<'de> for NameSeed {
    type Value = Option<&'static Key>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl Visitor<'_> for NameSeed {
    type Value = Option<&'static Key>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<Self::Value, E> {
        if name == "*" {
            return Ok(None);
        }
        self.0.iter().find(|key| key.name == name).map(Some).ok_or_else(|| E::unknown_field(name, &[]))
    }
}
