//! `body.multipart`: a form of several parts (RFC 7578), for targets that take files.
//!
//! A list of parts, each with a `name` and one of `value` (text) and `base64` (any bytes); a file
//! has a `filename` too, and may have a `type`.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;

use crate::component::Problem;
use crate::shape::{Reader, child, item};

const AT: &str = "/body/multipart";
/// Parts of one form.
const PARTS_MAX: usize = 200;

/// One part of the form.
pub(super) struct FormPart {
    name: String,
    filename: Option<String>,
    content_type: Option<String>,
    content: Vec<u8>,
}

/// Reads the field.
pub(super) fn read(reader: &mut Reader, value: &Value) -> Option<Vec<FormPart>> {
    let list = reader.list(AT, value)?;
    if list.is_empty() || list.len() > PARTS_MAX {
        reader.problem(AT, format!("must have 1 to {PARTS_MAX} parts"));
        return None;
    }
    let parts: Vec<_> =
        list.iter().enumerate().map(|(index, part)| read_part(reader, &item(AT, index), part)).collect();
    parts.into_iter().collect()
}

fn read_part(reader: &mut Reader, at: &str, value: &Value) -> Option<FormPart> {
    let map = reader.object(at, value, &["name", "filename", "type", "value", "base64"])?;
    let name = reader.required(at, map, "name");
    let name = name.and_then(|name| reader.text(&child(at, "name"), name));
    let mut optional = |field: &str| match map.get(field) {
        None => Some(None),
        Some(value) => reader.text(&child(at, field), value).map(Some),
    };
    let (filename, content_type) = (optional("filename"), optional("type"));
    if let Some(Some(content_type)) = &content_type
        && !is_content_type(content_type)
    {
        reader.problem(&child(at, "type"), "must be a content type such as image/png");
    }
    let content = match (map.get("value"), map.get("base64")) {
        (Some(text), None) => reader.text(&child(at, "value"), text).map(String::into_bytes),
        (None, Some(text)) => {
            let at = child(at, "base64");
            let bytes = reader.text(&at, text)?;
            let bytes = STANDARD.decode(bytes.as_bytes()).ok();
            if bytes.is_none() {
                reader.problem(&at, "must be base64");
            }
            bytes
        }
        _ => {
            reader.problem(at, "must have exactly one of value and base64");
            None
        }
    };
    Some(FormPart { name: name?, filename: filename?, content_type: content_type?, content: content? })
}

fn is_content_type(text: &str) -> bool {
    let (kind, rest) = text.split_once('/').unwrap_or_default();
    !kind.is_empty() && !rest.is_empty() && text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}

/// The boundary and the body. The boundary is the same for each run of an attempt, so that a
/// signature over the body is too.
pub(super) fn write(parts: &[FormPart], idempotency_key: &str) -> Result<(String, Vec<u8>), Problem> {
    let boundary = format!("sealflow-{idempotency_key}");
    let mut body = Vec::new();
    for (index, part) in parts.iter().enumerate() {
        if memchr::memmem::find(&part.content, boundary.as_bytes()).is_some() {
            let message = "holds the boundary between the parts of this form";
            // The field that may hold a secret: then no reason is told.
            let pointer = child(&item(AT, index), "value");
            return Err(Problem { pointer, message: message.to_owned() });
        }
        let mut head =
            format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{}\"", escaped(&part.name));
        if let Some(filename) = &part.filename {
            head += &format!("; filename=\"{}\"", escaped(filename));
        }
        head += "\r\n";
        let of_file = part.filename.as_ref().map(|_| "application/octet-stream");
        if let Some(content_type) = part.content_type.as_deref().or(of_file) {
            head += &format!("Content-Type: {content_type}\r\n");
        }
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(b"\r\n");
        body.extend_from_slice(&part.content);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    Ok((boundary, body))
}

/// A name within quotation marks, as browsers write it (HTML, "multipart form data").
fn escaped(name: &str) -> String {
    name.replace('\r', "%0D").replace('\n', "%0A").replace('"', "%22")
}
