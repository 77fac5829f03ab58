//! Functions on texts.
//!
//! `len` counts characters; slices and `indexOf` count bytes. `escapeXML`, `escapeURL` and
//! `urlPath` make a value safe inside of XML and URLs.
//!
//! ```
//! # use expression::guide::example;
//! example(r#"trim("  a ")"#, serde_json::json!("a"));
//! example(r#"trim("--a-", "-")"#, serde_json::json!("a"));
//! example(r#"trimPrefix("v1.2", "v")"#, serde_json::json!("1.2"));
//! example(r#"trimSuffix("a.txt", ".txt")"#, serde_json::json!("a"));
//! example(r#"upper("a")"#, serde_json::json!("A"));
//! example(r#"lower("A")"#, serde_json::json!("a"));
//! example(r#"split("a,b,c", ",")"#, serde_json::json!(["a", "b", "c"]));
//! example(r#"split("a,b,c", ",", 2)"#, serde_json::json!(["a", "b,c"]));
//! example(r#"splitAfter("a,b", ",")"#, serde_json::json!(["a,", "b"]));
//! example(r#"replace("aaa", "a", "b", 2)"#, serde_json::json!("bba"));
//! example(r#"repeat("ab", 3)"#, serde_json::json!("ababab"));
//! example(r#"indexOf("apple pie", "pie")"#, serde_json::json!(6));
//! example(r#"lastIndexOf("a-b-c", "-")"#, serde_json::json!(3));
//! example(r#"hasPrefix("hello", "he")"#, serde_json::json!(true));
//! example(r#"hasSuffix("hello", "lo")"#, serde_json::json!(true));
//! example(r#"join(["a", "b"], "-")"#, serde_json::json!("a-b"));
//! example(r#"escapeXML("<a>")"#, serde_json::json!("&lt;a&gt;"));
//! example(r#"escapeURL("a b&c")"#, serde_json::json!("a%20b%26c"));
//! example(r#"urlPath("docs/a b")"#, serde_json::json!("docs/a%20b"));
//! ```
