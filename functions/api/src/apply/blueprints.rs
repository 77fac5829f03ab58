//! Blueprints: applying them, the ones that a definition uses, and upgrades of their users.

use api_types::{AppliedBlueprint, BlueprintUpgrade, UpgradedWorkflow};
use definition_check::{Blueprint, BlueprintRef, Library, blueprints_in, check_blueprint};
use domain::definition::{Definition, Node, Uses};
use domain::ids::WorkflowId;
use domain::limits::{BLUEPRINT_VERSIONS_MAX, EXPANDED_BYTES_MAX};
use serde_json::{Value, json};
use store::StoreError;
use store::api::{
    AuditObject, Audited, BlueprintRow, BlueprintUser, NewBlueprint, StoredBlueprint, apply_blueprint,
    find_blueprint, find_users, load_blueprints, load_workflow, newest_blueprints, next_version,
};

use super::{ApplyMode, ApplyOptions, PLANS_MAX, apply, refusal, secrets};
use crate::Deps;
use crate::auth::Caller;
use crate::error::{ApiError, NotFoundAs as _};
use crate::views;

/// Bytes of the blueprints that one definition names: each stands in it once at least, and as the
/// database writes it, with spaces and its references to secrets.
const LIBRARY_BYTES: i64 = 3 * EXPANDED_BYTES_MAX as i64;

/// The blueprints that a definition names.
///
/// # Errors
/// [`ApiError`] when the database can't be reached.
pub(super) async fn library(deps: &Deps, caller: &Caller, text: &str) -> Result<Library, ApiError> {
    let named = blueprints_in(text);
    if named.is_empty() {
        return Ok(Library::default());
    }
    let versions: Vec<(String, i64)> = named
        .iter()
        .filter_map(|text| BlueprintRef::parse(text))
        .map(|reference| (reference.name, reference.version))
        .collect();
    let organization_id = caller.organization_id;
    let stored = load_blueprints(&deps.store, organization_id, &versions, LIBRARY_BYTES).await?;
    let stored = stored.ok_or_else(|| {
        ApiError::Invalid(
            "the blueprints that it names have more bytes together than a definition may".into(),
        )
    })?;
    let names: Vec<&str> = named.iter().map(|text| text.split('@').next().unwrap_or_default()).collect();
    let newest = newest_blueprints(&deps.store, organization_id, &names).await?;
    let read = |stored: StoredBlueprint| {
        let reference = BlueprintRef { name: stored.row.name.clone(), version: stored.row.version };
        Ok((reference, definition_of(stored.definition)?))
    };
    let blueprints = stored.into_iter().map(read).collect::<Result<Vec<_>, ApiError>>()?;
    Ok(Library::of(blueprints, newest))
}

/// A blueprint as it is stored.
///
/// # Errors
/// [`ApiError::Internal`] when it can't be read.
pub(crate) fn definition_of(stored: Value) -> Result<Blueprint, ApiError> {
    Ok(serde_json::from_value(stored).map_err(|_| StoreError::Corrupt("blueprints.definition"))?)
}

/// The blueprints that nodes name, each once, as name and version.
pub(super) fn used(nodes: &[Node]) -> Vec<(String, i64)> {
    let named = nodes.iter().filter_map(|node| match &node.uses {
        Uses::Blueprint(text) => BlueprintRef::parse(text),
        Uses::Trigger(_) | Uses::Component(_) => None,
    });
    let mut used: Vec<_> = named.map(|reference| (reference.name, reference.version)).collect();
    used.sort_unstable();
    used.dedup();
    used
}

/// Applies a blueprint as its next version, if it differs from the newest.
///
/// # Errors
/// [`ApiError::Definition`] with every error of the definition.
pub(crate) async fn apply_new(
    deps: &Deps,
    caller: &Caller,
    text: &str,
    mode: ApplyMode,
) -> Result<AppliedBlueprint, ApiError> {
    let mut plans = 1;
    loop {
        match apply_once(deps, caller, text, mode).await {
            Err(ApiError::Conflict(_)) if plans < PLANS_MAX => plans += 1,
            answer => return answer,
        }
    }
}

