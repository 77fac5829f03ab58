//! Reads the configuration of an `approval`.

use domain::access::Role;
use domain::limits::{APPROVERS_MAX, FORM_FIELDS_MAX, FORM_OPTIONS_MAX};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};

use super::form::{FormField, FormType};
use super::{Approver, Request, Requires};
use crate::{
    civil::read_length,
    component::Problem,
    shape::{Reader, Stage, child, item, type_name},
};

/// A request that is to be opened.
pub(super) struct Asked {
    /// The request, without its times.
    pub(super) request: Request,
    /// How long it is open.
    pub(super) expires: SignedDuration,
}

const FIELDS: [&str; 7] = ["approvers", "require", "self", "reject", "form", "message", "expires"];
/// If the author says nothing.
const EXPIRES: SignedDuration = SignedDuration::from_hours(30 * 24);

/// Reads an approval; None while a template leaves a part of it open.
pub(super) fn read(configuration: &Value, stage: Stage) -> Result<Option<Asked>, Vec<Problem>> {
    let mut reader = Reader::new(stage);
    let asked = reader.object("", configuration, &FIELDS).and_then(|map| read_map(&mut reader, map));
    let problems = reader.into_problems();
    if problems.is_empty() { Ok(asked) } else { Err(problems) }
}

fn read_map(reader: &mut Reader, map: &Map<String, Value>) -> Option<Asked> {
    let approvers = match map.get("approvers") {
        Some(value) => read_approvers(reader, value),
        None => {
            reader.problem(
                "",
                "needs `approvers`, a list of `{user: NAME}`, `{role: ROLE}` and `{anyone: true}`",
            );
            None
        }
    };
    let requires = read_requires(reader, map.get("require"));
    let is_self_allowed = read_choice(reader, map, "self", ["deny", "allow"]).map(|word| word == "allow");
    let is_rejected_by_one =
        read_choice(reader, map, "reject", ["first", "majority"]).map(|word| word == "first");
    let form = map.get("form").map_or(Some(Vec::new()), |value| read_form(reader, value));
    let message = match map.get("message") {
        None => Some(String::new()),
        Some(value) if reader.is_open(value) => None,
        Some(value) => reader.text("/message", value),
    };
    let expires = read_length(reader, map, "expires").map(|expires| expires.unwrap_or(EXPIRES));
    if requires == Some(Requires::All) && is_rejected_by_one == Some(false) {
        reader.problem(
            "/reject",
            "`majority` goes with a number of approvals: where all are needed, one rejection decides",
        );
    }
    let (approvers, requires) = (approvers?, requires?);
    // One person counts for one line, and has one vote: more could never be.
    if let Requires::Some(count) = requires
        && approvers.iter().all(|approver| matches!(approver, Approver::User(_)))
        && usize::try_from(count).is_ok_and(|count| count > approvers.len())
    {
        reader.problem("/require", format!("is more than the {} approvers that are named", approvers.len()));
    }
    Some(Asked {
        request: Request {
            approvers,
            requires,
            is_rejected_by_one: is_rejected_by_one?,
            is_self_allowed: is_self_allowed?,
            form: form?,
            message: message?,
            since: Timestamp::UNIX_EPOCH,
            expires_at: Timestamp::UNIX_EPOCH,
            votes: Vec::new(),
        },
        expires: expires?,
    })
}

fn read_approvers(reader: &mut Reader, value: &Value) -> Option<Vec<Approver>> {
    let list = reader.list("/approvers", value)?;
    if list.is_empty() || list.len() > APPROVERS_MAX {
        reader.problem("/approvers", format!("must be a list of 1 to {APPROVERS_MAX} approvers"));
        return None;
    }
    let approvers: Vec<_> = list
        .iter()
        .enumerate()
        .map(|(index, value)| read_approver(reader, &item("/approvers", index), value))
        .collect();
    let approvers: Vec<Approver> = approvers.into_iter().collect::<Option<_>>()?;
    for (index, approver) in approvers.iter().enumerate() {
        if matches!(approver, Approver::User(_)) && approvers[..index].contains(approver) {
            reader.problem(&item("/approvers", index), "is named twice: each person has one vote");
        }
    }
    Some(approvers)
}

