//! A node's configuration: its shape, its templates, its secrets.

use std::{
    cell::{OnceCell, RefCell},
    collections::{BTreeMap, BTreeSet, HashSet},
};

use body_schema::Schema;
use components::{
    AnyComponent, CALLBACK_SCHEMA, Component, Effect, FieldRule, Levels, Owner, Trigger, field_rule,
    suggest::did_you_mean, trigger_template_kind,
};
use definition::{is_plain, pointer::field_path};
use domain::{limits::NODE_TEMPLATES_MAX, placement::Placement};
use expression::{ErrorKind, FieldKind, SEALFLOW_NAMES, SecretRole, Template, UrlOrigin, suggest_name};
use secret_text::{Context, Part};
use serde_json::{Map, Value};

use super::{
    NodeSecretRef, PROBLEMS_MAX, UrlTarget,
    collect::{Collector, Spot},
    draft::DraftNode,
    graph::Ancestry,
    joins::Join,
    node::check_root_template,
    tokens,
};
use crate::blueprint::Input;
use crate::source::{Content, Tree};

/// The node names that a template may use, and the nodes that come before it.
pub(super) struct Names<'d> {
    id: Option<&'d str>,
    ids_by_name: &'d BTreeMap<&'d str, Option<&'d str>>,
    /// The places that nodes redact of their output, by the nodes' names.
    redacted: &'d BTreeMap<&'d str, &'d [String]>,
    /// The inputs, inside of a blueprint.
    inputs: Option<&'d BTreeMap<String, Input>>,
    is_repeated: bool,
    has_item: bool,
    ancestry: &'d Ancestry<'d>,
    before: OnceCell<HashSet<&'d str>>,
    /// The nodes without which a template of this node fails or comes to nil.
    demanded: RefCell<BTreeSet<&'d str>>,
}

impl<'d> Names<'d> {
    pub(super) fn new(
        id: Option<&'d str>,
        ids_by_name: &'d BTreeMap<&'d str, Option<&'d str>>,
        redacted: &'d BTreeMap<&'d str, &'d [String]>,
        inputs: Option<&'d BTreeMap<String, Input>>,
        ancestry: &'d Ancestry<'d>,
        levels: &Levels<'_>,
    ) -> Self {
        let (before, demanded) = (OnceCell::new(), RefCell::default());
        // A condition of an owner is asked within what it repeats.
        let is_repeated = id.is_some_and(|id| levels.owner_of(id).is_some() || levels.is_seen_through(id));
        let has_item = id.is_some_and(|id| levels.item_owner_of(id).is_some());
        Self { id, ids_by_name, redacted, inputs, is_repeated, has_item, ancestry, before, demanded }
    }

    /// The names of two nodes that the templates demand although no event comes along both: neither
    /// comes before the other, one run may have both, and no join before this node takes in both.
    pub(super) fn siblings(&self, joins: &[Join<'_>]) -> Option<(&'d str, &'d str)> {
        let own = self.id?;
        let demanded: Vec<(&str, &str)> = self
            .demanded
            .borrow()
            .iter()
            .filter_map(|name| Some((*name, self.ids_by_name.get(name).copied().flatten()?)))
            .filter(|(_, id)| self.comes_before(id, own))
            .collect();
        let joins: Vec<&Join<'_>> = joins.iter().filter(|join| self.comes_before(join.id, own)).collect();
        let before: Vec<HashSet<&str>> = demanded.iter().map(|(_, id)| self.ancestry.of(id)).collect();
        for (index, (name, id)) in demanded.iter().enumerate() {
            for (other_index, (other, other_id)) in demanded.iter().enumerate().skip(index + 1) {
                let is_before = before[other_index].contains(id) || before[index].contains(other_id);
                let is_of_one_run = !before[index].is_disjoint(&before[other_index]);
                let is_joined = joins.iter().any(|join| join.takes_in(id) && join.takes_in(other_id));
                if !is_before && is_of_one_run && !is_joined {
                    return Some((name, other));
                }
            }
        }
        None
    }

    /// The id of the node of that name.
    pub(super) fn id_of(&self, name: &str) -> Option<&'d str> {
        self.ids_by_name.get(name).copied().flatten()
    }

    fn comes_before(&self, id: &str, own: &'d str) -> bool {
        self.before.get_or_init(|| self.ancestry.of(own)).contains(id)
    }

    /// Checks every name that the template mentions.
    pub(super) fn check(&self, spot: &Spot<&str>, template: &Template, out: &mut Collector<'_>) {
        self.check_after(spot, template, |id, own| self.comes_before(id, own), out);
    }

