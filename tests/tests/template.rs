//! I7 on AWS: who may do what with keys and queues, by `template.yaml`, in each way that it can be deployed.

use std::collections::{BTreeMap, BTreeSet};

use saphyr_parser::{Event, Parser, Tag};
use serde_json::{Map, Value, json};

/// What of the template depends on parameters.
#[derive(Clone, Copy, Default)]
struct Deployment {
    /// `SecretsKeyArn` is given.
    has_secrets_key: bool,
    /// `RewrapFromKeyArn` is given.
    rewraps: bool,
}

const PLAIN: Deployment = Deployment { has_secrets_key: false, rewraps: false };
const OTHER_KEY: Deployment = Deployment { has_secrets_key: true, rewraps: false };
const MOVING_AWAY: Deployment = Deployment { has_secrets_key: true, rewraps: true };
const MOVING_BACK: Deployment = Deployment { has_secrets_key: false, rewraps: true };

impl Deployment {
    fn holds(self, condition: &str) -> bool {
        match condition {
            "HasSecretsKey" => self.has_secrets_key,
            "Rewraps" => self.rewraps,
            "HasOtherKeys" => self.has_secrets_key || self.rewraps,
            _ => false,
        }
    }

    /// The template's resources as this deployment has them: conditions decided, what has no value left out.
    fn resources(self) -> Map<String, Value> {
        let text = include_str!("../../template.yaml");
        let mut events = Parser::new_from_str(text).map(|event| event.unwrap().0);
        let document = events.by_ref().find(|event| matches!(event, Event::DocumentStart(_)));
        assert!(document.is_some());
        let Value::Object(mut template) = self.decided(value(&mut events).unwrap()).unwrap() else {
            panic!("no template")
        };
        let Value::Object(mut resources) = template["Resources"].take() else { panic!("no resources") };
        resources.retain(|_, resource| {
            resource["Condition"].as_str().is_none_or(|condition| self.holds(condition))
        });
        resources
    }

    fn decided(self, value: Value) -> Option<Value> {
        match value {
            Value::Object(map) if map.get("!Ref") == Some(&json!("AWS::NoValue")) => None,
            Value::Object(mut map) if map.contains_key("!If") => {
                let branches = map["!If"].take();
                let is_held = self.holds(branches[0].as_str().unwrap());
                self.decided(branches[if is_held { 1 } else { 2 }].clone())
            }
            Value::Object(map) => {
                let decided = map.into_iter().filter_map(|(name, value)| Some((name, self.decided(value)?)));
                Some(Value::Object(decided.collect()))
            }
            Value::Array(list) => Some(list.into_iter().filter_map(|value| self.decided(value)).collect()),
            value => Some(value),
        }
    }
}

/// The next value as JSON, scalars as text; what has a tag is a map of the tag. None at the end of a collection.
fn value<'t>(events: &mut impl Iterator<Item = Event<'t>>) -> Option<Value> {
    let (tag, value) = match events.next()? {
        Event::Scalar(text, _, _, tag) => (tag, json!(text)),
        Event::SequenceStart(_, tag) => {
            let mut list = Vec::new();
            while let Some(item) = value(events) {
                list.push(item);
            }
            (tag, Value::Array(list))
        }
        Event::MappingStart(_, tag) => {
            let mut map = Map::new();
            while let Some(name) = value(events) {
                map.insert(name.as_str().unwrap().to_owned(), value(events).unwrap());
            }
            (tag, Value::Object(map))
        }
        _ => return None,
    };
    let tagged = |tag: &Tag| json!({ format!("!{}", tag.suffix): value });
    Some(tag.as_deref().map_or_else(|| value.clone(), tagged))
}

fn list(value: &Value) -> Vec<&Value> {
    value.as_array().map_or_else(|| vec![value], |list| list.iter().collect())
}

/// A name, or the resource that an ARN is of.
fn word(value: &Value) -> String {
    let reference = value.get("!GetAtt").or(value.get("!Ref")).or(value.get("AWS")).unwrap_or(value);
    if reference.is_object() {
        return word(reference);
    }
    reference.as_str().unwrap().trim_end_matches(".Arn").to_owned()
}

fn words(value: &Value) -> String {
    list(value).into_iter().map(word).collect::<Vec<_>>().join("+")
}

