//! Functions on numbers.
//!
//! `max`, `min`, `mean` and `median` take numbers, lists of them, or both.
//!
//! ```
//! # use expression::guide::example;
//! example(r#"max(1, 3, 2)"#, serde_json::json!(3));
//! example(r#"min([4, 2], 3)"#, serde_json::json!(2));
//! example(r#"mean([1, 2, 6])"#, serde_json::json!(3.0));
//! example(r#"median([1, 9, 2, 3])"#, serde_json::json!(2.5));
//! example(r#"sum([1, 2, 3])"#, serde_json::json!(6));
//! example(r#"abs(-5)"#, serde_json::json!(5));
//! example(r#"ceil(1.2)"#, serde_json::json!(2.0));
//! example(r#"floor(1.8)"#, serde_json::json!(1.0));
//! example(r#"round(1.5)"#, serde_json::json!(2.0));
//! ```