    /// [`Names::check`] for a condition of an owner, which is asked of the events that return to it.
    fn check_condition(&self, spot: &Spot<&str>, template: &Template, out: &mut Collector<'_>) {
        let returned = self.id.map(|own| self.ancestry.of_returned(own)).unwrap_or_default();
        let comes_before = |id: &str, own: &'d str| returned.contains(id) || self.comes_before(id, own);
        self.check_after(spot, template, comes_before, out);
    }

    fn check_after(
        &self,
        spot: &Spot<&str>,
        template: &Template,
        comes_before: impl Fn(&str, &'d str) -> bool,
        out: &mut Collector<'_>,
    ) {
        let scope = Scope { inputs: self.inputs, is_repeated: self.is_repeated, has_item: self.has_item };
        check_functions(spot, template, scope, out);
        let mentions = template.mentions();
        for (name, pointer, span) in mentions.places {
            let redacted = self.redacted.get(name.as_str()).copied().unwrap_or_default();
            let is_within = |place: &&String| {
                pointer
                    .strip_prefix(place.as_str())
                    .is_some_and(|below| below.is_empty() || below.starts_with('/'))
            };
            if let Some(place) = redacted.iter().find(is_within) {
                let message =
                    format!("`{name}` redacts {place}: reading it fails the execution (`redacted`)");
                out.warning_in(spot, span, message);
            }
        }
        for (name, span) in mentions.nodes {
            // A text that has an answer for nil demands nothing.
            if !["??", "?.", "nil"].iter().any(|answer| spot.value.contains(answer))
                && let Some((name, _)) = self.ids_by_name.get_key_value(name.as_str())
            {
                self.demanded.borrow_mut().insert(name);
            }
            match (self.ids_by_name.get(name.as_str()), self.id) {
                (None, _) => {
                    let by_id = self.ids_by_name.iter().find(|(_, id)| **id == Some(name.as_str()));
                    let hint = match by_id {
                        Some((named, _)) => format!("; expressions use names, this node's is `{named}`"),
                        None => did_you_mean(&name, self.ids_by_name.keys().copied()),
                    };
                    out.error_in(spot, span, format!("there is no node named `{name}`{hint}"));
                }
                (Some(Some(id)), Some(own)) if !comes_before(id, own) => {
                    let message = format!("`{name}` never comes before this node, so this is always nil");
                    out.warning_in(spot, span, message);
                }
                _ => {}
            }
        }
    }
}

/// The names that hang on a node's place.
#[derive(Clone, Copy, Default)]
pub(super) struct Scope<'d> {
    /// The inputs of the blueprint around; None: there is none.
    inputs: Option<&'d BTreeMap<String, Input>>,
    /// Whether an owner is around the node.
    is_repeated: bool,
    /// Whether an owner with items is around it.
    has_item: bool,
}

/// Refuses functions and variables that do not exist, and `previous` with a number below 1.
pub(super) fn check_functions(
    spot: &Spot<&str>,
    template: &Template,
    scope: Scope<'_>,
    out: &mut Collector<'_>,
) {
    let Scope { inputs, is_repeated, has_item } = scope;
    for (name, span) in template.mentions().inputs {
        if let Some(inputs) = inputs.filter(|inputs| !inputs.contains_key(&name)) {
            let hint = did_you_mean(&name, inputs.keys().map(String::as_str));
            out.error_in(spot, span, format!("the blueprint has no input `{name}`{hint}"));
        }
    }
    for (name, span) in template.names() {
        let missing = match name.as_str() {
            "item" if !has_item => Some("`item()` is that of a `for_each`, and no one repeats this"),
            "iteration" if !is_repeated => {
                Some("`iteration()` is that of a `for_each` or a `loop`, and neither repeats this")
            }
            _ => None,
        };
        if let Some(message) = missing {
            out.error_in(spot, span, message.to_owned());
        }
        if name == "inputs" && inputs.is_none() {
            let message = "`inputs` are a blueprint's: there are none in a workflow; see root()";
            out.error_in(spot, span, message.to_owned());
        }
        if !SEALFLOW_NAMES.contains(&name.as_str()) {
            let hint = match name.as_str() {
                "null" | "None" | "undefined" => "; nothing is written `nil`".to_owned(),
                _ => suggest_name(&name).map_or(String::new(), |near| format!("; did you mean `{near}`?")),
            };
            out.error_in(spot, span, format!("there is no `{name}`{hint}"));
        } else if name == "previous" && spot.value.get(span.start..span.end).is_some_and(steps_nowhere) {
            out.error_in(spot, span, "`previous(n)` goes back n events: n must be at least 1");
        }
    }
}

