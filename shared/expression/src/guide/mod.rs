//! The language, for workflow authors: a page for each group, with examples that run as tests.
//!
//! In a configuration `{{ … }}` holds an expression. A string that is one whole `{{ … }}` keeps the
//! value's type, mixed text becomes text: nil is `null`, a float is decimal, everything else is as
//! `string()` has it. A `}}` in a text or a nested map does not end the template.
//!
//! | name | value |
//! |---|---|
//! | `$["Node name"]`, `$.Name` | the latest `{data, timestamp, type, config}` of a node before this one |
//! | `root()` | the event that began the run |
//! | `previous()`, `previous(n)` | the output of the node before, or the n-th before, and its name as `node` |
//! | `run()` | `id`, `url`, `started_at` |
//! | `inputs` | inside a blueprint, its inputs by name |
//! | `workflow()`, `app()` | `id`, `name`, `description`, `url` |
//! | `now()` | the time at which the execution was built |
//! | `secrets("name").key` | a secret; name and key are literal |

pub mod arrays;
pub mod dates;
pub mod maps;
pub mod numbers;
pub mod operators;
pub mod strings;
pub mod types;

use crate::{Environment, FieldKind, Template, Value};

/// Asserts that `expression`, without any data, gives `expected`. For the examples of these pages.
///
/// # Panics
/// If it gives something else.
#[doc(hidden)]
pub fn example(expression: &str, expected: serde_json::Value) {
    struct Nothing;
    impl Environment for Nothing {
        fn variable(&self, _: &str) -> Option<Value<'_>> {
            None
        }
        fn call(&self, _: &str, _: &[Value<'_>]) -> Option<Result<Value<'_>, String>> {
            None
        }
    }
    let template = Template::parse(expression, FieldKind::Expression);
    match template.and_then(|template| template.resolve(&Nothing)) {
        Ok(resolution) => assert_eq!(resolution.display, expected, "{expression}"),
        Err(error) => panic!("{error}"),
    }
}
