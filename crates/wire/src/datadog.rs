//! Datadog's submissions: series of versions 1 (JSON) and 2 (JSON, protobuf), and sketches (protobuf).
//!
//! Source: Datadog's API reference for metrics, and `agent_payload.proto` (`MetricPayload`, `SketchPayload`). Reads item by item; an item of which only
//! the content is wrong is handed over as an error.

mod sketches;
mod v2;

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::json::{JsonError, Key, Scalar};

pub use sketches::{Sketch, SketchPoint, read_sketches};
pub use v2::read_protobuf;

/// What the values of a series mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kind {
    /// A value now.
    #[default]
    Gauge,
    /// How many since the point before.
    Count,
    /// How many a second.
    Rate,
}

/// A series with its points.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Series<'a> {
    /// Counted from 1.
    pub number: usize,
    /// The metric's name, not empty.
    pub metric: Cow<'a, str>,
    /// What the values mean.
    pub kind: Kind,
    /// The host; empty if nobody said.
    pub host: Cow<'a, str>,
    /// The device; empty if nobody said.
    pub device: Cow<'a, str>,
    /// `name:value`, or only a name.
    pub tags: Vec<Cow<'a, str>>,
    /// Seconds and value.
    pub points: Vec<(f64, f64)>,
}

/// Takes what is read; returns whether to go on.
pub type Take<'t, 'a> = &'t mut dyn FnMut(usize, Result<&Series<'a>, String>) -> bool;

/// Reads `{"series":[…]}` of version 1 or 2; what tells them apart is how points are written.
///
/// # Errors
/// If it is not JSON of this shape; series before the fault have been handed over.
pub fn read_json<'a>(body: &'a [u8], take: Take<'_, 'a>) -> Result<(), JsonError> {
    let mut payload = Payload { take, series: Series::default(), has_series: false, ended: false };
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let read = (&mut payload).deserialize(&mut deserializer).and_then(|()| deserializer.end());
    match read {
        Err(error) if !payload.ended => Err(JsonError::new(&error)),
        Ok(()) if !payload.has_series => Err(JsonError::missing("series")),
        _ => Ok(()),
    }
}

struct Payload<'t, 'a> {
    take: Take<'t, 'a>,
    series: Series<'a>,
    has_series: bool,
    ended: bool,
}

impl<'a> DeserializeSeed<'a> for &mut Payload<'_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'a> Visitor<'a> for &mut Payload<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with a list \"series\"")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut fields: A) -> Result<(), A::Error> {
        while let Some(Key(key)) = fields.next_key::<Key<'a>>()? {
            if key == "series" {
                self.has_series = true;
                fields.next_value_seed(SeriesList(&mut *self))?;
            } else {
                fields.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

struct SeriesList<'p, 't, 'a>(&'p mut Payload<'t, 'a>);

impl<'a> DeserializeSeed<'a> for SeriesList<'_, '_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'a> Visitor<'a> for SeriesList<'_, '_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of series")
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element_seed(OneSeries(&mut *self.0))?.is_some() {}
        Ok(())
    }
}

struct OneSeries<'p, 't, 'a>(&'p mut Payload<'t, 'a>);

impl<'a> DeserializeSeed<'a> for OneSeries<'_, '_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'a> Visitor<'a> for OneSeries<'_, '_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a series")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut fields: A) -> Result<(), A::Error> {
        let payload = self.0;
        let series = &mut payload.series;
        let mut fault = None;
        *series = Series {
            number: series.number + 1,
            tags: std::mem::take(&mut series.tags),
            points: std::mem::take(&mut series.points),
            ..Series::default()
        };
        series.tags.clear();
        series.points.clear();
        while let Some(Key(key)) = fields.next_key::<Key<'a>>()? {
            match &*key {
                "metric" => series.metric = text(fields.next_value()?),
                "host" => series.host = text(fields.next_value()?),
                "device" => series.device = text(fields.next_value()?),
                "type" => series.kind = kind(&fields.next_value()?),
                "tags" => {
                    let tags: Option<Vec<Scalar<'a>>> = fields.next_value()?;
                    series.tags.extend(tags.into_iter().flatten().map(text).filter(|tag| !tag.is_empty()));
                }
                "points" => {
                    let points: Vec<Point> = fields.next_value()?;
                    for point in points {
                        match (point.seconds, point.value) {
                            (Some(seconds), Some(value)) => series.points.push((seconds, value)),
                            // Clients write null where there was nothing.
                            (Some(_), None) => {}
                            (None, _) => fault = Some("a point has no time"),
                        }
                    }
                }
                "resources" => {
                    let resources: Vec<Resource<'a>> = fields.next_value()?;
                    for resource in resources {
                        match text(resource.kind) {
                            kind if kind == "host" => series.host = text(resource.name),
                            kind if kind == "device" => series.device = text(resource.name),
                            _ => {}
                        }
                    }
                }
                _ => drop(fields.next_value::<IgnoredAny>()?),
            }
        }
        if series.metric.is_empty() {
            fault = Some("it has no metric's name");
        }
        let made = fault.map_or(Ok(()), |fault| Err(fault.to_owned()));
        if (payload.take)(payload.series.number, made.map(|()| &payload.series)) {
            return Ok(());
        }
        payload.ended = true;
        Err(serde::de::Error::custom("ended by the caller"))
    }
}

fn text(scalar: Scalar<'_>) -> Cow<'_, str> {
    if let Scalar::Text(text) = scalar { text } else { Cow::Borrowed("") }
}

fn kind(scalar: &Scalar<'_>) -> Kind {
    match scalar {
        Scalar::Text(word) if word == "count" || word == "counter" => Kind::Count,
        Scalar::Text(word) if word == "rate" => Kind::Rate,
        Scalar::Whole(1) => Kind::Count,
        Scalar::Whole(2) => Kind::Rate,
        _ => Kind::Gauge,
    }
}

/// `{"type":"host","name":"a"}`
#[derive(serde::Deserialize)]
struct Resource<'a> {
    #[serde(rename = "type", default, borrow)]
    kind: Scalar<'a>,
    #[serde(default, borrow)]
    name: Scalar<'a>,
}

/// `[1700000000, 1.5]`, or `{"timestamp":1700000000,"value":1.5}`.
struct Point {
    seconds: Option<f64>,
    value: Option<f64>,
}

impl<'de> serde::Deserialize<'de> for Point {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyPoint;
        impl<'de> Visitor<'de> for AnyPoint {
            type Value = Point;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a point")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Point, A::Error> {
                let mut next = || items.next_element::<Scalar<'de>>();
                let (seconds, value) = (next()?.unwrap_or_default(), next()?.unwrap_or_default());
                while next()?.is_some() {}
                Ok(Point { seconds: seconds.as_float(), value: value.as_float() })
            }
            fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Point, A::Error> {
                let mut point = Point { seconds: None, value: None };
                while let Some((Key(key), value)) = fields.next_entry::<Key<'de>, Scalar<'de>>()? {
                    match &*key {
                        "timestamp" => point.seconds = value.as_float(),
                        "value" => point.value = value.as_float(),
                        _ => {}
                    }
                }
                Ok(point)
            }
        }
        deserializer.deserialize_any(AnyPoint)
    }
}

#[cfg(test)]
mod tests;
