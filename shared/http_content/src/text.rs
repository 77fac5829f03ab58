//! The text of a body.

use encoding_rs::{Encoding, UTF_8};

use crate::content_type::parameter;

/// The text of a body: in the charset of its byte order mark, else in the one that its content type
/// names, else in UTF-8; without the mark.
///
/// # Errors
/// The body again, where it is no text in that charset or holds NUL. No character is replaced: an
/// echoed secret with a replaced character in it could no longer be scrubbed (I1).
pub fn text(content_type: Option<&str>, body: Vec<u8>) -> Result<String, Vec<u8>> {
    let named = content_type.and_then(|value| parameter(value, "charset"));
    let named = named.and_then(|label| Encoding::for_label(label.as_bytes())).unwrap_or(UTF_8);
    let (encoding, mark) = Encoding::for_bom(&body).unwrap_or((named, 0));
    let text = if encoding == UTF_8 && mark == 0 {
        String::from_utf8(body).map_err(|error| error.into_bytes())?
    } else {
        let read = encoding.decode_without_bom_handling_and_without_replacement(&body[mark..]);
        match read.map(|text| text.into_owned()) {
            Some(text) => text,
            None => return Err(body),
        }
    };
    if text.contains('\0') { Err(text.into_bytes()) } else { Ok(text) }
}

/// A body that is read as UTF-8, without the byte order mark that some senders put before it.
#[must_use]
pub fn without_byte_order_mark(body: &[u8]) -> &[u8] {
    body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_read_in_its_charset() {
        let check = |content_type: &str, body: &[u8], expected: &str| {
            let content_type = Some(content_type).filter(|value| !value.is_empty());
            assert_eq!(text(content_type, body.to_vec()).unwrap(), expected, "{content_type:?} {body:?}");
        };
        check("", "Grüße".as_bytes(), "Grüße");
        check("text/plain", b"", "");
        check("text/plain; charset=utf-8", "ü".as_bytes(), "ü");
        check("text/plain; charset=ISO-8859-1", b"Gr\xfc\xdfe", "Grüße");
        check("text/csv;charset=\"windows-1252\"", b"\x80 5", "€ 5");
        check("text/plain; charset=Shift_JIS", b"\x83\x65", "テ");
        check("text/plain; charset=utf-16le", b"o\0k\0", "ok");
        check("text/plain; charset=unheard-of", b"ok", "ok");
        check("", b"\xef\xbb\xbf{}", "{}");
        check("text/plain; charset=iso-8859-1", b"\xef\xbb\xbf\xc3\xbc", "ü");
        check("", b"\xff\xfeo\0k\0", "ok");
        check("", b"\xfe\xff\0o\0k", "ok");
    }

    #[test]
    fn what_is_no_text_stays_as_it_is_i1() {
        let check = |content_type: &str, body: &[u8]| {
            assert_eq!(
                text(Some(content_type), body.to_vec()),
                Err(body.to_vec()),
                "{content_type} {body:?}"
            );
        };
        check("text/plain", b"Gr\xfc\xdfe");
        check("text/plain", b"a\0b");
        check("text/plain; charset=utf-8", b"\xff");
        check("text/plain; charset=shift_jis", b"\x83");
        check("image/png", b"\x89PNG\r\n\x1a\n");
    }

    #[test]
    fn a_byte_order_mark_is_left_out_once() {
        assert_eq!(without_byte_order_mark(b"\xef\xbb\xbf{}"), b"{}");
        assert_eq!(without_byte_order_mark(b"{}"), b"{}");
        assert_eq!(without_byte_order_mark(b"\xef\xbb"), b"\xef\xbb");
    }
}