/// The encryption context that a statement asks for: a purpose, and that organization and secret are named.
fn context(statement: &Value) -> String {
    let condition = &statement["Condition"];
    let purpose = words(&condition["StringEquals"]["kms:EncryptionContext:purpose"]);
    let named = json!({ "kms:EncryptionContext:organization_id": "false", "kms:EncryptionContext:secret_id": "false" });
    assert_eq!(condition["Null"], named, "{statement}");
    assert_eq!(condition.as_object().unwrap().len(), 2, "{statement}");
    purpose
}

/// `WHO may ACTION for PURPOSE`, of the key's policy, without the account's own statement.
fn uses_of_the_key(resources: &Map<String, Value>) -> BTreeSet<String> {
    let statements = list(&resources["SecretsKey"]["Properties"]["KeyPolicy"]["Statement"]);
    let uses = statements
        .into_iter()
        .filter(|statement| statement["Effect"] == "Allow" && statement["Sid"] != "AccountAdministers");
    uses.map(|statement| {
        format!(
            "{} may {} for {}",
            words(&statement["Principal"]),
            words(&statement["Action"]),
            context(statement)
        )
    })
    .collect()
}

/// `ACTION: only WHO`, of the key's policy.
fn denials(resources: &Map<String, Value>) -> BTreeSet<String> {
    let statements = list(&resources["SecretsKey"]["Properties"]["KeyPolicy"]["Statement"]);
    let denied = statements.into_iter().filter(|statement| statement["Effect"] == "Deny");
    denied
        .map(|statement| {
            assert_eq!((&statement["Principal"], &statement["Resource"]), (&json!("*"), &json!("*")));
            let but = &statement["Condition"]["ArnNotEquals"]["aws:PrincipalArn"];
            let but = if but.is_null() { "nobody".to_owned() } else { words(but) };
            format!("{}: only {but}", words(&statement["Action"]))
        })
        .collect()
}

/// `ROLE: ACTION on RESOURCE [for PURPOSE]`, of the statements of a service in IAM policies.
fn rights(resources: &Map<String, Value>, service: &str) -> BTreeSet<String> {
    let mut rights = BTreeSet::new();
    let roles = resources.iter().filter(|(_, resource)| resource["Type"] == "AWS::IAM::Role");
    for (role, resource) in roles {
        for statement in list(&resource["Properties"]["Policies"][0]["PolicyDocument"]["Statement"]) {
            assert_eq!(statement["Effect"], "Allow", "{role}");
            for action in list(&statement["Action"]).into_iter().map(word) {
                assert!(!action.contains('*'), "{role}: {action}");
                if !action.starts_with(service) {
                    continue;
                }
                let purpose =
                    if service == "kms:" { format!(" for {}", context(statement)) } else { String::new() };
                rights.insert(format!("{role}: {action} on {}{purpose}", words(&statement["Resource"])));
            }
        }
    }
    rights
}

fn set<const N: usize>(lines: [&str; N]) -> BTreeSet<String> {
    lines.map(str::to_owned).into()
}

const ALWAYS: [&str; 3] = [
    "ApiRole may kms:GenerateDataKey for secret+webhook",
    "ExecutorRole may kms:Decrypt for secret",
    "WebhookRole may kms:Decrypt for webhook",
];
const DECRYPT: &str = "kms:Decrypt: only ExecutorRole+WebhookRole";

#[test]
fn i7_the_stacks_key_is_used_by_these_and_by_nobody_else() {
    let check = |deployment: Deployment, more: Option<&str>, reencrypt: &str| {
        let resources = deployment.resources();
        let expected: BTreeSet<String> = ALWAYS.into_iter().chain(more).map(str::to_owned).collect();
        assert_eq!(uses_of_the_key(&resources), expected);
        assert_eq!(denials(&resources), set([DECRYPT, reencrypt]));
        assert_eq!(resources.contains_key("RewrapFunction"), deployment.rewraps);
        assert_eq!(resources.contains_key("RewrapRole"), deployment.rewraps);
    };
    let nobody = "kms:ReEncryptFrom: only nobody";
    let rewrap = "kms:ReEncryptFrom: only RewrapRole";
    check(PLAIN, None, nobody);
    check(OTHER_KEY, None, nobody);
    check(MOVING_AWAY, Some("RewrapRole may kms:ReEncryptFrom for secret+webhook"), rewrap);
    check(MOVING_BACK, Some("RewrapRole may kms:ReEncryptTo for secret+webhook"), rewrap);
}

