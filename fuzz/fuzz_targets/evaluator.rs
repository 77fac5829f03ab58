//! The law: rendering the parts gives what evaluating with the values gives; and no error holds a
//! value.
#![no_main]

use expression::{FieldKind, Template};
use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;
use secret_text::{Context, render};

fuzz_target!(init: fuzz::seed("evaluator", inner), |source: &str| {
    // A number out of a secret's JSON is text in parts.
    if fuzz::holds_secret(source) || source.contains("fromJSON") {
        return;
    }
    let Ok(template) = Template::parse(source, FieldKind::Expression) else { return };
    let world = fuzz::World::default();
    let at_once = template.evaluate(&world, &fuzz::Safe);
    let resolution = match template.resolve(&world) {
        Ok(resolution) => resolution,
        Err(error) => return fuzz::check(&error, source),
    };
    let mut value = resolution.display;
    for placed in resolution.placed {
        let Ok(rendered) = render(&placed.parts, Context::Free, Timestamp::UNIX_EPOCH, &fuzz::Safe) else { return };
        *value.pointer_mut(&placed.pointer).expect("it stands there") = rendered.text.as_str().into();
    }
    // What is not placed is not opened, and may fail the one that evaluates all.
    if let Ok(one) = at_once {
        assert_eq!(one.to_string(), value.to_string(), "{source}");
    }
});

/// The expression alone, without the braces around it.
fn inner(source: &str, _: FieldKind) -> Option<String> {
    let bare =
        source.trim().strip_prefix("{{").and_then(|source| source.strip_suffix("}}")).unwrap_or(source);
    Some(bare.trim().to_owned())
}
