//! Forms of several parts (RFC 7578), as browsers and mail services send them.

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::ready;
use futures_util::stream::once;
use http_content::text;
use multer::Multipart;
use serde_json::{Map, Value, json};

use super::data::{BodyError, add, file_data, no_nul};

/// Parts of one form.
pub(super) const PARTS_MAX: usize = 1_000;

/// The form as a map: a field has its text, and a file its name, type, size and SHA-256.
pub(super) fn multipart(boundary: &str, body: &[u8]) -> Result<Value, BodyError> {
    let body = Bytes::copy_from_slice(body);
    let parts = Multipart::new(once(ready(Ok::<_, std::convert::Infallible>(body))), boundary);
    // The whole body is there, so nothing is waited for.
    read(parts).now_or_never().unwrap_or(Err(BodyError::Multipart))
}

async fn read(mut parts: Multipart<'_>) -> Result<Value, BodyError> {
    let (mut form, mut count) = (Map::new(), 0);
    while let Some(part) = parts.next_field().await.map_err(|_| BodyError::Multipart)? {
        count += 1;
        if count > PARTS_MAX {
            return Err(BodyError::MultipartParts);
        }
        let name = no_nul(part.name().ok_or(BodyError::Multipart)?.to_owned())?;
        let file = part.file_name().map(str::to_owned);
        let content_type = part.content_type().map(ToString::to_string);
        let bytes = part.bytes().await.map_err(|_| BodyError::Multipart)?;
        let value = match file {
            Some(file) => {
                let mut value = file_data(content_type.as_deref(), &bytes);
                value["name"] = json!(no_nul(file)?);
                value
            }
            None => match text(content_type.as_deref(), bytes.into()) {
                Ok(text) => Value::String(text),
                Err(bytes) => file_data(content_type.as_deref(), &bytes),
            },
        };
        add(&mut form, name, value);
    }
    Ok(Value::Object(form))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(parts: &[(&str, &[u8])]) -> Vec<u8> {
        let mut body = Vec::new();
        for (head, content) in parts {
            body.extend_from_slice(
                format!("--b1\r\nContent-Disposition: form-data; {head}\r\n\r\n").as_bytes(),
            );
            body.extend_from_slice(content);
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(b"--b1--\r\n");
        body
    }

    #[test]
    fn fields_are_kept_and_files_are_told_by_name_type_size_and_hash() {
        let body = form(&[
            ("name=\"subject\"", b"Hello"),
            ("name=\"to\"", b"a@example.com"),
            ("name=\"to\"", "\u{fc}@example.com".as_bytes()),
            ("name=\"latin\"\r\nContent-Type: text/plain; charset=iso-8859-1", b"\xfc"),
            ("name=\"picture\"; filename=\"a b.png\"\r\nContent-Type: image/png", b"\x89PNG\0"),
            ("name=\"note\"; filename=\"n.txt\"\r\nContent-Type: text/plain", b"abc"),
        ]);
        let found = multipart("b1", &body).unwrap();
        assert_eq!(
            found,
            json!({
                "subject": "Hello",
                "to": ["a@example.com", "\u{fc}@example.com"],
                "latin": "\u{fc}",
                "picture": { "name": "a b.png", "type": "image/png", "bytes": 5,
                    "sha256": "ad91235e882292469812e16da0b8fc77075a7c6d6f8760c24be14a5c792508cf" },
                "note": { "name": "n.txt", "type": "text/plain", "bytes": 3,
                    "sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
            })
        );
    }

    #[test]
    fn what_is_no_such_form_is_refused() {
        let whole = form(&[("name=\"a\"", b"1")]);
        assert_eq!(multipart("b1", &whole).unwrap(), json!({ "a": "1" }));
        for body in [&whole[..whole.len() - 10], b"", b"a=1", &form(&[("nme=\"a\"", b"1")])] {
            assert_eq!(multipart("b1", body), Err(BodyError::Multipart), "{body:?}");
        }
        assert!(multipart("b1", &form(&[("name=\"a\0\"", b"1")])).is_err());
    }

    #[test]
    fn the_parts_of_a_form_have_a_limit_on_both_sides_i10() {
        let many = |count: usize| {
            let parts: Vec<(&str, &[u8])> = vec![("name=\"a\"", b"1"); count];
            multipart("b1", &form(&parts)).map(|form| form["a"].as_array().map(Vec::len))
        };
        assert_eq!(many(PARTS_MAX), Ok(Some(PARTS_MAX)));
        assert_eq!(many(PARTS_MAX + 1), Err(BodyError::MultipartParts));
    }
}
