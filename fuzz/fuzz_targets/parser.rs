//! Any text as a bare expression: parsing ends, with a tree or an error whose place lies in the
//! text.
#![no_main]

use expression::{FieldKind, Template};
use libfuzzer_sys::fuzz_target;

fuzz_target!(init: fuzz::seed("parser", |source, kind| (kind == FieldKind::Expression).then(|| source.to_owned())), |source: &str| {
    match Template::parse(source, FieldKind::Expression) {
        Ok(template) => {
            let _ = (template.mentions(), template.names(), template.secret_refs(), template.unknown_names());
        }
        Err(error) => fuzz::check(&error, source),
    }
});
