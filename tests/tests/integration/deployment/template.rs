//! I7 on AWS: the rights to keys and queues in `template.yaml`, for each way to deploy it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use tests::template::{Deployment, Given, list, set, word};

const NETWORK: (&str, &str) = ("SubnetIds", "subnet-1");
const DATABASE: (&str, &str) = ("DatabaseResourceId", "db-1");
const PLAIN: Given<'_> = &[NETWORK, DATABASE];
const OTHER_KEY: Given<'_> = &[NETWORK, DATABASE, ("SecretsKeyArn", "new")];
const MOVING: Given<'_> = &[NETWORK, DATABASE, ("SecretsKeyArn", "new"), ("RewrapFromKeyArn", "old")];
const MOVING_BACK: Given<'_> = &[NETWORK, DATABASE, ("RewrapFromKeyArn", "old")];

#[test]
fn the_stacks_key_is_used_by_these_and_by_nobody_else_i7() {
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
fn the_account_administers_the_key_and_can_not_use_it_i7() {
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
    // The key is deleted only if the creation of the stack fails, because no value needs it then.
    let policies = (&key["DeletionPolicy"], &key["UpdateReplacePolicy"]);
    assert_eq!(policies, (&json!("RetainExceptOnCreate"), &json!("Retain")));
}

#[test]
fn another_key_is_used_as_the_stacks_own_is_i7() {
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
fn each_role_reads_and_sends_to_its_own_queues_i7() {
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
fn each_function_has_its_own_role_here_and_in_the_database_i7() {
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
