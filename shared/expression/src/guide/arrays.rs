//! Functions on lists, with closures and without.
//!
//! In a closure `#` is the item, and `.name` is `#.name`. `#index` exists in `map` and `reduce`,
//! `#acc` in `reduce`. A pipe gives its left side as the first argument.
//!
//! ```
//! # use expression::guide::example;
//! example(r#"all([1, 2], # > 0)"#, serde_json::json!(true));
//! example(r#"any([1, 2], # > 1)"#, serde_json::json!(true));
//! example(r#"one([1, 2], # > 1)"#, serde_json::json!(true));
//! example(r#"none([1, 2], # > 2)"#, serde_json::json!(true));
//! example(r#"filter([1, 2, 3], # > 1)"#, serde_json::json!([2, 3]));
//! example(r#"map([{n: 1}, {n: 2}], .n)"#, serde_json::json!([1, 2]));
//! example(r#"map(["a"], {name: #, at: #index})"#, serde_json::json!([{"name": "a", "at": 0}]));
//! example(r#"count([1, 2, 3], # > 1)"#, serde_json::json!(2));
//! example(r#"find([1, 2, 3], # > 1)"#, serde_json::json!(2));
//! example(r#"findIndex([1, 2, 3], # > 1)"#, serde_json::json!(1));
//! example(r#"findLast([1, 2, 3], # > 1)"#, serde_json::json!(3));
//! example(r#"findLastIndex([1, 2, 3], # > 1)"#, serde_json::json!(2));
//! example(r#"groupBy([1, 2, 3], # % 2)"#, serde_json::json!({"0": [2], "1": [1, 3]}));
//! example(r#"sortBy([{n: 2}, {n: 1}], .n)"#, serde_json::json!([{"n": 1}, {"n": 2}]));
//! example(r#"sortBy([1, 3, 2], #, "desc")"#, serde_json::json!([3, 2, 1]));
//! example(r#"reduce([1, 2, 3], #acc + #)"#, serde_json::json!(6));
//! example(r#"reduce([1, 2], #acc + #, 10)"#, serde_json::json!(13));
//! example(r#"first([1, 2])"#, serde_json::json!(1));
//! example(r#"last([1, 2])"#, serde_json::json!(2));
//! example(r#"take([1, 2, 3], 2)"#, serde_json::json!([1, 2]));
//! example(r#"reverse([1, 2])"#, serde_json::json!([2, 1]));
//! example(r#"sort([3, 1, 2])"#, serde_json::json!([1, 2, 3]));
//! example(r#"concat([1], [2])"#, serde_json::json!([1, 2]));
//! example(r#"flatten([1, [2, [3]]])"#, serde_json::json!([1, 2, 3]));
//! example(r#"uniq([1, 2, 1])"#, serde_json::json!([1, 2]));
//! ```
