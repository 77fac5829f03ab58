"""ministack, with what it lacks for our template put right.

It is made for the pinned version: the start fails when something that is replaced here has gone. With AUTH=true,
ministack asks the policies of roles, queues and keys at each call of a function.
"""

import json

import ministack.app as app
from ministack.core import iam_actions, iam_evaluator
from ministack.services import cloudwatch_logs, eventbridge, iam, lambda_svc
from ministack.services.cloudformation import changesets, engine, handlers, stacks

# A minute of a schedule takes as long as this.
SCHEDULED_MINUTE_SECONDS = 3


def replace(module, name, make):
    setattr(module, name, make(getattr(module, name)))


def with_number(concurrency):
    """A mapping of CloudFormation's keeps `MaximumConcurrency: !Ref` as text. The poller compares it with numbers."""

    def wrapped(mapping, *rest):
        scaling = mapping.get("ScalingConfig") or {}
        if "MaximumConcurrency" in scaling:
            scaling["MaximumConcurrency"] = int(scaling["MaximumConcurrency"])
        return concurrency(mapping, *rest)

    return wrapped


def with_join(evaluate):
    """Conditions know no Fn::Join, so a VPC would be taken as given. The join of a list parameter becomes its value."""

    def resolve(value, parameters):
        if isinstance(value, dict) and set(value) == {"Fn::Join"}:
            separator, items = value["Fn::Join"]
            return separator.join(parameters[items["Ref"]]["Value"].split(","))
        if isinstance(value, dict):
            return {key: resolve(each, parameters) for key, each in value.items()}
        return [resolve(each, parameters) for each in value] if isinstance(value, list) else value

    def wrapped(template, parameters):
        conditions = resolve(template.get("Conditions") or {}, parameters)
        return evaluate({**template, "Conditions": conditions}, parameters)

    return wrapped


def custom_resources_last(sort):
    """Custom resources, and what depends on them, come after everything else.

    AWS keeps to dependencies alone. ministack goes by name among what is ready, so a dependency that is missing would not be noticed.
    """

    def wrapped(resources, conditions):
        order, late = sort(resources, conditions), set()
        for name in order:
            if resources[name]["Type"] == "AWS::CloudFormation::CustomResource" or engine._extract_deps(resources[name], late):
                late.add(name)
        return [name for name in order if name not in late] + [name for name in order if name in late]

    return wrapped


def with_encryption_context(tag_context):
    """KMS's condition keys for the encryption context aren't there."""

    def wrapped(service, action, body, parameters):
        context = tag_context(service, action, body, parameters)
        if service == "kms":
            given = json.loads(body or b"{}").get("EncryptionContext") or {}
            context |= {f"kms:EncryptionContext:{name}": value for name, value in given.items()}
        return context

    return wrapped


def without_batch(extract):
    """SQS's batch calls need the permission of the single one. There is none of their own."""

    def wrapped(service, *rest):
        action = extract(service, *rest)
        return action.removesuffix("Batch") if service == "sqs" and action else action

    return wrapped


def with_role_arn(resolve):
    """aws:PrincipalArn of a session is the role's ARN, not the session's."""

    def wrapped(key, context):
        if key.lower() == "aws:principalarn" and context.principal_type == "AssumedRole":
            return iam._roles[context.principal_arn.split("/")[1]]["Arn"]
        return resolve(key, context)

    return wrapped


def into_group(emit):
    """A role that may not make log groups doesn't bring back the one that its function is told and that is deleted."""

    def wrapped(function, *rest, **more):
        group = ((function.get("config") or function).get("LoggingConfig") or {}).get("LogGroup")
        if not group or group in cloudwatch_logs._log_groups:
            emit(function, *rest, **more)

    return wrapped


def as_if_by_tls(pin):
    """Calls come by plain http, which the queues' policy refuses. They are taken for TLS."""
    return lambda address, _is_secure: pin(address, True)


def quicker(rate_seconds):
    """A schedule's minute is SCHEDULED_MINUTE_SECONDS long."""

    def wrapped(expression):
        seconds = rate_seconds(expression)
        return seconds and seconds * SCHEDULED_MINUTE_SECONDS // 60

    return wrapped


replace(lambda_svc, "_emit_lambda_logs", into_group)
replace(lambda_svc, "_sqs_esm_concurrency", with_number)
for user in (engine, changesets, handlers, stacks):
    replace(user, "_evaluate_conditions", with_join)
for user in (engine, changesets, stacks):
    replace(user, "_topological_sort", custom_resources_last)
replace(iam_actions, "request_tag_context", with_encryption_context)
replace(iam_actions, "extract_iam_action", without_batch)
replace(iam_evaluator, "_resolve_condition_key", with_role_arn)
replace(app, "pin_request_origin", as_if_by_tls)
replace(eventbridge, "_parse_rate_seconds", quicker)
replace(eventbridge, "_SCHEDULER_TICK_INTERVAL", lambda _seconds: 0.5)

if __name__ == "__main__":
    app.main()
