"""The `workbench` command, as it is typed."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
import time

import pytest
from patience import HANG

import workbench as wb
from workbench import cli


@pytest.fixture(scope="module")
def preset(tiny_lms, tmp_path_factory):
    """A tiny preset on disk."""
    lm = tiny_lms["llama"]
    folder = tmp_path_factory.mktemp("cli") / "tiny"
    backbone = wb.models.GPT2Backbone(257, 1, 2, 16, 32, max_sequence_length=64)
    preprocessor = wb.models.GPT2CausalLMPreprocessor(lm.preprocessor.tokenizer, 64)
    wb.models.GPT2CausalLM(backbone, preprocessor).save_to_preset(folder)
    return str(folder)


def generate(preset, *options):
    return cli.main(["generate", "Hi", "--preset", preset, "--max-new-tokens", "5", *options])


def test_generate_prints_what_the_model_writes(preset, capsys):
    assert generate(preset, "--top-k", "3", "--seed", "4", "--temperature", "0.7") == 0
    printed = capsys.readouterr()
    lm = wb.models.CausalLM.from_preset(preset)
    sampler = wb.samplers.TopKSampler(k=3, temperature=0.7)
    expected = lm.generate("Hi", sampler=sampler, seed=4, max_new_tokens=5)
    assert printed.out == expected + "\n"
    assert "tokens/s" in printed.err


@pytest.mark.parametrize(
    ("options", "sampler"),
    [
        ([], None),
        (["--sampler", "greedy"], wb.samplers.GreedySampler()),
        (["--temperature", "0.5"], wb.samplers.RandomSampler(temperature=0.5)),
        (["--top-k", "9"], wb.samplers.TopKSampler(k=9)),
        (["--top-p", "0.8", "--top-k", "9"], wb.samplers.TopPSampler(p=0.8, k=9)),
        (["--sampler", "random", "--min-p", "0.1"], wb.samplers.RandomSampler(min_p=0.1)),
    ],
)
def test_options_name_a_sampler(options, sampler):
    parsed = cli._parser().parse_args(["generate", "Hi", *options])
    assert repr(cli._sampler(parsed)) == repr(sampler)


@pytest.mark.parametrize(
    "options",
    [["--temperature", "-1"], ["--top-p", "2"], ["--sampler", "greedy", "--top-k", "4"]],
)
def test_mistakes_are_one_sentence_and_status_1(preset, capsys, options):
    assert generate(preset, *options) == 1
    error = capsys.readouterr().err
    assert error.startswith("workbench: ") and "Traceback" not in error


def test_unknown_presets_are_named(capsys):
    assert cli.main(["generate", "Hi", "--preset", "no_such_preset"]) == 1
    assert "no_such_preset" in capsys.readouterr().err


def test_presets_lists_what_can_be_loaded_by_name(capsys):
    assert cli.main(["presets"]) == 0
    assert "stories_tiny_en" in capsys.readouterr().out


def test_progress_shows_on_a_terminal_and_goes_away(preset):
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "workbench", "generate", "Hi", "--preset", preset]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=slave) as process:
        os.close(slave)
        shown = _read(master)
        assert process.wait() == 0
        assert process.stdout.read().startswith(b"Hi")
    assert "loading" in shown and "prefill" in shown


def _read(terminal):
    parts = []
    while True:
        try:
            part = os.read(terminal, 1000)
        except OSError:  # the other end is closed
            break
        parts.append(part.decode())
    return "".join(parts)


def test_lab_serves_the_first_tutorial(tmp_path):
    """`workbench lab --no-browser` starts a server and prints the notebook's address."""
    (tmp_path / "jupyter_server_config.py").write_text(
        "c.ServerApp.port = 0\nc.ServerApp.ip = '127.0.0.1'\n"
    )
    names = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR")
    process = subprocess.Popen(
        [sys.executable, "-m", "workbench", "lab", "--no-browser"],
        env={**os.environ, **{name: str(tmp_path) for name in names}},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        address = _first_address(process.stderr)
        assert "01_your_first_tokens.ipynb" in address
    finally:
        process.terminate()
        try:
            process.communicate(timeout=20)  # reads on: a full pipe would keep it from ending
        except subprocess.TimeoutExpired:  # Jupyter may miss a signal while it starts
            process.kill()
            process.communicate()


def _first_address(stream):
    end, log = time.monotonic() + HANG, b""
    while time.monotonic() < end:
        if select.select([stream], [], [], 1)[0]:
            log += os.read(stream.fileno(), 4096)
            found = re.search(rb"http://127\.0\.0\.1:\d+/\S+", log)
            if found:
                return found[0].decode()
    raise AssertionError(log.decode())
