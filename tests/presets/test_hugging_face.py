"""Presets from the Hugging Face Hub: its real client library before a server on this machine."""

from __future__ import annotations

import errno
import io
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import pytest
from gguf_files import write_golden
from hub_server import CHUNK, HuggingFaceServer
from huggingface_hub import constants
from patience import SLOW, until
from preset_files import refused, same_weights
from tiny import GOLDENS

import workbench as wb
from workbench.errors import LoadCancelled
from workbench.presets.handles import resolve
from workbench.storage.progress import listening

HANDLE = "hf://tiny/model"
TOKEN = "hf_SECRETsecretSECRET"
BIG = "model.safetensors"


def content(folder, *without):
    """A folder's files by name."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith("golden") and path.name not in without
    }


TRANSFORMERS = content(GOLDENS / "hf" / "llama")
KERAS_HUB = content(GOLDENS / "keras_hub" / "llama_sharded")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


@pytest.fixture
def hub(tmp_path, monkeypatch, cache):
    """The stand-in, serving a tiny Llama in Transformers' layout."""

    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", CHUNK)
    server = HuggingFaceServer(TRANSFORMERS | {"pytorch_model.bin": b"x", "modeling.py": b"x"})
    with server.running():
        template = "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "ENDPOINT", server.url)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", server.url + template)
        yield server


def snapshot(cache, commit="a" * 40):
    return cache / "models--tiny--model" / "snapshots" / commit


def there(cache):
    """What a user of the cache can see: names of complete files."""
    return sorted(p.relative_to(snapshot(cache)).as_posix() for p in _files(snapshot(cache)))


def _files(folder):
    return (path for path in folder.rglob("*") if path.is_file())


def test_a_transformers_repository_loads(hub):
    backbone = wb.models.Backbone.from_preset(HANDLE, dtype="float32")
    local = wb.models.Backbone.from_preset(str(GOLDENS / "hf" / "llama"), dtype="float32")
    assert same_weights(backbone, local)


def test_a_keras_hub_repository_loads(hub, cache):
    hub.files = dict(KERAS_HUB)
    lm = wb.models.CausalLM.from_preset(HANDLE, dtype="float32")
    folder = GOLDENS / "keras_hub" / "llama_sharded"
    local = wb.models.CausalLM.from_preset(str(folder), dtype="float32")
    assert same_weights(lm.backbone, local.backbone)
    assert lm.preprocessor is not None
    assert there(cache) == sorted(KERAS_HUB)


def test_only_what_a_preset_needs_is_fetched(hub, cache):
    assert resolve(HANDLE, weights=False) == snapshot(cache)
    assert there(cache) == ["config.json"]
    assert resolve(HANDLE) == snapshot(cache)
    assert there(cache) == ["config.json", "model.safetensors"]
    before = dict(hub.sent)
    resolve(HANDLE)
    assert hub.sent == before


def test_the_model_is_known_to_fit_before_its_weights_are_fetched(hub, cache):
    hub.files["config.json"] = b'{"model_type": "nonsense"}'
    with refused("'nonsense' is not a family"):
        wb.models.CausalLM.from_preset(HANDLE)
    assert there(cache) == ["config.json"]


def test_a_revision_is_a_branch_or_a_commit(hub, cache):
    hub.branches["refs/pr/1"] = hub.revision = "c" * 40
    for revision in ("refs/pr/1", "c" * 40):
        assert resolve(f"{HANDLE}@{revision}") == snapshot(cache, "c" * 40)
    with refused(r"no branch, tag or commit 'nope'"):
        resolve(f"{HANDLE}@nope")


def test_one_gguf_file_can_be_named(hub, tmp_path):
    file = tmp_path / "tiny.F32.gguf"
    write_golden(file, GOLDENS / "hf" / "llama")
    hub.files = {file.name: file.read_bytes(), "tiny.Q8_0.gguf": b"x", "README.md": b"x"}
    handle = f"{HANDLE}@main/{file.name}"
    backbone = wb.models.Backbone.from_preset(handle, dtype="float32")
    assert same_weights(backbone, wb.models.Backbone.from_preset(str(file), dtype="float32"))
    assert "tiny.Q8_0.gguf" not in hub.sent
    with refused("with config.json, found README.md, tiny.F32.gguf.*GGUF file is loaded by its"):
        resolve(HANDLE)
    with refused(r"holds no 'other.gguf', only README.md, tiny.F32.gguf"):
        resolve(f"{HANDLE}/other.gguf")
    hub.stop()
    assert resolve(handle).read_bytes() == file.read_bytes()


