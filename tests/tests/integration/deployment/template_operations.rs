//! Operation by `template.yaml`, for each way to deploy it: alarms and logs tell the operator the
//! truth, and AWS does not stop the engine.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use tests::template::{Deployment, Given, list, set, word};

const TOKEN: Given<'_> = &[("DatabaseResourceId", "db-1")];
const NETWORK: Given<'_> = &[("DatabaseResourceId", "db-1"), ("SubnetIds", "subnet-1")];
const MOVING: Given<'_> = &[("DatabaseResourceId", "db-1"), ("RewrapFromKeyArn", "old")];
const RESERVED: Given<'_> = &[("DatabaseResourceId", "db-1"), ("ReserveConcurrency", "true")];
const BY_SSM: Given<'_> = &[("DatabaseLogin", "ssm"), ("RewrapFromKeyArn", "old")];
const BY_SECRETS_MANAGER: Given<'_> = &[("DatabaseLogin", "secretsmanager"), ("RewrapFromKeyArn", "old")];

fn functions(deployment: &Deployment) -> BTreeMap<&str, &Value> {
    let functions = deployment.of_type("AWS::Serverless::Function");
    functions.map(|(name, function)| (name.strip_suffix("Function").unwrap(), function)).collect()
}

/// The resources that have an alarm on a metric of AWS.
fn alarms(deployment: &Deployment, namespace: &str, metric: &str) -> BTreeSet<String> {
    let alarms = deployment.of_type("AWS::CloudWatch::Alarm").map(|(_, alarm)| alarm);
    alarms
        .filter(|alarm| alarm["Namespace"] == namespace && alarm["MetricName"] == metric)
        .map(|alarm| {
            assert_ne!(alarm["Threshold"], Value::Null);
            word(&alarm["Dimensions"][0]["Value"])
        })
        .collect()
}

#[test]
fn a_function_that_a_queue_drives_and_that_may_send_to_one_is_allowed_to_loop() {
    let deployment = Deployment::of(MOVING);
    let senders: BTreeSet<String> = deployment
        .rights("sqs:")
        .into_iter()
        .filter_map(|right| Some(right.split_once("Role: sqs:SendMessage")?.0.to_owned()))
        .collect();
    let mut checked = 0;
    for (name, function) in functions(&deployment) {
        let sources = function["Events"].as_object().into_iter().flatten();
        let is_driven = sources.into_iter().any(|(_, event)| event["Type"] == "SQS");
        if is_driven && senders.contains(name) {
            assert_eq!(function["RecursiveLoop"], "Allow", "{name}");
            checked += 1;
        }
    }
    assert_eq!(checked, 2, "builder and executor");
}

#[test]
fn each_functions_failures_and_throttles_raise_an_alarm() {
    for given in [TOKEN, MOVING] {
        let deployment = Deployment::of(given);
        let names: BTreeSet<String> =
            functions(&deployment).keys().map(|name| format!("{name}Function")).collect();
        for metric in ["Errors", "Throttles"] {
            assert_eq!(alarms(&deployment, "AWS/Lambda", metric), names, "{metric}");
        }
    }
}

#[test]
fn queues_the_front_and_a_silent_sweeper_raise_an_alarm() {
    let deployment = Deployment::of(TOKEN);
    let queues = |names: [&str; 2]| names.map(|name| format!("{name}.QueueName")).into();
    let ages = alarms(&deployment, "AWS/SQS", "ApproximateAgeOfOldestMessage");
    assert_eq!(ages, queues(["NodeQueue", "ExecutionQueue"]));
    let letters = alarms(&deployment, "AWS/SQS", "ApproximateNumberOfMessagesVisible");
    assert_eq!(letters, queues(["NodeDeadLetters", "ExecutionDeadLetters"]));
    assert_eq!(alarms(&deployment, "AWS/ApiGateway", "5xx"), set(["HttpApi"]));
    assert_eq!(alarms(&deployment, "AWS/Lambda", "Invocations"), set(["SweeperFunction"]));
    let silent = &deployment.resources["SweeperSilent"]["Properties"];
    // A sweeper that does not run writes no data, so missing data must raise the alarm.
    assert_eq!(silent["TreatMissingData"], "breaching");
    assert_eq!(
        (&silent["ComparisonOperator"], &silent["Threshold"]),
        (&json!("LessThanThreshold"), &json!("1"))
    );
}