async fn apply_once(
    deps: &Deps,
    caller: &Caller,
    text: &str,
    mode: ApplyMode,
) -> Result<AppliedBlueprint, ApiError> {
    let library = library(deps, caller, text).await?;
    let checked = match check_blueprint(text, deps.deployment, &library) {
        Ok(checked) => checked,
        Err(refused) => return Err(refusal(deps, caller, refused).await?),
    };
    let blueprint = checked.blueprint;
    let findings = secrets::find_problems(deps, caller, &blueprint.secret_refs).await?;
    if !findings.errors.is_empty() {
        return Err(ApiError::Definition(findings.errors));
    }
    let warnings = checked.warnings.into_iter().chain(findings.warnings);
    let warnings = warnings.map(views::definition_problem).collect();
    let organization_id = caller.organization_id;
    let newest = match find_blueprint(&deps.store, organization_id, &blueprint.name, None).await {
        Ok((stored, _)) => Some((stored.row, definition_of(stored.definition)?)),
        Err(StoreError::NotFound) => None,
        Err(error) => return Err(error.into()),
    };
    let is_same = newest.as_ref().is_some_and(|(_, newest)| is_same(newest, &blueprint));
    if is_same || mode == ApplyMode::Check {
        let blueprint = newest.map(|(row, _)| views::blueprint(row));
        return Ok(AppliedBlueprint { blueprint, applied: false, warnings });
    }
    let version = next_version(&deps.store, organization_id, &blueprint.name).await?;
    if version > BLUEPRINT_VERSIONS_MAX {
        return Err(ApiError::Invalid(format!(
            "`{}` has had {BLUEPRINT_VERSIONS_MAX} versions, and may have no more: apply it by another name",
            blueprint.name
        )));
    }
    let now = deps.clock.now();
    let new = NewBlueprint {
        organization_id,
        name: blueprint.name.clone(),
        version,
        definition: json!(blueprint),
        blueprints: used(&blueprint.authored().nodes),
        created_by: caller.actor.clone(),
        now,
    };
    let name = format!("{}@{version}", blueprint.name);
    let line = caller.line(deps, AuditObject::new("blueprint", &name).named(&blueprint.name));
    apply_blueprint(Audited::new(&deps.store, &line), &new).await?;
    tracing::info!(blueprint = name, "blueprint applied");
    let row = BlueprintRow {
        name: blueprint.name,
        version,
        description: blueprint.description,
        created_by: new.created_by,
        created_at: now,
    };
    Ok(AppliedBlueprint { blueprint: Some(views::blueprint(row)), applied: true, warnings })
}

/// Whether two definitions stand for the same: lines and columns don't count.
fn is_same(one: &Blueprint, other: &Blueprint) -> bool {
    let without_places = |blueprint: &Blueprint| {
        let mut blueprint = blueprint.clone();
        for secret in &mut blueprint.secret_refs {
            (secret.line, secret.column) = (0, 0);
        }
        blueprint
    };
    without_places(one) == without_places(other)
}

/// The options of an upgrade.
pub(crate) struct Upgrade<'a> {
    /// The name of the blueprint.
    pub(crate) name: &'a str,
    /// The version to use; None: the newest.
    pub(crate) version: Option<i64>,
    /// This workflow alone.
    pub(crate) only: Option<WorkflowId>,
    /// The workflows after this one.
    pub(crate) after: Option<WorkflowId>,
    /// Whether it writes.
    pub(crate) mode: ApplyMode,
}

/// Workflows of one request: an apply of each is within the time of the function.
const UPGRADED_AT_ONCE: usize = 20;

/// Applies workflows that use another version of a blueprint anew: some, in the order of their ids.
/// Returns the last of them too, where there may be more.
///
/// # Errors
/// [`ApiError::NotFound`] when there is no such version. A workflow that can't be applied is part of
/// the answer.
pub(crate) async fn upgrade(
    deps: &Deps,
    caller: &Caller,
    Upgrade { name, version, only, after, mode }: Upgrade<'_>,
) -> Result<(BlueprintUpgrade, Option<WorkflowId>), ApiError> {
    let organization_id = caller.organization_id;
    let found = find_blueprint(&deps.store, organization_id, name, version).await;
    let (found, _) = found.not_found_as("blueprint")?;
    let version = found.row.version;
    let users = find_users(&deps.store, organization_id, name, after).await?;
    let mut workflow_ids: Vec<WorkflowId> = users
        .iter()
        .filter(|user| user.version != version)
        .filter_map(|user| user.workflow_id)
        .filter(|id| only.is_none_or(|only| only == *id))
        .collect();
    workflow_ids.dedup();
    let last = workflow_ids.get(UPGRADED_AT_ONCE - 1).copied();
    let last = last.filter(|_| workflow_ids.len() > UPGRADED_AT_ONCE);
    let mut workflows = Vec::new();
    for workflow_id in workflow_ids.into_iter().take(UPGRADED_AT_ONCE) {
        let reference = BlueprintRef { name: name.to_owned(), version };
        workflows.extend(upgrade_one(deps, caller, &reference, workflow_id, mode).await?);
    }
    // Of a blueprint that was applied anew, the versions of before don't matter.
    let around = users.iter().filter(|user| user.workflow_id.is_none());
    let names: Vec<&str> = around.filter_map(|user| user.name.split('@').next()).collect();
    let newest = newest_blueprints(&deps.store, organization_id, &names).await?;
    let is_newest =
        |user: &&BlueprintUser| newest.iter().any(|(name, version)| user.name == format!("{name}@{version}"));
    let others = users.iter().filter(|user| user.workflow_id.is_none() && user.version != version);
    let blueprints = others.filter(is_newest).map(|user| user.name.clone()).collect();
    Ok((BlueprintUpgrade { version, workflows, blueprints, next_cursor: None }, last))
}

