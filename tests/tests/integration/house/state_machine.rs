//! `docs/state_machine.md` has exactly the states that the schema allows.

use std::collections::BTreeSet;

use domain::execution::{ExecutionResult, ExecutionState};
use domain::run::{RunState, RunStop};

const PAGE: &str = include_str!("../../../../docs/state_machine.md");

/// The states of the diagram below a heading, without its start and its end.
fn states(heading: &str) -> BTreeSet<&str> {
    let section = PAGE.split_once(&format!("\n## {heading}\n")).expect("the heading is there").1;
    let diagram = section.split_once("stateDiagram-v2\n").expect("a diagram").1.split_once("```").unwrap().0;
    let arrows = diagram.lines().filter_map(|line| line.trim().split(": ").next()?.split_once(" --> "));
    arrows.flat_map(|(from, to)| [from, to]).filter(|state| *state != "[*]").collect()
}

#[test]
fn the_diagrams_have_the_states_that_the_checks_allow() {
    assert_eq!(states("Execution"), ExecutionState::ALL.iter().map(|word| word.as_str()).collect());
    assert_eq!(states("Run"), RunState::ALL.iter().map(|word| word.as_str()).collect());
    assert_eq!(states("Queue item"), BTreeSet::from(["waiting", "taken"]));
}

#[test]
fn the_page_names_each_result_and_each_stop() {
    let results = ExecutionResult::ALL.iter().map(|word| word.as_str());
    for word in results.chain(RunStop::ALL.iter().map(|word| word.as_str())) {
        assert!(PAGE.contains(&format!("`{word}`")), "{word}");
    }
}
