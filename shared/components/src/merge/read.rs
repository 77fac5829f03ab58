//! Reads the configuration of a `merge`.

use std::collections::BTreeSet;

use domain::limits::MERGE_SOURCES_MAX;
use jiff::SignedDuration;
use serde_json::{Map, Value};

use crate::{
    civil::read_length,
    component::Problem,
    shape::{Reader, Stage, item, type_name},
};

/// The settings of a merge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Settings {
    pub(super) mode: Mode,
    /// The names of the nodes that it waits for; None: all with an edge to it.
    pub(super) sources: Option<Vec<String>>,
    pub(super) dead_sources: DeadSources,
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

/// Checks a configuration, and reads its time-out; None while a template leaves that open.
pub(super) fn read_timeout_of(
    configuration: &Value,
    stage: Stage,
) -> Result<Option<Option<SignedDuration>>, Vec<Problem>> {
    let mut reader = Reader::new(stage);
    let timeout = reader.object("", configuration, &FIELDS).and_then(|map| {
        read_settings(&mut reader, map);
        read_length(&mut reader, map, "timeout")
    });
    let problems = reader.into_problems();
    if problems.is_empty() { Ok(timeout) } else { Err(problems) }
}

/// The settings of the author's configuration, which has no templates in them.
pub(super) fn settings(configuration: &Value) -> Option<Settings> {
    read_settings(&mut Reader::new(Stage::Template), configuration.as_object()?)
}

fn read_settings(reader: &mut Reader, map: &Map<String, Value>) -> Option<Settings> {
    let sources = match map.get("sources") {
        None => Some(None),
        Some(value) => read_sources(reader, value).map(Some),
    };
    let mode = read_mode(reader, map);
    let dead_sources = match map.get("dead_sources") {
        None => Some("skip"),
        Some(value) => literal_word(reader, "/dead_sources", value, &["skip", "fail"]),
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
    Some(Settings { mode, sources, dead_sources })
}

/// One of a few words, and no template: the merge decides by the definition of that moment.
fn literal_word(
    reader: &mut Reader,
    at: &str,
    value: &Value,
    words: &[&'static str],
) -> Option<&'static str> {
    if reader.is_open(value) {
        reader.problem(at, "can't hold a template: it must be known when the workflow is applied");
        return None;
    }
    reader.word(at, value, words)
}

fn read_mode(reader: &mut Reader, map: &Map<String, Value>) -> Option<Mode> {
    let mode = match map.get("mode") {
        None => "all",
        Some(value) => literal_word(reader, "/mode", value, &["all", "any", "quorum"])?,
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