fn read_approver(reader: &mut Reader, at: &str, value: &Value) -> Option<Approver> {
    let map = reader.object(at, value, &["user", "role", "anyone"])?;
    match (map.get("user"), map.get("role"), map.get("anyone"), map.len()) {
        (Some(user), None, None, 1) if reader.is_open(user) => None,
        (Some(user), None, None, 1) => {
            let name = reader.text(&child(at, "user"), user)?;
            if name.is_empty() {
                reader.problem(&child(at, "user"), "must be the name of a member or token");
            }
            Some(Approver::User(name))
        }
        (None, Some(role), None, 1) => {
            let words: Vec<&'static str> = Role::ALL.iter().map(|role| role.as_str()).collect();
            Some(Approver::Role(reader.word(&child(at, "role"), role, &words)?.parse().ok()?))
        }
        (None, None, Some(Value::Bool(true)), 1) => Some(Approver::Anyone),
        _ => {
            reader.problem(at, "must be one of `{user: NAME}`, `{role: ROLE}` and `{anyone: true}`");
            None
        }
    }
}

fn read_requires(reader: &mut Reader, value: Option<&Value>) -> Option<Requires> {
    let Some(value) = value else { return Some(Requires::Some(1)) };
    let most = u64::try_from(APPROVERS_MAX).unwrap_or(u64::MAX);
    match value {
        _ if reader.is_open(value) => None,
        Value::String(word) if word == "all" => Some(Requires::All),
        Value::String(word) if word == "any" => Some(Requires::Some(1)),
        Value::Number(number) if number.as_u64().is_some_and(|count| (1..=most).contains(&count)) => {
            Some(Requires::Some(u32::try_from(number.as_u64()?).ok()?))
        }
        _ => {
            reader.problem("/require", format!("must be `all`, `any` or a number from 1 to {APPROVERS_MAX}"));
            None
        }
    }
}

/// One of two words, the first where the field is missing.
fn read_choice(
    reader: &mut Reader,
    map: &Map<String, Value>,
    name: &str,
    words: [&'static str; 2],
) -> Option<&'static str> {
    match map.get(name) {
        None => Some(words[0]),
        Some(value) => reader.word(&child("", name), value, &words),
    }
}

fn read_form(reader: &mut Reader, value: &Value) -> Option<Vec<FormField>> {
    let list = reader.list("/form", value)?;
    if list.len() > FORM_FIELDS_MAX {
        reader.problem("/form", format!("has {} fields: at most {FORM_FIELDS_MAX}", list.len()));
        return None;
    }
    let mut fields: Vec<FormField> = Vec::new();
    for (index, value) in list.iter().enumerate() {
        let at = item("/form", index);
        let field = read_field(reader, &at, value)?;
        if fields.iter().any(|known| known.name == field.name) {
            reader.problem(&child(&at, "name"), "is the name of another field too");
        }
        fields.push(field);
    }
    Some(fields)
}

fn read_field(reader: &mut Reader, at: &str, value: &Value) -> Option<FormField> {
    let map = reader.object(at, value, &["name", "label", "type", "required", "options"])?;
    let name = reader.required(at, map, "name").and_then(|value| reader.text(&child(at, "name"), value));
    let label = match map.get("label") {
        None => Some(None),
        Some(value) => reader.text(&child(at, "label"), value).map(Some),
    };
    let kind = match map.get("type") {
        None => Some("text"),
        Some(value) => reader.word(&child(at, "type"), value, &["text", "number", "boolean", "choice"]),
    };
    let required = match map.get("required") {
        None => Some(false),
        Some(Value::Bool(required)) => Some(*required),
        Some(value) => {
            reader
                .problem(&child(at, "required"), format!("must be true or false, not {}", type_name(value)));
            None
        }
    };
    let options = map.get("options").map_or(Some(Vec::new()), |value| {
        let list = reader.list(&child(at, "options"), value)?;
        let options: Vec<String> = list.iter().filter_map(Value::as_str).map(str::to_owned).collect();
        if options.len() != list.len() || !(1..=FORM_OPTIONS_MAX).contains(&list.len()) {
            reader.problem(&child(at, "options"), format!("must be a list of 1 to {FORM_OPTIONS_MAX} texts"));
            return None;
        }
        Some(options)
    });
    let (name, kind, options) = (name?, kind?, options?);
    if name.is_empty() || name.chars().count() > 64 {
        reader.problem(&child(at, "name"), "must have 1 to 64 characters");
    }
    if (kind == "choice") == options.is_empty() {
        reader.problem(at, "has `options` if its type is `choice`, and only then");
    }
    let kind = match kind {
        "number" => FormType::Number,
        "boolean" => FormType::Boolean,
        "choice" => FormType::Choice,
        _ => FormType::Text,
    };
    Some(FormField { name, label: label?, kind, required: required?, options })
}
