"""Fetches presets from Kaggle with `kagglehub`, its cache and its API client.

The library does not check the names in a listing, writes files directly to their final path, locks
nothing, and fetches an archive of everything if there are more than 25 files. So it only provides
credentials, listings and locations, and this module downloads the needed files. The cache is shared
with kagglehub and KerasHub in both directions. In notebooks that mount Kaggle's files, the library
only gives their location.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import kagglehub
import requests
from kagglehub.clients import build_kaggle_client
from kagglehub.colab_cache_resolver import ModelColabCacheResolver
from kagglehub.config import get_cache_folder, get_kaggle_credentials
from kagglehub.exceptions import (
    BackendError,
    ColabEnvironmentError,
    CredentialError,
    KaggleEnvironmentError,
    handle_call,
)
from kagglehub.handle import ModelHandle, parse_model_handle
from kagglehub.integrity import get_md5_checksum_from_response
from kagglehub.kaggle_cache_resolver import ModelKaggleCacheResolver
from kagglesdk.models.types.model_api_service import (
    ApiDownloadModelInstanceVersionRequest,
    ApiGetModelInstanceRequest,
    ApiListModelInstanceVersionFilesRequest,
)

from workbench.errors import PresetError
from workbench.presets.hubs import kaggle_cache as cache
from workbench.presets.hubs.disk import check_space, disk_errors
from workbench.presets.hubs.partial import PartialFile
from workbench.presets.hubs.selection import ListedFile, choose
from workbench.presets.hubs.transfer import Transfer, holding, run
from workbench.storage.json_files import shown
from workbench.storage.paths import plain_name

_HANDLE = re.compile(r"kaggle://([\w.-]+(/[\w.-]+){3}(/[1-9][0-9]{0,8})?)", re.ASCII)
_LOG_IN = (
    "make a token at https://www.kaggle.com/settings and save it as ~/.kaggle/kaggle.json or set "
    "KAGGLE_USERNAME and KAGGLE_KEY, or call kagglehub.login()"
)
_PAGE = 100  # files per request
_CHUNK = 2**20
_TIMEOUT = (5, 15)  # seconds to connect, and between two bytes
_RETRIES = 5  # consecutive attempts without new bytes
_PAUSE = 1.0  # seconds between them
_LOST = (
    requests.exceptions.ConnectionError,
    requests.exceptions.Timeout,
    requests.exceptions.ChunkedEncodingError,
)
_NOT_MOUNTED = (BackendError, ColabEnvironmentError, CredentialError, KaggleEnvironmentError)


def fetch(handle: str, weights: bool = True) -> Path:
    """Return the folder of a preset on Kaggle, downloaded if it is not cached.

    Args:
        handle: `kaggle://owner/model/framework/variation`, with `/version` for an older version.
        weights: whether the weights are needed.

    Raises:
        PresetError: there is no such model, access is denied, it holds no preset, Kaggle cannot be
            reached and no copy is cached, or the disk is too full.
        LoadCancelled: the progress listener stopped it.
    """
    model = _parse(handle)
    if model.is_versioned() and (folder := cache.remembered(model, weights)):
        return folder
    return run(lambda transfer: _fetch(model, handle, weights, transfer))


def _parse(handle: str) -> ModelHandle:
    expected = "kaggle://owner/model/framework/variation, and /version or not"
    match = _HANDLE.fullmatch(handle)
    if match is None:
        raise PresetError.at("preset", "handle", expected, shown(handle))
    for part in match[1].split("/"):
        plain_name(part, shown(handle))
    model = parse_model_handle(match[1])
    try:
        model.framework_enum()
    except ValueError:
        raise PresetError.at(
            handle, "framework", "one of Kaggle's", shown(model.framework)
        ) from None
    return model


def _fetch(model: ModelHandle, handle: str, weights: bool, transfer: Transfer) -> Path:
    with disk_errors(handle, Path(get_cache_folder())):
        try:
            if any(mount.is_supported(model) for mount in _mounts()):
                return Path(kagglehub.model_download(str(model)))
            return _download(model, handle, weights, transfer)
        except requests.exceptions.RequestException as error:
            problem = _explained(error, model)
        except _NOT_MOUNTED as error:
            problem = f"the notebook's own copy cannot be mounted ({type(error).__name__})"
        folder = cache.found(model, weights)
        if folder is None:
            raise PresetError(f"{handle}: {problem}")
        return folder


def _mounts() -> tuple[Any, ...]:
    return ModelKaggleCacheResolver(), ModelColabCacheResolver()


def _download(model: ModelHandle, handle: str, weights: bool, transfer: Transfer) -> Path:
    with _client(handle) as client:
        api = client.models.model_api_client
        if not model.is_versioned():
            model = model.with_version(_newest_version(api, model))
        if folder := cache.remembered(model, weights):
            return folder
        chosen = choose(_list(api, model), handle, weights)
        with holding(cache.lock_file(model), transfer):
            _fetch_missing(api, model, handle, chosen, transfer)
            cache.remember(model, chosen, weights)
    return cache.folder_of(model)


def _client(handle: str) -> Any:
    try:
        return build_kaggle_client()
    except ValueError as error:  # the message names the file and the missing key, but no values
        raise PresetError(f"{handle}: {error}") from None


def _newest_version(api: Any, model: ModelHandle) -> int:
    request = _about(ApiGetModelInstanceRequest(), model)
    return handle_call(lambda: api.get_model_instance(request), model).version_number


def _list(api: Any, model: ModelHandle) -> Iterator[ListedFile]:
    request = _about(ApiListModelInstanceVersionFilesRequest(), model)
    request.page_size = _PAGE
    while True:
        page = handle_call(lambda: api.list_model_instance_version_files(request), model)
        yield from (ListedFile(file.name, max(0, file.size)) for file in page.files)
        if not page.next_page_token:
            return
        request.page_token = page.next_page_token


def _about(request: Any, model: ModelHandle) -> Any:
    request.owner_slug, request.model_slug = model.owner, model.model
    request.framework, request.instance_slug = model.framework_enum(), model.variation
    if not isinstance(request, ApiGetModelInstanceRequest):
        request.version_number = model.version
    return request


def _fetch_missing(
    api: Any, model: ModelHandle, handle: str, chosen: list[ListedFile], transfer: Transfer
) -> None:
    missing = [file for file in chosen if not cache.has(model, file.name)]
    there = sum(file.size for file in chosen if file not in missing)
    transfer.meter.total = sum(file.size for file in chosen)
    transfer.meter.start_at(there)
    partial = [cache.partial_file(model, file.name) for file in missing]
    left = sum(path.stat().st_size for path in partial if path.exists())
    needed = transfer.meter.total - there - left
    check_space(handle, Path(get_cache_folder()), needed, "KAGGLEHUB_CACHE")
    transfer.each(lambda file: _fetch_file(api, model, file.name, transfer), missing)


def _fetch_file(api: Any, model: ModelHandle, name: str, transfer: Transfer) -> None:
    """Fetch one file into the cache."""
    with PartialFile(cache.partial_file(model, name), name, None, "md5", transfer) as partial:
        checksum = _complete(partial, lambda: _address(api, model, name), transfer)
        partial.land(cache.folder_of(model) / name, checksum)
    cache.mark(model, name)


def _complete(partial: PartialFile, address: Callable[[], str], transfer: Transfer) -> bytes | None:
    """Fetch the missing bytes, retrying after lost connections; return the stated checksum or
    None."""
    failures = 0
    while True:
        before = partial.size
        try:
            return _continue(partial, address())
        except _LOST:
            failures = failures + 1 if partial.size == before else 0
            if failures > _RETRIES:
                raise
            transfer.pause(_PAUSE)


def _address(api: Any, model: ModelHandle, name: str) -> str:
    """Return the signed address of a file, to which the API redirects."""
    request = _about(ApiDownloadModelInstanceVersionRequest(), model)
    request.path = name
    with handle_call(lambda: api.download_model_instance_version(request), model) as response:
        return response.url


def _continue(partial: PartialFile, address: str) -> bytes | None:
    """Append the missing bytes, or restart if the server cannot resume."""
    headers = {"Accept-Encoding": "identity"}
    if partial.size:
        headers["Range"] = f"bytes={partial.size}-"
    with requests.get(address, headers=headers, stream=True, timeout=_TIMEOUT) as response:
        begun = partial.size > 0 and response.status_code == 206
        if not begun:
            partial.restart()
        if response.status_code == 416 and "Range" in headers:  # we have more bytes than the server
            return _continue(partial, address)
        response.raise_for_status()
        if "Content-Length" in response.headers:
            partial.expected = partial.size + int(response.headers["Content-Length"])
        for chunk in response.iter_content(_CHUNK):
            partial.write(chunk)
        stated = get_md5_checksum_from_response(response)
        return None if stated is None else base64.b64decode(stated)


def _explained(error: requests.exceptions.RequestException, model: ModelHandle) -> str:
    """Explain an error and what to do. The library's own message may hold signed addresses."""
    if error.response is None:
        return (
            f"Kaggle cannot be reached, and the cache {get_cache_folder()} holds no complete "
            "copy. Connect to the network and try again (what has come so far is kept), or pass "
            "the path of a folder."
        )
    page, status = model.to_url(), error.response.status_code
    if status == 404:
        return f"Kaggle has no such model, variation or version; see {page}"
    if status not in (401, 403):
        return f"Kaggle answered with status {status}. Try again later"
    if get_kaggle_credentials() is None:
        return (
            f"Kaggle shows this model, if there is one, only to those who are logged in: {_LOG_IN}."
            f" If it asks for consent, accept its terms at {page}"
        )
    return (
        f"Kaggle refuses your account this model (status {status}). Accept its terms at {page} "
        f"with the account of your token; if the token is old, {_LOG_IN}"
    )
