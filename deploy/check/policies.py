"""What each role may do with key, queues and passwords, asked by a function that has the role."""

import base64
import io
import zipfile

from expectations import expect

PURPOSES = ("secret", "webhook")
QUEUES = ("NodeQueue", "ExecutionQueue", "NodeDeadLetters", "ExecutionDeadLetters")
WAKES = QUEUES[:2]

# What a role opens and seals (purposes), wakes and takes from (queues), and whose passwords it reads. Nothing else of these is allowed.
ROLES = {
    "Api": {"seals": PURPOSES, "wakes": ("NodeQueue",), "reads": ("sealflow_api",)},
    "Webhook": {"opens": ("webhook",), "wakes": ("NodeQueue",), "reads": ("sealflow_webhook",)},
    "Builder": {"wakes": WAKES, "takes": ("NodeQueue",), "reads": ("sealflow_builder",)},
    "Executor": {"opens": ("secret",), "wakes": WAKES, "takes": ("ExecutionQueue",), "reads": ("sealflow_executor",)},
    "Sweeper": {"wakes": WAKES, "reads": ("sealflow_sweeper",)},
    "Migrate": {"reads": None},  # all
}

# Makes the calls of its event, and answers for each whether it was allowed. A refusal of another kind is an error.
PROBE = """
import base64, boto3, botocore.exceptions

def handler(event, _context):
    return [is_allowed(call) for call in event["calls"]]

def is_allowed(call):
    arguments = call["arguments"]
    if "CiphertextBlob" in arguments:
        arguments["CiphertextBlob"] = base64.b64decode(arguments["CiphertextBlob"])
    try:
        getattr(boto3.client(call["service"]), call["operation"])(**arguments)
    except botocore.exceptions.ClientError as error:
        if error.response["Error"]["Code"].startswith("AccessDenied"):
            return False
        raise
    return True
"""
PROBE_SECONDS_MAX = 30


def look_at_policies(emulator, stack, parameters):
    """Each role may do what it has to, and nothing more. `parameters` are the names of the passwords' parameters, by role of Postgres."""
    kms, iam = emulator.client("kms"), emulator.client("iam")
    calls = calls_of(kms, stack, parameters)
    source = io.BytesIO()
    with zipfile.ZipFile(source, "w") as archive:
        archive.writestr("probe.py", PROBE)
    for role, allowed in ROLES.items():
        name = f"probe-{role}"
        stack.functions.create_function(
            FunctionName=name, Runtime="python3.12", Handler="probe.handler", Code={"ZipFile": source.getvalue()},
            Role=iam.get_role(RoleName=stack.ids[f"{role}Role"])["Role"]["Arn"], Timeout=PROBE_SECONDS_MAX,
        )  # fmt: skip
        answers = stack.invoke(name, {"calls": [call for _, _, call in calls]})
        stack.functions.delete_function(FunctionName=name)
        for (verb, what, _), is_allowed in zip(calls, answers, strict=True):
            of_role = allowed.get(verb, ())
            is_right = is_allowed == (of_role is None or what in of_role)
            expect(is_right, f"{role}Role {verb} {what}: it {'may, and should not' if is_allowed else 'may not, and should'}")


def calls_of(kms, stack, parameters):
    """Verb, object and call of everything that is asked."""
    key, calls = stack.ids["SecretsKey"], []

    def add(verb, what, service, operation, **arguments):
        calls.append((verb, what, {"service": service, "operation": operation, "arguments": arguments}))

    for purpose in PURPOSES:
        context = {"purpose": purpose, "organization_id": "o", "secret_id": "s"}
        sealed = kms.generate_data_key(KeyId=key, KeySpec="AES_256", EncryptionContext=context)["CiphertextBlob"]
        add("opens", purpose, "kms", "decrypt", CiphertextBlob=base64.b64encode(sealed).decode(), EncryptionContext=context)
        add("seals", purpose, "kms", "generate_data_key", KeyId=key, KeySpec="AES_256", EncryptionContext=context)
    for queue in QUEUES:
        # Nobody sees the message before the stack is gone.
        add("wakes", queue, "sqs", "send_message", QueueUrl=stack.ids[queue], MessageBody="not read", DelaySeconds=900)
        add("takes", queue, "sqs", "receive_message", QueueUrl=stack.ids[queue], VisibilityTimeout=0)
    for role, parameter in parameters.items():
        add("reads", role, "ssm", "get_parameter", Name=parameter, WithDecryption=True)
    return calls
