"""Measures the free memory of this machine, container or accelerator."""

from __future__ import annotations

from pathlib import Path

import psutil

USABLE = 0.9  # share of the free memory; the rest is a reserve for inexact estimates

CGROUP = Path("/sys/fs/cgroup")
# The limit and the usage of a container: control groups version 2, then version 1.
_LIMITS = (
    ("memory.max", "memory.current", "memory.stat"),
    (
        "memory/memory.limit_in_bytes",
        "memory/memory.usage_in_bytes",
        "memory/memory.stat",
    ),
)


def free_memory() -> int:
    """Return the free bytes of the first accelerator, or of the machine within the container's
    limit if models are loaded there."""
    return min(_device_free(), _machine_free())


def limit(free: int) -> int:
    """Return the bytes that a model may take of `free` bytes."""
    return int(free * USABLE)


def resident() -> int:
    """Return the bytes of this process in memory."""
    return psutil.Process().memory_info().rss


def on_cpu() -> bool:
    """Return whether models are in the machine's own memory."""
    import jax

    return jax.default_backend() == "cpu"


def _machine_free() -> int:
    return min([psutil.virtual_memory().available, *_container_free()])


def _container_free() -> list[int]:
    for limited, used, stat in _LIMITS:
        most, current = _number(CGROUP / limited), _number(CGROUP / used)
        if most is not None and current is not None:
            return [max(most - current + _reclaimable(CGROUP / stat), 0)]
    return []


def _number(file: Path) -> int | None:
    """Return the number in a file; None if there is no file or no limit."""
    try:
        text = file.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdecimal() else None


def _reclaimable(stat: Path) -> int:
    """Return the bytes of cached files, which count as used but are released when needed."""
    try:
        lines = dict(line.split() for line in stat.read_text().splitlines())
    except (OSError, ValueError):
        return 0
    return int(lines.get("inactive_file", 0))


def _device_free() -> int:
    """Return the free bytes of the first accelerator; a huge number if there is none."""
    import jax

    device = jax.local_devices()[0]
    stats = None if device.platform == "cpu" else device.memory_stats()
    if not stats or "bytes_limit" not in stats:
        return 2**63
    return stats["bytes_limit"] - stats["bytes_in_use"]
