"""Presets from Kaggle: its real client library before a server on this machine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import kagglehub
import pytest
from hub_server import CHUNK, KaggleServer
from kagglesdk import kaggle_env
from patience import SLOW, until
from preset_files import refused, same_weights
from test_hugging_face import HOSTILE, content
from tiny import GOLDENS

import workbench as wb
from workbench.errors import LoadCancelled
from workbench.presets.handles import resolve
from workbench.presets.hubs import kaggle
from workbench.storage.progress import listening

HANDLE = "kaggle://tiny/model/keras/small"
VERSIONED = f"{HANDLE}/3"
KEY = "SECRETkeySECRET"
BIG = "model.weights.h5"
PRESET = content(GOLDENS / "keras_hub" / "llama")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Where kagglehub keeps the versions of the model."""
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "models" / "tiny" / "model" / "keras" / "small"


@pytest.fixture
def hub(tmp_path, monkeypatch, cache):
    """The stand-in, serving a tiny Llama in KerasHub's layout."""
    for name in ("KAGGLE_USERNAME", "KAGGLE_KEY", "KAGGLE_API_TOKEN", "TBE_RUNTIME_ADDR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(tmp_path / "home"))
    monkeypatch.setenv("KAGGLE_API_ENVIRONMENT", "LOCALHOST")
    monkeypatch.setattr(kaggle, "_CHUNK", CHUNK)
    monkeypatch.setattr(kaggle, "_PAUSE", 0.01)
    server = KaggleServer(PRESET | {"README.md": b"x", "pytorch_model.bin": b"x"})
    with server.running():
        monkeypatch.setitem(kaggle_env._env_to_endpoint, kaggle_env.KaggleEnv.LOCAL, server.url)
        yield server


@pytest.fixture
def logged_in(monkeypatch):
    monkeypatch.setenv("KAGGLE_USERNAME", "someone")
    monkeypatch.setenv("KAGGLE_KEY", KEY)


def there(cache, version="3"):
    """Names of the files that are in their place."""
    folder = cache / version
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def test_a_preset_loads(hub):
    lm = wb.models.CausalLM.from_preset(HANDLE, dtype="float32")
    local = wb.models.CausalLM.from_preset(str(GOLDENS / "keras_hub" / "llama"), dtype="float32")
    assert same_weights(lm.backbone, local.backbone)
    assert lm.preprocessor is not None


def test_only_what_a_preset_needs_is_fetched(hub, cache):
    assert resolve(HANDLE, weights=False) == cache / "3"
    assert BIG not in there(cache)
    resolve(HANDLE)
    assert there(cache) == sorted(PRESET)
    before = dict(hub.sent)
    resolve(HANDLE)
    assert hub.sent == before


def test_a_listing_of_many_pages_is_read_to_its_end(hub, cache):
    hub.page_size = 3
    resolve(HANDLE)
    assert there(cache) == sorted(PRESET)


def test_a_version_that_is_there_asks_nobody(hub):
    folder = resolve(VERSIONED)
    hub.log.clear()
    assert resolve(VERSIONED) == folder
    assert resolve(VERSIONED, weights=False) == folder
    assert hub.log == []


def test_a_damaged_copy_is_not_used_unasked(hub, cache):
    resolve(VERSIONED)
    (cache / "3" / "config.json").unlink()
    folder = resolve(VERSIONED)
    assert (folder / "config.json").read_bytes() == PRESET["config.json"]


def test_what_kagglehub_downloaded_is_used(hub, cache):
    hub.library_downloads = True
    for name in PRESET:
        kagglehub.model_download("tiny/model/keras/small/3", name)
    sent = dict(hub.sent)
    assert resolve(HANDLE) == cache / "3"
    assert hub.sent == sent
    hub.stop()
    assert resolve(HANDLE) == cache / "3"


def test_kagglehub_uses_what_was_downloaded_here(hub):
    folder = resolve(HANDLE)
    sent = hub.sent[BIG]
    path = kagglehub.model_download("tiny/model/keras/small/3", BIG)
    assert path == str(folder / BIG)
    assert hub.sent[BIG] == sent


def test_a_model_or_version_that_is_not_there(hub):
    for handle in (f"{HANDLE}/99", "kaggle://tiny/other/keras/small"):
        with refused("no such model, variation or version; see http"):
            resolve(handle)


@pytest.mark.parametrize("status", [401, 403])
def test_a_refusal_asks_to_log_in(hub, status):
    hub.status = status
    with refused(r"logged in: make a token at https.*kaggle.json.*accept its terms at") as caught:
        resolve(HANDLE)
    assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize("status", [401, 403])
def test_a_refusal_of_an_account_asks_for_consent(hub, logged_in, status):
    hub.status = status
    with refused(r"refuses your account .*Accept its terms at .*/tiny/model/") as caught:
        resolve(HANDLE)
    assert "SECRET" not in str(caught.value)
    assert hub.log[0][3].startswith("Basic ")


def test_a_token_goes_to_kaggle_and_not_to_its_storage(hub, logged_in):
    resolve(HANDLE)
    assert {auth for _, path, _, auth in hub.log if "storage" in path} == {None}
    assert None not in {auth for _, path, _, auth in hub.log if "storage" not in path}


def test_a_malformed_credentials_file_is_named(hub, tmp_path):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "kaggle.json").write_text(json.dumps({"key": KEY}))
    with refused("kaggle.json is missing 'username'") as caught:
        resolve(HANDLE)
    assert KEY not in str(caught.value)


