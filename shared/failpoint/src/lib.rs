//! Named steps at which the crash suite ends or freezes the process: every step that changes the
//! world has one.
//!
//! A step is armed by the environment variable `FAILPOINTS` (`NAME=ACTION;…`, the syntax of the
//! `fail` crate) when the process starts. `return(abort)` ends the process at the step, as a crash
//! does; `return(stop)` freezes the process until it gets SIGCONT, as Lambda freezes a sandbox;
//! `3*off->1*return(abort)->off` ends the process at the fourth passage of the step. Only builds
//! with debug assertions have steps. A released program has none, whatever its environment sets
//! (docs/decisions/0014-failpoints-in-debug-builds.md).

/// Arms the steps that `FAILPOINTS` names. Called once, when a process starts.
#[cfg(debug_assertions)]
pub fn arm() {
    // The scenario ends with the process: dropping it would disarm the steps.
    std::mem::forget(fail::FailScenario::setup());
}

/// Does nothing: a released program has no steps.
#[cfg(not(debug_assertions))]
pub fn arm() {}

/// Obeys the action of the step `AREA.WHAT`, if the step is armed: `build.before_commit`,
/// `claim_executions.after_commit`.
#[cfg(debug_assertions)]
pub fn step(area: &str, what: &str) {
    let name = format!("{area}.{what}");
    // The closure runs only where the step is armed with `return`.
    let _not_armed = fail::eval(&name, |action| obey(&name, action.as_deref()));
}

/// Does nothing: a released program has no steps.
#[cfg(not(debug_assertions))]
pub fn step(_: &str, _: &str) {}

#[cfg(debug_assertions)]
fn obey(name: &str, action: Option<&str>) {
    // The crash suite reads this line and counts the steps that were hit.
    eprintln!("failpoint: {name} {}", action.unwrap_or("abort"));
    if action == Some("stop") {
        // A process can always signal itself.
        let _signalled =
            rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::STOP);
    } else {
        std::process::abort();
    }
}