/// Whether the text of a call of `previous` has a literal number below 1.
fn steps_nowhere(call: &str) -> bool {
    let argument = call.trim_start_matches("previous").trim().trim_start_matches('(').trim_end_matches(')');
    argument.replace(' ', "").parse::<i64>().is_ok_and(|steps| steps < 1)
}

/// Parses a template and reports its errors.
pub(super) fn parse(spot: &Spot<&str>, kind: FieldKind, out: &mut Collector<'_>) -> Option<Template> {
    match Template::parse(spot.value, kind) {
        Ok(template) => Some(template),
        Err(error) => {
            out.error_in(spot, error.span, error.message);
            None
        }
    }
}

/// A string of the configuration with its rule and its template.
struct Field<'t> {
    pointer: String,
    spot: Spot<&'t str>,
    rule: FieldRule,
    template: Template,
}

/// Checks a component's configuration, and returns the references to secrets in it.
pub(super) fn check(
    node: &DraftNode<'_>,
    component: AnyComponent,
    names: &Names<'_>,
    out: &mut Collector<'_>,
) -> Vec<NodeSecretRef> {
    let condition = component.owner().and_then(Owner::condition);
    let (effect, component) = (component.effect(), component.base());
    let misshapen = check_shape(node, |value| component.check(value), out);
    let Some(tree) = node.configuration else { return Vec::new() };
    let prefix = format!("{}.configuration", node.field);
    let value = tree.to_value();
    let mut fields = Vec::new();
    tree.strings(&mut |pointer, text, position| {
        let rule = field_rule(component, pointer);
        let spot = || Spot::new(text, position, field_path(&prefix, &value, pointer));
        if let Some(start) = text.find("${{") {
            let message = "the `$` before `{{` is sent as it stands; a template is written `{{ … }}`";
            out.warning_in(&spot(), expression::Span::new(start, start + 1), message.to_owned());
        }
        if is_plain(text, rule.kind) {
            warn_of_credentials(&spot(), rule, out);
            // A literal URL goes on: it has an origin too. The component's own check has reported a
            // malformed one.
            if rule.kind != FieldKind::Url || misshapen.iter().any(|at| at == pointer) {
                return;
            }
        }
        let spot = spot();
        match Template::parse(spot.value, rule.kind) {
            Ok(template) => fields.push(Field { pointer: pointer.to_owned(), spot, rule, template }),
            // No secret may stand here, in whichever form it is written.
            Err(error) if error.kind == ErrorKind::Secret && rule.secret.is_none() => {
                out.error_in(&spot, error.span, refusal(component, pointer));
            }
            Err(error) => out.error_in(&spot, error.span, error.message),
        }
    });
    check_keys_of_maps(tree, &prefix, out);
    check_callback_schema(node, component, &prefix, &value, out);
    let templates = fields.iter().filter(|field| !field.template.is_literal()).count();
    if templates > NODE_TEMPLATES_MAX {
        let message = format!("a node can have at most {NODE_TEMPLATES_MAX} templates, not {templates}");
        out.error(node.position, &prefix, message);
        return Vec::new();
    }
    out.count_templates(templates);
    for field in &fields {
        if condition == Some(field.pointer.as_str()) {
            names.check_condition(&field.spot, &field.template, out);
        } else {
            names.check(&field.spot, &field.template, out);
        }
    }
    check_secrets(node, component, effect, &value, &fields, out)
}

/// Checks the schema that the body of a callback is checked by.
fn check_callback_schema(
    node: &DraftNode<'_>,
    component: &dyn Component,
    prefix: &str,
    configuration: &Value,
    out: &mut Collector<'_>,
) {
    let schema = configuration.pointer(CALLBACK_SCHEMA).filter(|_| component.name() == "wait_for_callback");
    let Some(Err(error)) = schema.map(Schema::new) else { return };
    let pointer = format!("{CALLBACK_SCHEMA}{}", error.pointer);
    out.error(node.position, &field_path(prefix, configuration, &pointer), error.message);
}

