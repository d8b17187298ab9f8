//! Values of fields, as clients write them: 64-bit numbers as text, words for numbers that JSON has no digits for.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer, Visitor as Visit};
use serde::{Deserialize, de};

use crate::otlp::Temporality;

/// Text that is borrowed unless something in it is escaped; `null` is the empty one.
#[derive(Default)]
pub(super) struct Text<'a>(pub(super) Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OfText;
        impl<'de> Visit<'de> for OfText {
            type Value = Cow<'de, str>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Cow::Borrowed(text))
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Cow::Owned(text.to_owned()))
            }
            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Cow::Borrowed(""))
            }
        }
        deserializer.deserialize_any(OfText).map(Text)
    }
}

/// A whole number, written as one or as text.
#[derive(Default)]
pub(super) struct Whole<T>(pub(super) T);

impl<'de, T: TryFrom<i128> + Default> Deserialize<'de> for Whole<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OfWhole<T>(std::marker::PhantomData<T>);
        impl<T: TryFrom<i128> + Default> OfWhole<T> {
            fn of<E: de::Error>(number: i128) -> Result<T, E> {
                T::try_from(number).map_err(|_| E::custom(format!("{number} is out of range")))
            }
        }
        impl<'de, T: TryFrom<i128> + Default> Visit<'de> for OfWhole<T> {
            type Value = T;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number, or one as a string")
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<T, E> {
                Self::of(i128::from(number))
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<T, E> {
                Self::of(i128::from(number))
            }
            fn visit_f64<E: de::Error>(self, number: f64) -> Result<T, E> {
                if number.fract() != 0.0 || number.abs() > 2f64.powi(64) {
                    return Err(E::custom(format!("{number} is not a whole number in range")));
                }
                Self::of(number as i128)
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
                text.parse::<i128>()
                    .map_err(|_| E::custom(format!("{text:?} is not a whole number")))
                    .and_then(Self::of)
            }
            fn visit_unit<E>(self) -> Result<T, E> {
                Ok(T::default())
            }
        }
        deserializer.deserialize_any(OfWhole(std::marker::PhantomData)).map(Self)
    }
}

/// A number, or one of the words for those that JSON has no digits for.
pub(super) struct Real(pub(super) f64);

impl<'de> Deserialize<'de> for Real {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OfReal;
        impl Visit<'_> for OfReal {
            type Value = f64;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number")
            }
            fn visit_f64<E>(self, number: f64) -> Result<f64, E> {
                Ok(number)
            }
            fn visit_u64<E>(self, number: u64) -> Result<f64, E> {
                Ok(number as f64)
            }
            fn visit_i64<E>(self, number: i64) -> Result<f64, E> {
                Ok(number as f64)
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<f64, E> {
                text.parse().map_err(|_| E::custom(format!("{text:?} is not a number")))
            }
        }
        deserializer.deserialize_any(OfReal).map(Self)
    }
}

/// A temporality, by its number or its name.
#[derive(Default)]
pub(super) struct TemporalityWord(pub(super) Temporality);

impl<'de> Deserialize<'de> for TemporalityWord {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OfWord;
        impl Visit<'_> for OfWord {
            type Value = Temporality;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of an aggregation temporality")
            }
            fn visit_u64<E>(self, number: u64) -> Result<Temporality, E> {
                Ok(Temporality::of_number(number))
            }
            fn visit_str<E>(self, word: &str) -> Result<Temporality, E> {
                Ok(match word {
                    "AGGREGATION_TEMPORALITY_DELTA" => Temporality::Delta,
                    "AGGREGATION_TEMPORALITY_CUMULATIVE" => Temporality::Cumulative,
                    _ => Temporality::Unspecified,
                })
            }
            fn visit_unit<E>(self) -> Result<Temporality, E> {
                Ok(Temporality::Unspecified)
            }
        }
        deserializer.deserialize_any(OfWord).map(Self)
    }
}
