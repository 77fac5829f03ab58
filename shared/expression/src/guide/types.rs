//! Functions that ask for types and change them.
//!
//! `string` prints as Go does: floats from a million on with an exponent, nil as `<nil>`. `toJSON`
//! indents and sorts.
//!
//! ```
//! # use expression::guide::example;
//! example(r#"type(1.0)"#, serde_json::json!("float"));
//! example(r#"int("42")"#, serde_json::json!(42));
//! example(r#"int(3.9)"#, serde_json::json!(3));
//! example(r#"float("1.5")"#, serde_json::json!(1.5));
//! example(r#"string(1)"#, serde_json::json!("1"));
//! example(r#"string([1, nil])"#, serde_json::json!("[1 <nil>]"));
//! example(r#"toJSON({b: 1, a: []})"#, serde_json::json!("{\n  \"a\": [],\n  \"b\": 1\n}"));
//! example(r#"fromJSON("{\"a\": [1]}").a[0]"#, serde_json::json!(1));
//! example(r#"toBase64("user:pass")"#, serde_json::json!("dXNlcjpwYXNz"));
//! example(r#"fromBase64("aGk=")"#, serde_json::json!("hi"));
//! example(r#"len("héllo")"#, serde_json::json!(5));
//! example(r#"get([1, 2], 5)"#, serde_json::json!(null));
//! ```
