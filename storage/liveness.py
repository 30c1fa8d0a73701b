"""Whether the process that wrote a record is still there.

A record names its machine and process. On the same machine (same boot, same process namespace) the
process table answers; from anywhere else only the age of the record's last sign of life can.
"""

import hashlib
import os
import socket
import time
from functools import cache
from typing import Any

#: Seconds between two signs of life, and the silence after which a process elsewhere counts as dead.
BEAT = 10.0
SILENCE = 120.0


def me() -> dict[str, Any]:
    """The record of this process: pid, host, machine, process_start, heartbeat."""
    pid = os.getpid()
    return {
        "pid": pid,
        "host": socket.gethostname(),
        "machine": machine(),
        "process_start": process_start(pid),
        "heartbeat": time.time(),
    }


def is_alive(record: dict[str, Any], *, silence: float = SILENCE, age: float | None = None) -> bool:
    """Whether the process of a record lives, as far as can be told from here.

    Args:
        record: as :func:`me` makes it.
        silence: seconds without a heartbeat after which a process of another machine counts as dead.
        age: seconds since the record was written, by one clock; None compares that machine's clock with this one's.
    """
    if record.get("machine") == machine() and os.name == "posix":  # elsewhere signal 0 would stop it
        pid = record.get("pid")
        if not isinstance(pid, int) or not _exists(pid):
            return False
        return process_start(pid) == record.get("process_start")  # else the pid was given to another
    heartbeat = float(record.get("heartbeat") or 0.0)
    # A record without a heartbeat is none, however new.
    return heartbeat > 0.0 and (time.time() - heartbeat if age is None else age) < silence


def whose() -> str:
    """This process as a part of a file name; read back by :func:`is_owner_alive`."""
    pid = os.getpid()
    return f"{_short(machine())}-{pid}-{process_start(pid)}"


def is_owner_alive(owner: str, changed: float, *, silence: float) -> bool:
    """Whether the process that :func:`whose` named lives; ``changed`` is its last sign of life."""
    place, _, process = owner.partition("-")
    pid, _, start = process.partition("-")
    try:
        record = {"pid": int(pid), "process_start": int(start), "heartbeat": changed}
    except ValueError:
        record = {"heartbeat": changed}
    return is_alive(record | {"machine": machine() if place == _short(machine()) else ""}, silence=silence)


def _short(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=4).hexdigest()


@cache
def machine() -> str:
    """Host name, boot and process namespace: within one, a pid means one process."""
    boot, namespace = "", ""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            boot = file.read().strip()
        namespace = os.readlink("/proc/self/ns/pid")
    except OSError:  # not Linux: the host name must do
        pass
    return "/".join((socket.gethostname(), boot, namespace))


def process_start(pid: int) -> int:
    """When a process started, in clock ticks since boot; 0 where it cannot be told."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()  # the name in brackets may hold spaces
    except OSError:
        return 0
    return 0 if fields[0] == b"Z" else int(fields[19])


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it exists and belongs to somebody else
        return True
    return True
