"""The threads of a download and the one that waits for them."""

from __future__ import annotations

import hashlib
import threading

import pytest
from patience import HANG, until
from preset_files import refused

from workbench.errors import LoadCancelled
from workbench.presets.hubs.partial import PartialFile
from workbench.presets.hubs.transfer import Transfer, holding, run
from workbench.storage.progress import listening


def test_the_result_or_the_error_of_the_thread_comes_back():
    assert run(lambda transfer: 7) == 7
    with pytest.raises(ZeroDivisionError):
        run(lambda transfer: 1 / 0)


@pytest.mark.parametrize("kind", [LoadCancelled, KeyboardInterrupt])
def test_who_waits_can_leave_while_the_thread_hangs(kind, monkeypatch):
    monkeypatch.setattr("workbench.presets.hubs.transfer._PATIENCE", 0.1)
    hanging, stopped = threading.Event(), []

    def work(transfer):
        hanging.wait(HANG)
        try:
            transfer.check()
        except LoadCancelled:
            stopped.append(True)

    def leave(progress):
        raise kind

    with listening(leave), pytest.raises(kind):
        run(work)
    assert not stopped, "the thread still hangs"
    hanging.set()
    until(lambda: stopped)


def test_each_item_is_worked_on_once():
    done = []
    Transfer().each(done.append, range(50))
    assert sorted(done) == list(range(50))
    Transfer().each(done.append, [])


def test_the_first_error_stops_the_other_threads():
    transfer, begun = Transfer(), []

    def work(item):
        begun.append(item)
        if item == 3:
            raise ValueError("three")
        while True:
            transfer.pause(0.01)

    with pytest.raises(ValueError, match="three"):
        transfer.each(work, range(100))
    assert len(begun) <= 5


def test_waiting_for_a_lock_ends_with_its_release_or_a_cancel(tmp_path):
    path, transfer = tmp_path / "locks" / "a.lock", Transfer()
    entered = threading.Event()

    def enter():
        with holding(path, transfer):
            entered.set()

    with holding(path, transfer):
        thread = threading.Thread(target=enter)
        thread.start()
        assert not entered.wait(0.3)
    assert entered.wait(HANG)
    thread.join()
    with holding(path, transfer):
        transfer.stop()
        with pytest.raises(LoadCancelled), holding(path, transfer):
            pass


@pytest.fixture
def partial(tmp_path):
    """Open the file on its way, as one attempt after another does."""

    def make(expected=10):
        return PartialFile(tmp_path / "x.incomplete", "x", expected, "sha256", Transfer())

    return make


CONTENT = b"0123456789"
DIGEST = hashlib.sha256(CONTENT).digest()


def test_a_file_lands_when_it_is_whole(partial, tmp_path):
    target = tmp_path / "deep" / "x"
    with partial() as file:
        file.write(CONTENT[:4])
        with refused("x: size: expected 10 bytes, got 4"):
            file.land(target, DIGEST)
    assert not target.exists()
    with partial() as file:
        assert file.size == file.tell() == 4
        file.write(CONTENT[4:])
        file.land(target, DIGEST)
    assert target.read_bytes() == CONTENT
    assert [path.name for path in tmp_path.iterdir()] == ["deep"]


def test_what_is_wrong_is_not_kept(partial, tmp_path):
    with partial() as file, refused("sha256 checksum"):
        file.write(b"9876543210")
        file.land(tmp_path / "x", DIGEST)
    with partial() as file, refused("more than 10 bytes"):
        file.write(CONTENT + b"0")
    assert list(tmp_path.iterdir()) == []


def test_a_restart_forgets_what_came(partial, tmp_path):
    with partial() as file:
        file.write(b"wrong")
        file.seek(0)
        file.truncate()
        file.write(CONTENT)
        file.land(tmp_path / "x", DIGEST)
    assert (tmp_path / "x").read_bytes() == CONTENT


def test_leftovers_that_are_too_long_are_forgotten(partial, tmp_path):
    (tmp_path / "x.incomplete").write_bytes(b"far too many bytes")
    with partial() as file:
        assert file.size == 0