#[test]
fn each_alarm_says_which_heading_of_the_runbook_helps() {
    let runbook = include_str!("../../../../docs/runbook.md");
    let anchors: BTreeSet<String> = runbook
        .lines()
        .filter_map(|line| line.strip_prefix("## "))
        .map(|heading| {
            let words = heading.to_lowercase().replace(' ', "-");
            words.chars().filter(|letter| letter.is_alphanumeric() || *letter == '-').collect()
        })
        .collect();
    let deployment = Deployment::of(MOVING);
    let mut linked = BTreeSet::new();
    for (name, alarm) in deployment.of_type("AWS::CloudWatch::Alarm") {
        let said = alarm["AlarmDescription"].as_str().unwrap();
        let (_, anchor) =
            said.split_once("docs/runbook.md#").unwrap_or_else(|| panic!("{name} has no link: {said}"));
        assert!(anchors.contains(anchor), "{name}: the runbook has no heading for #{anchor}");
        linked.insert(anchor.to_owned());
    }
    assert_eq!(linked.len(), 7, "{linked:?}");
}

#[test]
fn a_young_account_can_deploy_and_an_old_one_can_reserve() {
    let reserved = |given| {
        let deployment = Deployment::of(given);
        let of = functions(&deployment)
            .into_iter()
            .filter(|(_, function)| !function["ReservedConcurrentExecutions"].is_null());
        of.map(|(name, _)| name.to_owned()).collect::<BTreeSet<_>>()
    };
    assert_eq!(
        reserved(TOKEN),
        BTreeSet::new(),
        "a young account has fewer than the 57 instances to reserve"
    );
    assert_eq!(reserved(RESERVED), set(["Api", "Builder", "Executor", "Migrate", "Sweeper", "Webhook"]));
    // The mappings bound builder and executor in both cases.
    for given in [TOKEN, RESERVED] {
        let deployment = Deployment::of(given);
        for (function, event) in [("Builder", "Nodes"), ("Executor", "Executions")] {
            let mapping =
                &deployment.resources[&format!("{function}Function")]["Properties"]["Events"][event];
            let bound = &mapping["Properties"]["ScalingConfig"]["MaximumConcurrency"];
            assert_eq!(word(bound), format!("{function}Concurrency"));
        }
    }
}

#[test]
fn the_boundary_and_the_path_are_on_every_role() {
    let arn = "arn:aws:iam::123456789012:policy/boundary";
    let given: Given<'_> =
        &[("PermissionsBoundaryArn", arn), ("RewrapFromKeyArn", "old"), ("RolePath", "/team/")];
    let with = Deployment::of(given);
    assert_eq!(with.of_type("AWS::IAM::Role").count(), 7);
    for (name, role) in with.of_type("AWS::IAM::Role") {
        assert_eq!(word(&role["PermissionsBoundary"]), "PermissionsBoundaryArn", "{name}");
        assert_eq!(word(&role["Path"]), "RolePath", "{name}");
    }
    for (name, role) in Deployment::of(MOVING).of_type("AWS::IAM::Role") {
        assert_eq!(role["PermissionsBoundary"], Value::Null, "{name}");
    }
}

#[test]
fn the_functions_code_manages_no_network_interfaces_i7() {
    let deployment = Deployment::of(NETWORK);
    let policy = &deployment.resources["NetworkPolicy"]["Properties"]["PolicyDocument"];
    let statements = list(&policy["Statement"]);
    let actions = |effect: &str| -> BTreeSet<String> {
        let of = statements.iter().filter(|statement| statement["Effect"] == effect);
        of.flat_map(|statement| list(&statement["Action"]).into_iter().map(word).collect::<Vec<_>>())
            .collect()
    };
    assert_eq!(actions("Allow"), actions("Deny"), "the code may not do what Lambda's service may do");
    let denial = statements.iter().find(|statement| statement["Effect"] == "Deny").unwrap();
    let function =
        json!({ "!Sub": "arn:${AWS::Partition}:lambda:${AWS::Region}:${AWS::AccountId}:function:*" });
    assert_eq!(denial["Condition"], json!({ "ArnLike": { "lambda:SourceFunctionArn": function } }));
    for (name, role) in deployment.of_type("AWS::IAM::Role") {
        assert!(
            list(&role["ManagedPolicyArns"]).iter().any(|policy| word(policy) == "NetworkPolicy"),
            "{name}"
        );
    }
}

