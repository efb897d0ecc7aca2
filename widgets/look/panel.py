"""The look panel: ask a model about a picture, and see the answer in the picture."""

from __future__ import annotations

import base64
import functools
import html
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import traitlets
from PIL import Image

from workbench import images
from workbench.errors import ImageError, PromptError, SettingError
from workbench.generation.events import Done, Token
from workbench.jobs.generation import GenerationJob, JobState

from ..shared import settings as setting
from ..shared.buffers import Parts, TooLarge
from ..shared.model import check_model
from ..shared.pages import page, style
from ..shared.run_panel import HISTORY, RunPanel
from .pictures import (
    MAX_UPLOAD,
    PRINTED_SIDE,
    Picture,
    check_name,
    encoded,
    read_picture,
    smaller,
)
from .runs import LookRun, bounded

UNSAVED = "picture.png"  # the code's name for a picture without a file


class LookPanel(RunPanel):
    """Show a model a picture, ask about it, and see the answer in the picture.

    Args:
        lm: An image-text `CausalLM`, or the handle of a preset, as for `GeneratePanel`.
        image: The picture: a path, bytes, a Pillow image or an array, as for `images.open_image`.
        prompt: The first text of the prompt box.
        decoder: Turns the `<seg>` codes of an answer into masks; None draws only boxes.
        **settings: `sampler` ("greedy", "random", "top_k", "top_p"), `temperature`, `top_k`,
            `top_p`, `min_p`, `repetition_penalty`, `max_new_tokens`, `seed`.

    Raises:
        ImageError: The picture cannot be read.
        SettingError: A setting is unknown or out of its range, or the model reads no pictures.

    Everything on the page can also be done from Python, on the same object:

    ```python
    panel = wb.look("shapes_tiny", image="shapes.png", prompt="detect red circle")
    panel.start()
    panel.wait()
    print(panel.text, panel.regions)
    panel.annotated().save("answer.png")
    ```
    """

    _esm = page("look/panel.js")
    _css = style("look")

    picture = traitlets.Dict().tag(sync=True)
    prompt = traitlets.Any("").tag(sync=True)
    prompt_tokens = traitlets.Int(None, allow_none=True).tag(sync=True)

    defaults: ClassVar = {**setting.DEFAULTS, "sampler": "greedy"}
    commands: ClassVar = {
        **RunPanel.commands,
        "start": ("prompt", "settings"),
        "picture": ("name", "part", "parts"),
        "remove": (),
        "attend": ("run",),
    }

    def __init__(
        self,
        lm: Any,
        image: images.ImageSource | None = None,
        prompt: str = "",
        *,
        decoder: images.MaskDecoder | None = None,
        **settings: Any,
    ) -> None:
        self._decoder = decoder
        self._upload = Parts(MAX_UPLOAD)
        self._pictures = 0
        self._picture: Picture | None = None
        self._looking: dict[int, GenerationJob] = {}
        check_prompt = functools.partial(setting.check_text, "prompt")
        self.page_writes = {**RunPanel.page_writes, "prompt": check_prompt}
        if not isinstance(lm, str | Path):
            check_reads_pictures(check_model(lm))
        picture = None if image is None else read_picture(1, image)
        super().__init__(lm, settings, prompt=check_prompt(prompt), show="plain")
        if picture is not None:
            self._show_picture(picture)

    # -- actions ------------------------------------------------------------------------

    @property
    def image(self) -> Image.Image | None:
        """The picture, 8-bit RGB, or None. Assign anything that `open_image` takes."""
        return self._picture.image if self._picture is not None else None

    @image.setter
    def image(self, source: images.ImageSource | None) -> None:
        picture = None if source is None else read_picture(self._pictures + 1, source)
        self._show_picture(picture)

    def attention(self) -> np.ndarray:
        """Return how much each token of the answer shown attends to each patch of the picture.

        float32 (tokens, rows, columns), the mean over layers and heads; each token's weights sum to
        at most 1. The first call computes it and waits for the result; later ones reuse it.

        Raises:
            PromptError: There is no answer yet.
        """
        run = self._run
        if run is None or not run.job.done or not run.job.tokens:
            raise PromptError("there is no answer yet: start() and wait() first")
        if run.attention is None:
            job = self._look(run)
            job.wait()
            if job.error is not None:
                raise job.error
        return run.attention

    # -- state --------------------------------------------------------------------------

    @property
    def regions(self) -> list[images.Region]:
        """The regions that the answer marks, as fractions of the picture."""
        return self._run.regions if self._run is not None else []

    def annotated(self) -> Image.Image:
        """Return the picture with the answer's boxes, masks and labels drawn on it.

        Raises:
            PromptError: The panel has no picture.
        """
        self.check_ready()
        if self._run is None:
            return self._picture.image.copy()
        return images.draw_answer(self._picture.image, self._run.answer, self._decoder)

    def describe(self) -> list[str]:
        """Return heading, picture, question and answer as lines of text."""
        lines = super().describe()
        if self._picture is not None:
            lines.append(f"Picture: {self._picture.name}, {self._picture.size_text}")
        lines.append(f"Prompt: {self.prompt}")
        if self._run is not None:
            lines += [f"Answer: {self.text}", self._run.summary]
        return lines

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        data, metadata = super()._repr_mimebundle_(**kwargs)
        if self._picture is not None:
            kind, content = encoded(smaller(self.annotated(), PRINTED_SIDE))
            source = f"data:{kind};base64,{base64.b64encode(content).decode()}"
            data["text/html"] += f'<img alt="{html.escape(self._picture.name)}" src="{source}">'
        return data, metadata

    # -- how it works -------------------------------------------------------------------

    def adopt(self, lm: Any) -> None:
        """Take over the loaded model."""
        super().adopt(lm)
        self._count_prompt()

    def check_ready(self) -> None:
        """Raise a PromptError if there is no picture."""
        if self._picture is None:
            raise PromptError("the panel has no picture: drop one on it, or set panel.image")

    def new_run(self, number: int) -> LookRun:
        """Return a run of the prompt about the picture."""
        return LookRun(
            number,
            self._lm,
            self._picture,
            self.prompt,
            self.settings,
            self.on_event,
            self._decoder,
        )

    def kept(self, runs: list[LookRun]) -> list[LookRun]:
        """Return the last runs whose pictures together fit the memory limit."""
        return bounded(runs, HISTORY)

    def bring_back(self, run: LookRun) -> None:
        """Restore the run's prompt and picture."""
        self.prompt = run.prompt
        if run.picture is not self._picture:
            self._show_picture(run.picture)

    def forget(self) -> None:
        """Clear the picture, and drop attention that is being computed."""
        self.image = None
        self._looking = {}

    def code_now(self, preset: str | None) -> str:
        """Return Python code that asks the same about the same picture."""
        picture, shown = self._picture, self._run or self
        path = UNSAVED if picture is None else picture.path or picture.file_name
        return setting.look_code(preset, path, shown.prompt, shown.settings)

    def on_event(self, run: LookRun, event: JobState | Token | Done) -> None:
        """Make the masks, which takes a while, before locking the panel; then handle the event."""
        run.trace()
        super().on_event(run, event)

    def _adopt_model(self, lm: Any) -> None:
        super()._adopt_model(check_reads_pictures(lm))

    def _show_picture(self, picture: Picture | None) -> None:
        """Show another picture or none, and clear the answer about the previous one."""
        with self._lock, self.hold_sync():
            self.refuse_when_busy()
            self._picture = picture
            if picture is not None:
                self._pictures = max(self._pictures, picture.number)
            self.picture = {} if picture is None else picture.shown()
            if self._lm is not None:
                self.put(None)
            self._write_code()

    def _look(self, run: LookRun) -> GenerationJob:
        """Return the job that reads the attention of a run; start only one at a time."""
        with self._lock:
            job = self._looking.get(run.number)
            if job is not None and not job.done:
                return job
            job = run.looking(functools.partial(self._on_look, run))
            self._looking[run.number] = job
        job.start()
        return job

    def _on_look(self, run: LookRun, event: JobState | Token | Done) -> None:
        if not isinstance(event, JobState):
            return
        job = self._looking[run.number]
        if event.status == "done":
            self._tell_attention(run)
        elif job.done:
            self.tell({"type": "attention", "run": run.number, "tokens": 0})
        if job.error is not None:
            self.show_exception(job.error, job.traceback)

    def _tell_attention(self, run: LookRun) -> None:
        message, content = run.attention_message()
        self.send(message, buffers=[content])

    # -- what the page asks for ---------------------------------------------------------

    def _on_start(self, prompt: object, settings: object) -> None:
        text = setting.check_text("prompt", prompt)
        checked = setting.check_page_settings(settings)
        if self.busy or self.status == "loading":
            return
        if self._picture is None:
            raise SettingError("there is no picture to ask about")
        with self.hold_sync():
            self.prompt, self.settings = text, checked
        self.start()

    def _on_picture(self, name: object, part: object, parts: object) -> None:
        """Take a part of a file; show an error if the file is not a picture."""
        label = check_name(name)
        self.refuse_when_busy()
        try:
            content = self._upload.take(part, parts, self._buffers)
            if content is None:
                return
            image = images.open_image(content, label)
            self._show_picture(Picture(self._pictures + 1, image, label))
        except ImageError as error:
            self.show_error(str(error))
        except TooLarge as error:
            self.show_error(f"{label}: {error}; make it smaller, or set panel.image to its path")
        self.tell({"type": "opened"})

    def _on_remove(self) -> None:
        self.image = None

    def _on_attend(self, run: object) -> None:
        found = self.find(run)
        if not found.job.done or not found.job.tokens:
            raise SettingError("there is no answer to read the attention of")
        if found.attention is None:
            self._look(found)
        else:
            self._tell_attention(found)

    # -- traits -------------------------------------------------------------------------

    @traitlets.validate("prompt")
    def _check_prompt(self, proposal: traitlets.Bunch) -> str:
        return setting.check_text("prompt", proposal["value"])

    @traitlets.observe("prompt")
    def _count_prompt(self, change: traitlets.Bunch | None = None) -> None:
        known = self._lm is not None
        self.prompt_tokens = len(self._lm.preprocessor.prompt_ids(self.prompt)) if known else None

    @traitlets.observe("prompt")
    def _reword(self, change: traitlets.Bunch) -> None:
        self._write_code()


def check_reads_pictures(lm: Any) -> Any:
    """Return the model itself, or raise a SettingError if it reads text alone."""
    if lm.preprocessor.converter("image_converter") is None:
        raise SettingError(
            f"{lm.name} reads no pictures: load an image-text preset, or use wb.generate(lm)"
        )
    return lm


def look(
    lm: Any,
    image: images.ImageSource | None = None,
    prompt: str = "",
    *,
    decoder: images.MaskDecoder | None = None,
    **settings: Any,
) -> LookPanel:
    """Return a panel that answers about a picture; see `LookPanel` for the arguments.

    ```python
    wb.look("shapes_tiny", image="shapes.png", prompt="detect red circle")
    ```
    """
    return LookPanel(lm, image, prompt, decoder=decoder, **settings)