def test_the_parts_of_a_gguf_file_come_together(hub, cache):
    parts = [f"tiny-0000{part}-of-00003.gguf" for part in (1, 2, 3)]
    hub.files = dict.fromkeys(parts, b"x" * CHUNK)
    assert resolve(f"{HANDLE}/{parts[0]}") == snapshot(cache) / parts[0]
    assert there(cache) == parts
    del hub.files[parts[1]]
    with refused("holds no 'tiny-00002-of-00003.gguf'"):
        resolve(f"{HANDLE}/{parts[0]}")


def test_a_missing_shard_is_named(hub, cache):
    parts = [f"model-0000{part}-of-00003.safetensors" for part in (1, 2, 3)]
    hub.files = {"config.json": b"{}"} | dict.fromkeys(parts, b"x" * CHUNK)
    folder = resolve(HANDLE)
    (folder / parts[2]).resolve().unlink()
    hub.stop()
    with refused("holds no complete copy"):
        resolve(HANDLE)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "tf_model.h5", "weights.pt"])
def test_weights_that_are_not_read_are_named(hub, name):
    hub.files = {"config.json": b"{}", name: b"x"}
    with refused(f"found {name}. Pickled weights are never read"):
        resolve(HANDLE)
    assert name not in hub.sent


@pytest.mark.parametrize(
    ("status", "code", "message"),
    [
        (401, "GatedRepo", "Accept its terms at .*/tiny/model .*HF_TOKEN"),
        (403, "GatedRepo", "Accept its terms at .*/tiny/model .*HF_TOKEN"),
        (401, "RepoNotFound", "no repository .*/tiny/model, or it is private.*HF_TOKEN"),
        (404, "RepoNotFound", "no repository .*/tiny/model, or it is private.*HF_TOKEN"),
        (403, None, "refused access .*HF_TOKEN"),
        (429, None, "too many requests"),
        (500, None, "status 500. Try again later"),
    ],
)
@pytest.mark.parametrize("token", [None, TOKEN])
def test_a_refusal_says_what_to_do(hub, monkeypatch, status, code, message, token):
    hub.status, hub.error_code = status, code
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    with refused(message, seconds=5) as caught:
        resolve(HANDLE)
    assert TOKEN not in str(caught.value)
    if "HF_TOKEN" in message:
        assert ("A token is set, but" in str(caught.value)) == (token is not None)


@pytest.mark.parametrize("weights", [False, True])
def test_files_that_are_gated_behind_an_open_listing(hub, weights):
    hub.status, hub.error_code, hub.open_listing = 403, "GatedRepo", True
    with refused("Accept its terms at .*/tiny/model .*HF_TOKEN", seconds=5):
        resolve(HANDLE, weights)


def test_a_page_that_is_no_hub(hub, monkeypatch):
    """What a network that wants a login first answers to everything."""
    monkeypatch.setattr(hub, "answer", lambda handler, *_: handler.reply(200, {}, b"<html>"))
    with refused("cannot be reached"):
        resolve(HANDLE)


def test_a_token_that_is_not_accepted(hub, monkeypatch):
    hub.status = 401
    with refused("no repository .*, or it is private"):
        resolve(HANDLE)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with refused("did not accept the token. Make a new one"):
        resolve(HANDLE)


