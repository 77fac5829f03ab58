//! The configuration of an `http` node, as its author writes it.
//!
//! | field | value |
//! |---|---|
//! | `method` | `GET` (default), `HEAD`, `POST`, `PUT`, `PATCH`, `DELETE`, `OPTIONS` |
//! | `url` | `http://` or `https://`, without user name and password |
//! | `query` | a map, or a list of `{name, value}`; added to what the URL has |
//! | `headers` | a map, or a list of `{name, value}` |
//! | `authorization` | a map with a `type`; see `authorization.rs` |
//! | `body` | one of `json` (anything), `form` (a map), `text`, `xml`, `multipart` (see `multipart.rs`) |
//! | `success_codes` | a list of status codes and of ranges such as `"200-299"` (default; `"200-399"` with `redirects: stop`) |
//! | `select` | a map of names to literal JSON pointers: only these values of a JSON answer are kept |
//! | `binary_body` | `summary` (default): of an answer that is no text its length, type and hash; `base64`: up to 64 KiB of it too |
//! | `tls` | `authorities` (PEM), `certificate` (PEM) with `key` (a secret); see `tls.rs` |
//! | `redirects` | `follow` (default), up to five; `stop`: the redirect is the answer |
//! | `timeout_seconds` | 1 to the component limit; 30 by default |

use std::ops::RangeInclusive;

use domain::limits::COMPONENT_SECONDS_MAX;
use serde_json::Value;
use url::Url;

use super::authorization::{self, Authorization};
use super::header::{check_header_name, check_header_value};
use super::multipart::{self, FormPart};
use super::select::Selection;
use crate::{
    component::Problem,
    host::HttpTls,
    shape::{Reader, Stage, child, item},
};