async fn upgrade_one(
    deps: &Deps,
    caller: &Caller,
    to: &BlueprintRef,
    workflow_id: WorkflowId,
    mode: ApplyMode,
) -> Result<Option<UpgradedWorkflow>, ApiError> {
    let found = load_workflow(&deps.store, caller.organization_id, &workflow_id.to_string()).await;
    let (row, definition) = match found {
        Err(StoreError::NotFound) => return Ok(None),
        found => found?,
    };
    // Blueprints inside of others are theirs.
    let Some(text) = with_version(definition.authored(), to) else { return Ok(None) };
    let options = ApplyOptions { expected_version: Some(row.version), mode };
    let mut upgraded =
        UpgradedWorkflow { id: row.id, name: row.name, applied: false, refused: None, errors: Vec::new() };
    match apply(deps, caller, &text, options).await {
        Ok(applied) => upgraded.applied = applied.applied,
        Err(error) => {
            upgraded.refused = Some(error.to_string());
            if let ApiError::Definition(problems) = error {
                upgraded.errors = problems.into_iter().map(views::definition_problem).collect();
            }
        }
    }
    Ok(Some(upgraded))
}

/// The text of a definition in which each node of the blueprint has that version; None where no node
/// has another one.
fn with_version(mut definition: Definition, to: &BlueprintRef) -> Option<String> {
    let mut is_changed = false;
    for node in &mut definition.nodes {
        let Uses::Blueprint(text) = &mut node.uses else { continue };
        let reference = BlueprintRef::parse(text);
        if reference.is_some_and(|used| used.name == to.name && used.version != to.version) {
            *text = to.to_string();
            is_changed = true;
        }
    }
    is_changed.then(|| text_of(&definition))
}

/// A definition as its author could write it.
fn text_of(definition: &Definition) -> String {
    let mut value = json!(definition);
    if let Some(fields) = value.as_object_mut()
        && let Some(timeout) = fields.remove("timeout_seconds")
    {
        fields.insert("timeout".to_owned(), timeout);
    }
    // Statuses are kept as the first and the last one.
    for node in value["nodes"].as_array_mut().into_iter().flatten() {
        for entry in node.pointer_mut("/retry/on").and_then(Value::as_array_mut).into_iter().flatten() {
            if let Some([first, last]) = entry.as_array().map(Vec::as_slice) {
                *entry = json!(format!("{first}-{last}"));
            }
        }
    }
    value.to_string()
}

#[cfg(test)]
mod tests {
    use definition_check::check;

    use super::*;

    #[test]
    fn a_definition_that_is_written_anew_is_the_same() {
        let text = r#"
name: W
description: all that a node can have
timeout: 1h
nodes:
  - { id: s, name: S, trigger: webhook, run_name: "{{ root().data.x }}", configuration: { authentication: none } }
  - id: a
    name: A
    component: http
    configuration: { url: "https://a.example/{{ root().data.x }}" }
    keys: { k: "{{ root().data.x }}" }
    concurrency: { max: 2, key: "{{ root().data.x }}" }
    rate: { per_second: 0.5 }
    max_visits: 7
    retry: { max_attempts: 3, on: [timeout, 503, "500-502"], max_elapsed: 60 }
    redact: [/body/token]
    position: { x: 1, y: 2.5 }
  - { id: b, name: B, component: http, concurrency: unlimited, configuration: { url: "https://b.example" } }
  - { id: c, name: C, component: if, configuration: { expression: "root().data.x > 1" } }
edges:
  - { from: s, to: a }
  - { from: a, channel: success, to: c }
  - { from: c, channel: "true", to: b }
"#;
        let checked = check(text).unwrap();
        let again = check(&text_of(&checked.definition)).unwrap();
        assert_eq!(again.definition, checked.definition);
    }
}
