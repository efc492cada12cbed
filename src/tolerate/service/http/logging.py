"""Memory of the process, and lines of JSON for the log."""

import resource
import sys
from datetime import UTC, datetime

import orjson


def resident_bytes() -> float:
    """Memory in use, in bytes (the peak, where the system does not give the current value)."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return float(int(file.read().split()[1]) * resource.getpagesize())
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0


def log(event: str, **fields: object) -> None:
    """Write one line of JSON to standard error. Callers never pass secrets, prompts or answers."""
    line = {"at": datetime.now(UTC).isoformat(timespec="milliseconds"), "event": event, **fields}
    sys.stderr.buffer.write(orjson.dumps(line, default=str) + b"\n")
    sys.stderr.buffer.flush()
