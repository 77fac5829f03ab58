"""What the check starts on this machine: Postgres with TLS and passwords, ministack, and the server that the workflow calls.

Each listens on loopback alone, on a free port, and ends with the `resources` (an ExitStack) that it is given.
"""

import contextlib
import http.server
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import threading

import boto3
import botocore.config

import certificates
from expectations import CheckFailed, expect, wait_until

REGION = "us-east-1"
# The name in the certificate of Postgres.
DATABASE_HOST = "localhost"
START_SECONDS_MAX = 60
STOP_SECONDS_MAX = 10
PROGRAM_SECONDS_MAX = 60
CALL_SECONDS_MAX = 60


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def is_listening(port):
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def plain_environment(**more):
    """Nothing of ours but the path, so that no proxy, profile or credential gets in."""
    return {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "TZ": "UTC", **more}


def run(command, environment, folder="/", **more):
    """Output and errors of a program that has to succeed."""
    name = pathlib.Path(command[0]).name
    try:
        answer = subprocess.run(
            command, env=environment, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            timeout=PROGRAM_SECONDS_MAX, check=False, **more,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise CheckFailed(f"{name} took longer than {PROGRAM_SECONDS_MAX} s") from None
    expect(answer.returncode == 0, f"{name} failed:\n{answer.stdout.decode(errors='replace')[-3000:]}")
    return answer.stdout


def start(resources, name, command, log, environment, folder, stop_signal, **more):
    """A process group that ends with `resources`. Where the system can, it is told to end when we are killed."""
    if shutil.which("setpriv"):
        command = ["setpriv", "--pdeathsig", stop_signal.name.removeprefix("SIG"), "--", *command]
    with open(log, "ab") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment, cwd=folder, start_new_session=True, **more
        )

    def stop():
        process.send_signal(stop_signal)
        try:
            process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            print(f"{name} did not stop within {STOP_SECONDS_MAX} s and is killed", file=sys.stderr)
        # Whatever it started and left behind is of its group.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    resources.callback(stop)
    return process


def await_port(name, process, port, log):
    def is_up():
        expect(process.poll() is None, f"{name} ended at its start:\n{log.read_text()[-2000:]}")
        return is_listening(port)

    wait_until(f"{name} listens", START_SECONDS_MAX, is_up)


class Postgres:
    """A server that takes connections over TLS with a password only, and logs every statement but ours.

    It refuses to run as root, so root runs it as another user.
    """

    def __init__(self, resources, folder, programs, password):
        self.port, self.programs, self.password = free_port(), programs, password
        self.log, self.ca = folder / "postgres.log", folder / "ca.pem"
        home = folder / "postgres"
        home.mkdir()
        authority, certificate, key = certificates.for_host(DATABASE_HOST)
        self.ca.write_bytes(authority)
        (home / "server.crt").write_bytes(certificate)
        for name, content in {"server.key": key, "password": password.encode()}.items():
            (home / name).touch(0o600)
            (home / name).write_bytes(content)
        user = unprivileged_user() if os.geteuid() == 0 else {}
        for path in (home, *home.iterdir()) if user else ():
            os.chown(path, user["user"], user["group"])
        initdb = [programs / "initdb", "-D", home / "data", "--username", "postgres", "--pwfile", home / "password"]
        initdb += ["--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C", "--no-sync"]
        run(initdb, plain_environment(), **user)
        (home / "data" / "pg_hba.conf").write_text("hostssl all all samehost scram-sha-256\n", encoding="utf-8")
        settings = {"listen_addresses": "127.0.0.1", "port": self.port, "unix_socket_directories": "", "max_connections": 200}
        settings |= {"ssl": "on", "ssl_cert_file": home / "server.crt", "ssl_key_file": home / "server.key"}
        settings |= {"fsync": "off", "full_page_writes": "off", "log_statement": "all"}
        command = [programs / "postgres", "-D", home / "data"]
        command += [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        process = start(resources, "postgres", command, self.log, plain_environment(), "/", signal.SIGINT, **user)
        await_port("postgres", process, self.port, self.log)

    def run(self, program, database, *arguments):
        """Output of one of Postgres's programs, which connects as the superuser."""
        environment = plain_environment(
            PGDATABASE=database,
            PGHOST=DATABASE_HOST,
            PGOPTIONS="-c log_statement=none",
            PGPASSWORD=self.password,
            PGPORT=str(self.port),
            PGSSLMODE="verify-full",
            PGSSLROOTCERT=str(self.ca),
            PGUSER="postgres",
        )
        return run([self.programs / program, *arguments], environment)

    def query(self, database, *statements):
        commands = [part for statement in statements for part in ("-c", statement)]
        return self.run("psql", database, "-XqAt", "-v", "ON_ERROR_STOP=1", *commands).decode().strip()


def unprivileged_user():
    """Who runs Postgres in root's place: the owner of the distribution's folder for it, else nobody."""
    folder = pathlib.Path("/var/lib/postgresql")
    owner = folder.stat() if folder.is_dir() else None
    user, group = (owner.st_uid, owner.st_gid) if owner and owner.st_uid else (65534, 65534)
    return {"user": user, "group": group, "extra_groups": []}


class Emulator:
    """ministack, which asks the policies. `test` is its root; functions get sessions of their roles, and its address as AWS's."""

    def __init__(self, resources, folder, python):
        self.port, self.log = free_port(), folder / "ministack.log"
        self.url = f"http://127.0.0.1:{self.port}"
        home = folder / "ministack"
        home.mkdir()
        environment = plain_environment(
            AUTH="true",
            AWS_ENDPOINT_URL=self.url,
            BIND_HOST="127.0.0.1",
            GATEWAY_PORT=str(self.port),
            IOT_MTLS_ENABLED="0",
            LOG_LEVEL="WARNING",
            MINISTACK_HOST="localhost",  # an address would make API names end in a number, which is no host name
            MINISTACK_REGION=REGION,
            PYTHONDONTWRITEBYTECODE="1",
            PYTHONUNBUFFERED="1",
            S3_DATA_DIR=str(home / "s3"),
            SFTP_ENABLED="0",
            STATE_DIR=str(home / "state"),
            TMPDIR=str(home),
        )
        command = [python, pathlib.Path(__file__).resolve().with_name("emulator.py")]
        process = start(resources, "ministack", command, self.log, environment, home, signal.SIGTERM)
        await_port("ministack", process, self.port, self.log)

    def client(self, service):
        """A client of root's that asks once and waits for a bounded time."""
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=botocore.config.Config(
                retries={"total_max_attempts": 1}, connect_timeout=CALL_SECONDS_MAX, read_timeout=CALL_SECONDS_MAX, proxies={}
            ),
        )


class Target:
    """What the workflow calls. It takes only requests that carry the secret, and answers with it."""

    def __init__(self, resources, secret):
        bodies = self.bodies = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                is_right = self.headers["Authorization"] == f"Bearer {secret}"
                if is_right:
                    bodies.append(json.loads(body))
                answer = json.dumps({"authorization": self.headers["Authorization"]}).encode()
                self.send_response(200 if is_right else 401)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_arguments):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = server.server_port
        threading.Thread(target=server.serve_forever, daemon=True).start()
        resources.callback(server.shutdown)
