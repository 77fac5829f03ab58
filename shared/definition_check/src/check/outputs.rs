//! The outputs of a workflow: what a run gives to the execution that called it.

use components::Levels;
use definition::{is_plain, pointer::field_path};
use domain::limits::{NODE_ID_CHARS_MAX, OUTPUTS_MAX};
use expression::FieldKind;

use super::{
    collect::{Collector, Spot},
    configuration::{Names, parse},
    draft::Draft,
    interface::is_word,
    node::refuse_secrets,
    read::map_of_any,
    tokens,
};

/// Checks the outputs. Their templates are resolved at the end of a run, and see the last event of each
/// node.
pub(super) fn check(draft: &Draft<'_>, names: &Names<'_>, levels: &Levels<'_>, out: &mut Collector<'_>) {
    let Some(tree) = draft.outputs else { return };
    let Some(entries) = map_of_any(tree, "outputs", out) else { return };
    if entries.len() > OUTPUTS_MAX {
        let message = format!("at most {OUTPUTS_MAX}, there are {}", entries.len());
        out.error(tree.position, "outputs", message);
    }
    for entry in entries.iter().filter(|entry| !is_word(&entry.key)) {
        let message = format!(
            "the name of an output must be 1 to {NODE_ID_CHARS_MAX} letters, digits or `_`, and begin with no digit"
        );
        out.error(entry.position, "outputs", message);
    }
    let (value, mut templates) = (tree.to_value(), 0);
    tree.strings(&mut |pointer, text, position| {
        let spot = Spot::new(text, position, field_path("outputs", &value, pointer));
        if is_plain(text, FieldKind::Typed) {
            if let Some(kind) = tokens::known_shape(text) {
                let message =
                    format!("this looks like {kind}; it will be stored in plain text, keep it in a secret");
                out.warning(position, &spot.field, message);
            }
            return;
        }
        let Some(template) = parse(&spot, FieldKind::Typed, out) else { return };
        templates += 1;
        names.check(&spot, &template, out);
        for (name, span) in template.mentions().nodes {
            if let Some(owner) = names.id_of(&name).and_then(|id| levels.owner_of(id)) {
                let message =
                    format!("`{name}` is repeated by `{owner}`: an output sees the data of that alone");
                out.error_in(&spot, span, message);
            }
        }
        refuse_secrets(&spot, &template, "an output", out);
        for (_, span) in template.names().into_iter().filter(|(name, _)| name == "previous") {
            out.error_in(&spot, span, "an output comes after no single event: name a node, `$[\"Name\"]`");
        }
    });
    out.count_templates(templates);
}
