"""Fetches presets from the Hugging Face Hub with `huggingface_hub` and its cache.

The library lists, authenticates, caches and links. It would restart large files after every
interruption, so this module collects their bytes with the library's `http_get` and gives whole
files to its cache. Downloads resume, and files are compared with the SHA-256 in the listing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from json import JSONDecodeError
from pathlib import Path
from typing import Any, BinaryIO, cast

import tqdm
from huggingface_hub import HfApi, constants, hf_hub_url, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    HTTPError,  # pyright: ignore[reportPrivateImportUsage]  # httpx's or requests', by version
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.file_download import http_get, repo_folder_name
from huggingface_hub.utils import build_hf_headers, get_token, validate_repo_id

from workbench.errors import PresetError
from workbench.presets.hubs.disk import check_space, disk_errors
from workbench.presets.hubs.partial import PartialFile
from workbench.presets.hubs.selection import SMALL, ListedFile, choose, choose_file
from workbench.presets.hubs.transfer import Transfer, holding, run
from workbench.storage.json_files import shown

_HANDLE = re.compile(
    r"hf://(?P<repo>[\w.-]{1,96}/[\w.-]{1,96})(@(?P<revision>\w[\w./-]*?))?"
    r"(/(?P<file>[^/@]+\.gguf))?",
    re.ASCII,
)
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_LISTING_TIMEOUT = 10  # seconds


@dataclass(frozen=True)
class _Repository:
    """The request: a repository at a revision, and in it a preset or one GGUF file."""

    handle: str
    name: str
    revision: str
    file: str | None = None

    @property
    def cache(self) -> Path:
        """The library's cache folder for this repository."""
        return Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=self.name, repo_type="model")

    @property
    def page(self) -> str:
        """The page on which users read and accept its terms."""
        return f"{constants.ENDPOINT}/{self.name}"

    def choose(self, listing: Iterable[ListedFile], weights: bool) -> list[ListedFile]:
        """Return the files to fetch. Raises PresetError if the listing lacks them."""
        if self.file is None:
            return choose(listing, self.handle, weights)
        return choose_file(listing, self.handle, self.file)


def fetch(handle: str, weights: bool = True) -> Path:
    """Return the folder of a preset on the Hugging Face Hub, downloaded if it is not cached.

    Args:
        handle: `hf://owner/repository`, with `@` and a branch, tag or commit other than main, and
            `/file.gguf` for one such file.
        weights: whether the weights are needed.

    Raises:
        PresetError: there is no such repository, access is denied, it holds no preset, the hub
            cannot be reached and no copy is cached, or the disk is too full.
        LoadCancelled: the progress listener stopped it.
    """
    match = _HANDLE.fullmatch(handle)
    if match is None or ".." in handle or not _is_valid(match["repo"]):
        expected = "hf://owner/repository, and @revision and /file.gguf or not"
        raise PresetError.at("preset", "handle", expected, shown(handle))
    repository = _Repository(handle, match["repo"], match["revision"] or "main", match["file"])
    folder = run(lambda transfer: _fetch(repository, weights, transfer))
    return folder if repository.file is None else folder / repository.file


def _is_valid(name: str) -> bool:
    try:
        validate_repo_id(name)
    except HFValidationError:
        return False
    return True


def _fetch(repository: _Repository, weights: bool, transfer: Transfer) -> Path:
    with disk_errors(repository.handle, repository.cache):
        try:
            return _download(repository, weights, transfer)
        except RevisionNotFoundError:
            revision = shown(repository.revision)
            raise PresetError(
                f"{repository.handle}: the repository has no branch, tag or commit {revision}; "
                f"see {repository.page}/tree/main"
            ) from None
        except (HTTPError, OfflineModeIsEnabled, LocalEntryNotFoundError, JSONDecodeError) as error:
            problem = _explained(error, repository)
        cached = _cached(repository, weights)
        if cached is None:
            raise PresetError(f"{repository.handle}: {problem}")
        return cached


def _download(repository: _Repository, weights: bool, transfer: Transfer) -> Path:
    commit, listing = _list(repository)
    chosen = repository.choose(listing, weights)
    snapshot = repository.cache / "snapshots" / commit
    missing = [file for file in chosen if not (snapshot / file.name).exists()]
    transfer.meter.total = sum(file.size for file in chosen)
    transfer.meter.start_at(transfer.meter.total - sum(file.size for file in missing))
    needed = sum(_to_come(repository, file) for file in missing)
    check_space(repository.handle, repository.cache, needed, "HF_HUB_CACHE")
    large = [file for file in missing if file.sha256 is not None]
    transfer.each(lambda file: _fetch_large(repository, commit, file, transfer), large)
    return _snapshot(repository, [file.name for file in chosen], tqdm_class=_silent(transfer))


