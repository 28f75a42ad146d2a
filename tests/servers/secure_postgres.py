"""A Postgres of this machine with TLS: the one from the wheel is built without."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from kindred.local.postgres import answers
from kindred.local.processes import ChildProcess, free_port
from kindred.local.servers import temporary_folder
from servers.certificates import Authority, Certificate
from servers.ladder import NoServerError

# Where Debian keeps what is not on PATH.
INSTALLED = Path("/usr/lib/postgresql")
# A login by certificate; by password, encrypted; by password, in the clear.
HBA = """
hostssl   all  by_certificate  127.0.0.1/32  cert
hostssl   all  all             127.0.0.1/32  scram-sha-256
hostnossl all  in_the_clear    127.0.0.1/32  scram-sha-256
"""


@dataclass(frozen=True, slots=True)
class SecurePostgres:
    """Its users: `kindred`, a superuser; `by_certificate`; and `in_the_clear`, which may do without TLS."""

    data: Path
    port: int
    password: str
    user_id: int | None  # whose process it is, where not this one's

    def url(self, host: str = "127.0.0.1", user: str = "kindred") -> str:
        """Without the password."""
        return f"postgresql://{user}@{host}:{self.port}/postgres"

    def present(self, certificate: Certificate) -> None:
        """Show this certificate to whoever comes from now on."""
        self.write("server.pem", certificate.chain.read_bytes())
        self.write("server.key", certificate.key.read_bytes())
        pid = int((self.data / "postmaster.pid").read_text().split()[0])
        os.kill(pid, signal.SIGHUP)

    def write(self, name: str, content: bytes) -> None:
        place = self.data / name
        place.write_bytes(content)
        place.chmod(0o600)
        own(place, self.user_id)


@contextmanager
def secure_postgres(authority: Authority) -> Iterator[SecurePostgres]:
    """Ready, with a certificate for this machine. Raises NoServerError where there is none with TLS."""
    programs = _programs()
    with temporary_folder() as folder:
        server = _initialised(programs, folder)
        certificate = authority.issue("postgres")
        server.write("server.pem", certificate.chain.read_bytes())
        server.write("server.key", certificate.key.read_bytes())
        server.write("ca.pem", authority.cafile.read_bytes())
        server.write("pg_hba.conf", HBA.encode())
        command = [str(programs / "postgres"), "-D", str(server.data), "-p", str(server.port), *_options()]
        with ChildProcess(
            "Postgres", command, log=folder / "log", stop_signal=signal.SIGINT, user_id=server.user_id
        ) as process:
            url = f"postgresql://kindred:{server.password}@127.0.0.1:{server.port}/postgres?sslmode=require"
            process.wait_until(lambda: answers(url), timeout_seconds=30)
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute("CREATE ROLE by_certificate LOGIN SUPERUSER")
                connection.execute(f"CREATE ROLE in_the_clear LOGIN PASSWORD '{server.password}'")
            yield server


def own(place: Path, user_id: int | None) -> None:
    """Postgres never runs as root, and reads what belongs to its own user."""
    if user_id is not None:
        os.chown(place, user_id, -1)


def _programs() -> Path:
    found = [path for name in ("postgres", "initdb") if (path := shutil.which(name))]
    folders = [Path(found[0]).resolve().parent] if len(found) == 2 else []
    folders += sorted(INSTALLED.glob("*/bin"), reverse=True)
    for folder in folders:
        described = subprocess.run(
            [str(folder / "postgres"), "--describe-config"], capture_output=True, text=True, check=False
        )
        if described.returncode == 0 and "ssl_ca_file" in described.stdout:
            return folder
    raise NoServerError("no Postgres with TLS on PATH or in /usr/lib/postgresql")


def _initialised(programs: Path, folder: Path) -> SecurePostgres:
    user_id = pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else None
    server = SecurePostgres(folder / "postgres", free_port(), secrets.token_hex(8), user_id)
    password = folder / "password"
    password.write_text(server.password)
    server.data.mkdir(mode=0o700)
    for place in (server.data, password):
        own(place, user_id)
    subprocess.run(
        [
            *(str(programs / "initdb"), "-D", str(server.data), "-U", "kindred", "--pwfile", str(password)),
            *("-A", "scram-sha-256", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"),
        ],
        check=True, capture_output=True, user=user_id, group=user_id,
        extra_groups=None if user_id is None else [],
    )  # fmt: skip
    return server


def _options() -> list[str]:
    settings = {
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "fsync": "off",
        "ssl": "on",
        "ssl_cert_file": "server.pem",
        "ssl_key_file": "server.key",
        "ssl_ca_file": "ca.pem",
        "timezone": "UTC",
    }
    return [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
