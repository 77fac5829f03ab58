"""The template as a stack: packaging, deployment, invocations, logs, its HTTP API, and what its deletion leaves behind."""

import http.client
import json
import pathlib
import sys
import zipfile

from samtranslator.yaml_helper import yaml_parse

from expectations import CheckFailed, expect
from services import CALL_SECONDS_MAX, REGION, plain_environment, run

STACK = "sealflow"
CODE_BUCKET = "code"
FUNCTION_TYPE = "AWS::Serverless::Function"
DEPLOY_SECONDS_MAX = 120
DELETE_PAUSE_SECONDS = 0.1


def package(template, binaries, folder, without):
    """Writes what `sam build` makes: the template, with a zip of each function's binary in the place of its code.

    `without` has the variables that are left out, by the name of their function, or by `Globals`.
    """
    document = yaml_parse(template.read_text(encoding="utf-8"))
    functions = {name: each for name, each in document["Resources"].items() if each["Type"] == FUNCTION_TYPE}
    places = {name: each["Properties"] for name, each in functions.items()} | {"Globals": document["Globals"]["Function"]}
    for resource in functions.values():
        binary = resource.pop("Metadata")["BuildProperties"]["Binary"]
        expect((binaries / binary).is_file(), f"{binaries / binary} is not there: run `cargo build` first")
        # Debug information is most of a binary, and a zip of ours isn't compressed.
        run(["strip", "--strip-all", "-o", folder / binary, binaries.resolve() / binary], plain_environment())
        with zipfile.ZipFile(folder / f"{binary}.zip", "w") as archive:
            entry = zipfile.ZipInfo("bootstrap")
            entry.external_attr = 0o755 << 16
            archive.writestr(entry, (folder / binary).read_bytes())
        (folder / binary).unlink()
        resource["Properties"]["CodeUri"] = f"{binary}.zip"
    for name, variables in without.items():
        expect(name in places, f"--without: there is no function {name}")
        own = places[name]["Environment"]["Variables"]
        for variable in variables:
            expect(own.pop(variable, None) is not None, f"--without: {name} has no variable {variable} of its own")
    (folder / "template.yaml").write_text(json.dumps(document, indent=1), encoding="utf-8")


def quoted(value):
    """A value of --parameter-overrides, which may have spaces."""
    return '"' + str(value).replace('"', '\\"') + '"'


class Stack:
    """The stack in the emulator. Its functions are named by their logical ids."""

    def __init__(self, emulator, build, parameters):
        self.emulator, self.build, self.parameters = emulator, build, parameters
        self.cloudformation, self.functions = emulator.client("cloudformation"), emulator.client("lambda")
        self.logs = emulator.client("logs")
        self.ids, self.outputs = {}, {}

    def deploy(self, **parameters):
        """Makes the stack or updates it, with these parameters instead of those before."""
        self.parameters |= parameters
        sam = [pathlib.Path(sys.executable).with_name("sam"), "deploy", "--template-file", "template.yaml", "--stack-name", STACK]
        sam += ["--s3-bucket", CODE_BUCKET, "--capabilities", "CAPABILITY_IAM", "--no-confirm-changeset", "--no-progressbar"]
        sam += ["--disable-rollback"]  # the functions' logs would go with the stack
        sam += ["--parameter-overrides", *(f"{name}={quoted(value)}" for name, value in self.parameters.items())]
        environment = plain_environment(
            AWS_ACCESS_KEY_ID="test",
            AWS_DEFAULT_REGION=REGION,
            AWS_ENDPOINT_URL=self.emulator.url,
            AWS_SECRET_ACCESS_KEY="test",
            HOME=str(self.build),
            SAM_CLI_POLL_DELAY="0.2",
            SAM_CLI_TELEMETRY="0",
            TMPDIR=str(self.build),
        )
        try:
            run(sam, environment, self.build)
        except CheckFailed as error:
            self.look_up()
            failures = [f"{each['LogicalResourceId']}: {each.get('ResourceStatusReason')}" for each in self.events("_FAILED")]
            raise CheckFailed(f"sam deploy failed: {failures[0]}" if failures else str(error)) from None
        self.look_up()

    def events(self, status):
        """Events whose status ends so, oldest first."""
        pages = self.cloudformation.get_paginator("describe_stack_events").paginate(StackName=STACK)
        events = [event for page in pages for event in page["StackEvents"] if event["ResourceStatus"].endswith(status)]
        return events[::-1]

    def completed(self):
        """The logical ids of what is there, in the order of its making."""
        return [event["LogicalResourceId"] for event in self.events("CREATE_COMPLETE")]

    def look_up(self):
        stacks = self.cloudformation.describe_stacks()["Stacks"]
        found = [stack for stack in stacks if stack["StackName"] == STACK]
        if not found:
            return
        self.outputs = {output["OutputKey"]: output["OutputValue"] for output in found[0].get("Outputs", [])}
        resources = self.cloudformation.describe_stack_resources(StackName=STACK)["StackResources"]
        self.ids = {each["LogicalResourceId"]: each["PhysicalResourceId"] for each in resources if each.get("PhysicalResourceId")}

    def delete(self):
        self.cloudformation.delete_stack(StackName=STACK)
        waiter = self.cloudformation.get_waiter("stack_delete_complete")
        attempts = int(DEPLOY_SECONDS_MAX / DELETE_PAUSE_SECONDS)
        waiter.wait(StackName=STACK, WaiterConfig={"Delay": DELETE_PAUSE_SECONDS, "MaxAttempts": attempts})

    def invoke(self, function, event):
        """The answer of a function, by its logical id or its name."""
        answer = self.functions.invoke(FunctionName=self.ids.get(function, function), Payload=json.dumps(event))
        payload = json.loads(answer["Payload"].read())
        expect("FunctionError" not in answer, f"{function} failed: {payload}")
        return payload

    def log_lines(self, function):
        """What a function and the functions of its role wrote, oldest first."""
        group, lines = self.ids[function.replace("Function", "Logs")], []
        for stream in self.logs.describe_log_streams(logGroupName=group)["logStreams"]:
            lines += self.logs.get_log_events(logGroupName=group, logStreamName=stream["logStreamName"])["events"]
        return [line["message"] for line in sorted(lines, key=lambda line: line["timestamp"])]

    def function_names(self):
        """The logical ids of the functions that are there."""
        return {name for name in self.ids if name.endswith("Function")}

    def all_log_lines(self):
        """What each function wrote, by its logical id."""
        return {name: self.log_lines(name) for name in sorted(self.function_names()) if name.replace("Function", "Logs") in self.ids}


