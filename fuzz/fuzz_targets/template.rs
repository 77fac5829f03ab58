//! Any text as each kind of field: literal text stays as it is, the rest folds or errs in its
//! place.
#![no_main]

use expression::{FieldKind, Template};
use libfuzzer_sys::fuzz_target;

fuzz_target!(init: fuzz::seed("template", |source, kind| (kind != FieldKind::Expression).then(|| source.to_owned())), |source: &str| {
    if fuzz::holds_secret(source) {
        return;
    }
    let world = fuzz::World::default();
    for kind in [FieldKind::Typed, FieldKind::Text, FieldKind::Url] {
        let template = match Template::parse(source, kind) {
            Ok(template) => template,
            Err(error) => {
                fuzz::check(&error, source);
                continue;
            }
        };
        let _ = (template.url_origin(), template.secret_refs());
        match template.resolve(&world) {
            Ok(resolution) if template.is_literal() => assert_eq!(resolution.display, source),
            Ok(resolution) => {
                let text = resolution.display.is_string() || source.trim().starts_with("{{");
                assert!(kind == FieldKind::Typed || text);
                for placed in &resolution.placed {
                    assert!(resolution.display.pointer(&placed.pointer).is_some());
                }
            }
            Err(error) => fuzz::check(&error, source),
        }
    }
});