def test_an_answer_that_is_none(hub):
    hub.status = 500
    with refused("answered with status 500"):
        resolve(HANDLE)


@pytest.mark.parametrize("handle", [HANDLE, VERSIONED])
def test_offline(hub, handle):
    hub.stop()
    with refused("Kaggle cannot be reached, and the cache .* holds no complete copy"):
        resolve(handle)


@pytest.mark.parametrize("handle", [HANDLE, VERSIONED])
def test_a_cached_copy_works_offline(hub, handle):
    folder = resolve(handle)
    hub.stop()
    assert resolve(handle) == folder


def test_a_copy_without_weights_is_not_complete_offline(hub):
    folder = resolve(VERSIONED, weights=False)
    hub.stop()
    assert resolve(VERSIONED, weights=False) == folder
    with refused("holds no complete copy"):
        resolve(VERSIONED)


def test_a_broken_connection_is_continued(hub):
    hub.cut[BIG] = 10 * CHUNK
    folder = resolve(HANDLE)
    assert (folder / BIG).read_bytes() == PRESET[BIG]
    ranges = [entry[2] for entry in hub.requests(f"storage/{BIG}")]
    assert ranges[:3] == [None, None, None]  # looked up, broken off, looked up again
    assert 0 < int(ranges[3].removeprefix("bytes=").rstrip("-")) <= 10 * CHUNK


def test_a_server_that_cannot_continue_sends_everything_again(hub):
    hub.cut[BIG], hub.ranges = 10 * CHUNK, False
    folder = resolve(HANDLE)
    assert (folder / BIG).read_bytes() == PRESET[BIG]


def test_leftovers_that_are_too_long_are_fetched_again(hub, cache):
    partial = cache / ".partial" / "3" / BIG
    partial.parent.mkdir(parents=True)
    partial.write_bytes(PRESET[BIG] + b"more")
    assert (resolve(HANDLE) / BIG).read_bytes() == PRESET[BIG]


def test_a_connection_that_keeps_breaking_is_given_up(hub, monkeypatch):
    monkeypatch.setattr(kaggle, "_RETRIES", 2)
    hub.lie[BIG] = len(PRESET[BIG]) + 100
    with refused("cannot be reached"):
        resolve(HANDLE)


def test_other_content_than_stated_is_refused(hub, cache, monkeypatch):
    headers = {"Accept-Ranges": "bytes", "x-goog-hash": "md5=AAAAAAAAAAAAAAAAAAAAAA=="}
    monkeypatch.setattr(hub, "storage_headers", lambda name: headers)
    with refused("md5 checksum"):
        resolve(HANDLE)
    assert there(cache) == []


@pytest.mark.parametrize("name", HOSTILE)
def test_a_listing_that_leads_outside_is_refused(hub, cache, name):
    hub.listed.append((name, 3))
    with refused("a path inside the repository"):
        resolve(HANDLE)
    assert hub.sent == {}


def test_a_full_disk_is_said_before_the_download(hub, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=1000))
    with refused(r"disk is too full: \d+ bytes to download, 1000 bytes free.*KAGGLEHUB_CACHE"):
        resolve(HANDLE)
    assert hub.sent == {}