#[test]
fn logs_are_json_and_nothing_of_them_is_dropped_on_the_way() {
    for (name, function) in functions(&Deployment::of(MOVING)) {
        let logging = &function["LoggingConfig"];
        assert_eq!(logging["LogFormat"], "JSON", "{name}");
        // RUST_LOG alone filters. At a higher level Lambda would drop metrics, which are lines
        // without a level.
        assert_eq!(logging["ApplicationLogLevel"], "TRACE", "{name}");
    }
}

#[test]
fn each_function_reads_its_own_password_and_no_other_i7() {
    let role_of = |name: &str| {
        if name == "Migrate" {
            "${MigrateDatabaseUser}".to_owned()
        } else {
            format!("sealflow_{}", name.to_lowercase())
        }
    };
    let path = "${DatabasePasswordPath}";
    for (given, prefix) in [(BY_SSM, "/"), (BY_SECRETS_MANAGER, "/aws/reference/secretsmanager/")] {
        let deployment = Deployment::of(given);
        let rights = deployment.rights("ssm:");
        assert_eq!(rights.len(), 7, "{rights:?}");
        let secrets = deployment.rights("secretsmanager:");
        assert_eq!(secrets.len(), if prefix == "/" { 0 } else { 7 });
        for (name, function) in functions(&deployment) {
            let login = word(&function["Environment"]["Variables"]["SEALFLOW_DATABASE_LOGIN"]);
            assert_eq!(login, format!("parameter:{prefix}{path}/{}", role_of(name)));
            // Migrate sets the passwords of all roles.
            let own = if name == "Migrate" { "*".to_owned() } else { role_of(name) };
            let parameter = format!("parameter{prefix}{path}/{own}");
            let right = rights
                .iter()
                .find(|right| right.starts_with(&format!("{name}Role: ssm:GetParameter on ")))
                .unwrap();
            assert!(right.split('+').any(|resource| resource.ends_with(&format!(":{parameter}"))), "{right}");
            assert!(right.split(['+', ' ']).filter(|word| word.starts_with("arn:")).count() <= 2, "{right}");
        }
    }
    let by_token = Deployment::of(TOKEN);
    assert_eq!(
        (by_token.rights("ssm:"), by_token.rights("secretsmanager:")),
        (BTreeSet::new(), BTreeSet::new())
    );
    assert_eq!(by_token.variable("BuilderFunction", "SEALFLOW_DATABASE_LOGIN"), "iam");
}

#[test]
fn every_connection_to_the_database_is_verified() {
    for (name, function) in functions(&Deployment::of(MOVING)) {
        let url = word(&function["Environment"]["Variables"]["SEALFLOW_DATABASE_URL"]);
        assert!(url.ends_with("?sslmode=verify-full"), "{name}: {url}");
    }
}

#[test]
fn functions_wait_for_migrations_where_a_deployment_runs_them() {
    let given: Given<'_> = &[("DatabaseResourceId", "db-1"), ("MigrateOnDeploy", "true")];
    let deployment = Deployment::of(given);
    let migrated = &deployment.resources["Migrated"]["Properties"];
    assert_eq!(
        migrated["Schema"],
        store::NEWEST_MIGRATION.to_string(),
        "migrate runs again when there is a newer migration"
    );
    assert_eq!(migrated["ServiceTimeout"], "330");
    for name in ["Api", "Webhook", "Builder", "Executor", "Sweeper"] {
        let schema = |deployment: &Deployment| {
            let described = &deployment.resources[&format!("{name}Function")]["Properties"]["Description"];
            described["!Sub"][1]["Schema"].clone()
        };
        // A function waits for migrate because its description names migrate's answer. Without that
        // answer the description has the same text.
        assert_eq!(schema(&deployment), json!({ "!GetAtt": "Migrated.Schema" }), "{name}");
        assert_eq!(schema(&Deployment::of(TOKEN)), store::NEWEST_MIGRATION.to_string(), "{name}");
    }
    assert_eq!(
        deployment.resources["MigrateFunction"]["DependsOn"],
        Value::Null,
        "migrate can't wait for itself"
    );
    assert!(!Deployment::of(TOKEN).resources.contains_key("Migrated"));
}

