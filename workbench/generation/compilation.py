"""XLA's persistent compilation cache, on by default: later runs load the compiled programs."""

from __future__ import annotations

import os
from pathlib import Path

import jax

# Programs that compile faster than this are not worth a file.
WORTH_KEEPING_SECONDS = 0.2


def cache_folder() -> Path:
    """Return the folder of compiled programs: in `$WORKBENCH_CACHE_DIR`, or the user's caches."""
    chosen = os.environ.get("WORKBENCH_CACHE_DIR")
    if chosen:
        return Path(chosen) / "xla"
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(caches) / "workbench" / "xla"


def keep_compiled_programs() -> None:
    """Turn the cache on, unless the user has configured JAX's cache already."""
    # JAX makes its flags attributes at run time.
    if jax.config.jax_compilation_cache_dir is not None:  # pyright: ignore[reportAttributeAccessIssue]
        return
    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return  # with a read-only home, every process compiles again
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", WORTH_KEEPING_SECONDS)


def compiler_options() -> dict[str, int]:
    """Return XLA's options for a decoder's programs on this machine.

    LLVM prefers 256-bit vectors even where the CPU has 512-bit ones. With 512 bits, a matrix times
    one row is a tenth faster. Machines without them are not affected.
    """
    return {"xla_cpu_prefer_vector_width": 512} if jax.default_backend() == "cpu" else {}
