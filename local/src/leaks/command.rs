//! The leak check as a command of its own, for any installation: a database, folders of logs, files
//! of messages.

use std::io::BufRead;
use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};

use super::{Place, Report, SECRET_BYTES_MIN, check};
use crate::stack;

/// Bytes of all the secrets that are read.
const INPUT_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// The places that are searched.
#[derive(Debug, Default)]
pub struct Search {
    /// The database's address; a password is better in `PGPASSWORD` or a password file.
    pub database: Option<String>,
    /// Folders of logs, with the folders in them.
    pub logs: Vec<PathBuf>,
    /// Files of messages, answers, dumps and the like.
    pub files: Vec<PathBuf>,
}

/// Reads the secrets, one a line, and searches for each in every form. A secret of several lines is
/// given as JSON: `"a\nb"`.
///
/// # Errors
///
/// When a place or a secret can't be read, or nothing is to be searched. No text of an error has a
/// secret in it.
pub async fn run(search: Search, secrets: impl BufRead) -> Result<Report> {
    let secrets = read_secrets(secrets)?;
    let mut places = Vec::new();
    if let Some(url) = &search.database {
        places.push(Place::new("database dump", stack::dump_database(url).await?));
    }
    for folder in &search.logs {
        places.extend(Place::files(folder)?);
    }
    for file in &search.files {
        places.push(Place::file(file)?);
    }
    ensure!(!places.is_empty(), "nothing to search: give --database, --logs or --messages");
    let check = move || check(&secrets.iter().map(String::as_str).collect::<Vec<_>>(), places);
    Ok(tokio::task::spawn_blocking(check).await?)
}

fn read_secrets(input: impl BufRead) -> Result<Vec<String>> {
    let mut secrets = Vec::new();
    for (at, line) in input.take(INPUT_BYTES_MAX).lines().enumerate() {
        let number = at + 1;
        let line = line.ok().with_context(|| format!("line {number} of standard input is not UTF-8 text"))?;
        let secret = match line.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
            Some(_) => serde_json::from_str(&line)
                .ok()
                .with_context(|| format!("line {number} is no JSON string"))?,
            None => line,
        };
        if secret.is_empty() {
            continue;
        }
        if secret.len() < SECRET_BYTES_MIN {
            bail!(
                "line {number} of standard input has fewer than {SECRET_BYTES_MIN} bytes: it would be found everywhere"
            );
        }
        secrets.push(secret);
    }
    ensure!(!secrets.is_empty(), "no secret on standard input: one a line");
    Ok(secrets)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "s3cret-of-the-test";

    #[test]
    fn secrets_come_one_a_line_or_as_json() {
        let read = |text: &str| read_secrets(text.as_bytes()).map_err(|error| error.to_string());
        assert_eq!(read("12345678\n\nabcdefghi\n").unwrap(), ["12345678", "abcdefghi"]);
        assert_eq!(read("\"line one\\nline two\"").unwrap(), ["line one\nline two"]);
        for text in ["", "\n", "1234567", "\"hunter2hunter2\\x\""] {
            let error = read(text).unwrap_err();
            assert!(!error.contains("hunter2") && !error.contains("1234567"), "{error}");
        }
    }

    #[tokio::test]
    async fn a_secret_in_a_folder_of_logs_and_in_a_file_is_found() {
        let folder = std::env::temp_dir().join(format!("sealflow-leaks-{}", crate::random::hex(6)));
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("one.log"), format!("token={}", hex::encode(SECRET))).unwrap();
        std::fs::write(folder.join("two.log"), "nothing").unwrap();
        let search = || Search {
            logs: vec![folder.clone()],
            files: vec![folder.join("two.log")],
            ..Search::default()
        };
        let report = run(search(), SECRET.as_bytes()).await;
        let clean = run(search(), "another-secret".as_bytes()).await;
        std::fs::remove_dir_all(&folder).unwrap();
        let report = report.unwrap();
        assert_eq!((report.places_found(), report.places.len()), (1, 3), "{report}");
        assert!(clean.unwrap().is_clean());
    }

    #[tokio::test]
    async fn a_search_of_nothing_is_an_error() {
        assert!(run(Search::default(), SECRET.as_bytes()).await.is_err());
    }
}
