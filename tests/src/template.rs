//! `template.yaml` as one deployment has it: its tags are read and its conditions decided.

use std::collections::{BTreeMap, BTreeSet};

use saphyr_parser::{Event, Parser, Tag};
use serde_json::{Map, Value, json};

/// Parameters that are given; the others have their defaults.
pub type Given<'g> = &'g [(&'g str, &'g str)];

/// Policies that roles may share: the network's, and AWS's own for traces.
const SHARED_POLICIES: [&str; 2] =
    ["NetworkPolicy", "arn:${AWS::Partition}:iam::aws:policy/AWSXRayDaemonWriteAccess"];

/// The template as one deployment has it. Its conditions are decided, and entries without a value
/// are left out.
#[derive(Debug)]
pub struct Deployment {
    /// The section `Rules`.
    pub rules: Value,
    /// The section `Parameters`: each parameter's value.
    pub parameters: BTreeMap<String, String>,
    /// The section `Conditions`.
    pub conditions: Map<String, Value>,
    /// The section `Resources`.
    pub resources: Map<String, Value>,
}

impl Deployment {
    /// The template with these parameters.
    pub fn of(given: Given<'_>) -> Self {
        let text = include_str!("../../template.yaml");
        let mut events = Parser::new_from_str(text).map(|event| event.unwrap().0);
        assert!(events.any(|event| matches!(event, Event::DocumentStart(_))));
        let mut template = value(&mut events).unwrap();
        let defaults = template["Parameters"].as_object().unwrap().iter();
        let mut parameters: BTreeMap<String, String> = defaults
            .filter_map(|(name, parameter)| Some((name.clone(), parameter["Default"].as_str()?.to_owned())))
            .collect();
        for (name, value) in given {
            assert!(parameters.insert((*name).to_owned(), (*value).to_owned()).is_some(), "{name}");
        }
        let rules = template["Rules"].take();
        let mut part = |name: &str| match template[name].take() {
            Value::Object(part) => part,
            other => panic!("{name}: {other}"),
        };
        let (conditions, resources) = (part("Conditions"), part("Resources"));
        let mut deployment = Self { rules, parameters, conditions, resources: Map::new() };
        deployment.resources = resources
            .into_iter()
            .filter(|(_, resource)| resource["Condition"].as_str().is_none_or(|name| deployment.holds(name)))
            .filter_map(|(name, resource)| Some((name, deployment.decided(resource)?)))
            .collect();
        deployment
    }

    /// Whether a named condition holds.
    pub fn holds(&self, condition: &str) -> bool {
        self.is_true(&self.conditions[condition])
    }

    /// Whether a condition is true.
    pub fn is_true(&self, condition: &Value) -> bool {
        let (function, operands) = condition.as_object().unwrap().iter().next().unwrap();
        match function.as_str() {
            "!Not" => !self.is_true(&operands[0]),
            "!Or" => list(operands).into_iter().any(|operand| self.is_true(operand)),
            "!Condition" => self.holds(operands.as_str().unwrap()),
            "!Equals" => self.text(&operands[0]) == self.text(&operands[1]),
            other => panic!("{other}"),
        }
    }

    fn text(&self, value: &Value) -> String {
        if let Some(name) = value.get("!Ref") {
            return self.parameters[name.as_str().unwrap()].clone();
        }
        // A list parameter's default is its text.
        value.get("!Join").map_or_else(|| value.as_str().unwrap().to_owned(), |join| self.text(&join[1]))
    }

