//! HTML entities.

use crate::escape::{Decoded, Escape, number};

/// Characters of the longest name that is looked for.
const NAME_BYTES_MAX: usize = 12;
/// Digits of a numeric entity; leading zeros are allowed.
const DIGITS_MAX: usize = 10;

/// The names of ASCII's punctuation.
const ASCII_NAMES: [(&str, char); 48] = [
    ("amp", '&'),
    ("AMP", '&'),
    ("lt", '<'),
    ("LT", '<'),
    ("gt", '>'),
    ("GT", '>'),
    ("quot", '"'),
    ("QUOT", '"'),
    ("apos", '\''),
    ("Tab", '\t'),
    ("NewLine", '\n'),
    ("excl", '!'),
    ("num", '#'),
    ("dollar", '$'),
    ("percnt", '%'),
    ("lpar", '('),
    ("rpar", ')'),
    ("ast", '*'),
    ("midast", '*'),
    ("plus", '+'),
    ("comma", ','),
    ("period", '.'),
    ("sol", '/'),
    ("colon", ':'),
    ("semi", ';'),
    ("equals", '='),
    ("quest", '?'),
    ("commat", '@'),
    ("lsqb", '['),
    ("lbrack", '['),
    ("bsol", '\\'),
    ("rsqb", ']'),
    ("rbrack", ']'),
    ("Hat", '^'),
    ("lowbar", '_'),
    ("UnderBar", '_'),
    ("grave", '`'),
    ("lcub", '{'),
    ("lbrace", '{'),
    ("verbar", '|'),
    ("vert", '|'),
    ("VerticalLine", '|'),
    ("rcub", '}'),
    ("rbrace", '}'),
    ("euro", '\u{20ac}'),
    ("ndash", '\u{2013}'),
    ("mdash", '\u{2014}'),
    ("hellip", '\u{2026}'),
];

/// The names of U+00A0 to U+00FF, in order.
const LATIN_1_NAMES: [&str; 96] = [
    "nbsp", "iexcl", "cent", "pound", "curren", "yen", "brvbar", "sect", "uml", "copy", "ordf", "laquo",
    "not", "shy", "reg", "macr", "deg", "plusmn", "sup2", "sup3", "acute", "micro", "para", "middot",
    "cedil", "sup1", "ordm", "raquo", "frac14", "frac12", "frac34", "iquest", "Agrave", "Aacute", "Acirc",
    "Atilde", "Auml", "Aring", "AElig", "Ccedil", "Egrave", "Eacute", "Ecirc", "Euml", "Igrave", "Iacute",
    "Icirc", "Iuml", "ETH", "Ntilde", "Ograve", "Oacute", "Ocirc", "Otilde", "Ouml", "times", "Oslash",
    "Ugrave", "Uacute", "Ucirc", "Uuml", "Yacute", "THORN", "szlig", "agrave", "aacute", "acirc", "atilde",
    "auml", "aring", "aelig", "ccedil", "egrave", "eacute", "ecirc", "euml", "igrave", "iacute", "icirc",
    "iuml", "eth", "ntilde", "ograve", "oacute", "ocirc", "otilde", "ouml", "divide", "oslash", "ugrave",
    "uacute", "ucirc", "uuml", "yacute", "thorn", "yuml",
];

/// The entity at the start of `text`: by number (decimal or hex, the semicolon may be missing) or
/// by name.
pub(crate) fn unescape_html(text: &[u8]) -> Option<Escape> {
    let rest = text.strip_prefix(b"&")?;
    match rest {
        [b'#', b'x' | b'X', digits @ ..] => by_number(digits, 16, 3),
        [b'#', digits @ ..] => by_number(digits, 10, 2),
        _ => by_name(rest),
    }
}

fn by_number(text: &[u8], radix: u32, before: usize) -> Option<Escape> {
    let digits = text.iter().take_while(|byte| char::from(**byte).is_digit(radix)).count();
    if digits == 0 || digits > DIGITS_MAX {
        return None;
    }
    let char = char::from_u32(number(&text[..digits], radix)?)?;
    let semicolon = usize::from(text.get(digits) == Some(&b';'));
    Some(Escape { decoded: Decoded::Char(char), length: before + digits + semicolon })
}

fn by_name(text: &[u8]) -> Option<Escape> {
    let window = &text[..text.len().min(NAME_BYTES_MAX + 1)];
    let end = window.iter().position(|byte| *byte == b';')?;
    let name = std::str::from_utf8(&window[..end]).ok()?;
    let ascii = ASCII_NAMES.iter().find(|(known, _)| *known == name).map(|(_, char)| *char);
    let char = ascii.or_else(|| {
        let at = LATIN_1_NAMES.iter().position(|known| *known == name)?;
        char::from_u32(0xa0 + u32::try_from(at).ok()?)
    })?;
    Some(Escape { decoded: Decoded::Char(char), length: end + 2 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entities_are_read_by_number_and_by_name() {
        let check = |text: &str, expected: Option<(char, usize)>| {
            let found = unescape_html(text.as_bytes()).map(|escape| match escape.decoded {
                Decoded::Char(char) => (char, escape.length),
                Decoded::Byte(_) => unreachable!("entities are characters"),
            });
            assert_eq!(found, expected, "{text}");
        };
        check("&amp;x", Some(('&', 5)));
        check("&#34;", Some(('"', 5)));
        check("&#x27;", Some(('\'', 6)));
        check("&#X0027;", Some(('\'', 8)));
        check("&#39 x", Some(('\'', 4)));
        check("&VerticalLine;", Some(('|', 14)));
        assert_eq!("VerticalLine".len(), NAME_BYTES_MAX, "the longest name is read");
        assert!(ASCII_NAMES.iter().all(|(name, _)| name.len() < NAME_BYTES_MAX + 1));
        check("&nbsp;", Some(('\u{a0}', 6)));
        check("&szlig;", Some(('\u{df}', 7)));
        check("&yuml;", Some(('\u{ff}', 6)));
        check("&euro;", Some(('\u{20ac}', 6)));
        for text in
            ["&", "&;", "&amp", "&unknown;", "&#;", "&#x;", "&#xd800;", "&#99999999;", "&#00000000065;"]
        {
            check(text, None);
        }
    }

    #[test]
    fn a_number_has_so_many_digits_and_no_more_i10() {
        let read = |digits: usize| unescape_html(format!("&#{:0digits$};", 65).as_bytes()).is_some();
        assert_eq!((read(DIGITS_MAX), read(DIGITS_MAX + 1)), (true, false));
    }
}
