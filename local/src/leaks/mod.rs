//! The leak check: whether a secret can be found in what was stored, logged, sent or answered, in
//! any form.
//!
//! It shares no code with the scrubbing that it checks. A form has two halves. A place is *read* as
//! a reader would read it: with SQL, JSON, URL and HTML escapes undone (`views`). In each reading,
//! a value is searched for as it may be *written*: raw, in hex, in base64 at its three alignments,
//! and each of these in hex again (`needles`).

pub mod command;
mod needles;
mod places;
mod views;

use std::path::Path;

use anyhow::{Context, Result};
use memchr::memmem::Finder;

pub use places::check_everything;

use needles::Needle;

/// The shortest secret that is searched for; a shorter one is found everywhere by chance.
pub const SECRET_BYTES_MIN: usize = 8;

/// Something that must not hold a secret.
#[derive(Debug)]
pub struct Place {
    name: String,
    content: Vec<u8>,
}

/// A secret that was found. It names the form and never the value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The place's name.
    pub place: String,
    /// The way in which the value was written there: `raw`, `base64`, …
    pub written: &'static str,
    /// The encoding that had to be undone to read the value: `as is`, `URL`, …
    pub read: &'static str,
}

/// The result of the check.
#[derive(Debug, Default)]
pub struct Report {
    /// The names of all places that were searched.
    pub places: Vec<String>,
    /// The findings, at most one for each place and form.
    pub findings: Vec<Finding>,
}

impl Place {
    /// Bytes under a name.
    pub fn new(name: impl Into<String>, content: impl Into<Vec<u8>>) -> Self {
        Self { name: name.into(), content: content.into() }
    }

    /// A file under its own name.
    ///
    /// # Errors
    ///
    /// When it can't be read.
    pub fn file(path: &Path) -> Result<Self> {
        let content = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(Self::new(path.file_name().unwrap_or_default().to_string_lossy(), content))
    }

    /// All files of a folder, each a place.
    ///
    /// # Errors
    ///
    /// When one can't be read.
    pub fn files(folder: &Path) -> Result<Vec<Self>> {
        let entries =
            std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
        let mut paths: Vec<_> = entries.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
        paths.sort();
        let mut places = Vec::new();
        for path in paths {
            // Links are not followed: a folder is searched once.
            if path.is_dir() && !path.is_symlink() {
                places.extend(Self::files(&path)?);
            } else if path.is_file() {
                places.push(Self::file(&path)?);
            }
        }
        Ok(places)
    }
}

impl Report {
    /// Whether places were searched and nothing was found.
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty() && !self.places.is_empty()
    }

    /// The number of places that hold a secret.
    pub fn places_found(&self) -> usize {
        self.places
            .iter()
            .filter(|place| self.findings.iter().any(|finding| finding.place == **place))
            .count()
    }
}

/// `secret found in 0 of 12 places`, with a line for each finding.
impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "secret found in {} of {} places", self.places_found(), self.places.len())?;
        for finding in &self.findings {
            write!(f, "\n  {}: written as {}, read as {}", finding.place, finding.written, finding.read)?;
        }
        Ok(())
    }
}