class Api:
    """The deployed HTTP API. Its host's name need not resolve: it goes along as a header, as API Gateway's would."""

    def __init__(self, emulator, stack):
        self.emulator, self.stack, self.token = emulator, stack, None

    def answer(self, method, path, body=b"", content_type="application/json", token=None, host=True, **headers):
        """Status and text of an answer. An empty `token` sends none."""
        token = self.token if token is None else token
        headers |= {"Content-Type": content_type}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        if host:
            headers["Host"] = f"{self.stack.ids['HttpApi']}.execute-api.localhost:{self.emulator.port}"
        connection = http.client.HTTPConnection("127.0.0.1", self.emulator.port, timeout=CALL_SECONDS_MAX)
        connection.request(method, path, body if isinstance(body, bytes) else json.dumps(body).encode(), headers)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer.status, text

    def call(self, method, path, *body, **more):
        """The answer of a request that has to succeed."""
        status, text = self.answer(method, path, *body, **more)
        if status >= 300:
            raise CheckFailed(f"{method} {path}: {status} {text}")
        return json.loads(text)

    def health(self):
        # ministack has a /health of its own at every host; this way leads to ours.
        return self.call("GET", f"/_aws/execute-api/{self.stack.ids['HttpApi']}/$default/health", host=False)


def leftovers(emulator):
    """What there is in the account, by its kind, without the keys and the code."""
    client = emulator.client
    found = {
        "alarms": [alarm["AlarmName"] for alarm in client("cloudwatch").describe_alarms()["MetricAlarms"]],
        "aliases": [alias["AliasName"] for alias in client("kms").list_aliases()["Aliases"]],
        "apis": [api["Name"] for api in client("apigatewayv2").get_apis()["Items"]],
        "dashboards": [dashboard["DashboardName"] for dashboard in client("cloudwatch").list_dashboards()["DashboardEntries"]],
        "functions": [function["FunctionName"] for function in client("lambda").list_functions()["Functions"]],
        "log groups": [group["logGroupName"] for group in client("logs").describe_log_groups()["logGroups"]],
        "mappings": [mapping["UUID"] for mapping in client("lambda").list_event_source_mappings()["EventSourceMappings"]],
        "metric filters": [each["filterName"] for each in client("logs").describe_metric_filters()["metricFilters"]],
        "parameters": [parameter["Name"] for parameter in client("ssm").describe_parameters()["Parameters"]],
        "policies": [policy["PolicyName"] for policy in client("iam").list_policies(Scope="Local")["Policies"]],
        "queues": client("sqs").list_queues().get("QueueUrls", []),
        "roles": [role["RoleName"] for role in client("iam").list_roles()["Roles"]],
        "rules": [rule["Name"] for rule in client("events").list_rules()["Rules"]],
    }
    found["aliases"] = [name for name in found["aliases"] if not name.startswith("alias/aws/")]
    return {kind: names for kind, names in found.items() if names}
