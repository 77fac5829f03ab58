//! The law: folding, storing and evaluating the residual give what evaluating at once gives.
#![no_main]

use expression::{ErrorKind, FieldKind, Folded, Residual, Template};
use libfuzzer_sys::fuzz_target;

fuzz_target!(init: fuzz::seed("evaluator", inner), |source: &str| {
    if source.contains(fuzz::SECRET) {
        return;
    }
    let Ok(template) = Template::parse(source, FieldKind::Expression) else { return };
    let world = fuzz::World::default();
    let at_once = template.evaluate(&world, &fuzz::Safe);
    let in_steps = match template.fold(&world) {
        Ok(Folded::Value(value)) => Ok(value),
        Ok(Folded::Residual { residual, .. }) => {
            let stored = serde_json::to_string(&residual).expect("a residual is JSON");
            let read: Residual = serde_json::from_str(&stored).expect("what was stored can be read");
            read.eval(&fuzz::Safe).map(|evaluated| evaluated.value)
        }
        Err(error) => Err(error),
    };
    match (at_once, in_steps) {
        (Ok(one), Ok(other)) => assert_eq!(one.to_string(), other.to_string(), "{source}"),
        (Err(one), Err(other)) => {
            fuzz::check(&one, source);
            fuzz::check(&other, source);
        }
        // Steps share the work that an evaluation may do in another way.
        (Ok(_), Err(error)) | (Err(error), Ok(_)) => {
            assert_eq!(error.kind, ErrorKind::Limit, "{source}: {error:?}");
        }
    }
});

/// The expression alone, without the braces around it.
fn inner(source: &str, _: FieldKind) -> Option<String> {
    let bare =
        source.trim().strip_prefix("{{").and_then(|source| source.strip_suffix("}}")).unwrap_or(source);
    Some(bare.trim().to_owned())
}
