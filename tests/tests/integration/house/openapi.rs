//! `docs/openapi.json` describes the API as it is: the wire types generate it, and it has the
//! routes of the router.

use std::collections::BTreeSet;
use std::path::Path;

use api_types::openapi::{OPERATIONS, document};
use serde_json::json;

#[test]
fn the_document_is_that_of_the_wire_types() {
    let made = format!("{:#}\n", document());
    let kept = include_str!("../../../../docs/openapi.json");
    if made != kept {
        let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("openapi.json");
        std::fs::write(&place, made).expect("it can be written");
        panic!("docs/openapi.json is out of date: look at {} and copy it there", place.display());
    }
}

#[test]
fn the_router_and_the_document_have_the_same_operations() {
    let health = ("GET".to_owned(), "/health".to_owned());
    let routed = api::actions().into_iter().map(|(method, path, _)| (method.to_owned(), shape(path)));
    let routed: BTreeSet<(String, String)> = routed.chain([health]).collect();
    let described: BTreeSet<(String, String)> =
        OPERATIONS.iter().map(|operation| (operation.method.to_owned(), shape(operation.path))).collect();
    let differences: Vec<_> = routed.symmetric_difference(&described).collect();
    assert!(differences.is_empty(), "operations in only one of the two: {differences:?}");
    let ids: BTreeSet<&str> = OPERATIONS.iter().map(|operation| operation.id).collect();
    assert_eq!(ids.len(), OPERATIONS.len(), "each operation has an id of its own");
}

/// A path without the names of its parameters. The router's names differ: it has one name for two
/// parameters of the document.
fn shape(path: &str) -> String {
    let segment = |segment: &str| if segment.starts_with('{') { "{}".to_owned() } else { segment.to_owned() };
    path.split('/').map(segment).collect::<Vec<_>>().join("/")
}

#[test]
fn an_answer_that_is_not_described_is_found() {
    const JSON: &str = "application/json";
    let refused = |method: &'static str, path: &'static str, status: u16, body: serde_json::Value| {
        std::panic::catch_unwind(move || tests::openapi::check(method, path, status, JSON, &body)).is_err()
    };
    let organization = json!({ "id": "0190a5d0-ac96-774b-8cce-b302099a8057", "name": "N",
        "retention_days": 90, "retention_days_max": null, "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z" });
    tests::openapi::check("GET", "/v1/organization", 200, JSON, &organization);
    let mut more = organization.clone();
    more["token_sha256"] = json!("x");
    assert!(refused("GET", "/v1/organization", 200, more), "a field that is not described");
    let mut fewer = organization.clone();
    fewer.as_object_mut().expect("a map").remove("name");
    assert!(refused("GET", "/v1/organization", 200, fewer), "a field that is missing");
    let mut otherwise = organization.clone();
    otherwise["created_at"] = json!("yesterday");
    assert!(refused("GET", "/v1/organization", 200, otherwise), "a time that is none");
    let problem = json!({ "type": "urn:sealflow:problem:not_found", "title": "Not found", "status": 404, "detail": "…" });
    assert!(refused("GET", "/v1/organization", 404, problem), "a problem as another type");
    assert!(refused("GET", "/v1/organization", 418, json!({})), "a status that is not described");
    assert!(refused("GET", "/v1/organisation", 200, json!({})), "a path that is not described");
    assert!(refused("DELETE", "/v1/workflows/w", 204, json!({})), "a body where none is described");
}