/// Checks a trigger's configuration. Its only templates are in the fields that the trigger names,
/// and read the root event.
pub(super) fn check_trigger(node: &DraftNode<'_>, trigger: &dyn Trigger, out: &mut Collector<'_>) {
    check_shape(node, |value| trigger.check(value), out);
    let Some(tree) = node.configuration else { return };
    let (prefix, value) = (format!("{}.configuration", node.field), tree.to_value());
    tree.strings(&mut |pointer, text, position| {
        let kind = trigger_template_kind(trigger, pointer);
        if is_plain(text, kind.unwrap_or(FieldKind::Typed)) {
            return;
        }
        let field = field_path(&prefix, &value, pointer);
        match kind {
            Some(kind) => {
                let what = format!("`{}`", pointer.trim_start_matches('/').replace('/', "."));
                check_root_template(&Spot::new(text, position, field), kind, &what, out);
            }
            None => out.error(position, &field, "a trigger's configuration can't hold templates here"),
        }
    });
}

/// Checks the shape, and returns the pointers of the problems.
fn check_shape(
    node: &DraftNode<'_>,
    check: impl Fn(&Value) -> Vec<components::Problem>,
    out: &mut Collector<'_>,
) -> Vec<String> {
    if node.configuration.is_some_and(Tree::has_refused) {
        return Vec::new();
    }
    let mut pointers = Vec::new();
    let value = node.configuration.map_or_else(|| Value::Object(Map::new()), Tree::to_value);
    for problem in check(&value).into_iter().take(PROBLEMS_MAX) {
        let position = node.configuration.map_or(node.position, |tree| tree.locate(&problem.pointer));
        let field = field_path(&format!("{}.configuration", node.field), &value, &problem.pointer);
        out.error(position, &field, problem.message);
        pointers.push(problem.pointer);
    }
    pointers
}

/// Warns of a template in a map's key: it stays text, which its author surely did not mean.
fn check_keys_of_maps(tree: &Tree, field: &str, out: &mut Collector<'_>) {
    match &tree.content {
        Content::List(items) => items.iter().for_each(|item| check_keys_of_maps(item, field, out)),
        Content::Map(entries) => {
            for entry in entries {
                if entry.key.contains("{{") {
                    out.warning(entry.position, field, "keys are taken as they are: this is no template");
                }
                check_keys_of_maps(&entry.value, field, out);
            }
        }
        _ => {}
    }
}