def _list(repository: _Repository) -> tuple[str, list[ListedFile]]:
    """Return the commit of the revision, and its files."""
    info = HfApi().model_info(
        repository.name,
        revision=repository.revision,
        files_metadata=True,
        timeout=_LISTING_TIMEOUT,
    )
    if not isinstance(info.sha, str) or not _COMMIT.fullmatch(info.sha):
        raise PresetError.at(repository.handle, "commit", "40 hexadecimal digits", shown(info.sha))
    return info.sha, [
        ListedFile(file.rfilename, file.size or 0, _sha256(file.lfs.sha256) if file.lfs else None)
        for file in info.siblings or ()
    ]


def _sha256(stated: object) -> str | None:
    return stated if isinstance(stated, str) and _SHA256.fullmatch(stated) else None


def _blob(repository: _Repository, file: ListedFile) -> Path:
    return repository.cache / "blobs" / str(file.sha256)


def _incomplete(repository: _Repository, file: ListedFile) -> Path:
    return _blob(repository, file).with_suffix(".incomplete")


def _to_come(repository: _Repository, file: ListedFile) -> int:
    """Return the bytes of a file that are still missing."""
    paths = [_blob(repository, file), _incomplete(repository, file)]
    return file.size - max((path.stat().st_size for path in paths if path.exists()), default=0)


def _fetch_large(
    repository: _Repository, commit: str, file: ListedFile, transfer: Transfer
) -> None:
    """Fetch one file into the blob cache, where the library finds it."""
    blob = _blob(repository, file)
    lock = repository.cache.parent / ".locks" / repository.cache.name / f"{blob.name}.lock"
    with holding(lock, transfer):
        if blob.exists():
            transfer.meter.start_at(file.size)
            return
        incomplete = _incomplete(repository, file)
        with PartialFile(incomplete, file.name, file.size, "sha256", transfer) as partial:
            if partial.size < file.size:
                http_get(
                    hf_hub_url(repository.name, file.name, revision=commit),
                    cast(BinaryIO, partial),  # `http_get` writes to it and reads the start position
                    resume_size=partial.size,
                    headers=build_hf_headers(),
                    displayed_filename=file.name,
                    tqdm_class=_silent(transfer),
                )
            partial.land(blob, bytes.fromhex(str(file.sha256)))


def _snapshot(repository: _Repository, patterns: Iterable[str], **options: Any) -> Path:
    folder = snapshot_download(
        repository.name, revision=repository.revision, allow_patterns=list(patterns), **options
    )
    return Path(folder)


def _silent(transfer: Transfer) -> type[tqdm.tqdm]:
    """Return a progress bar that shows nothing and stops the library once the caller has left."""

    class Silent(tqdm.tqdm):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **{**options, "disable": True})

        def update(self, n: float | None = 1) -> None:
            transfer.check()

    return Silent


def _cached(repository: _Repository, weights: bool) -> Path | None:
    """Return the folder in the cache, or None if it is incomplete."""
    try:
        patterns = SMALL if repository.file is None else (repository.file,)
        folder = _snapshot(repository, patterns, local_files_only=True)
        files = (path for path in folder.rglob("*") if path.is_file())
        names = (path.relative_to(folder).as_posix() for path in files)
        repository.choose(map(ListedFile, names), weights)
    except (LocalEntryNotFoundError, PresetError):
        return None
    return folder


def _explained(error: Exception, repository: _Repository) -> str:
    """Explain an error and what to do. The library's own message may hold signed addresses."""
    if isinstance(error, GatedRepoError):
        return (
            f"this repository asks for consent. Accept its terms at {repository.page} with your "
            f"account, then {_log_in()}"
        )
    status = error.response.status_code if isinstance(error, HfHubHTTPError) else None
    if isinstance(error, RepositoryNotFoundError) or (status == 401 and get_token() is None):
        return (
            f"there is no repository {repository.page}, or it is private. Check the name; if it "
            f"is private, {_log_in()}"
        )
    if status is not None:
        return _refusal(status)
    return (
        f"{constants.ENDPOINT} cannot be reached"
        + (" (HF_HUB_OFFLINE is set)" if constants.HF_HUB_OFFLINE else "")
        + f", and the cache {constants.HF_HUB_CACHE} holds no complete copy. Connect to the "
        "network and try again (what has come so far is kept), or pass the path of a folder."
    )


def _refusal(status: int) -> str:
    if status == 401:
        return f"the hub did not accept the token. Make a new one and {_log_in(new=True)}"
    if status == 403:
        return f"the hub refused access (status 403). Check your account's rights and {_log_in()}"
    if status == 429:
        return f"the hub had too many requests from here (status 429). Wait, or {_log_in()}"
    return f"the hub answered with status {status}. Try again later"


def _log_in(new: bool = False) -> str:
    steps = (
        f"log in: make a token at {constants.ENDPOINT}/settings/tokens and set the environment "
        "variable HF_TOKEN, or call huggingface_hub.login()."
    )
    if new or get_token() is None:
        return steps
    return f"{steps} A token is set, but its account or its rights do not suffice."
