//! Compares the places where secrets stand in a request with the places that their entries allow.

use components::Effect;
use domain::execution::ResultReason;
use domain::placement::Placement;
use secret_text::Part;

use crate::fields::Fields;
use crate::secret_problem::{SecretProblem, fails};
use crate::secrets::ExecutionSecrets;

/// Refuses a secret in a place that its entry does not name. A text that is derived from a value
/// may stand where the value may; an authentication code may stand anywhere, and its key needs
/// `signing`.
///
/// # Errors
/// [`SecretProblem::Fails`], naming the secret, the place and what to do.
pub fn check_places(
    fields: &Fields,
    component: &dyn Effect,
    secrets: &ExecutionSecrets<'_>,
) -> Result<(), SecretProblem> {
    for field in &fields.fields {
        for part in &field.parts {
            let place = component.placement(&fields.configuration, &field.path, part);
            check_part(part, &place, secrets)?;
        }
    }
    Ok(())
}

fn check_part(part: &Part, place: &Placement, secrets: &ExecutionSecrets<'_>) -> Result<(), SecretProblem> {
    match part {
        Part::Text(_) | Part::SentAt(_) | Part::Request(_) => Ok(()),
        Part::Secret(reference) => {
            let Some(bounds) = secrets.bounds(&reference.name, &reference.key) else { return Ok(()) };
            if bounds.admit(place) {
                return Ok(());
            }
            let label = format!("{}.{}", reference.name, reference.key);
            let places: Vec<String> = bounds.placements().iter().map(Placement::to_string).collect();
            let message = format!(
                "the secret {label} may stand in {} only, and stands in {place}; change the node, or set the secret with `--in {place}` \
                 beside its other places",
                places.join(", ")
            );
            Err(fails(ResultReason::SecretDenied, message))
        }
        Part::Encoded(_, parts) => parts.iter().try_for_each(|part| check_part(part, place, secrets)),
        Part::Mac { key, data, .. } => {
            key.iter().try_for_each(|part| check_part(part, &Placement::Signing, secrets))?;
            data.iter().try_for_each(|part| check_part(part, place, secrets))
        }
    }
}
