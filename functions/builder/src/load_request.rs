//! The rows that a plan needs: asked for by the expressions of the nodes that can be reached.

use std::collections::HashMap;

use domain::ids::EventId;
use store::NodeKey;
use store::builder::{AncestorRequest, ClaimedItem, LoadRequest};

use crate::definitions::Workflows;
use crate::plan::Fallback;
use crate::reach::{Reach, reach};

/// A record that only ends is not evaluated: its data may be the cause of the crash.
pub(crate) fn without_data(request: LoadRequest, fallback: Fallback) -> LoadRequest {
    match fallback {
        Fallback::None => request,
        Fallback::Crashed | Fallback::Refused => {
            LoadRequest { ancestors: Vec::new(), runs_with_data: Vec::new(), ..request }
        }
    }
}

/// The rows that a batch of items needs beside them.
pub(crate) fn load_request(items: &[ClaimedItem], workflows: &Workflows, locked: &[NodeKey]) -> LoadRequest {
    let mut request = LoadRequest::default();
    let mut reaches: HashMap<&NodeKey, Reach> = HashMap::new();
    for item in items {
        request.event_ids.push(item.event_id);
        if !request.run_ids.contains(&item.run_id) {
            request.run_ids.push(item.run_id);
        }
        let Some(workflow) = workflows.get(&item.node.0).filter(|_| !item.is_node_removed) else { continue };
        if !request.workflow_ids.contains(&item.node.0) {
            request.workflow_ids.push(item.node.0);
        }
        let reach = reaches.entry(&item.node).or_insert_with(|| reach(&workflow.compiled, &item.node.1));
        if reach.mentions.root {
            request.runs_with_data.push(item.run_id);
        }
        request.ancestors.extend(ancestor_request(item.event_id, reach));
        for node_id in &reach.visited {
            let visit = (item.run_id, node_id.clone());
            if !request.visits.contains(&visit) {
                request.visits.push(visit);
            }
        }
        for node_id in &reach.limited {
            let key = (item.node.0, node_id.clone());
            if !locked.contains(&key) && !request.downstream.contains(&key) {
                request.downstream.push(key);
            }
        }
    }
    request
}

/// Nothing is asked where the claimed event itself, which is loaded anyway, is all that is
/// mentioned.
fn ancestor_request(event_id: EventId, reach: &Reach) -> Option<AncestorRequest> {
    let mentions = &reach.mentions;
    if mentions.node_ids.is_empty() && !mentions.all_nodes && mentions.previous_max < 2 {
        return None;
    }
    let distance_max = if mentions.all_nodes {
        domain::limits::RUN_DEPTH_MAX
    } else {
        i32::try_from(mentions.previous_max).unwrap_or(i32::MAX).min(domain::limits::RUN_DEPTH_MAX)
    };
    Some(AncestorRequest { event_id, node_ids: mentions.node_ids.clone(), distance_max })
}
