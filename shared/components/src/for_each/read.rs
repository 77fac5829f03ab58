//! Reads the configuration of a `for_each`.

use domain::limits::SUB_RUNS_MAX;
use serde_json::{Map, Value, json};

use crate::{
    component::Problem,
    owner::SubRunStart,
    shape::{Reader, Stage, type_name},
};

/// The settings of a `for_each`, with its list.
#[derive(Clone, Debug)]
pub(super) struct Settings<'v> {
    items: &'v [Value],
    batch_size: Option<usize>,
    pub(super) max_parallel: usize,
    tolerate: Tolerate,
    pub(super) on_item_failure: OnItemFailure,
}

/// The failures that don't fail it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Tolerate {
    Number(usize),
    Percent(f64),
}

/// The effect of a failure on the other items.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OnItemFailure {
    /// They go on, until more fail than are tolerated.
    Continue,
    /// The first failure ends all.
    Stop,
}

/// If the author says nothing.
const PARALLEL: usize = 50;
const FIELDS: [&str; 5] = ["items", "batch_size", "max_parallel", "tolerate", "on_item_failure"];

impl Settings<'_> {
    /// The number of parts.
    pub(super) fn count(&self) -> usize {
        self.items.len().div_ceil(self.batch_size.unwrap_or(1))
    }

    /// The failures that are tolerated.
    pub(super) fn tolerated(&self) -> usize {
        match self.tolerate {
            Tolerate::Number(number) => number,
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                clippy::cast_precision_loss,
                reason = "a part of a count of at most 1,000"
            )]
            Tolerate::Percent(percent) => (self.count() as f64 * percent / 100.0).floor() as usize,
        }
    }

    /// The part of that index: one item, or as many as `batch_size` says.
    pub(super) fn start(&self, index: usize, count: usize) -> SubRunStart {
        let item = match self.batch_size {
            None => self.items[index].clone(),
            Some(size) => {
                let items = self.items.iter().skip(index * size).take(size);
                Value::Array(items.cloned().collect())
            }
        };
        SubRunStart {
            iteration: i32::try_from(index).unwrap_or(i32::MAX),
            data: json!({ "item": item, "index": index, "count": count }),
            redactions: None,
        }
    }
}

/// Reads a configuration; None while a template leaves a part of it open.
pub(super) fn read(configuration: &Value, stage: Stage) -> Result<Option<Settings<'_>>, Vec<Problem>> {
    let mut reader = Reader::new(stage);
    let settings = reader.object("", configuration, &FIELDS).and_then(|map| {
        let items = reader.required("", map, "items");
        let items = items.and_then(|items| reader.list("/items", items));
        let batch_size = reader.count(map, "batch_size", SUB_RUNS_MAX);
        let max_parallel = reader.count(map, "max_parallel", SUB_RUNS_MAX);
        let tolerate = read_tolerate(&mut reader, map);
        let on_item_failure = match map.get("on_item_failure") {
            None => Some("continue"),
            Some(value) => reader.word("/on_item_failure", value, &["continue", "stop"]),
        };
        let on_item_failure = match on_item_failure? {
            "stop" => OnItemFailure::Stop,
            _ => OnItemFailure::Continue,
        };
        Some(Settings {
            items: items?,
            batch_size: batch_size?,
            max_parallel: max_parallel?.unwrap_or(PARALLEL),
            tolerate: tolerate?,
            on_item_failure,
        })
    });
    let problems = reader.into_problems();
    if problems.is_empty() { Ok(settings) } else { Err(problems) }
}

fn read_tolerate(reader: &mut Reader, map: &Map<String, Value>) -> Option<Tolerate> {
    let Some(value) = map.get("tolerate") else { return Some(Tolerate::Number(0)) };
    if reader.is_open(value) {
        return None;
    }
    let number = || value.as_u64().and_then(|number| usize::try_from(number).ok()).map(Tolerate::Number);
    let percent = || {
        let percent: f64 = value.as_str()?.trim().strip_suffix('%')?.trim().parse().ok()?;
        (0.0..=100.0).contains(&percent).then_some(Tolerate::Percent(percent))
    };
    let tolerate = number().or_else(percent);
    if tolerate.is_none() {
        let message = format!(
            "must be a number of items, or a part of them such as \"5%\", not {}",
            if value.is_string() { "another text" } else { type_name(value) }
        );
        reader.problem("/tolerate", message);
    }
    tolerate
}
