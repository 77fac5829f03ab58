//! I7 on AWS: who may do what with keys and queues, by `template.yaml`, in each way that it can be deployed.

use std::collections::{BTreeMap, BTreeSet};

use saphyr_parser::{Event, Parser, Tag};
use serde_json::{Map, Value, json};

/// Parameters that are given; the others have their defaults.
type Given<'g> = &'g [(&'g str, &'g str)];

const NETWORK: (&str, &str) = ("SubnetIds", "subnet-1");
const DATABASE: (&str, &str) = ("DatabaseResourceId", "db-1");
const PLAIN: Given<'_> = &[NETWORK, DATABASE];
const OTHER_KEY: Given<'_> = &[NETWORK, DATABASE, ("SecretsKeyArn", "new")];
const MOVING: Given<'_> = &[NETWORK, DATABASE, ("SecretsKeyArn", "new"), ("RewrapFromKeyArn", "old")];
const MOVING_BACK: Given<'_> = &[NETWORK, DATABASE, ("RewrapFromKeyArn", "old")];

/// The template as one deployment has it: conditions decided, what has no value left out.
struct Deployment {
    rules: Value,
    parameters: BTreeMap<String, String>,
    conditions: Map<String, Value>,
    resources: Map<String, Value>,
}

impl Deployment {
    fn of(given: Given<'_>) -> Self {
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

    fn holds(&self, condition: &str) -> bool {
        self.is_true(&self.conditions[condition])
    }

    fn is_true(&self, condition: &Value) -> bool {
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

    fn of_type(&self, kind: &str) -> impl Iterator<Item = (&String, &Value)> {
        let found = self.resources.iter().filter(move |(_, resource)| resource["Type"] == kind);
        found.map(|(name, resource)| (name, &resource["Properties"]))
    }

    fn key_statements(&self) -> Vec<&Value> {
        list(&self.resources["SecretsKey"]["Properties"]["KeyPolicy"]["Statement"])
    }

    /// `WHO may ACTION for PURPOSE`, of the key's policy, without the account's own statement.
    fn uses_of_the_key(&self) -> BTreeSet<String> {
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

    /// `ACTION: only WHO`, of the key's policy.
    fn denials(&self) -> BTreeSet<String> {
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

    /// Every statement that IAM has of a role: role and statement. Policies that roles share may do the network alone.
    fn statements(&self) -> Vec<(&str, &Value)> {
        assert_eq!(self.of_type("AWS::IAM::RolePolicy").count(), 0, "not read here");
        let network = self.of_type("AWS::IAM::ManagedPolicy");
        for action in network.flat_map(|(_, policy)| list(&policy["PolicyDocument"]["Statement"])) {
            assert!(list(&action["Action"]).into_iter().all(|action| word(action).starts_with("ec2:")));
        }
        let own = self.of_type("AWS::IAM::Role").flat_map(|(role, properties)| {
            assert_eq!(
                list(&properties["ManagedPolicyArns"]),
                [&json!({ "!Ref": "NetworkPolicy" })],
                "{role}"
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

    /// `ROLE: ACTION on RESOURCE [for PURPOSE]`, of a service; `ROLE: ACTION on RESOURCE alone` where any other is denied.
    fn rights(&self, service: &str) -> BTreeSet<String> {
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

    fn variable(&self, function: &str, name: &str) -> String {
        word(&self.resources[function]["Properties"]["Environment"]["Variables"][name])
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
    let reference = ["!GetAtt", "!Ref", "!Sub", "AWS"].iter().find_map(|tag| value.get(tag)).unwrap_or(value);
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
    let purpose = &condition["StringEquals"]["kms:EncryptionContext:purpose"];
    let expected = json!({
        "StringEquals": { "kms:EncryptionContext:purpose": purpose },
        "Null": { "kms:EncryptionContext:organization_id": "false", "kms:EncryptionContext:secret_id": "false" },
    });
    assert_eq!(condition, &expected, "{statement}");
    words(purpose)
}

fn set<const N: usize>(lines: [&str; N]) -> BTreeSet<String> {
    lines.map(str::to_owned).into()
}

#[test]
fn i7_the_stacks_key_is_used_by_these_and_by_nobody_else() {
    let check = |given, more: Option<&str>, reencrypt: &str| {
        let deployment = Deployment::of(given);
        let mut expected = set([
            "ApiRole may kms:GenerateDataKey for secret+webhook",
            "ExecutorRole may kms:Decrypt for secret",
            "WebhookRole may kms:Decrypt for webhook",
        ]);
        expected.extend(more.map(str::to_owned));
        assert_eq!(deployment.uses_of_the_key(), expected);
        assert_eq!(deployment.denials(), set(["kms:Decrypt: only ExecutorRole+WebhookRole", reencrypt]));
        for name in ["RewrapFunction", "RewrapRole", "RewrapKeys"] {
            assert_eq!(deployment.resources.contains_key(name), more.is_some(), "{name}");
        }
    };
    let moves = "RewrapRole may kms:ReEncryptFrom+kms:ReEncryptTo for secret+webhook";
    check(PLAIN, None, "kms:ReEncryptFrom: only nobody");
    check(OTHER_KEY, None, "kms:ReEncryptFrom: only nobody");
    check(MOVING, Some(moves), "kms:ReEncryptFrom: only RewrapRole");
    check(MOVING_BACK, Some(moves), "kms:ReEncryptFrom: only RewrapRole");
}

#[test]
fn i7_the_account_administers_the_key_and_can_not_use_it() {
    let deployment = Deployment::of(PLAIN);
    let statements = deployment.key_statements();
    let administers = statements.iter().find(|statement| statement["Sid"] == "AccountAdministers").unwrap();
    let account = json!({ "AWS": { "!Sub": "arn:${AWS::Partition}:iam::${AWS::AccountId}:root" } });
    assert_eq!((&administers["Principal"], &administers["Condition"]), (&account, &Value::Null));
    for action in list(&administers["Action"]).into_iter().map(word) {
        let verb = action.strip_prefix("kms:").unwrap();
        let is_use =
            ["Decrypt", "Encrypt", "Generate", "ReEncrypt", "Sign", "Verify", "CreateGrant", "Derive"]
                .iter()
                .any(|usage| verb.starts_with(usage));
        assert!(!is_use && !verb.contains('*'), "I7: {action}");
    }
    let key = &deployment.resources["SecretsKey"];
    assert_eq!((&key["DeletionPolicy"], &key["UpdateReplacePolicy"]), (&json!("Retain"), &json!("Retain")));
}

#[test]
fn i7_another_key_is_used_as_the_stacks_own_is() {
    let check = |given, expected: BTreeSet<String>| {
        assert_eq!(Deployment::of(given).rights("kms:"), expected, "{given:?}");
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
        MOVING,
        set([
            "ApiRole: kms:GenerateDataKey on SecretsKeyArn for secret+webhook",
            "ExecutorRole: kms:Decrypt on SecretsKeyArn+RewrapFromKeyArn for secret",
            "WebhookRole: kms:Decrypt on SecretsKeyArn+RewrapFromKeyArn for webhook",
            "RewrapRole: kms:ReEncryptFrom on RewrapFromKeyArn for secret+webhook",
            "RewrapRole: kms:ReEncryptFrom on RewrapFromKeyArn alone",
            "RewrapRole: kms:ReEncryptTo on SecretsKeyArn for secret+webhook",
            "RewrapRole: kms:ReEncryptTo on SecretsKeyArn alone",
        ]),
    );
    check(
        MOVING_BACK,
        set([
            "ExecutorRole: kms:Decrypt on RewrapFromKeyArn for secret",
            "WebhookRole: kms:Decrypt on RewrapFromKeyArn for webhook",
            "RewrapRole: kms:ReEncryptFrom on RewrapFromKeyArn for secret+webhook",
            "RewrapRole: kms:ReEncryptFrom on RewrapFromKeyArn alone",
            "RewrapRole: kms:ReEncryptTo on SecretsKey for secret+webhook",
            "RewrapRole: kms:ReEncryptTo on SecretsKey alone",
        ]),
    );
}

#[test]
fn functions_are_told_the_keys_that_their_roles_may_use() {
    let check = |given, seals: &str, from: Option<&str>| {
        let deployment = Deployment::of(given);
        assert_eq!(deployment.variable("ApiFunction", "SEALFLOW_KMS_KEY_ID"), seals);
        if let Some(from) = from {
            assert_eq!(deployment.variable("RewrapFunction", "SEALFLOW_KMS_KEY_ID"), seals);
            assert_eq!(deployment.variable("RewrapFunction", "SEALFLOW_REWRAP_FROM_KEY_ID"), from);
        }
    };
    check(PLAIN, "SecretsKey", None);
    check(OTHER_KEY, "SecretsKeyArn", None);
    check(MOVING, "SecretsKeyArn", Some("RewrapFromKeyArn"));
    check(MOVING_BACK, "SecretsKey", Some("RewrapFromKeyArn"));
}

#[test]
fn a_move_from_a_key_to_itself_is_not_deployed() {
    let rule = &Deployment::of(PLAIN).rules["KeysDiffer"];
    let check = |given, expected| {
        let deployment = Deployment::of(given);
        let asserted = &rule["Assertions"][0]["Assert"];
        let is_refused = deployment.is_true(&rule["RuleCondition"]) && !deployment.is_true(asserted);
        assert_eq!(is_refused, expected, "{given:?}");
    };
    check(PLAIN, false);
    check(MOVING, false);
    check(MOVING_BACK, false);
    check(&[("SecretsKeyArn", "same"), ("RewrapFromKeyArn", "same")], true);
}

#[test]
fn every_functions_logged_errors_raise_the_alarm() {
    for given in [PLAIN, MOVING] {
        let deployment = Deployment::of(given);
        let logs: BTreeSet<String> = deployment
            .of_type("AWS::Serverless::Function")
            .map(|(_, function)| word(&function["LoggingConfig"]["LogGroup"]))
            .collect();
        let filtered: BTreeSet<String> = deployment
            .of_type("AWS::Logs::MetricFilter")
            .map(|(_, filter)| {
                assert_eq!(filter["FilterPattern"], r#"{ $.level = "ERROR" }"#);
                assert_eq!(filter["MetricTransformations"][0]["MetricName"], "Errors");
                word(&filter["LogGroupName"])
            })
            .collect();
        assert_eq!(filtered, logs, "{given:?}");
    }
    let alarm = &Deployment::of(PLAIN).resources["ErrorsAlarm"]["Properties"];
    assert_eq!((&alarm["MetricName"], &alarm["Threshold"]), (&json!("Errors"), &json!("0")));
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
    assert_eq!(Deployment::of(MOVING).rights("sqs:"), expected);
}

#[test]
fn i7_each_function_has_its_own_role_here_and_in_the_database() {
    let deployment = Deployment::of(MOVING);
    let functions: BTreeMap<&str, &Value> = deployment
        .of_type("AWS::Serverless::Function")
        .map(|(name, function)| (name.strip_suffix("Function").unwrap(), function))
        .collect();
    let names: BTreeSet<String> = functions.keys().map(|name| name.to_lowercase()).collect();
    assert_eq!(names, local::sealflow::FUNCTIONS.map(str::to_owned).into());
    let logins = deployment.rights("rds-db:");
    assert_eq!(logins.len(), functions.len());
    for (name, function) in functions {
        let role = format!("{name}Role");
        assert_eq!(word(&function["Role"]), role);
        let trust = json!({ "Version": "2012-10-17", "Statement": [
            { "Effect": "Allow", "Principal": { "Service": "lambda.amazonaws.com" }, "Action": "sts:AssumeRole" }
        ] });
        assert_eq!(deployment.resources[&role]["Properties"]["AssumeRolePolicyDocument"], trust, "{role}");
        let url = function["Environment"]["Variables"]["SEALFLOW_DATABASE_URL"]["!Sub"].as_str().unwrap();
        let user = if name == "Migrate" {
            "${MigrateDatabaseUser}".to_owned()
        } else {
            format!("sealflow_{}", name.to_lowercase())
        };
        assert!(url.starts_with(&format!("postgres://{user}@")), "{name}: {url}");
        let login =
            logins.iter().find(|login| login.starts_with(&format!("{role}: rds-db:connect on "))).unwrap();
        assert!(login.ends_with(&format!("/{user}")), "{login}");
    }
}
