//! Reads the configuration of a `merge`, and what it holds.

use std::collections::BTreeSet;

use domain::limits::{MERGE_SOURCES_MAX, WAIT_SECONDS_MAX};
use jiff::SignedDuration;
use serde_json::{Map, Value, json};

use crate::{
    civil::duration,
    component::Problem,
    shape::{Reader, Stage, child, item, type_name},
};

/// The settings of a merge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Settings {
    pub(super) mode: Mode,
    /// The names of the nodes that it waits for; None: all with an edge to it.
    pub(super) sources: Option<Vec<String>>,
    pub(super) dead_sources: DeadSources,
    pub(super) timeout: Option<SignedDuration>,
}

/// The number of sources that a merge waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    All,
    Any,
    Quorum(usize),
}

/// The treatment of sources from which nothing can arrive any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DeadSources {
    /// They count no more.
    Skip,
    /// The merge fails.
    Fail,
}

impl Mode {
    /// The arrivals that are enough, of so many sources.
    pub(super) fn needed(self, sources: usize) -> usize {
        match self {
            Self::All => sources,
            Self::Any => 1,
            Self::Quorum(number) => number,
        }
    }

    /// Whether a dead source may be left out of the count.
    pub(super) fn skips_dead(self) -> bool {
        self == Self::All
    }
}

const FIELDS: [&str; 6] = ["mode", "quorum", "sources", "dead_sources", "stop_if", "timeout"];

/// Reads a configuration; None while a template leaves a part of it open.
pub(super) fn read(configuration: &Value, stage: Stage) -> Result<Option<Settings>, Vec<Problem>> {
    let mut reader = Reader::new(stage);
    let settings = reader.object("", configuration, &FIELDS).and_then(|map| read_map(&mut reader, map));
    let problems = reader.into_problems();
    if problems.is_empty() { Ok(settings) } else { Err(problems) }
}

fn read_map(reader: &mut Reader, map: &Map<String, Value>) -> Option<Settings> {
    let sources = match map.get("sources") {
        None => Some(None),
        Some(value) => read_sources(reader, value).map(Some),
    };
    let mode = read_mode(reader, map);
    let dead_sources = match map.get("dead_sources") {
        None => Some("skip"),
        Some(value) => reader.word("/dead_sources", value, &["skip", "fail"]),
    };
    let timeout = match map.get("timeout") {
        None => Some(None),
        Some(value) => read_timeout(reader, value).map(Some),
    };
    if reader.is_template_stage()
        && let Some(stop_if) = map.get("stop_if")
        && !matches!(stop_if, Value::String(text) if !text.trim().is_empty())
        && !stop_if.is_boolean()
    {
        reader.problem("/stop_if", format!("must be an expression, not {}", type_name(stop_if)));
    }
    let (sources, mode) = (sources?, mode?);
    if let (Some(sources), Mode::Quorum(number)) = (&sources, mode)
        && number > sources.len()
    {
        reader.problem("/quorum", format!("is more than the {} sources that are named", sources.len()));
    }
    let dead_sources = if dead_sources? == "fail" { DeadSources::Fail } else { DeadSources::Skip };
    if dead_sources == DeadSources::Fail && mode != Mode::All {
        reader.problem(
            "/dead_sources",
            "`fail` goes with the mode `all`: the others fail when too few sources are left",
        );
    }
    Some(Settings { mode, sources, dead_sources, timeout: timeout? })
}

fn read_mode(reader: &mut Reader, map: &Map<String, Value>) -> Option<Mode> {
    let mode = match map.get("mode") {
        None => "all",
        Some(value) if reader.is_open(value) => {
            reader.problem("/mode", "can't hold a template: it must be known when the workflow is applied");
            return None;
        }
        Some(value) => reader.word("/mode", value, &["all", "any", "quorum"])?,
    };
    match (mode, map.get("quorum")) {
        ("quorum", None) => {
            reader.problem("", "needs `quorum`, the number of sources that are enough");
            None
        }
        ("quorum", Some(value)) => {
            let number = value.as_u64().and_then(|number| usize::try_from(number).ok());
            let number = number.filter(|number| (1..=MERGE_SOURCES_MAX).contains(number));
            if number.is_none() {
                reader.problem("/quorum", format!("must be a number from 1 to {MERGE_SOURCES_MAX}"));
            }
            number.map(Mode::Quorum)
        }
        (_, Some(_)) => {
            reader.problem("/quorum", "goes with `mode: quorum` only");
            None
        }
        ("any", None) => Some(Mode::Any),
        (_, None) => Some(Mode::All),
    }
}

fn read_sources(reader: &mut Reader, value: &Value) -> Option<Vec<String>> {
    let Some(list) = value.as_array() else {
        reader.problem("/sources", format!("must be a list of the names of nodes, not {}", type_name(value)));
        return None;
    };
    if !(1..=MERGE_SOURCES_MAX).contains(&list.len()) {
        reader.problem("/sources", format!("must be a list of 1 to {MERGE_SOURCES_MAX} names of nodes"));
        return None;
    }
    let (mut names, mut seen) = (Vec::new(), BTreeSet::new());
    for (index, value) in list.iter().enumerate() {
        match value.as_str() {
            Some(name) if seen.insert(name) => names.push(name.to_owned()),
            Some(_) => reader.problem(&item("/sources", index), "is named twice"),
            None => {
                reader.problem(
                    &item("/sources", index),
                    format!("must be the name of a node, not {}", type_name(value)),
                );
            }
        }
    }
    (names.len() == list.len()).then_some(names)
}

fn read_timeout(reader: &mut Reader, value: &Value) -> Option<SignedDuration> {
    if reader.is_open(value) {
        return None;
    }
    let most = SignedDuration::from_secs(i64::try_from(WAIT_SECONDS_MAX).ok()?);
    let found = duration(value).filter(|found| *found >= SignedDuration::from_secs(1) && *found <= most);
    if found.is_none() {
        reader.problem(
            &child("", "timeout"),
            "must be seconds, or a text such as `4h` or `30 days`, from a second to 366 days",
        );
    }
    found
}

impl Settings {
    pub(super) fn to_held(&self) -> Value {
        let mode = match self.mode {
            Mode::All => json!("all"),
            Mode::Any => json!("any"),
            Mode::Quorum(number) => json!(number),
        };
        let mut held = json!({ "mode": mode, "fails_if_dead": self.dead_sources == DeadSources::Fail });
        if let Some(sources) = &self.sources {
            held["sources"] = json!(sources);
        }
        held
    }

    /// The settings of what a merge holds, without its time-out, which it holds as a time.
    pub(super) fn from_held(held: &Value) -> Option<Self> {
        let mode = match &held["mode"] {
            Value::String(word) if word == "all" => Mode::All,
            Value::String(word) if word == "any" => Mode::Any,
            Value::Number(number) => Mode::Quorum(usize::try_from(number.as_u64()?).ok()?),
            _ => return None,
        };
        let sources = match held.get("sources") {
            None => None,
            Some(list) => Some(serde_json::from_value(list.clone()).ok()?),
        };
        let fails = held["fails_if_dead"].as_bool()?;
        let dead_sources = if fails { DeadSources::Fail } else { DeadSources::Skip };
        Some(Self { mode, sources, dead_sources, timeout: None })
    }
}
