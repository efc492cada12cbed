"""A PostgreSQL server for the tests: the one that TOLERATE_POSTGRES names, else one of our own in a temporary folder.

It listens on a socket in that folder only, runs as an ordinary user even where the tests run as root (PostgreSQL
refuses root), and ends with this process.
"""

import atexit
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from functools import cache
from pathlib import Path


@cache
def server() -> str | None:
    """The address of a server; None if PostgreSQL is not installed (Debian: apt-get install postgresql)."""
    if address := os.environ.get("TOLERATE_POSTGRES"):
        return address
    programs = _programs()
    return None if programs is None else _start(programs)


def _programs() -> Path | None:
    paths = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4]))
    on_path = shutil.which("initdb")
    return paths[-1].parent if paths else Path(on_path).resolve().parent if on_path else None


def _start(programs: Path) -> str:
    folder = Path(tempfile.mkdtemp(prefix="tolerate-pg-"))
    user = _user()
    if user is not None:
        os.chown(folder, pwd.getpwnam(user).pw_uid, -1)
    data = str(folder / "data")
    subprocess.run(
        [programs / "initdb", "-D", data, "-U", "tolerate", "-A", "trust", "-E", "UTF8", "--no-sync"],
        check=True, capture_output=True, user=user, cwd=folder,
    )  # fmt: skip
    options = [f"unix_socket_directories={folder}", "listen_addresses=", "shared_buffers=32MB"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [programs / "postgres", "-D", data, *(part for option in options for part in ("-c", option))],
            stdout=subprocess.DEVNULL, stderr=log, user=user, cwd=folder,
        )  # fmt: skip
    atexit.register(_stop, process, folder, os.getpid())
    address = f"postgresql://tolerate@/postgres?host={folder}"
    _wait(address, process, folder)
    return address


def _user() -> str | None:
    """Whom to run as: root becomes postgres, or nobody."""
    if os.getuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


def _wait(address: str, process: subprocess.Popen[bytes], folder: Path) -> None:
    import psycopg

    for _ in range(300):
        try:
            psycopg.connect(address).close()
            return
        except psycopg.OperationalError:
            if process.poll() is not None:
                break
            time.sleep(0.1)
    raise RuntimeError(f"PostgreSQL did not start: {(folder / 'log').read_text()[-2000:]}")


def _stop(process: subprocess.Popen[bytes], folder: Path, owner: int) -> None:
    if os.getpid() != owner:  # a fork of ours ends, not we
        return
    process.send_signal(signal.SIGINT)  # end even while somebody is connected
    process.wait(30)
    shutil.rmtree(folder, ignore_errors=True)
