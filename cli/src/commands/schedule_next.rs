use std::path::PathBuf;

use clap::Args;
use components::schedule::Schedule;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::workflow_apply::read_definition;
use crate::api::{Api, segment};
use crate::failure::{Failure, Place, render_place};
use crate::output::{Format, now, print_json, print_table, printable, printable_lines, say};

/// Times of one schedule that a call shows.
const TIMES_MAX: u16 = 1_000;

/// Show the coming times of the schedules of a workflow, of a file, or of a description.
#[derive(Args)]
#[command(after_help = "\
Examples:
  sealflow schedule next nightly-backup
  sealflow schedule next -f workflow.yaml -n 20
  sealflow schedule next --cron '30 2 * * mon-fri' --zone Europe/Berlin

A file or a description needs neither API nor token. The jitter of a schedule is not in its times.")]
pub(crate) struct Next {
    /// A workflow, by its name or id.
    #[arg(required_unless_present_any = ["file", "cron"], conflicts_with_all = ["file", "cron"])]
    workflow: Option<String>,
    /// The definition, YAML or JSON; `-` reads standard input.
    #[arg(short, long, value_name = "FILE", conflicts_with = "cron")]
    file: Option<PathBuf>,
    /// A cron expression.
    #[arg(long, value_name = "EXPR")]
    cron: Option<String>,
    /// The zone of the cron expression.
    #[arg(long, value_name = "ZONE", requires = "cron")]
    zone: Option<String>,
    /// Only of this node.
    #[arg(long, value_name = "ID", conflicts_with = "cron")]
    node: Option<String>,
    /// So many times of each.
    #[arg(short = 'n', long, value_name = "NUMBER", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=i64::from(TIMES_MAX)))]
    number: u16,
    /// Those after this time, such as 2027-03-28T00:00:00Z; after now if not given.
    #[arg(long, value_name = "TIME")]
    after: Option<Timestamp>,
}

/// A schedule of a definition.
pub(super) struct Found {
    /// The trigger.
    pub(super) node_id: String,
    /// Its times.
    pub(super) schedule: Schedule,
}

impl Next {
    pub(crate) fn run(
        &self,
        api: impl FnOnce() -> Result<Api, Failure>,
        format: Format,
    ) -> Result<(), Failure> {
        let found = self.find(api)?;
        let after = self.after.unwrap_or_else(now);
        let rows: Vec<(String, Option<String>)> =
            found.iter().flat_map(|found| self.rows(found, after)).collect();
        match format {
            Format::Json => {
                let times = rows.iter().map(|(node_id, time)| json!({ "node_id": node_id, "time": time }));
                print_json(&json!({ "times": times.collect::<Vec<Value>>() }));
            }
            Format::Human if rows.is_empty() => say!("it has no schedule"),
            Format::Human => {
                let shown = rows.into_iter().map(|(node_id, time)| {
                    vec![node_id, time.map_or_else(|| "no more".to_owned(), |time| readable(&time))]
                });
                print_table(&["node", "time"], shown.collect());
            }
        }
        Ok(())
    }

    fn rows(&self, found: &Found, after: Timestamp) -> Vec<(String, Option<String>)> {
        let mut rows: Vec<_> = coming(&found.schedule, after)
            .take(self.number.into())
            .map(|time| (found.node_id.clone(), Some(time)))
            .collect();
        if rows.len() < usize::from(self.number) {
            rows.push((found.node_id.clone(), None));
        }
        rows
    }

    fn find(&self, api: impl FnOnce() -> Result<Api, Failure>) -> Result<Vec<Found>, Failure> {
        if let Some(cron) = &self.cron {
            let mut configuration = json!({ "cron": cron });
            if let Some(zone) = &self.zone {
                configuration["zone"] = json!(zone);
            }
            return of_description(&configuration);
        }
        let found = match (&self.file, &self.workflow) {
            (Some(file), _) => {
                let source = read_definition(file)?;
                definition_schedules(&source.text).map_err(|places| {
                    let shown: String =
                        places.iter().map(|place| render_place("error", place, Some(&source))).collect();
                    Failure::Failed(printable_lines(shown.trim_end()))
                })?
            }
            (None, Some(workflow)) => {
                let workflow = api()?.get(&format!("/v1/workflows/{}", segment(workflow)), &[])?;
                schedules_of(workflow["nodes"].as_array().map(Vec::as_slice).unwrap_or_default())
            }
            (None, None) => Vec::new(),
        };
        match &self.node {
            None => Ok(found),
            Some(node) => {
                let of_node: Vec<_> = found.into_iter().filter(|found| found.node_id == *node).collect();
                if of_node.is_empty() {
                    return Err(Failure::Failed(format!(
                        "it has no schedule with the id {}",
                        printable(node)
                    )));
                }
                Ok(of_node)
            }
        }
    }
}

