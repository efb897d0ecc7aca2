"""The `workbench` command: open the tutorials, stream a completion, list the presets."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from workbench.errors import WorkbenchError
from workbench.samplers.settings import DRAWING, SEED, STREAMING, Setting

if TYPE_CHECKING:
    from workbench.generation.events import Done
    from workbench.samplers import Sampler

DEFAULT_PRESET = "stories_tiny_en"
FIRST_TUTORIAL = "01_your_first_tokens.ipynb"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status: 0, 1 for an error, 130 after an interrupt."""
    options = _parser().parse_args(arguments)
    try:
        return options.run(options)
    except WorkbenchError as error:
        print(f"workbench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="workbench", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="command")

    lab = commands.add_parser("lab", help="open JupyterLab on the first tutorial")
    lab.add_argument("--no-browser", action="store_true", help="start the server only")
    lab.set_defaults(run=_lab)

    generate = commands.add_parser("generate", help="stream a completion in the terminal")
    generate.add_argument("prompt")
    generate.add_argument("--preset", default=DEFAULT_PRESET, help="name or folder")
    generate.add_argument("--max-new-tokens", type=int, default=200, metavar="N")
    generate.add_argument("--sampler", choices=tuple(STREAMING))
    for setting in (*DRAWING, SEED):
        _add_option(generate, setting)
    generate.set_defaults(run=_generate)

    presets = commands.add_parser("presets", help="list the presets that can be loaded by name")
    presets.add_argument("search", nargs="*", help="words to look for")
    presets.set_defaults(run=_presets)
    return parser


def _add_option(parser: argparse.ArgumentParser, setting: Setting) -> None:
    """Add the option of a setting. An option that a sampler is named after chooses it."""
    implied = f"; implies --sampler {setting.name}" if setting.name in STREAMING else ""
    parser.add_argument(
        f"--{setting.name.replace('_', '-')}",
        type=setting.kind,
        metavar="N",
        help=f"{setting.expected}; {setting.does}{implied}",
    )


def _lab(options: argparse.Namespace) -> int:
    try:
        from jupyterlab.labapp import LabApp
    except ImportError:
        raise WorkbenchError(
            "lab: JupyterLab is not installed here. Install it with: "
            'pip install "causal-workbench[lab]"'
        ) from None
    arguments = [
        f"--ServerApp.root_dir={_tutorials().resolve()}",
        f"--LabApp.default_url=/lab/tree/{FIRST_TUTORIAL}",
        # The tutorials work without a network, so fetch nothing.
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        "--LabApp.news_url=None",
    ]
    if options.no_browser:
        arguments.append("--no-browser")
    if os.name == "posix" and os.geteuid() == 0:
        arguments.append("--allow-root")  # containers have no other user
    LabApp.launch_instance(arguments)
    return 0


def _tutorials() -> Path:
    """Return the folder of tutorials: a checkout's own, or copies in the working folder."""
    import workbench

    checkout = Path(workbench.__file__).parents[1] / "notebooks"
    if (checkout / FIRST_TUTORIAL).is_file():
        return checkout
    copies = Path("workbench-tutorials")
    if not copies.exists():
        shutil.copytree(Path(workbench.__file__).parent / "notebooks", copies)
    return copies


def _generate(options: argparse.Namespace) -> int:
    progress = Progress(sys.stderr)
    progress.show("loading Keras and JAX")
    from workbench.generation.events import Done, Status, Token
    from workbench.models import CausalLM

    sampler = _sampler(options)
    progress.show(f"loading {options.preset}")
    lm = CausalLM.from_preset(options.preset)
    events = lm.stream(
        options.prompt,
        max_new_tokens=options.max_new_tokens,
        sampler=sampler,
        seed=options.seed,
    )
    progress.clear()
    print(options.prompt, end="", flush=True)
    for event in events:
        match event:
            case Status(stage):
                progress.show(stage) if stage != "streaming" else progress.clear()
            case Token(text=text):
                print(text, end="", flush=True)
            case Done(tail=tail):
                print(tail)
                print(_summary(event), file=sys.stderr)
    return 0


def _summary(done: Done) -> str:
    stats = done.stats
    return (
        f"[{stats.new_tokens} tokens, {stats.tokens_per_second:.1f} tokens/s, "
        f"stopped by {'a stop token' if done.reason == 'stop' else 'the length limit'}]"
    )


def _sampler(options: argparse.Namespace) -> Sampler | None:
    """Return the sampler the options describe, or None."""
    from workbench import samplers

    values = {setting: getattr(options, setting.name) for setting in DRAWING}
    given = {setting: value for setting, value in values.items() if value is not None}
    named = [setting.name for setting in given if setting.name in STREAMING]
    name = options.sampler or (named[-1] if named else "random" if given else None)
    if name is None:
        return None
    config = {setting.keyword: value for setting, value in given.items()}
    return samplers.get({"class_name": STREAMING[name].class_name, "config": config})


def _presets(options: argparse.Namespace) -> int:
    from workbench.presets.catalog import presets
    from workbench.presets.listing import PresetTable

    print(PresetTable(presets()).filter(search=" ".join(options.search)))
    return 0


class Progress:
    """A line on a terminal that the next one overwrites; silent without a terminal."""

    def __init__(self, stream: TextIO) -> None:
        self.stream, self.width = stream, 0

    def show(self, text: str) -> None:
        """Replace the line."""
        if self.stream.isatty():
            self.stream.write("\r" + f"{text} ...".ljust(self.width))
            self.stream.flush()
            self.width = len(text) + 4

    def clear(self) -> None:
        """Remove the line."""
        if self.stream.isatty() and self.width:
            self.stream.write("\r" + " " * self.width + "\r")
            self.stream.flush()
            self.width = 0