def test_progress_never_goes_back_and_ends_complete(hub, monkeypatch):
    monkeypatch.setattr("workbench.presets.hubs.transfer.INTERVAL", 0.001)
    monkeypatch.setattr("workbench.storage.progress.INTERVAL", 0)
    hub.stalled[BIG] = 20 * CHUNK
    told = []

    def listen(progress):
        told.append(progress)
        if progress.done >= 19 * CHUNK:
            hub.release.set()

    with listening(listen):
        resolve(HANDLE)
    done = [progress.done for progress in told]
    assert done == sorted(done)
    assert done[-1] == sum(map(len, PRESET.values())) == told[-1].total
    assert any(0 < d < done[-1] for d in done)


def test_a_download_can_be_cancelled_at_once_and_continued(hub, cache):
    hub.stalled[BIG] = 20 * CHUNK
    partial, moments = cache / ".partial" / "3" / BIG, []

    def cancel(progress):
        stalled = hub.sent.get(BIG, 0) >= 20 * CHUNK
        if stalled and partial.is_file() and partial.stat().st_size:  # has begun to arrive
            moments.append(time.monotonic())
            raise LoadCancelled

    with listening(cancel), pytest.raises(LoadCancelled):
        resolve(HANDLE)
    assert time.monotonic() - moments[0] < 3 * SLOW, "the server stalls for longer"
    assert BIG not in there(cache)
    del hub.stalled[BIG]
    hub.release.set()
    folder = resolve(HANDLE)
    assert (folder / BIG).read_bytes() == PRESET[BIG]
    assert hub.requests(f"storage/{BIG}")[-1][2] is not None


CHILD = """
from kagglesdk import kaggle_env
kaggle_env._env_to_endpoint[kaggle_env.KaggleEnv.LOCAL] = "{url}"
from workbench.presets.hubs import kaggle
kaggle._CHUNK = {chunk}
from workbench.presets.handles import resolve
resolve("{handle}")
"""


def child(hub):
    program = CHILD.format(url=hub.url, chunk=CHUNK, handle=HANDLE)
    return subprocess.Popen([sys.executable, "-c", program], env=dict(os.environ))


def test_two_downloads_at_once_share_the_work(hub, cache):
    children = [child(hub), child(hub)]
    assert [process.wait() for process in children] == [0, 0]
    assert there(cache) == sorted(PRESET)
    assert (cache / "3" / BIG).read_bytes() == PRESET[BIG]
    assert hub.sent[BIG] == len(PRESET[BIG])


def test_a_download_from_before_a_kill_is_continued(hub, cache):
    hub.stalled[BIG] = 20 * CHUNK
    resolve(HANDLE, weights=False)
    partial = cache / ".partial" / "3" / BIG
    process = child(hub)
    try:
        until(lambda: partial.is_file() and partial.stat().st_size >= 19 * CHUNK)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert BIG not in there(cache)
    hub.release.set()
    resolve(HANDLE, weights=False)
    assert (resolve(HANDLE) / BIG).read_bytes() == PRESET[BIG]
    assert not [path for path in cache.glob(".partial/**/*") if path.is_file()]
    begins = hub.requests(f"storage/{BIG}")[-1][2]
    assert int(begins.removeprefix("bytes=").rstrip("-")) >= 19 * CHUNK


def test_where_the_files_are_mounted_nothing_is_downloaded(hub, tmp_path, monkeypatch):
    mounted = GOLDENS / "keras_hub" / "llama"
    monkeypatch.setenv("TBE_RUNTIME_ADDR", f"127.0.0.1:{hub.port}")
    monkeypatch.setenv("COLAB_CACHE_MOUNT_FOLDER", str(mounted.parent))
    monkeypatch.setattr(
        hub, "answer", lambda handler, path, body: handler.reply_json({"slug": mounted.name})
    )
    assert resolve(HANDLE) == mounted
    assert hub.sent == {}


def test_a_mount_that_fails(hub, monkeypatch):
    monkeypatch.setenv("TBE_RUNTIME_ADDR", f"127.0.0.1:{hub.port}")
    monkeypatch.setattr(hub, "answer", lambda handler, *_: handler.reply_json({}))
    with refused(r"own copy cannot be mounted \(BackendError\)"):
        resolve(HANDLE)