def test_a_token_goes_to_the_hub_and_not_to_its_storage(hub, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    resolve(HANDLE)
    by_place = {"storage" in path: auth for _, path, _, auth in hub.log}
    assert by_place == {False: f"Bearer {TOKEN}", True: None}


def test_offline_without_a_copy(hub, cache):
    hub.stop()
    with refused("cannot be reached, and the cache .* holds no complete copy", seconds=10):
        resolve(HANDLE)


@pytest.mark.parametrize("how", ["no network", "HF_HUB_OFFLINE", "no access"])
def test_a_cached_copy_works_offline(hub, cache, monkeypatch, how):
    folder = resolve(HANDLE)
    if how == "no network":
        hub.stop()
    elif how == "no access":
        hub.status, hub.error_code = 403, "GatedRepo"
    else:
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert resolve(HANDLE) == folder


def test_a_copy_without_weights_is_not_complete_offline(hub, cache):
    folder = resolve(HANDLE, weights=False)
    hub.stop()
    assert resolve(HANDLE, weights=False) == folder
    with refused("holds no complete copy", seconds=10):
        resolve(HANDLE)


def test_what_another_program_cached_is_used(hub, cache):
    for name in ("config.json", BIG):
        huggingface_hub.hf_hub_download("tiny/model", name, endpoint=hub.url)
    before = hub.sent[BIG]
    folder = resolve(HANDLE)
    assert hub.sent[BIG] == before
    hub.stop()
    assert resolve(HANDLE) == folder


def test_links_lead_into_the_cache_and_not_out_of_it(hub, cache, tmp_path):
    """Newer versions of the library keep what several repositories share in one place for all."""
    folder = resolve(HANDLE)
    blob, shared = (folder / BIG).resolve(), cache / "blobs" / "ab" / "abcd"
    shared.parent.mkdir(parents=True)
    blob.rename(shared)
    blob.symlink_to(shared)
    wb.models.Backbone.from_preset(HANDLE)
    blob.unlink()
    blob.symlink_to(shared.rename(tmp_path / "outside"))
    with refused("a link leading outside"):
        wb.models.Backbone.from_preset(HANDLE)


def test_a_broken_connection_is_continued(hub):
    hub.cut[BIG] = 10 * CHUNK
    folder = resolve(HANDLE)
    assert (folder / BIG).read_bytes() == TRANSFORMERS[BIG]
    first, second = hub.requests("storage")
    assert first[2] is None
    assert 0 < int(second[2].removeprefix("bytes=").rstrip("-")) <= 10 * CHUNK


def test_a_download_from_before_a_kill_is_continued(hub, cache):
    hub.stalled[BIG] = 20 * CHUNK
    program = f"""
        from huggingface_hub import constants
        constants.DOWNLOAD_CHUNK_SIZE = {CHUNK}
        from workbench.presets.handles import resolve
        resolve("{HANDLE}")
    """
    environment = {**os.environ, "HF_ENDPOINT": hub.url, "HF_HUB_CACHE": str(cache)}
    lines = "\n".join(line.strip() for line in program.splitlines())
    child = subprocess.Popen([sys.executable, "-c", lines], env=environment)
    try:
        partial = cache / "models--tiny--model" / "blobs"
        until(lambda: any(p.stat().st_size >= 19 * CHUNK for p in partial.glob("*.incomplete")))
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    assert not snapshot(cache).exists()
    hub.release.set()
    folder = resolve(HANDLE)
    assert (folder / BIG).read_bytes() == TRANSFORMERS[BIG]
    begins = hub.requests("storage")[-1][2]
    assert int(begins.removeprefix("bytes=").rstrip("-")) >= 19 * CHUNK


def test_a_server_that_cannot_continue_sends_everything_again(hub):
    hub.cut[BIG], hub.ranges = 10 * CHUNK, False
    folder = resolve(HANDLE)
    assert (folder / BIG).read_bytes() == TRANSFORMERS[BIG]


@pytest.mark.parametrize("size", [len(TRANSFORMERS[BIG]) - 5, 1000])
def test_more_bytes_than_stated_are_refused(hub, cache, size):
    hub.lie[BIG] = size
    with refused("model.safetensors"):
        resolve(HANDLE)
    assert not snapshot(cache).exists()


def test_other_content_than_stated_is_refused(hub, cache, monkeypatch):
    right = TRANSFORMERS[BIG]
    hub.files[BIG] = right[:-1] + bytes([right[-1] ^ 1])
    monkeypatch.setattr(hub, "sha", lambda name: "0" * 64)
    with refused("sha256 checksum"):
        resolve(HANDLE)
    assert not snapshot(cache).exists()
    assert not list((cache / "models--tiny--model" / "blobs").iterdir())


HOSTILE = [
    "../config.json",
    "assets/../../x.json",
    "/etc/model.safetensors",
    "a\\..\\config.json",
    "C:/config.json",
    "C:config.json",
    "nul\0.json",
    "./config.json",
    "a//b",
    "assets/tokenizer/..",
    "",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_listing_that_leads_outside_is_refused(hub, tmp_path, name):
    hub.listed.append((name, 3))
    with refused("a path inside the repository"):
        resolve(HANDLE)
    assert not list(_files(tmp_path))


@pytest.mark.parametrize("name", ["assets/x/nul", "assets/con/a", "assets/x/ a", "assets/x/a."])
def test_a_file_name_no_system_takes_is_refused(hub, tmp_path, name):
    hub.listed.append((name, 3))
    with refused("the name of a file in the preset"):
        resolve(HANDLE)
    assert not list(_files(tmp_path))


def test_a_commit_that_leads_outside_is_refused(hub, tmp_path):
    hub.branches["main"] = hub.revision = "../../../outside"
    with refused("40 hexadecimal digits"):
        resolve(HANDLE)
    assert not list(_files(tmp_path))


def test_a_full_disk_is_said_before_the_download(hub, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=1000))
    with refused(r"disk is too full: \d+ bytes to download, 1000 bytes free.*HF_HUB_CACHE"):
        resolve(HANDLE)
    assert hub.sent == {}


def test_a_disk_that_fills_up_during_the_download(hub, cache, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with refused("the disk is full: .* free in .*models--tiny--model"):
        resolve(HANDLE)
    assert not snapshot(cache).exists()


def test_a_cache_that_cannot_be_written(hub, cache):
    cache.write_text("a file where the cache should be")
    with refused("cannot be written: (Not a directory|File exists)"):
        resolve(HANDLE)


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
    total = sum(len(TRANSFORMERS[name]) for name in ("config.json", BIG))
    assert {progress.stage for progress in told} == {"downloading"}
    assert done == sorted(done)
    assert done[-1] == total == told[-1].total
    assert any(0 < d < total for d in done)
    assert any(progress.rate for progress in told)
    assert BIG in {progress.file for progress in told}


class Terminal(io.StringIO):
    """Text that says it is a terminal."""

    def isatty(self):
        return True


def test_a_bar_shows_what_nobody_listens_to(hub, monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    with listening(lambda progress: None):
        resolve(HANDLE, weights=False)
    assert terminal.getvalue() == ""
    hub.stalled[BIG] = 20 * CHUNK
    release_later(hub)
    resolve(HANDLE)
    assert "model.safetensors" in terminal.getvalue()
    assert "100%" in terminal.getvalue()
    before = terminal.getvalue()
    resolve(HANDLE)
    assert terminal.getvalue() == before


def release_later(hub):
    """Let a download go on half a second after it has stalled."""

    def release():
        until(lambda: hub.sent.get(BIG, 0) >= 20 * CHUNK)
        time.sleep(0.5)
        hub.release.set()

    threading.Thread(target=release, daemon=True).start()


def test_nothing_is_shown_in_a_log_file(hub, capfd):
    hub.stalled[BIG] = 20 * CHUNK
    release_later(hub)
    resolve(HANDLE)
    assert capfd.readouterr() == ("", "")


def test_a_download_can_be_cancelled_at_once_and_continued(hub, cache):
    hub.stalled[BIG] = 20 * CHUNK
    moments = []

    def cancel(progress):
        if progress.done >= 19 * CHUNK:
            moments.append(time.monotonic())
            raise LoadCancelled

    with listening(cancel), pytest.raises(LoadCancelled):
        resolve(HANDLE)
    assert time.monotonic() - moments[0] < 3 * SLOW, "the server stalls for longer"
    assert not snapshot(cache).exists()
    blobs = cache / "models--tiny--model" / "blobs"
    assert [path.suffix for path in blobs.iterdir()] == [".incomplete"]
    del hub.stalled[BIG]
    hub.release.set()
    folder = resolve(HANDLE)
    assert (folder / BIG).read_bytes() == TRANSFORMERS[BIG]
    assert hub.requests("storage")[-1][2] is not None


def test_two_downloads_at_once_share_the_work(hub, cache):
    program = f"from workbench.presets.handles import resolve; resolve('{HANDLE}')"
    environment = {**os.environ, "HF_ENDPOINT": hub.url, "HF_HUB_CACHE": str(cache)}
    children = [
        subprocess.Popen([sys.executable, "-c", program], env=environment) for _ in range(2)
    ]
    assert [child.wait() for child in children] == [0, 0]
    assert (snapshot(cache) / BIG).read_bytes() == TRANSFORMERS[BIG]
    assert hub.sent[BIG] == len(TRANSFORMERS[BIG])
    assert Path(snapshot(cache) / BIG).is_symlink()