/// Searches every place for every secret in every form.
///
/// # Panics
///
/// When a secret is shorter than [`SECRET_BYTES_MIN`], a mistake of the caller's.
pub fn check(secrets: &[&str], places: Vec<Place>) -> Report {
    let needles: Vec<Needle> = secrets
        .iter()
        .flat_map(|secret| {
            assert!(
                secret.len() >= SECRET_BYTES_MIN,
                "a secret to search for has {SECRET_BYTES_MIN} bytes or more"
            );
            needles::of(secret)
        })
        .collect();
    let finders: Vec<(&Needle, Finder)> =
        needles.iter().map(|needle| (needle, Finder::new(&needle.bytes))).collect();
    let mut report = Report::default();
    for place in places {
        for view in views::of(place.content) {
            let found = finders.iter().filter(|(_, finder)| finder.find(&view.bytes).is_some());
            for (needle, _) in found {
                let finding = Finding { place: place.name.clone(), written: needle.form, read: view.name };
                if !report.findings.contains(&finding) {
                    report.findings.push(finding);
                }
            }
        }
        report.places.push(place.name);
    }
    report
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE};

    use super::*;

    /// Has characters that each form writes in a way of its own, and a line break.
    const SECRET: &str = "kän/\"ry\" & <'s3cret'>+~\nnext line?%";

    #[track_caller]
    fn check_found(what: &str, content: impl Into<Vec<u8>>) {
        let mut bytes = b"2026 INFO before ".to_vec();
        bytes.extend(content.into());
        bytes.extend(b" after");
        let report = check(&[SECRET], vec![Place::new("clean", "nothing"), Place::new("planted", bytes)]);
        assert_eq!(report.places_found(), 1, "not found as {what}");
        assert!(report.to_string().starts_with("secret found in 1 of 2 places\n  planted: "), "{report}");
        assert!(!report.to_string().contains(SECRET));
    }

    fn percent(keep: &str, upper: bool) -> String {
        let encode = |byte: u8| match byte {
            byte if byte.is_ascii_alphanumeric() || keep.as_bytes().contains(&byte) => {
                char::from(byte).to_string()
            }
            byte if upper => format!("%{byte:02X}"),
            byte => format!("%{byte:02x}"),
        };
        SECRET.bytes().map(encode).collect()
    }

    #[test]
    fn a_planted_secret_is_found_raw_and_json_escaped() {
        check_found("raw", SECRET);
        let json = serde_json::to_string(SECRET).unwrap();
        check_found("JSON", json.clone());
        check_found("JSON in JSON", serde_json::to_string(&json).unwrap());
        check_found("JSON with escaped slashes", json.replace('/', "\\/"));
        for escape in [|code: u32| format!("\\u{code:04x}"), |code: u32| format!("\\u{code:04X}")] {
            let escape =
                |c: char| if c.is_ascii_alphanumeric() { c.to_string() } else { escape(u32::from(c)) };
            check_found("JSON in \\u", SECRET.chars().map(escape).collect::<String>());
        }
        check_found("SQL", format!("INSERT INTO a VALUES ('{}')", SECRET.replace('\'', "''")));
        check_found("SQL of JSON", format!("INSERT INTO a VALUES ('{}')", json.replace('\'', "''")));
    }

    #[test]
    fn a_planted_secret_is_found_url_encoded() {
        for (what, keep) in
            [("all", ""), ("unreserved", "-._~"), ("component", "-._~!'()*"), ("path", "-._~!$&'()*+,;=:@")]
        {
            check_found(what, percent(keep, true));
            check_found(what, percent(keep, false));
        }
        check_found("form", percent("*-._ ", true).replace(' ', "+"));
        check_found("form, lower case", percent("*-._ ", false).replace(' ', "+"));
        check_found("URL in JSON", serde_json::json!({ "url": percent("", true) }).to_string());
    }

    #[test]
    fn a_planted_secret_is_found_as_html_entities() {
        let named =
            SECRET.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
        check_found("named", named.replace('\'', "&apos;"));
        check_found("named and decimal", named.replace('\'', "&#39;"));
        check_found("named and hex", named.replace('\'', "&#x27;").replace('ä', "&#xE4;"));
        check_found("decimal", SECRET.chars().map(|c| format!("&#{};", u32::from(c))).collect::<String>());
        check_found("hex", SECRET.chars().map(|c| format!("&#X{:04X};", u32::from(c))).collect::<String>());
    }

    #[test]
    fn a_planted_secret_is_found_in_hex_and_base64_at_every_alignment() {
        check_found("hex", hex::encode(SECRET));
        check_found("HEX", hex::encode_upper(SECRET));
        check_found("bytea", format!("'\\x{}'", hex::encode(SECRET)));
        for before in ["", "a", "ab", "user:", "Bearer "] {
            for after in ["", ":", "::", ":::"] {
                let text = format!("{before}{SECRET}{after}");
                for (what, encoded) in [
                    ("base64", STANDARD.encode(&text)),
                    ("base64 without padding", STANDARD_NO_PAD.encode(&text)),
                    ("base64url", URL_SAFE.encode(&text)),
                ] {
                    check_found(what, encoded.clone());
                    check_found(&format!("{what} in a URL"), encoded.replace('+', "%2B").replace('/', "%2F"));
                    check_found(&format!("{what} in bytea"), hex::encode(encoded));
                }
            }
        }
        check_found("JSON in bytea", hex::encode(serde_json::to_string(SECRET).unwrap()));
    }

    #[test]
    fn a_part_of_a_secret_or_another_text_is_not_found() {
        let other = [&SECRET[..SECRET.len() - 2], "xxxxxxxxxxxx", ""].join(" ");
        let report = check(&[SECRET], vec![Place::new("one", other)]);
        assert!(report.is_clean(), "{report}");
        assert_eq!(report.to_string(), "secret found in 0 of 1 places");
    }

    #[test]
    fn a_check_without_places_is_not_clean() {
        assert!(!check(&[SECRET], Vec::new()).is_clean());
    }
}
