//! Any text as stored parts: it is refused, or it renders to no more than was said, or it is
//! refused without a word.
#![no_main]

use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;
use secret_text::{
    Context, Part, RENDERED_BYTES_MAX, read_fields, read_residuals, render, rendered_bytes_max,
};

fuzz_target!(init: fuzz::seed("parts", fuzz::stored_parts), |stored: &str| {
    let Ok(json) = serde_json::from_str::<serde_json::Value>(stored) else { return };
    let _ = read_fields(&json).is_ok();
    let _ = read_residuals(&json, &mut serde_json::json!({ "a": "" })).is_ok();
    let Ok(parts) = serde_json::from_value::<Vec<Part>>(json) else { return };
    let again = serde_json::to_string(&parts).expect("parts are JSON");
    assert_eq!(serde_json::from_str::<Vec<Part>>(&again).expect("what was stored can be read"), parts);
    let _ = secret_text::show(&parts);
    let most = rendered_bytes_max(&parts, &fuzz::Safe);
    if most > RENDERED_BYTES_MAX {
        return;
    }
    for context in [Context::Line, Context::UserName, Context::Free] {
        if let Ok(rendered) = render(&parts, context, Timestamp::UNIX_EPOCH, &fuzz::Safe) {
            assert!(rendered.text.len() <= most);
        }
    }
});
