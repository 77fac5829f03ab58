//! Decoding of content codings, within a limit.

use std::io::Read;

use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};

/// Encodings that one body may have on top of each other.
const LAYERS_MAX: usize = 2;

/// The names of content codings (RFC 9110, section 8.4.1, and the registry of IANA). Servers put
/// other words there, such as a charset; a body beside them is not encoded.
const CODINGS: [&str; 9] =
    ["gzip", "x-gzip", "deflate", "compress", "x-compress", "br", "zstd", "dcb", "dcz"];

/// The fault of a body that can't be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodingError {
    /// It is not in the coding that its head names, or this is none that is read here.
    #[error("the body is not in the content encoding that it names: gzip and deflate can be read")]
    Invalid,
    /// It is larger than it may be.
    #[error("the body is too large when it is decompressed")]
    TooLarge,
}

/// Decodes the content codings that the values of `Content-Encoding` name. `Ok(None)` means that
/// the body has none.
///
/// # Errors
/// [`CodingError::TooLarge`] where more than `bytes_max` bytes come out, whatever the coding is.
/// [`CodingError::Invalid`] where the body can't be read: what can't be read can't be scrubbed.
pub fn decode<'v>(
    values: impl IntoIterator<Item = &'v [u8]>,
    body: &[u8],
    bytes_max: usize,
) -> Result<Option<Vec<u8>>, CodingError> {
    let mut layers = Vec::new();
    for value in values {
        let value = String::from_utf8_lossy(value);
        let names = value.split(',').map(|name| name.trim().to_ascii_lowercase());
        layers.extend(names.filter(|name| CODINGS.contains(&name.as_str())));
    }
    if layers.is_empty() || body.is_empty() {
        return Ok(None);
    }
    if layers.len() > LAYERS_MAX {
        return Err(CodingError::Invalid);
    }
    let mut decoded = None;
    for layer in layers.iter().rev() {
        let body = decoded.as_deref().unwrap_or(body);
        decoded = Some(match layer.as_str() {
            "gzip" | "x-gzip" => read_limited(MultiGzDecoder::new(body), bytes_max)?,
            "deflate" if has_zlib_header(body) => read_limited(ZlibDecoder::new(body), bytes_max)?,
            "deflate" => read_limited(DeflateDecoder::new(body), bytes_max)?,
            _ => return Err(CodingError::Invalid),
        });
    }
    Ok(decoded)
}

fn read_limited(decoder: impl Read, bytes_max: usize) -> Result<Vec<u8>, CodingError> {
    let mut decoded = Vec::new();
    let one_more = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
    decoder.take(one_more).read_to_end(&mut decoded).map_err(|_| CodingError::Invalid)?;
    if decoded.len() > bytes_max { Err(CodingError::TooLarge) } else { Ok(decoded) }
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

    const BYTES_MAX: usize = 4 * 1024 * 1024;

    fn run(encoding: &str, body: &[u8]) -> Result<Option<Vec<u8>>, CodingError> {
        decode([encoding.as_bytes()], body, BYTES_MAX)
    }

    #[test]
    fn what_was_asked_for_is_decoded() {
        let text = b"the body, the body, the body".as_slice();
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
        zlib.write_all(text).unwrap();
        let mut bare = DeflateEncoder::new(Vec::new(), Compression::fast());
        bare.write_all(text).unwrap();
        let check = |encoding: &str, body: Vec<u8>| {
            assert_eq!(run(encoding, &body).unwrap().as_deref(), Some(text), "{encoding}");
        };
        check("gzip", gzip(text));
        check("X-GZIP", gzip(text));
        check("deflate", zlib.finish().unwrap());
        check("deflate", bare.finish().unwrap());
        check("gzip, gzip", gzip(&gzip(text)));
        for no_coding in ["identity", "UTF-8", "utf-8, none", "binary", "", "text/html"] {
            assert_eq!(run(no_coding, text), Ok(None), "{no_coding}");
        }
        check("UTF-8, gzip", gzip(text));
    }

    #[test]
    fn what_cannot_be_read_is_an_error() {
        let whole = gzip(b"the body");
        let check = |encoding: &str, body: &[u8]| {
            assert_eq!(run(encoding, body), Err(CodingError::Invalid), "{encoding}");
        };
        for coding in ["br", "zstd", "compress", "utf-8, BR"] {
            check(coding, b"the body");
        }
        check("gzip", b"the body");
        check("gzip", &whole[..whole.len() - 1]);
        check("gzip", &[whole.as_slice(), b"more"].concat());
        check("gzip, gzip, gzip", &gzip(&gzip(&whole)));
    }

    #[test]
    fn a_bomb_ends_at_the_limit_i10() {
        let zeros = |bytes: usize| gzip(&vec![0; bytes]);
        assert_eq!(run("gzip", &zeros(BYTES_MAX)).unwrap().unwrap().len(), BYTES_MAX);
        assert_eq!(run("gzip", &zeros(BYTES_MAX + 1)), Err(CodingError::TooLarge));
        let bomb = gzip(&zeros(256 * BYTES_MAX / 16));
        assert_eq!(run("gzip, gzip", &bomb), Err(CodingError::TooLarge));
    }
}
