//! Functions on maps.
//!
//! Keys are in order. Of two equal keys in a literal the first counts; `fromPairs` takes the last.
//!
//! ```
//! # use expression::guide::example;
//! example(r#"keys({b: 1, a: 2})"#, serde_json::json!(["a", "b"]));
//! example(r#"values({b: 1, a: 2})"#, serde_json::json!([2, 1]));
//! example(r#"toPairs({a: 1})"#, serde_json::json!([["a", 1]]));
//! example(r#"fromPairs([["a", 1]])"#, serde_json::json!({"a": 1}));
//! example(r#"get({a: 1}, "b")"#, serde_json::json!(null));
//! example(r#"{a: 1}.b"#, serde_json::json!(null));
//! example(r#"len({a: 1})"#, serde_json::json!(1));
//! ```
