//! What goes up and down.

use std::sync::Arc;

use crate::cell::AtomicF64;
use crate::snapshot::Value;

/// A number as it is now. A clone shows the same number.
#[derive(Debug, Clone)]
pub struct Gauge(Arc<AtomicF64>);

impl Gauge {
    pub(crate) fn new() -> Self {
        Self(Arc::default())
    }

    /// It is `value` now.
    pub fn set(&self, value: f64) {
        self.0.set(value);
    }

    /// It has grown by `amount`, or shrunk by what is negative.
    pub fn add(&self, amount: f64) {
        self.0.add(amount);
    }

    /// The number.
    pub fn get(&self) -> f64 {
        self.0.get()
    }

    pub(crate) fn value(&self) -> Value {
        Value::Gauge(self.get())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gauges_go_up_and_down() {
        let gauge = Gauge::new();
        gauge.set(3.0);
        gauge.add(-4.5);
        assert_eq!(gauge.clone().get(), -1.5);
    }
}