    fn decided(&self, value: Value) -> Option<Value> {
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

    /// Resources of a type: names and properties.
    pub fn of_type(&self, kind: &str) -> impl Iterator<Item = (&String, &Value)> {
        let found = self.resources.iter().filter(move |(_, resource)| resource["Type"] == kind);
        found.map(|(name, resource)| (name, &resource["Properties"]))
    }

    /// The statements of the key's policy.
    pub fn key_statements(&self) -> Vec<&Value> {
        list(&self.resources["SecretsKey"]["Properties"]["KeyPolicy"]["Statement"])
    }

    /// The permissions of the key's policy, each as `PRINCIPAL may ACTION for PURPOSE`. The
    /// account's own statement is left out.
    pub fn uses_of_the_key(&self) -> BTreeSet<String> {
        let uses = self
            .key_statements()
            .into_iter()
            .filter(|statement| statement["Effect"] == "Allow" && statement["Sid"] != "AccountAdministers");
        uses.map(|statement| {
            let who = words(&statement["Principal"]);
            format!("{who} may {} for {}", words(&statement["Action"]), context(statement))
        })
        .collect()
    }

    /// The denials of the key's policy, each as `ACTION: only PRINCIPAL`.
    pub fn denials(&self) -> BTreeSet<String> {
        let denied = self.key_statements().into_iter().filter(|statement| statement["Effect"] == "Deny");
        denied
            .map(|statement| {
                assert_eq!((&statement["Principal"], &statement["Resource"]), (&json!("*"), &json!("*")));
                let condition = &statement["Condition"];
                let but = &condition["ArnNotEquals"]["aws:PrincipalArn"];
                let but = if condition.is_null() {
                    "nobody".to_owned()
                } else {
                    assert_eq!(condition, &json!({ "ArnNotEquals": { "aws:PrincipalArn": but } }));
                    words(but)
                };
                format!("{}: only {but}", words(&statement["Action"]))
            })
            .collect()
    }

    /// Every statement of every role, as (role, statement). Policies that roles share may only
    /// allow actions on the network.
    pub fn statements(&self) -> Vec<(&str, &Value)> {
        assert_eq!(self.of_type("AWS::IAM::RolePolicy").count(), 0, "not read here");
        let network = self.of_type("AWS::IAM::ManagedPolicy");
        for action in network.flat_map(|(_, policy)| list(&policy["PolicyDocument"]["Statement"])) {
            assert!(list(&action["Action"]).into_iter().all(|action| word(action).starts_with("ec2:")));
        }
        let own = self.of_type("AWS::IAM::Role").flat_map(|(role, properties)| {
            let managed = list(&properties["ManagedPolicyArns"]);
            assert!(
                managed.iter().all(|policy| SHARED_POLICIES.contains(&word(policy).as_str())),
                "{role}: {managed:?}"
            );
            let policies = properties["Policies"].as_array().unwrap();
            policies.iter().map(move |policy| (role.as_str(), policy))
        });
        let attached = self.of_type("AWS::IAM::Policy").map(|(_, policy)| {
            let roles = list(&policy["Roles"]);
            assert_eq!(roles.len(), 1);
            (roles[0]["!Ref"].as_str().unwrap(), policy)
        });
        own.chain(attached)
            .flat_map(|(role, policy)| {
                list(&policy["PolicyDocument"]["Statement"])
                    .into_iter()
                    .map(move |statement| (role, statement))
            })
            .collect()
    }

    /// The rights to a service, each as `ROLE: ACTION on RESOURCE [for PURPOSE]`; or as `ROLE:
    /// ACTION on RESOURCE alone` if every other resource is denied.
    pub fn rights(&self, service: &str) -> BTreeSet<String> {
        let mut rights = BTreeSet::new();
        for (role, statement) in self.statements() {
            for action in list(&statement["Action"]).into_iter().map(word) {
                assert!(!action.contains('*'), "{role}: {action}");
                if !action.starts_with(service) {
                    continue;
                }
                let right = match statement["Effect"].as_str().unwrap() {
                    "Deny" => {
                        assert!(statement["Condition"].is_null() && statement["Resource"].is_null());
                        format!("{role}: {action} on {} alone", words(&statement["NotResource"]))
                    }
                    _ if service == "kms:" => {
                        let purpose = context(statement);
                        format!("{role}: {action} on {} for {purpose}", words(&statement["Resource"]))
                    }
                    _ => format!("{role}: {action} on {}", words(&statement["Resource"])),
                };
                rights.insert(right);
            }
        }
        rights
    }

    /// The value of a function's environment variable.
    pub fn variable(&self, function: &str, name: &str) -> String {
        word(&self.resources[function]["Properties"]["Environment"]["Variables"][name])
    }
}

/// The next value as JSON, with scalars as text. A value with a tag becomes a map from the tag to
/// the value. None at the end of a collection.
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

/// The items of a list, or the single value in its place.
pub fn list(value: &Value) -> Vec<&Value> {
    value.as_array().map_or_else(|| vec![value], |list| list.iter().collect())
}

/// A name, or the resource that an ARN is of.
pub fn word(value: &Value) -> String {
    let reference = ["!GetAtt", "!Ref", "!Sub", "AWS"].iter().find_map(|tag| value.get(tag)).unwrap_or(value);
    if reference.is_object() {
        return word(reference);
    }
    reference.as_str().unwrap().trim_end_matches(".Arn").to_owned()
}

/// Names, joined by `+`.
pub fn words(value: &Value) -> String {
    list(value).into_iter().map(word).collect::<Vec<_>>().join("+")
}

/// The purpose in the encryption context that a statement asks for. The statement must also ask
/// that the context names an organization and a secret.
pub fn context(statement: &Value) -> String {
    let condition = &statement["Condition"];
    let purpose = &condition["StringEquals"]["kms:EncryptionContext:purpose"];
    let expected = json!({
        "StringEquals": { "kms:EncryptionContext:purpose": purpose },
        "Null": { "kms:EncryptionContext:organization_id": "false", "kms:EncryptionContext:secret_id": "false" },
    });
    assert_eq!(condition, &expected, "{statement}");
    words(purpose)
}

/// The expected lines as a set.
pub fn set<const N: usize>(lines: [&str; N]) -> BTreeSet<String> {
    lines.map(str::to_owned).into()
}