fn of_description(configuration: &Value) -> Result<Vec<Found>, Failure> {
    match Schedule::read(configuration) {
        Some(schedule) => Ok(vec![Found { node_id: "--cron".to_owned(), schedule }]),
        None => {
            let trigger = components::trigger("schedule");
            let problems = trigger.map(|trigger| trigger.check(configuration)).unwrap_or_default();
            let said = problems
                .iter()
                .map(|problem| format!("--{} {}", problem.pointer.trim_start_matches('/'), problem.message));
            Err(Failure::Usage(said.collect::<Vec<_>>().join("; ")))
        }
    }
}

/// The schedules of a definition's text, or its errors.
pub(super) fn definition_schedules(text: &str) -> Result<Vec<Found>, Vec<Place>> {
    let checked = definition_check::check(text).map_err(|refused| {
        let place =
            |problem| serde_json::to_value(problem).and_then(serde_json::from_value).unwrap_or_default();
        refused.problems.iter().map(place).collect::<Vec<Place>>()
    })?;
    let nodes = serde_json::to_value(&checked.definition.nodes).unwrap_or_default();
    Ok(schedules_of(nodes.as_array().map(Vec::as_slice).unwrap_or_default()))
}

fn schedules_of(nodes: &[Value]) -> Vec<Found> {
    let found = nodes.iter().filter(|node| node["trigger"] == "schedule").filter_map(|node| {
        let schedule = Schedule::read(&node["configuration"])?;
        Some(Found { node_id: node["id"].as_str()?.to_owned(), schedule })
    });
    found.collect()
}

/// The times of a schedule after a moment, each with its zone.
pub(super) fn coming(schedule: &Schedule, after: Timestamp) -> impl Iterator<Item = String> {
    let next = |time: &Timestamp| schedule.next(*time);
    let times = std::iter::successors(schedule.next(after), next);
    times.map(|time| time.to_zoned(schedule.zone().clone()).to_string())
}

/// `2027-03-28T02:30:00+02:00[Europe/Berlin]` for people.
pub(super) fn readable(time: &str) -> String {
    match time.parse::<jiff::Zoned>() {
        Ok(zoned) => {
            let zone = zoned.time_zone().iana_name().unwrap_or("UTC").to_owned();
            format!("{} {zone}", zoned.strftime("%a %Y-%m-%d %H:%M:%S %:z"))
        }
        Err(_) => time.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        let after: Timestamp = "2027-03-27T12:00:00Z".parse().unwrap();
        let found = definition_schedules(text).unwrap_or_else(|places| panic!("{} errors", places.len()));
        found
            .iter()
            .flat_map(|found| {
                coming(&found.schedule, after)
                    .take(2)
                    .map(|time| format!("{} {}", found.node_id, readable(&time)))
                    .collect::<Vec<_>>()
            })
            .collect()
    }

    #[test]
    fn the_times_of_each_schedule_are_shown_in_its_zone() {
        let text = "name: w\nnodes:\n  - { id: nightly, name: N, trigger: schedule, configuration: { cron: 30 2 * * *, zone: Europe/Berlin } }\n  \
            - { id: s, name: S, trigger: start }\n  - { id: once, name: O, trigger: schedule, configuration: { at: [2027-04-01T00:00] } }\n";
        assert_eq!(
            found(text),
            [
                "nightly Sun 2027-03-28 03:30:00 +02:00 Europe/Berlin",
                "nightly Mon 2027-03-29 02:30:00 +02:00 Europe/Berlin",
                "once Thu 2027-04-01 00:00:00 +00:00 UTC",
            ]
        );
    }

    #[test]
    fn what_is_wrong_with_a_description_or_a_definition_is_said() {
        let Err(Failure::Usage(said)) = of_description(&json!({ "cron": "0 2 * *", "zone": "Berlin" }))
        else {
            panic!("it is wrong")
        };
        assert!(said.contains("--zone must be the IANA name"), "{said}");
        let places = definition_schedules("name: w\nnodes:\n  - { id: n, name: N, trigger: schedule }\n")
            .err()
            .unwrap();
        assert_eq!(places.len(), 1);
    }
}
