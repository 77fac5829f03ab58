//! Decoding of content encodings, within a limit.

use std::io::Read;

use domain::limits::HTTP_RESPONSE_BYTES_MAX;
use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use http::header::{self, HeaderMap};

use crate::HttpError;

/// Encodings that one body may have on top of each other.
const LAYERS_MAX: usize = 2;

/// Decodes the content encodings that the response names, and removes their headers. An encoding
/// that was not asked for is an error: a body that can't be read can't be scrubbed.
pub(crate) fn decode(headers: &mut HeaderMap, mut body: Vec<u8>) -> Result<Vec<u8>, HttpError> {
    let mut layers = Vec::new();
    for value in headers.get_all(header::CONTENT_ENCODING) {
        let value = value.to_str().map_err(|_| HttpError::ResponseInvalid)?;
        let names = value.split(',').map(|name| name.trim().to_ascii_lowercase());
        layers.extend(names.filter(|name| !name.is_empty() && name != "identity"));
    }
    if layers.is_empty() || body.is_empty() {
        return Ok(body);
    }
    if layers.len() > LAYERS_MAX {
        return Err(HttpError::ResponseInvalid);
    }
    for layer in layers.iter().rev() {
        body = match layer.as_str() {
            "gzip" | "x-gzip" => read_limited(MultiGzDecoder::new(body.as_slice()))?,
            "deflate" if has_zlib_header(&body) => read_limited(ZlibDecoder::new(body.as_slice()))?,
            "deflate" => read_limited(DeflateDecoder::new(body.as_slice()))?,
            _ => return Err(HttpError::ResponseInvalid),
        };
    }
    headers.remove(header::CONTENT_ENCODING);
    headers.remove(header::CONTENT_LENGTH);
    Ok(body)
}

fn read_limited(decoder: impl Read) -> Result<Vec<u8>, HttpError> {
    let mut decoded = Vec::new();
    let bytes_max = u64::try_from(HTTP_RESPONSE_BYTES_MAX).expect("4 MiB fits");
    decoder.take(bytes_max + 1).read_to_end(&mut decoded).map_err(|_| HttpError::ResponseInvalid)?;
    if decoded.len() > HTTP_RESPONSE_BYTES_MAX { Err(HttpError::ResponseTooLarge) } else { Ok(decoded) }
}

/// `deflate` means zlib's format (RFC 9110), but some servers send the bare stream.
fn has_zlib_header(body: &[u8]) -> bool {
    matches!(body, [first, second, ..]
        if first & 0x0f == 8 && u16::from_be_bytes([*first, *second]).is_multiple_of(31))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn run(encoding: &str, body: Vec<u8>) -> Result<Vec<u8>, HttpError> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_ENCODING, encoding.parse().unwrap());
        headers.insert(header::CONTENT_LENGTH, body.len().into());
        let decoded = decode(&mut headers, body)?;
        assert_eq!(headers.len(), if encoding == "identity" { 2 } else { 0 });
        Ok(decoded)
    }

    #[test]
    fn what_was_asked_for_is_decoded() {
        let text = b"the body, the body, the body".as_slice();
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
        zlib.write_all(text).unwrap();
        let mut bare = DeflateEncoder::new(Vec::new(), Compression::fast());
        bare.write_all(text).unwrap();
        let check =
            |encoding: &str, body: Vec<u8>| assert_eq!(run(encoding, body).unwrap(), text, "{encoding}");
        check("gzip", gzip(text));
        check("X-GZIP", gzip(text));
        check("deflate", zlib.finish().unwrap());
        check("deflate", bare.finish().unwrap());
        check("gzip, gzip", gzip(&gzip(text)));
        check("identity", text.to_vec());
    }

    #[test]
    fn what_cannot_be_read_is_an_error() {
        let whole = gzip(b"the body");
        let check = |encoding: &str, body: &[u8]| {
            assert_eq!(run(encoding, body.to_vec()), Err(HttpError::ResponseInvalid), "{encoding}");
        };
        check("br", b"the body");
        check("gzip", b"the body");
        check("gzip", &whole[..whole.len() - 1]);
        check("gzip", &[whole.as_slice(), b"more"].concat());
        check("gzip, gzip, gzip", &gzip(&gzip(&whole)));
    }

    #[test]
    fn a_bomb_ends_at_the_limit_i10() {
        let zeros = |bytes: usize| gzip(&vec![0; bytes]);
        assert_eq!(run("gzip", zeros(HTTP_RESPONSE_BYTES_MAX)).unwrap().len(), HTTP_RESPONSE_BYTES_MAX);
        assert_eq!(run("gzip", zeros(HTTP_RESPONSE_BYTES_MAX + 1)), Err(HttpError::ResponseTooLarge));
        let bomb = gzip(&zeros(256 * HTTP_RESPONSE_BYTES_MAX / 16));
        assert_eq!(run("gzip, gzip", bomb), Err(HttpError::ResponseTooLarge));
    }
}