#[test]
fn a_login_by_token_without_a_resource_id_is_not_deployed() {
    let check = |given, expected: bool| {
        let deployment = Deployment::of(given);
        let rule = &deployment.rules["TokenNeedsResourceId"];
        let asserted = &rule["Assertions"][0]["Assert"];
        assert_eq!(
            deployment.is_true(&rule["RuleCondition"]) && !deployment.is_true(asserted),
            expected,
            "{given:?}"
        );
    };
    check(TOKEN, false);
    check(&[], true);
    check(BY_SSM, false);
}

#[test]
fn functions_behind_the_front_end_before_it_gives_up() {
    let deployment = Deployment::of(TOKEN);
    let text = include_str!("../../../../template.yaml");
    assert!(text.contains("    Timeout: 29\n"), "the time-out of all functions that name no other");
    for (name, function) in functions(&deployment) {
        match name {
            "Api" | "Webhook" | "Sweeper" => assert_eq!(function["Timeout"], Value::Null, "{name}"),
            "Migrate" => assert_eq!(function["Timeout"], "900"),
            _ => assert_ne!(function["Timeout"], Value::Null, "{name}"),
        }
    }
    let visibility = deployment.resources["NodeQueue"]["Properties"]["VisibilityTimeout"].as_str().unwrap();
    let builder = functions(&deployment)["Builder"]["Timeout"].as_str().unwrap();
    assert_eq!(visibility.parse::<u32>().unwrap(), 6 * builder.parse::<u32>().unwrap());
}

#[test]
fn the_dashboard_shows_every_metric_that_functions_write() {
    let deployment = Deployment::of(TOKEN);
    let body = word(&deployment.resources["Dashboard"]["Properties"]["DashboardBody"]);
    let dashboard: Value = serde_json::from_str(&body).expect("it is JSON");
    let shown: BTreeSet<&str> = dashboard["widgets"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|widget| widget["properties"]["metrics"].as_array().unwrap())
        .filter(|metric| metric[0] == "${AWS::StackName}")
        .map(|metric| metric[1].as_str().unwrap())
        .collect();
    assert_eq!(shown, process::Metric::ALL.iter().map(|metric| metric.name()).collect());
    assert!(!Deployment::of(&[("Metrics", "false")]).resources.contains_key("Dashboard"));
}

#[test]
fn the_example_of_samconfig_builds_what_it_deploys() {
    let text = include_str!("../../../../samconfig.example.toml");
    let (_, global) = text.split_once("\n[default.global.parameters]\n").unwrap();
    let (global, later) = global.split_once("\n[default.").unwrap();
    let names: BTreeSet<&str> = global
        .lines()
        .filter_map(|line| line.trim().strip_prefix('"')?.split_once('='))
        .map(|(name, _)| name)
        .collect();
    // `sam build` reads this section too. A parameter in another section would reach `sam deploy`
    // only.
    assert!(names.contains("Architecture") && !later.contains("parameter_overrides"), "{names:?}");
    let parameters = Deployment::of(TOKEN).parameters;
    let required = ["DatabaseHost"];
    for name in names {
        assert!(parameters.contains_key(name) || required.contains(&name), "{name} is no parameter");
    }
}

/// Senders ask by GET and HEAD whether somebody is there, and an address for callbacks takes the methods that
/// its author names.
#[test]
fn the_intake_gets_requests_of_every_method() {
    let deployment = Deployment::of(TOKEN);
    let routes: BTreeMap<String, String> = deployment
        .of_type("AWS::ApiGatewayV2::Route")
        .map(|(_, route)| (word(&route["RouteKey"]), route["Target"].to_string()))
        .collect();
    let intake = routes.get("ANY /hooks/{address}").expect("the route of the intake");
    assert!(intake.contains("WebhookIntegration"), "{intake}");
}
