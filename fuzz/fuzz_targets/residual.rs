//! Any text as a stored residual: it is refused, or it evaluates to a value or an error without a value in it.
#![no_main]

use expression::Residual;
use libfuzzer_sys::fuzz_target;

fuzz_target!(init: fuzz::seed("residual", fuzz::stored_residual), |stored: &str| {
    if stored.contains(fuzz::SECRET) {
        return;
    }
    let Ok(residual) = serde_json::from_str::<Residual>(stored) else { return };
    if let Err(error) = residual.eval(&fuzz::Safe) {
        assert!(!error.to_string().contains(fuzz::SECRET));
    }
    let again = serde_json::to_string(&residual).expect("a residual is JSON");
    let read: Residual = serde_json::from_str(&again).expect("what was stored can be read");
    assert_eq!(serde_json::to_string(&read).expect("a residual is JSON"), again);
});
