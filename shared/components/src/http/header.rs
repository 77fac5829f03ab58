//! Names and values of headers that an author chose.

use domain::request_headers::is_ours;

use crate::shape::Reader;
use crate::webhook::is_header_name;

pub(super) fn check_header_name(reader: &mut Reader, at: &str, name: &str) {
    if !is_header_name(name) {
        reader.problem(at, "must be the name of a header: letters, digits and a few signs such as `-`");
    } else if is_ours(name) {
        reader.problem(
            at,
            format!("the header `{name}` is set by sealflow or for proxies, and can't be chosen"),
        );
    }
}

pub(super) fn check_header_value(reader: &mut Reader, at: &str, value: &str) {
    if value.chars().any(|c| c.is_control() && c != '\t') {
        reader.problem(at, "a header's value can't hold a line break or another control character");
    }
}
