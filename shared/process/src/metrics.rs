//! Metrics in CloudWatch's embedded format: a log line that CloudWatch reads as numbers.
//!
//! Source: CloudWatch User Guide, "Specification: Embedded metric format". The namespace is the
//! stack's name, and the function is the only dimension. An id as a dimension would make a metric,
//! at its price, of each execution.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::{Mutex, PoisonError};

use domain::function::Function;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// A count or a measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Metric {
    /// Queue items that became executions.
    ItemsBuilt,
    /// Executions that the executor finished, passed.
    ExecutionsPassed,
    /// Executions that the executor finished, failed.
    ExecutionsFailed,
    /// Seconds from the claim of an execution to its outcome.
    ExecutionSeconds,
    /// Seconds from the sending of a wake to its arrival at a function.
    WakeAgeSeconds,
    /// Queue items that wait, all organizations together.
    ItemsWaiting,
    /// Seconds for which the oldest queue item waits.
    OldestItemSeconds,
    /// Items and executions that ended as undeliverable.
    Undeliverable,
    /// Wakes that the sweeper sent again.
    WakesResent,
    /// Requests to KMS.
    KmsCalls,
    /// Connections made to the database.
    DatabaseConnects,
    /// Instances that began to serve.
    ColdStarts,
}

impl Metric {
    /// All metrics.
    pub const ALL: [Self; 12] = [
        Self::ItemsBuilt,
        Self::ExecutionsPassed,
        Self::ExecutionsFailed,
        Self::ExecutionSeconds,
        Self::WakeAgeSeconds,
        Self::ItemsWaiting,
        Self::OldestItemSeconds,
        Self::Undeliverable,
        Self::WakesResent,
        Self::KmsCalls,
        Self::DatabaseConnects,
        Self::ColdStarts,
    ];

    /// The name of the metric in CloudWatch.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ItemsBuilt => "ItemsBuilt",
            Self::ExecutionsPassed => "ExecutionsPassed",
            Self::ExecutionsFailed => "ExecutionsFailed",
            Self::ExecutionSeconds => "ExecutionSeconds",
            Self::WakeAgeSeconds => "WakeAgeSeconds",
            Self::ItemsWaiting => "ItemsWaiting",
            Self::OldestItemSeconds => "OldestItemSeconds",
            Self::Undeliverable => "Undeliverable",
            Self::WakesResent => "WakesResent",
            Self::KmsCalls => "KmsCalls",
            Self::DatabaseConnects => "DatabaseConnects",
            Self::ColdStarts => "ColdStarts",
        }
    }

    fn unit(self) -> &'static str {
        match self {
            Self::ExecutionSeconds | Self::WakeAgeSeconds | Self::OldestItemSeconds => "Seconds",
            _ => "Count",
        }
    }

    /// Whether each value is written, for percentiles. Of other metrics a line has the sum.
    fn is_measured(self) -> bool {
        self.unit() == "Seconds"
    }
}

/// The most values of one metric in a line, by CloudWatch's limit. Further values are left out.
const VALUES_MAX: usize = 100;

/// The counts of a function since its last line.
pub struct Metrics {
    namespace: String,
    function: Function,
    values: Mutex<BTreeMap<Metric, Vec<f64>>>,
}

impl Metrics {
    /// Metrics of `function` below `namespace`; none are kept or written where the namespace is
    /// empty. The first line counts a cold start.
    #[must_use]
    pub fn new(namespace: &str, function: Function) -> Self {
        let metrics = Self { namespace: namespace.to_owned(), function, values: Mutex::default() };
        metrics.count(Metric::ColdStarts, 1);
        metrics
    }

    /// Metrics that go nowhere.
    #[must_use]
    pub fn off() -> Self {
        // Nothing is written, so the function does not matter.
        Self::new("", Function::Api)
    }

    /// Whether values are kept. Callers compute a costly value only then.
    #[must_use]
    pub fn is_on(&self) -> bool {
        !self.namespace.is_empty()
    }

    /// Adds to a count.
    pub fn count(&self, metric: Metric, count: u64) {
        if count > 0 {
            self.add(metric, count as f64);
        }
    }

    /// Adds a measured value.
    pub fn add(&self, metric: Metric, value: f64) {
        if !self.is_on() || !value.is_finite() {
            return;
        }
        let mut values = self.values.lock().unwrap_or_else(PoisonError::into_inner);
        let values = values.entry(metric).or_default();
        if metric.is_measured() || values.is_empty() {
            if values.len() < VALUES_MAX {
                values.push(value);
            }
        } else {
            values[0] += value;
        }
    }

    /// Writes the values as one line to standard output, and begins anew.
    pub fn write(&self, now: Timestamp) {
        if let Some(line) = self.line(now) {
            // A failed write is ignored: no metric is worth a failed invocation.
            let _ = writeln!(std::io::stdout().lock(), "{line}");
        }
    }

    fn line(&self, now: Timestamp) -> Option<Value> {
        let values = std::mem::take(&mut *self.values.lock().unwrap_or_else(PoisonError::into_inner));
        if values.is_empty() {
            return None;
        }
        let named: Vec<Value> =
            values.keys().map(|metric| json!({ "Name": metric.name(), "Unit": metric.unit() })).collect();
        let mut line = Map::new();
        line.insert(
            "_aws".to_owned(),
            json!({ "Timestamp": now.as_millisecond(), "CloudWatchMetrics": [{
                "Namespace": self.namespace, "Dimensions": [["function"]], "Metrics": named,
            }] }),
        );
        line.insert("function".to_owned(), json!(self.function));
        line.extend(values.into_iter().map(|(metric, values)| (metric.name().to_owned(), json!(values))));
        Some(Value::Object(line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_as_cloudwatch_reads_it() {
        let metrics = Metrics::new("stack", Function::Builder);
        metrics.count(Metric::ItemsBuilt, 2);
        metrics.count(Metric::ItemsBuilt, 3);
        metrics.add(Metric::WakeAgeSeconds, 0.5);
        metrics.add(Metric::WakeAgeSeconds, 1.5);
        let expected = json!({
            "_aws": { "Timestamp": 1_700_000_000_000_i64, "CloudWatchMetrics": [{
                "Namespace": "stack",
                "Dimensions": [["function"]],
                "Metrics": [
                    { "Name": "ItemsBuilt", "Unit": "Count" },
                    { "Name": "WakeAgeSeconds", "Unit": "Seconds" },
                    { "Name": "ColdStarts", "Unit": "Count" },
                ],
            }] },
            "function": "builder", "ItemsBuilt": [5.0], "WakeAgeSeconds": [0.5, 1.5], "ColdStarts": [1.0],
        });
        let now = Timestamp::from_second(1_700_000_000).unwrap();
        assert_eq!(metrics.line(now), Some(expected));
        assert_eq!(metrics.line(now), None, "each value is written once");
    }

    #[test]
    fn a_line_holds_no_more_values_than_cloudwatch_reads_i10() {
        let metrics = Metrics::new("stack", Function::Executor);
        (0..=VALUES_MAX).for_each(|_| metrics.add(Metric::ExecutionSeconds, 1.0));
        let line = metrics.line(Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(line["ExecutionSeconds"].as_array().map(Vec::len), Some(VALUES_MAX));
    }

    #[test]
    fn without_a_namespace_nothing_is_written() {
        let metrics = Metrics::off();
        metrics.add(Metric::ExecutionSeconds, 1.0);
        assert_eq!(metrics.line(Timestamp::UNIX_EPOCH), None);
    }
}