#[test]
fn i7_the_account_administers_the_key_and_can_not_use_it() {
    let resources = PLAIN.resources();
    let statements = list(&resources["SecretsKey"]["Properties"]["KeyPolicy"]["Statement"]);
    let administers = statements.iter().find(|statement| statement["Sid"] == "AccountAdministers").unwrap();
    for action in list(&administers["Action"]).into_iter().map(word) {
        let verb = action.strip_prefix("kms:").unwrap();
        let is_use =
            ["Decrypt", "Encrypt", "Generate", "ReEncrypt", "Sign", "Verify", "CreateGrant", "Derive"]
                .iter()
                .any(|usage| verb.starts_with(usage));
        assert!(!is_use && !verb.contains('*'), "I7: {action}");
    }
}

#[test]
fn i7_no_role_uses_a_key_of_somebody_elses_but_as_it_uses_the_stacks() {
    let check = |deployment: Deployment, expected: BTreeSet<String>| {
        assert_eq!(rights(&deployment.resources(), "kms:"), expected);
    };
    check(PLAIN, BTreeSet::new());
    check(
        OTHER_KEY,
        set([
            "ApiRole: kms:GenerateDataKey on SecretsKeyArn for secret+webhook",
            "ExecutorRole: kms:Decrypt on SecretsKeyArn for secret",
            "WebhookRole: kms:Decrypt on SecretsKeyArn for webhook",
        ]),
    );
    check(
        MOVING_AWAY,
        set([
            "ApiRole: kms:GenerateDataKey on SecretsKeyArn for secret+webhook",
            "ExecutorRole: kms:Decrypt on SecretsKeyArn+RewrapFromKeyArn for secret",
            "WebhookRole: kms:Decrypt on SecretsKeyArn+RewrapFromKeyArn for webhook",
            "RewrapRole: kms:ReEncryptFrom on RewrapFromKeyArn for secret+webhook",
            "RewrapRole: kms:ReEncryptTo on SecretsKeyArn for secret+webhook",
        ]),
    );
    check(
        MOVING_BACK,
        set([
            "ExecutorRole: kms:Decrypt on RewrapFromKeyArn for secret",
            "WebhookRole: kms:Decrypt on RewrapFromKeyArn for webhook",
            "RewrapRole: kms:ReEncryptFrom on RewrapFromKeyArn for secret+webhook",
        ]),
    );
}

#[test]
fn i7_each_role_reads_and_sends_to_its_own_queues() {
    let receives = |role: &str, queue: &str| {
        ["ReceiveMessage", "DeleteMessage", "GetQueueAttributes", "ChangeMessageVisibility"]
            .map(|action| format!("{role}: sqs:{action} on {queue}"))
    };
    let mut expected = set([
        "ApiRole: sqs:SendMessage on NodeQueue",
        "WebhookRole: sqs:SendMessage on NodeQueue",
        "BuilderRole: sqs:SendMessage on NodeQueue+ExecutionQueue",
        "ExecutorRole: sqs:SendMessage on NodeQueue+ExecutionQueue",
        "SweeperRole: sqs:SendMessage on NodeQueue+ExecutionQueue",
    ]);
    expected.extend(receives("BuilderRole", "NodeQueue"));
    expected.extend(receives("ExecutorRole", "ExecutionQueue"));
    assert_eq!(rights(&MOVING_AWAY.resources(), "sqs:"), expected);
}

#[test]
fn i7_each_function_has_its_own_role_here_and_in_the_database() {
    let resources = MOVING_AWAY.resources();
    let functions: BTreeMap<&str, &Value> = resources
        .iter()
        .filter_map(|(name, resource)| Some((name.strip_suffix("Function")?, &resource["Properties"])))
        .collect();
    let names: BTreeSet<String> = functions.keys().map(|name| name.to_lowercase()).collect();
    assert_eq!(names, local::sealflow::FUNCTIONS.map(str::to_owned).into());
    for (name, properties) in functions {
        assert_eq!(word(&properties["Role"]), format!("{name}Role"));
        let url = properties["Environment"]["Variables"]["SEALFLOW_DATABASE_URL"]["!Sub"].as_str().unwrap();
        let role = if name == "Migrate" {
            "${MigrateDatabaseUser}".to_owned()
        } else {
            format!("sealflow_{}", name.to_lowercase())
        };
        assert!(url.starts_with(&format!("postgres://{role}@")), "{name}: {url}");
    }
}
