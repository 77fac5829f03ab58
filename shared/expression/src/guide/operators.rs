//! Operators, literals, conditions and variables.
//!
//! Integers stay integers, except that `/` and `**` give floats. `and`, `or` and conditions want a
//! bool. `??` replaces nil and binds tighter than everything else; it does not catch errors. `?.`
//! ends in nil where its left side is nil, up to the next bracket.
//!
//! ```
//! # use expression::guide::example;
//! example(r#"1 + 2 * 3"#, serde_json::json!(7));
//! example(r#"7 / 2"#, serde_json::json!(3.5));
//! example(r#"7 % 4"#, serde_json::json!(3));
//! example(r#"2 ** 3"#, serde_json::json!(8.0));
//! example(r#""a" + "b""#, serde_json::json!("ab"));
//! example(r#"1 < 2 < 3"#, serde_json::json!(true));
//! example(r#"2 in [1, 2]"#, serde_json::json!(true));
//! example(r#""k" not in {k: 1}"#, serde_json::json!(false));
//! example(r#""hello" startsWith "he""#, serde_json::json!(true));
//! example(r#""v1.2" matches "^v[0-9]""#, serde_json::json!(true));
//! example(r#"nil ?? "default""#, serde_json::json!("default"));
//! example(r#"{a: nil}.a?.b.c"#, serde_json::json!(null));
//! example(r#"1 > 2 ? "yes" : "no""#, serde_json::json!("no"));
//! example(r#"if 1 > 2 { "yes" } else { "no" }"#, serde_json::json!("no"));
//! example(r#"let x = 2; x * x"#, serde_json::json!(4));
//! example(r#"1..3"#, serde_json::json!([1, 2, 3]));
//! example(r#"[1, 2, 3][-1]"#, serde_json::json!(3));
//! example(r#""hello"[1:3]"#, serde_json::json!("el"));
//! example(r#""é" == "\u00e9""#, serde_json::json!(true));
//! ```