const METHODS: &[&str] = &["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
const BINARY_BODIES: &[&str] = &["summary", "base64"];
const REDIRECTS: &[&str] = &["follow", "stop"];
const TIMEOUT_SECONDS_DEFAULT: u32 = 30;
/// Items of `query`, `headers`, `form` and `success_codes`.
const ITEMS_MAX: usize = 200;
/// A configuration without open values.
pub(super) struct Configuration {
    pub method: &'static str,
    pub url: Url,
    pub query: Vec<Pair>,
    pub headers: Vec<Pair>,
    pub authorization: Option<Authorization>,
    pub body: Option<Body>,
    pub success: Vec<RangeInclusive<u16>>,
    pub timeout_seconds: u32,
    pub follows_redirects: bool,
    pub select: Option<Selection>,
    pub keeps_binary: bool,
    pub tls: HttpTls,
}

/// A name and a value, and the JSON pointer of the value.
pub(super) struct Pair {
    pub name: String,
    pub value: String,
    pub pointer: String,
}

pub(super) enum Body {
    Json(Value),
    Form(Vec<Pair>),
    Text(String),
    Xml(String),
    Multipart(Vec<FormPart>),
}

/// Reads a configuration: the author's, where templates leave values open, or the resolved one.
///
/// `Ok(None)` means that a template leaves a value open.
pub(super) fn read(value: &Value, stage: Stage) -> Result<Option<Configuration>, Vec<Problem>> {
    let mut reader = Reader::new(stage);
    let read = read_fields(&mut reader, value);
    let problems = reader.into_problems();
    if problems.is_empty() { Ok(read) } else { Err(problems) }
}

fn read_fields(reader: &mut Reader, value: &Value) -> Option<Configuration> {
    let fields = [
        "method",
        "url",
        "query",
        "headers",
        "authorization",
        "body",
        "success_codes",
        "select",
        "binary_body",
        "tls",
        "redirects",
        "timeout_seconds",
    ];
    let map = reader.object("", value, &fields)?;
    let method = match map.get("method") {
        None => Some("GET"),
        Some(method) => reader.word("/method", method, METHODS),
    };
    let url = reader.required("", map, "url").and_then(|url| read_url(reader, url));
    let query = map.get("query").map_or(Some(Vec::new()), |query| read_query(reader, query));
    let headers = map.get("headers").map_or(Some(Vec::new()), |headers| read_headers(reader, headers));
    let authorization = optional(map.get("authorization"), |value| authorization::read(reader, value));
    let body = optional(map.get("body"), |value| read_body(reader, value));
    let redirects = match map.get("redirects") {
        None => Some(REDIRECTS[0]),
        Some(word) => reader.word("/redirects", word, REDIRECTS),
    };
    let success = match map.get("success_codes") {
        None => Some(vec![200..=if redirects == Some("stop") { 399 } else { 299 }]),
        Some(codes) => read_success(reader, codes),
    };
    let select = optional(map.get("select"), |value| super::select::read(reader, value));
    let binary_body = match map.get("binary_body") {
        None => Some(BINARY_BODIES[0]),
        Some(word) => reader.word("/binary_body", word, BINARY_BODIES),
    };
    let tls = match map.get("tls") {
        None => Some(HttpTls::default()),
        Some(value) => super::tls::read(reader, value),
    };
    let timeout_seconds = map
        .get("timeout_seconds")
        .map_or(Some(TIMEOUT_SECONDS_DEFAULT), |seconds| read_timeout(reader, seconds));
    if let (Some(headers), Some(authorization)) = (map.get("headers"), map.get("authorization")) {
        check_one_authorization(reader, headers, authorization);
    }
    if let (Some(headers), Some(_)) = (map.get("headers"), value.pointer("/body/multipart"))
        && header_names(headers).any(|name| name.eq_ignore_ascii_case("content-type"))
    {
        reader.problem("/headers", "`Content-Type` is set with the boundary of `body.multipart`");
    }
    Some(Configuration {
        method: method?,
        url: url?,
        query: query?,
        headers: headers?,
        authorization: authorization?,
        body: body?,
        success: success?,
        timeout_seconds: timeout_seconds?,
        follows_redirects: redirects? != "stop",
        select: select?,
        keeps_binary: binary_body? == "base64",
        tls: tls?,
    })
}

/// None where the value is there and could not be read.
fn optional<'v, T>(value: Option<&'v Value>, read: impl FnOnce(&'v Value) -> Option<T>) -> Option<Option<T>> {
    value.map_or(Some(None), |value| read(value).map(Some))
}

fn read_url(reader: &mut Reader, value: &Value) -> Option<Url> {
    if reader.is_open(value) {
        return None;
    }
    let Some(text) = value.as_str() else {
        reader.problem("/url", "must be text");
        return None;
    };
    match Url::parse(text) {
        Ok(url) if !matches!(url.scheme(), "http" | "https") || !url.has_host() => {
            reader.problem("/url", "must begin with http:// or https://");
            None
        }
        Ok(url) if !url.username().is_empty() || url.password().is_some() => {
            reader.problem("/url", "must not hold a user name or password; use `authorization`");
            None
        }
        Ok(url) => Some(url),
        Err(_) => {
            reader.problem("/url", "is not a whole URL (such as https://api.example.com/path)");
            None
        }
    }
}

fn read_query(reader: &mut Reader, value: &Value) -> Option<Vec<Pair>> {
    if value.is_object() { read_map(reader, "/query", value) } else { read_pairs(reader, "/query", value) }
}

fn read_headers(reader: &mut Reader, value: &Value) -> Option<Vec<Pair>> {
    if let Some(map) = value.as_object() {
        for (name, value) in map.iter().take(ITEMS_MAX) {
            let at = child("/headers", name);
            check_header_name(reader, &at, name);
            if !reader.is_open(value) {
                check_header_value(reader, &at, value.as_str().unwrap_or_default());
            }
        }
        return read_map(reader, "/headers", value);
    }
    let pairs = read_pairs(reader, "/headers", value);
    if let Some(list) = value.as_array() {
        for (index, entry) in list.iter().take(ITEMS_MAX).enumerate() {
            let at = item("/headers", index);
            if let Some(name) = entry.get("name").filter(|name| !reader.is_open(name)) {
                check_header_name(reader, &child(&at, "name"), name.as_str().unwrap_or_default());
            }
            if let Some(value) = entry.get("value").filter(|value| !reader.is_open(value)) {
                check_header_value(reader, &child(&at, "value"), value.as_str().unwrap_or_default());
            }
        }
    }
    pairs
}

fn check_one_authorization(reader: &mut Reader, headers: &Value, authorization: &Value) {
    for name in authorization::header_names(authorization) {
        if header_names(headers).any(|header| header.eq_ignore_ascii_case(name)) {
            reader.problem("/authorization", format!("the header `{name}` stands in `headers` too"));
        }
    }
}

fn header_names(headers: &Value) -> impl Iterator<Item = &str> {
    let listed = headers.as_array().into_iter().flatten();
    let listed = listed.filter_map(|header| header.get("name").and_then(Value::as_str));
    listed.chain(headers.as_object().into_iter().flat_map(|map| map.keys().map(String::as_str)))
}

/// A list of `{name, value}`.
fn read_pairs(reader: &mut Reader, at: &str, value: &Value) -> Option<Vec<Pair>> {
    let list = reader.list(at, value)?;
    within_items(reader, at, list.len())?;
    let pairs: Vec<_> = list
        .iter()
        .enumerate()
        .map(|(index, entry)| {
            let at = item(at, index);
            let map = reader.object(&at, entry, &["name", "value"])?;
            let name = reader.required(&at, map, "name");
            let name = name.and_then(|name| reader.text(&child(&at, "name"), name));
            let pointer = child(&at, "value");
            let value = reader.required(&at, map, "value");
            let value = value.and_then(|value| reader.text(&pointer, value));
            Some(Pair { name: name?, value: value?, pointer })
        })
        .collect();
    pairs.into_iter().collect()
}

/// A map of names to text.
fn read_map(reader: &mut Reader, at: &str, value: &Value) -> Option<Vec<Pair>> {
    let map = reader.map(at, value)?;
    within_items(reader, at, map.len())?;
    let pairs: Vec<_> = map
        .iter()
        .map(|(name, value)| {
            let pointer = child(at, name);
            let value = reader.text(&pointer, value)?;
            Some(Pair { name: name.clone(), value, pointer })
        })
        .collect();
    pairs.into_iter().collect()
}

fn within_items(reader: &mut Reader, at: &str, count: usize) -> Option<()> {
    if count > ITEMS_MAX {
        reader.problem(at, format!("must have at most {ITEMS_MAX} entries"));
        return None;
    }
    Some(())
}

fn read_body(reader: &mut Reader, value: &Value) -> Option<Body> {
    const AT: &str = "/body";
    let map = reader.object(AT, value, &["json", "form", "text", "xml", "multipart"])?;
    if map.len() != 1 {
        reader.problem(AT, "must have exactly one of json, form, text, xml, multipart");
        return None;
    }
    let (name, value) = map.iter().next()?;
    let at = child(AT, name);
    match name.as_str() {
        "json" => (!has_open(reader, value)).then(|| Body::Json(value.clone())),
        "form" => read_map(reader, &at, value).map(Body::Form),
        "text" => reader.text(&at, value).map(Body::Text),
        "xml" => reader.text(&at, value).map(Body::Xml),
        "multipart" => multipart::read(reader, value).map(Body::Multipart),
        _ => None,
    }
}

fn has_open(reader: &Reader, value: &Value) -> bool {
    match value {
        Value::Array(items) => items.iter().any(|item| has_open(reader, item)),
        Value::Object(map) => map.values().any(|item| has_open(reader, item)),
        other => reader.is_open(other),
    }
}

fn read_success(reader: &mut Reader, value: &Value) -> Option<Vec<RangeInclusive<u16>>> {
    const AT: &str = "/success_codes";
    let list = reader.list(AT, value)?;
    if list.is_empty() {
        reader.problem(AT, "must name at least one status code");
    }
    within_items(reader, AT, list.len())?;
    let ranges: Vec<_> = list
        .iter()
        .enumerate()
        .map(|(index, entry)| {
            if reader.is_open(entry) {
                return None;
            }
            let range = read_range(entry);
            if range.is_none() {
                let message = "must be a status code from 100 to 599, or a range such as \"200-299\"";
                reader.problem(&item(AT, index), message);
            }
            range
        })
        .collect();
    ranges.into_iter().collect()
}

fn read_range(value: &Value) -> Option<RangeInclusive<u16>> {
    let code = |code: u64| u16::try_from(code).ok().filter(|code| (100..=599).contains(code));
    let text = match value {
        Value::Number(number) => return code(number.as_u64()?).map(|code| code..=code),
        Value::String(text) => text,
        _ => return None,
    };
    let parse = |part: &str| part.trim().parse().ok().and_then(code);
    let (from, to) = text.split_once('-').unwrap_or((text, text));
    let (from, to) = (parse(from)?, parse(to)?);
    (from <= to).then_some(from..=to)
}

fn read_timeout(reader: &mut Reader, value: &Value) -> Option<u32> {
    if reader.is_open(value) {
        return None;
    }
    let seconds = value.as_u64().and_then(|seconds| u32::try_from(seconds).ok());
    let seconds = seconds.filter(|seconds| (1..=COMPONENT_SECONDS_MAX).contains(seconds));
    if seconds.is_none() {
        reader.problem(
            "/timeout_seconds",
            format!("must be a whole number of seconds from 1 to {COMPONENT_SECONDS_MAX}"),
        );
    }
    seconds
}
