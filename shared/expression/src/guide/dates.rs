//! Times, durations and zones.
//!
//! `date` reads days, Unix times and the times that senders write, with their zone; a third argument
//! names the zone of a text in a layout. Layouts are those of Go: they show how 2 January 2006,
//! 15:04:05 would look. Months and days of the week are types of their own; `int()` makes
//! numbers of them.
//!
//! ```
//! # use expression::guide::example;
//! example(r#"date("2026-03-07").Format("02.01.2006")"#, serde_json::json!("07.03.2026"));
//! example(r#"date("2026-03-07T15:04:05Z").Add(duration("90m")).Format("15:04")"#, serde_json::json!("16:34"));
//! example(r#"date("2026-07-01", "Europe/Berlin").Format("-07:00 MST")"#, serde_json::json!("+02:00 CEST"));
//! example(r#"date("2024-01-16T18:56:16.000+0100").Unix()"#, serde_json::json!(1705427776));
//! example(r#"date("16/01/2024 18:56", "02/01/2006 15:04", "Europe/Berlin").Unix()"#, serde_json::json!(1705427760));
//! example(r#"date(1700000000).Year()"#, serde_json::json!(2023));
//! example(r#"int(date("2026-03-07").Month())"#, serde_json::json!(3));
//! example(r#"string(date("2026-03-07").Weekday())"#, serde_json::json!("Saturday"));
//! example(r#"date("2026-10-31").AddDate(0, 1, 0).Format("2006-01-02")"#, serde_json::json!("2026-12-01"));
//! example(r#"(date("2026-03-08") - date("2026-03-07")).Hours()"#, serde_json::json!(24.0));
//! example(r#"date("2026-03-07").Before(date("2026-03-08"))"#, serde_json::json!(true));
//! example(r#"duration("1h30m").Minutes()"#, serde_json::json!(90.0));
//! example(r#"string(duration("90s"))"#, serde_json::json!("1m30s"));
//! example(r#"date("2026-03-07").In(timezone("Asia/Tokyo")).Hour()"#, serde_json::json!(9));
//! ```
