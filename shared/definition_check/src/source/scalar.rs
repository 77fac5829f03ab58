//! Plain scalars by the core schema of YAML 1.2 (chapter 10.3.2).

use domain::limits::NUMBER_CHARS_MAX;

use super::Content;

/// The content of a plain scalar.
///
/// # Errors
/// A sentence for a number that JSON can't hold.
pub(super) fn resolve(text: &str) -> Result<Content, &'static str> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Ok(Content::Null),
        "true" | "True" | "TRUE" => return Ok(Content::Bool(true)),
        "false" | "False" | "FALSE" => return Ok(Content::Bool(false)),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" | "-.inf" | "-.Inf" | "-.INF" | ".nan"
        | ".NaN" | ".NAN" => return Err("JSON has no infinity and no NaN"),
        _ => {}
    }
    let Some(number) = number(text) else {
        return Ok(Content::Text(text.to_owned()));
    };
    if text.len() > NUMBER_CHARS_MAX {
        return Err("the number is too long; quote it if it is text");
    }
    match number {
        Number::Integer(number) => Ok(Content::Integer(number)),
        Number::Float(number) if number.is_finite() => Ok(Content::Float(number)),
        Number::Float(_) => Err("the number is too large"),
    }
}

/// Whether a plain scalar is a number by the core schema, whatever its size.
pub(super) fn is_number(text: &str) -> bool {
    number(text).is_some()
}

enum Number {
    Integer(i64),
    Float(f64),
}

fn number(text: &str) -> Option<Number> {
    for (prefix, radix) in [("0o", 8), ("0x", 16)] {
        if let Some(digits) = text.strip_prefix(prefix) {
            let valid = !digits.is_empty() && digits.chars().all(|digit| digit.is_digit(radix));
            return valid.then(|| match i64::from_str_radix(digits, radix) {
                Ok(number) => Number::Integer(number),
                Err(_) => Number::Float(f64::INFINITY),
            });
        }
    }
    if !is_decimal(text) {
        return None;
    }
    if text.contains(['.', 'e', 'E']) {
        return text.parse().ok().map(Number::Float);
    }
    text.parse().map(Number::Integer).or_else(|_| text.parse().map(Number::Float)).ok()
}

/// `[-+]? ( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )?`
fn is_decimal(text: &str) -> bool {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let rest = text.strip_prefix(['-', '+']).unwrap_or(text);
    let whole = digits(rest);
    let mut rest = &rest[whole..];
    let mut fraction = 0;
    if let Some(after) = rest.strip_prefix('.') {
        fraction = digits(after);
        rest = &after[fraction..];
    }
    if whole + fraction == 0 {
        return false;
    }
    if let Some(exponent) = rest.strip_prefix(['e', 'E']) {
        let exponent = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        let count = digits(exponent);
        return count > 0 && count == exponent.len();
    }
    rest.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_follow_the_core_schema() {
        let check = |text: &str, expected: Content| assert_eq!(resolve(text), Ok(expected), "{text}");
        check("", Content::Null);
        check("~", Content::Null);
        check("nUll", Content::Text("nUll".into()));
        check("True", Content::Bool(true));
        check("yes", Content::Text("yes".into()));
        check("on", Content::Text("on".into()));
        check("12", Content::Integer(12));
        check("-12", Content::Integer(-12));
        check("+12", Content::Integer(12));
        check("007", Content::Integer(7));
        check("0o17", Content::Integer(15));
        check("0xfF", Content::Integer(255));
        check("0x", Content::Text("0x".into()));
        check("9223372036854775808", Content::Float(9_223_372_036_854_775_808.0));
        check("1.5", Content::Float(1.5));
        check("1.", Content::Float(1.0));
        check(".5", Content::Float(0.5));
        check("1e3", Content::Float(1000.0));
        check("-1.5E-3", Content::Float(-0.0015));
        check(".", Content::Text(".".into()));
        check("1e", Content::Text("1e".into()));
        check("1_000", Content::Text("1_000".into()));
        check("1.2.3", Content::Text("1.2.3".into()));
        check("2024-01-01", Content::Text("2024-01-01".into()));
        check("12:30", Content::Text("12:30".into()));
    }

    #[test]
    fn numbers_that_json_can_not_hold_are_refused() {
        for text in [".inf", "-.INF", ".nan", "1e999", "0xffffffffffffffffff"] {
            assert!(resolve(text).is_err(), "{text}");
        }
        assert!(resolve(&"1".repeat(NUMBER_CHARS_MAX)).is_ok());
        assert!(resolve(&"1".repeat(NUMBER_CHARS_MAX + 1)).is_err());
    }
}
