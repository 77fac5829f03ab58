//! The readings of a place: as it is, and with one or two kinds of escapes undone.

/// A place's bytes with some escapes undone.
pub(super) struct View {
    pub(super) name: &'static str,
    pub(super) bytes: Vec<u8>,
}

type Undo = fn(&[u8]) -> Vec<u8>;

/// In this order, so that JSON in SQL in a dump, and URLs in JSON, are seen through. `''` is how
/// SQL writes a quote.
const CHAINS: [(&str, &[Undo]); 10] = [
    ("SQL", &[undo_sql]),
    ("JSON", &[undo_json]),
    ("JSON in SQL", &[undo_sql, undo_json]),
    ("JSON in JSON", &[undo_json, undo_json]),
    ("JSON in JSON in SQL", &[undo_sql, undo_json, undo_json]),
    ("URL", &[undo_json, undo_url]),
    ("form", &[undo_json, undo_plus, undo_url]),
    ("URL in SQL", &[undo_sql, undo_json, undo_url]),
    ("HTML", &[undo_html]),
    ("HTML in JSON", &[undo_sql, undo_json, undo_html]),
];

/// The bytes as they are, and each other way to read them that gives something else.
pub(super) fn of(content: Vec<u8>) -> Vec<View> {
    let mut views = vec![View { name: "as is", bytes: content }];
    for (name, chain) in CHAINS {
        let bytes = chain.iter().fold(views[0].bytes.clone(), |bytes, undo| undo(&bytes));
        if views.iter().all(|view| view.bytes != bytes) {
            views.push(View { name, bytes });
        }
    }
    views
}

fn undo_sql(bytes: &[u8]) -> Vec<u8> {
    replace(bytes, b'\'', |rest| (rest.first() == Some(&b'\'')).then(|| (1, b"'".to_vec())))
}

fn undo_plus(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect()
}

fn undo_url(bytes: &[u8]) -> Vec<u8> {
    replace(bytes, b'%', |rest| number(rest.get(..2)?, 16).map(|byte| (2, vec![byte.to_le_bytes()[0]])))
}

fn undo_json(bytes: &[u8]) -> Vec<u8> {
    replace(bytes, b'\\', |rest| {
        let short = match *rest.first()? {
            byte @ (b'"' | b'\\' | b'/') => byte,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'b' => 8,
            b'f' => 12,
            b'u' => return unicode(rest),
            _ => return None,
        };
        Some((1, vec![short]))
    })
}

/// `u` and four digits, of which a pair may be one character.
fn unicode(rest: &[u8]) -> Option<(usize, Vec<u8>)> {
    let first = number(rest.get(1..5)?, 16)?;
    if let Some(character) = char::from_u32(first) {
        return Some((5, character.to_string().into_bytes()));
    }
    let second =
        rest.get(5..7).filter(|prefix| prefix == b"\\u").and_then(|_| number(rest.get(7..11)?, 16))?;
    let code = 0x1_0000 + (first.checked_sub(0xd800)? << 10) + second.checked_sub(0xdc00)?;
    Some((11, char::from_u32(code)?.to_string().into_bytes()))
}

fn undo_html(bytes: &[u8]) -> Vec<u8> {
    const NAMED: [(&[u8], &[u8]); 5] =
        [(b"amp;", b"&"), (b"lt;", b"<"), (b"gt;", b">"), (b"quot;", b"\""), (b"apos;", b"'")];
    const ENTITY_BYTES_MAX: usize = 12;
    replace(bytes, b'&', |rest| {
        if let Some((name, character)) = NAMED.iter().find(|(name, _)| rest.starts_with(name)) {
            return Some((name.len(), character.to_vec()));
        }
        let length = rest.iter().take(ENTITY_BYTES_MAX).position(|byte| *byte == b';')?;
        let code = match rest.get(..length)? {
            [b'#', b'x' | b'X', digits @ ..] => number(digits, 16)?,
            [b'#', digits @ ..] => number(digits, 10)?,
            _ => return None,
        };
        Some((length + 1, char::from_u32(code)?.to_string().into_bytes()))
    })
}

fn number(digits: &[u8], radix: u32) -> Option<u32> {
    let text =
        std::str::from_utf8(digits).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
    u32::from_str_radix(text, radix).ok()
}

/// Copies, and at each `mark` asks what stands for the mark and how many of the bytes after it.
fn replace(bytes: &[u8], mark: u8, undo: impl Fn(&[u8]) -> Option<(usize, Vec<u8>)>) -> Vec<u8> {
    let mut undone = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some(position) = memchr::memchr(mark, rest) {
        undone.extend_from_slice(&rest[..position]);
        rest = &rest[position + 1..];
        match undo(rest) {
            Some((used, replacement)) => {
                undone.extend(replacement);
                rest = &rest[used..];
            }
            None => undone.push(mark),
        }
    }
    undone.extend_from_slice(rest);
    undone
}