fn check_secrets(
    node: &DraftNode<'_>,
    component: &dyn Component,
    effect: Option<&dyn Effect>,
    configuration: &Value,
    fields: &[Field<'_>],
    out: &mut Collector<'_>,
) -> Vec<NodeSecretRef> {
    let mut refs = Vec::new();
    let target = fields.iter().find_map(|field| match field.template.url_origin() {
        UrlOrigin::Literal { scheme, host, port } if field.rule.kind == FieldKind::Url => {
            let port = port.unwrap_or(if scheme == "http" { 80 } else { 443 });
            Some(UrlTarget { host: connected_host(&scheme, host), scheme, port })
        }
        _ => None,
    });
    for field in fields {
        if field.rule.secret != Some(Context::Signature) {
            for span in field.template.mentions().requests {
                let message = "`request` can stand in the `template` of an `authorization` of the type `hmac` only: the request must be \
                               made before it is signed";
                out.error_in(&field.spot, span, message.to_owned());
            }
        }
        let refs_of_field = field.template.secret_refs();
        if field.rule.secret == Some(Context::Key)
            && !refs_of_field.is_empty()
            && field.template.is_composed()
        {
            let message = "a key is one secret as it is, or a text in its JSON (`fromJSON(secrets(\"a\").b).key`), without text beside it \
                           or an encoding: set the whole key as the secret";
            out.error(field.spot.position, &field.spot.field, message);
        }
        for secret in refs_of_field {
            let Some(effect) = effect.filter(|_| field.rule.secret.is_some()) else {
                let message = refusal(component, &field.pointer);
                out.error_in(&field.spot, secret.span, message);
                continue;
            };
            let place = out.place_in(&field.spot, secret.span.start);
            let issuer = effect.other_url(configuration, &field.pointer);
            let issuer = issuer.and_then(|(_, url)| target_of(&url));
            refs.push(NodeSecretRef {
                node_id: node.id.as_ref().map(|id| id.value.clone()).unwrap_or_default(),
                name: secret.name,
                key: secret.key,
                field: field.spot.field.clone(),
                pointer: field.pointer.clone(),
                line: place.line,
                column: place.column,
                targets: target.iter().cloned().chain(issuer).collect(),
                place: place_of(secret.role, effect, configuration, &field.pointer),
            });
        }
    }
    let issuer = effect
        .and_then(|effect| fields.iter().find_map(|field| effect.other_url(configuration, &field.pointer)));
    if let Some((pointer, url)) = issuer
        && url.starts_with("http:")
    {
        let position = node.configuration.map_or(node.position, |tree| tree.locate(pointer));
        let field = field_path(&format!("{}.configuration", node.field), configuration, pointer);
        let message =
            "an issuer is asked over https: plain http is refused unless the operator allows this host";
        out.warning(position, &field, message);
    }
    if !refs.is_empty()
        && let Some((pointer, message)) = effect.and_then(|effect| effect.without_secrets(configuration))
    {
        let position = node.configuration.map_or(node.position, |tree| tree.locate(pointer));
        let field = field_path(&format!("{}.configuration", node.field), configuration, pointer);
        out.error(position, &field, message);
    }
    if !refs.is_empty() {
        fields
            .iter()
            .filter(|field| field.rule.kind == FieldKind::Url)
            .for_each(|field| check_origin(field, out));
    }
    refs
}

/// The place of a reference in the request; None where a template chooses the place.
fn place_of(
    role: SecretRole,
    effect: &dyn Effect,
    configuration: &Value,
    pointer: &str,
) -> Option<Placement> {
    let part = match role {
        SecretRole::Signing => return Some(Placement::Signing),
        SecretRole::InUrl(encoding) => Part::Encoded(encoding, Vec::new()),
        SecretRole::Placed => Part::Text(String::new()),
    };
    let place = effect.placement(configuration, pointer, &part);
    let is_open = match &place {
        Placement::Header(name) | Placement::QueryParameter(name) => name.is_empty() || name.contains("{{"),
        Placement::Authorization
        | Placement::Body
        | Placement::Path
        | Placement::Query
        | Placement::Signing
        | Placement::Url => false,
    };
    (!is_open).then_some(place)
}

/// The origin of a literal URL.
fn target_of(url: &str) -> Option<UrlTarget> {
    let url = url::Url::parse(url).ok()?;
    Some(UrlTarget {
        scheme: url.scheme().to_owned(),
        host: url.host_str()?.to_owned(),
        port: url.port_or_known_default()?,
    })
}

/// The host in the spelling of the URL parser that connections use.
fn connected_host(scheme: &str, host: String) -> String {
    let url = url::Url::parse(&format!("{scheme}://{host}/")).ok();
    url.and_then(|url| url.host_str().map(str::to_owned)).unwrap_or(host)
}

fn refusal(component: &dyn Component, pointer: &str) -> String {
    let places: Vec<_> = component
        .fields()
        .iter()
        .filter(|field| field.secret.is_some())
        .map(|field| {
            let path = field.path.trim_start_matches('/').trim_end_matches("/**");
            path.replace("/*/", "[].").replace("/*", ".*").replace('/', ".")
        })
        .collect();
    let name = component.name();
    if places.is_empty() {
        return format!(
            "a secret can't stand in a `{name}`: what it comes to would be stored or choose a channel"
        );
    }
    let field = pointer.trim_start_matches('/').replace('/', ".");
    format!("a secret can't stand in `{field}` of `{name}`, only in {}", places.join(", "))
}

/// Refuses a URL whose server event data chooses, in a node that uses a secret (I2).
fn check_origin(field: &Field<'_>, out: &mut Collector<'_>) {
    match field.template.url_origin() {
        UrlOrigin::Secret(_) => {}
        UrlOrigin::Literal { scheme, .. } if scheme == "http" => {
            let message =
                "this node uses a secret: plain http is refused unless the operator allows this host";
            out.warning(field.spot.position, &field.spot.field, message);
        }
        UrlOrigin::Literal { .. } => {}
        UrlOrigin::Data => {
            let message = "this node uses a secret, so the URL must begin with a literal scheme and host \
                           (such as https://api.example.com/), or be one secret as a whole";
            out.error(field.spot.position, &field.spot.field, message);
        }
    }
}

fn warn_of_credentials(spot: &Spot<&str>, rule: FieldRule, out: &mut Collector<'_>) {
    if rule.sensitive && !spot.value.is_empty() {
        let message = "a credential stands here in plain text and will be stored so; keep it in a secret";
        out.warning(spot.position, &spot.field, message);
    } else if let Some(kind) = tokens::known_shape(spot.value) {
        let message = format!("this looks like {kind}; it will be stored in plain text, keep it in a secret");
        out.warning(spot.position, &spot.field, message);
    }
}
