"""The explorer's page, on Gradio.

What a visitor changes runs `_glimpse`, which answers at once; after it comes `_settle`, which waits for a moment of
calm, draws the picture whole, and makes the files. A newer glimpse overtakes an older settling.
"""

from __future__ import annotations

import functools
import random
import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image

from stylegan_torch.command import one_line
from stylegan_torch.editing.composition import Composition, Mix
from stylegan_torch.editing.pictures import Picture
from stylegan_torch.editing.projection import Projection, ProjectionSettings
from stylegan_torch.editing.targets import psnr, read_target
from stylegan_torch.errors import StyleGANError
from stylegan_torch.explorer.canvas import Canvas, OvertakenError
from stylegan_torch.explorer.studio import AS_FOUND, Moves, Sitting, Studio, Wish, as_set, moves_of
from stylegan_torch.images import to_pil

SLIDERS = 10
"""Directions of a kind that can be moved along."""
CALM = 0.4
"""So many seconds without a change, and the picture is drawn whole and kept."""
_SHOWN = 0.5
"""Seconds between the pictures of a projection."""
PROJECTION_SECONDS = 600.0
"""What takes longer is not for a page that others may wait for."""
_QUEUE = 200
"""Requests that may wait; what comes on top is refused."""
_DAY = 24 * 60 * 60
_LAST_SEED = 2**32 - 1
_SEED, _LATENTS = "a seed", "latents"
CSS = """
#results { position: sticky; top: 0; align-self: flex-start; }
#picture img { width: 100% !important; height: 56vh !important; object-fit: contain; }
#status { min-height: 1.5em; }
#history { max-height: 120px; }
#history .thumbnail-item { width: 80px; height: 80px; }
"""
THEME = gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"])

Values = dict[Any, Any]
"""What controls hold, or are to hold, by the control."""


def _told(handler: Callable[..., Any]) -> Callable[..., Any]:
    """Show a visitor what goes wrong, in a line."""

    @functools.wraps(handler)
    def wrapper(*args: Any) -> Any:
        try:
            return handler(*args)
        except StyleGANError as error:
            raise _complaint(error) from error

    return wrapper


def _complaint(error: StyleGANError) -> gr.Error:
    return gr.Error(_line(error), duration=8, print_exception=False)


def _line(error: StyleGANError) -> str:
    """Return what a visitor reads of an error: a line, that names their files without our folders."""
    return one_line(re.sub(r"\S*stylegan-explore-\w+/(\w+/)*", "", str(error)))


class Page:
    """The page of a studio; `blocks` is what Gradio serves."""

    def __init__(self, studio: Studio) -> None:
        self.studio = studio
        self._projecting = threading.Lock()  # one at a time
        first = next(iter(studio.sources))
        canvas = studio.canvas(first)
        with gr.Blocks(title="StyleGAN explorer", analytics_enabled=False, delete_cache=(_DAY, _DAY)) as self.blocks:
            with gr.Row():
                with gr.Column(scale=2, min_width=340):
                    self._network_controls(first)
                    self._seed_controls(canvas)
                    self._mix_controls(canvas)
                    self._direction_controls(canvas)
                    self._photo_controls()
                with gr.Column(scale=3, min_width=380, elem_id="results"):
                    self._results()
            self._connect()

    def _network_controls(self, first: str) -> None:
        names = list(self.studio.sources)
        self.network = gr.Dropdown(names, value=first, label="Network", visible=len(names) > 1, elem_id="network")

    def _seed_controls(self, canvas: Canvas) -> None:
        with gr.Row(equal_height=True):
            self.seed = gr.Number(
                0, label="Seed", precision=0, minimum=0, maximum=_LAST_SEED, elem_id="seed", min_width=120
            )
            self.dice = gr.Button("Another", elem_id="dice", min_width=90, scale=0)
        self.psi = gr.Slider(-1, 1.5, 0.7, step=0.01, label="Truncation psi", elem_id="psi", buttons=[])
        self.label = gr.Dropdown(**_classes(canvas), label="Class", elem_id="class")
        with gr.Row():
            kinds = ["official", "stored", "none", "random"]
            self.noise = gr.Dropdown(kinds, value="official", label="Noise", elem_id="noise", min_width=120)
            self.noise_seed = gr.Number(
                0, label="Noise seed", precision=0, minimum=0, maximum=_LAST_SEED, visible=False, min_width=120
            )

    def _mix_controls(self, canvas: Canvas) -> None:
        last = canvas.G.num_ws - 1
        with gr.Accordion("Mix", open=False, elem_id="mix"):
            self.mixing = gr.Checkbox(False, label="Take styles from another seed", elem_id="mixing")
            self.mix_seed = gr.Number(1, label="Its seed", precision=0, minimum=0, maximum=_LAST_SEED)
            with gr.Row():
                slider: dict[str, Any] = {"step": 1, "min_width": 120, "buttons": []}
                self.mix_first = gr.Slider(0, last, 0, label="From layer", elem_id="mix-first", **slider)
                self.mix_last = gr.Slider(0, last, last // 2, label="To layer", elem_id="mix-last", **slider)

    def _direction_controls(self, canvas: Canvas) -> None:
        with gr.Accordion("Directions", open=False, elem_id="directions"):
            with gr.Row():
                self.kind = gr.Dropdown(list(self.studio.directions), value="pca", label="Found by", min_width=120)
                self.layers = gr.Dropdown(
                    _layers(canvas), value=AS_FOUND, label="Layers", allow_custom_value=True, min_width=120
                )
            self.strengths = [
                gr.Slider(-4, 4, 0, step=0.1, label=f"Direction {i}", elem_id=f"direction-{i}", buttons=[])
                for i in range(SLIDERS)
            ]
            self.straight = gr.Button("Back to zero")

    def _photo_controls(self) -> None:
        with gr.Accordion("Photograph or latents", open=False, elem_id="photo"):
            self.base = gr.Radio([_SEED, _LATENTS], value=_SEED, label="Begin with", elem_id="base")
            self.row = gr.Number(0, label="Row of the latents", precision=0, minimum=0, visible=False, elem_id="row")
            self.photo = gr.File(
                label="A photograph to project", file_types=["image"], height=110, elem_id="photo-file"
            )
            with gr.Row():
                self.space = gr.Dropdown(["w+", "w"], value="w+", label="Space", min_width=80)
                self.fit = gr.Dropdown(["crop", "pad"], value="crop", label="Fit", min_width=80)
                self.steps = gr.Number(
                    300, label="Steps", precision=0, minimum=1, maximum=2000, min_width=80, elem_id="steps"
                )
            with gr.Row():
                self.project = gr.Button("Project", variant="primary", elem_id="project")
                self.stop = gr.Button("Stop", elem_id="stop")
            self.progress = gr.Markdown("")
            self.target = gr.Image(label="What is aimed at", height=160, visible=False, interactive=False, buttons=[])
            self.latents = gr.File(
                label="Latents (.npz, .npy)", file_types=[".npz", ".npy"], height=110, elem_id="latents-file"
            )

    def _results(self) -> None:
        self.picture = gr.Image(
            show_label=False, interactive=False, format="jpeg", buttons=["fullscreen"], elem_id="picture"
        )
        self.status = gr.Markdown("", elem_id="status")
        with gr.Row():
            self.png = gr.DownloadButton("Picture (.png)", elem_id="download-png", interactive=False)
            self.npz = gr.DownloadButton("Latents (.npz)", elem_id="download-npz", interactive=False)
        self.commands = gr.Textbox(
            label="The command line that makes it again",
            lines=2,
            interactive=False,
            buttons=["copy"],
            elem_id="commands",
        )
        self.history = gr.Gallery(
            label="History",
            show_label=False,
            columns=8,
            height=110,
            fit_columns=False,
            object_fit="contain",
            allow_preview=False,
            interactive=False,
            buttons=[],
            elem_id="history",
        )

    @property
    def _controls(self) -> list[Any]:
        """Return the controls whose change changes the picture."""
        mix = [self.mixing, self.mix_seed, self.mix_first, self.mix_last]
        seed = [self.seed, self.psi, self.label, self.noise, self.noise_seed]
        return [*seed, *mix, self.layers, *self.strengths, self.base, self.row]

    def _connect(self) -> None:
        given = {self.network, self.kind, *self._controls}
        private: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
        seen = [self.picture, self.status]
        finished = [*seen, self.png, self.npz, self.commands, self.history]
        photo = [self.photo, self.latents, self.target, self.progress]
        everything = [self.network, self.kind, *self._controls, *photo]

        def redraw(event: Any) -> None:
            glimpse = event(self._glimpse, given, seen, trigger_mode="always_last", **private)
            glimpse.success(self._settle, None, finished, trigger_mode="multiple", concurrency_limit=None, **private)

        redraw(functools.partial(gr.on, [control.input for control in self._controls]))
        redraw(self.blocks.load)
        redraw(self.dice.click(lambda: random.randrange(1_000_000), None, self.seed, **private).success)
        redraw(self.straight.click(self._straighten, None, self.strengths, **private).success)
        redraw(self.network.input(self._choose_network, self.network, everything, **private).success)
        redraw(self.history.select(self._recall, None, everything, **private).success)
        redraw(self.latents.upload(self._bring, [self.network, self.latents], everything, **private).success)
        self.kind.input(self._show_kind, [self.network, self.kind], [self.layers, *self.strengths], **private)
        self.noise.input(lambda kind: gr.update(visible=kind == "random"), self.noise, self.noise_seed, **private)
        projection = self.project.click(
            self._project,
            {self.network, self.photo, self.space, self.fit, self.steps, self.label},
            [self.picture, *everything],
            concurrency_limit=None,
            **private,
        )
        redraw(projection.success)
        self.stop.click(self._stop, **private)
        self.blocks.unload(self._leave)
        self.blocks.queue(max_size=_QUEUE)

    def _sitting(self, request: gr.Request) -> Sitting:
        return self.studio.sitting(str(request.session_hash))

    def _stop(self, request: gr.Request) -> None:
        self._sitting(request).projects = False

    def _leave(self, request: gr.Request) -> None:
        self.studio.leave(str(request.session_hash))

    def _moves(self, values: Values, sitting: Sitting) -> Moves:
        # The sliders are those of the kind that we sent last, which the visitor may have changed since.
        strengths = [values[each] or 0.0 for each in self.strengths]
        return {**sitting.moves, sitting.kind: (values[self.layers] or AS_FOUND, strengths)}

    def _wish(self, values: Values, sitting: Sitting) -> Wish:
        """Return what the controls ask for."""
        network = values[self.network]
        low, high = sorted((values[self.mix_first], values[self.mix_last]))
        mixes = (Mix(values[self.mix_seed], f"{low}-{high}"),) if values[self.mixing] else ()
        base, row = values[self.seed], None
        if values[self.base] == _LATENTS:
            if sitting.base is None or sitting.bases[sitting.base].network != network:
                raise StyleGANError("there are no latents yet: project a photograph, or upload a file")
            base = sitting.base
            row = values[self.row] if sitting.bases[base].rows > 1 else None
        label, noise, psi = _class(values[self.label]), values[self.noise], float(values[self.psi])
        noise_seed = values[self.noise_seed] if noise == "random" else 0
        moves = moves_of(self._moves(values, sitting))
        return Wish(network, Composition(base, psi, label, mixes, moves, noise, noise_seed, row))

    @_told
    def _glimpse(self, values: Values, request: gr.Request) -> Any:
        numbers = [self.seed, self.psi, self.noise_seed, self.mix_seed, self.mix_first, self.mix_last, self.row]
        if any(values[each] is None for each in numbers):
            return gr.skip()  # a field is empty while it is being filled in
        sitting = self._sitting(request)
        wish = self._wish(values, sitting)
        canvas = self.studio.canvas(wish.network)
        latents = canvas.compose(wish.picture)
        sitting.moves = self._moves(values, sitting)
        sitting.wish = wish  # from now on, what was wished before is given up
        return _shown(canvas.glimpse(latents)), "" if canvas.quick else "A preview; the whole picture follows."

    @_told
    def _settle(self, request: gr.Request) -> Any:
        sitting = self._sitting(request)
        wish = sitting.wish
        time.sleep(CALM)
        if wish is None or sitting.wish is not wish:
            return gr.skip()
        try:
            result = self.studio.finish(sitting, wish)
        except OvertakenError:
            return gr.skip()
        history = [(str(each.thumbnail), "") for each in sitting.history]
        png, npz = (gr.update(value=str(path), interactive=True) for path in (result.png, result.npz))
        return str(result.png), "", png, npz, result.commands, history

    def _straighten(self, request: gr.Request) -> list[float]:
        self._sitting(request).moves = {}
        return [0.0] * SLIDERS

    @_told
    def _show_kind(self, network: str, kind: str, request: gr.Request) -> list[Any]:
        """Show the sliders of another kind of directions as they were left."""
        sitting = self._sitting(request)
        sliders = self._sliders(network, kind, sitting)
        sitting.kind = kind
        return list(sliders.values())

    def _sliders(self, network: str, kind: str, sitting: Sitting) -> Values:
        canvas = self.studio.canvas(network)
        count = len(canvas.directions(kind))
        layers, strengths = sitting.moves.get(kind, (AS_FOUND, [0.0] * SLIDERS))
        sliders = {
            each: gr.update(value=value, visible=i < count)
            for i, (each, value) in enumerate(zip(self.strengths, strengths, strict=True))
        }
        return {self.layers: gr.update(choices=_layers(canvas), value=layers), **sliders}

    def _choose_network(self, network: str, request: gr.Request) -> Values:
        """Keep the seed, truncation and noise; the rest is another network's."""
        sitting = self._sitting(request)
        last = sitting.wish.picture if sitting.wish else Composition(0, 0.7)
        seed = last.base if isinstance(last.base, int) else 0
        picture = Composition(seed, last.truncation_psi, noise=last.noise, noise_seed=last.noise_seed)
        try:
            shown = self._show(network, picture, sitting)
        except StyleGANError as error:
            gr.Warning(_line(error))
            return {self.network: sitting.network}
        return shown | {self.photo: None, self.latents: None, self.progress: "", self.target: gr.update(visible=False)}

    @_told
    def _recall(self, event: gr.SelectData, request: gr.Request) -> Values:
        """Put the controls to where they were for a picture of the history."""
        sitting = self._sitting(request)
        if not 0 <= event.index < len(sitting.history):
            raise StyleGANError("this picture is no longer there")
        wish = sitting.history[event.index].wish
        return self._show(wish.network, wish.picture, sitting)

    def _show(self, network: str, picture: Composition, sitting: Sitting) -> Values:
        """Return what the controls are for a picture of a network."""
        canvas = self.studio.canvas(network)
        last = canvas.G.num_ws - 1
        moves = as_set(picture.moves, SLIDERS)
        kind = next(reversed(moves), "pca")
        mix = picture.mixes[0] if picture.mixes else Mix(1, f"0-{last // 2}")
        mix_first, mix_last = map(int, mix.layers.split("-"))
        label = -1 if picture.class_index is None else picture.class_index
        base = _LATENTS if isinstance(picture.base, Path) else _SEED
        sitting.projects = sitting.projects and sitting.network == network
        sitting.network, sitting.moves, sitting.kind = network, moves, kind
        sitting.base = picture.base if isinstance(picture.base, Path) else None
        seed = {self.seed: picture.base} if isinstance(picture.base, int) else {}
        return {
            self.network: network,
            **seed,
            self.psi: picture.truncation_psi,
            self.label: gr.update(**_classes(canvas) | {"value": label}),
            self.noise: picture.noise,
            self.noise_seed: gr.update(value=picture.noise_seed, visible=picture.noise == "random"),
            self.mixing: bool(picture.mixes),
            self.mix_seed: mix.source,
            self.mix_first: gr.update(value=mix_first, maximum=last),
            self.mix_last: gr.update(value=mix_last, maximum=last),
            self.kind: kind,
            **self._sliders(network, kind, sitting),
            self.base: base,
            **self._rows(sitting, picture.row or 0),
        }

    def _rows(self, sitting: Sitting, row: int = 0) -> Values:
        rows = sitting.bases[sitting.base].rows if sitting.base else 1
        return {self.row: gr.update(value=row, maximum=rows - 1, visible=rows > 1)}

    @_told
    def _bring(self, network: str, path: str, request: gr.Request) -> Values:
        sitting = self._sitting(request)
        self.studio.bring(sitting, network, Path(path))
        return {self.base: _LATENTS, **self._rows(sitting)}

    def _project(self, values: Values, request: gr.Request) -> Iterator[Values]:
        try:
            yield from self._projected(values, self._sitting(request))
        except StyleGANError as error:
            raise _complaint(error) from error

    def _projected(self, values: Values, sitting: Sitting) -> Iterator[Values]:
        """Project the photograph, showing how far it is, and make it what pictures begin with."""
        if not values[self.photo] or not values[self.steps]:
            raise StyleGANError("upload a photograph first" if values[self.steps] else "say how many steps")
        network, photo, steps = values[self.network], Path(values[self.photo]), values[self.steps]
        canvas, space, fit, label = (
            self.studio.canvas(network),
            values[self.space],
            values[self.fit],
            values[self.label],
        )
        target = read_target(photo, canvas.G, fit)
        yield {self.target: gr.update(value=_shown(target.picture), visible=True), self.progress: target.story}
        sitting.projects = True
        while not self._projecting.acquire(timeout=_SHOWN):
            yield {self.progress: "Waiting for the projections of others …" if sitting.projects else "Stopped."}
            if not sitting.projects:
                return
        try:
            settings = ProjectionSettings(space=space, steps=steps)
            projection = Projection(canvas.G, target.image(), settings, class_index=_class(label))
            sitting.wish = None  # nothing else is being drawn
            for step in _in_time(projection):
                if not sitting.projects:
                    yield {self.progress: "Stopped."}
                    return
                picture = _shown(canvas.glimpse(projection.latents()))
                yield {self.picture: picture, self.progress: f"Step {step} of {steps}"}
            if not sitting.projects:
                return
        finally:
            self._projecting.release()
            sitting.projects = False
        latents = projection.latents()
        options = ["--space", space, "--fit", fit, "--steps", str(steps)]
        options += [] if label is None or label < 0 else ["--class", str(label)]
        self.studio.take_projection(sitting, network, latents, photo.name, options)
        likeness = psnr(canvas.draw(latents), target.picture)
        yield {
            self.progress: f"{target.story}; projected at a PSNR of {likeness:.1f} dB",
            self.base: _LATENTS,
            self.noise: "official",
            self.mixing: False,
            **self._rows(sitting),
        }


def _in_time(projection: Projection) -> Iterator[int]:
    """Make the steps of a projection; yields how many there were, every now and then and at the end.

    Raises:
        StyleGANError: if it takes too long.
    """
    start = shown = time.monotonic()
    while not projection.done:
        projection.step()
        now = time.monotonic()
        if now - start > PROJECTION_SECONDS:
            minutes = PROJECTION_SECONDS // 60
            raise StyleGANError(f"this takes over {minutes:.0f} minutes: choose fewer steps, or use `stylegan project`")
        if projection.done or now - shown >= _SHOWN:
            yield projection.taken
            shown = now


def _class(value: Any) -> int | None:
    return None if value is None or value < 0 else int(value)


def _shown(picture: Picture) -> Image.Image:
    """Return a picture as the page shows it while it changes, in RGB."""
    return to_pil(picture).convert("RGB")


def _classes(canvas: Canvas) -> dict[str, Any]:
    count = canvas.G.c_dim
    return {"choices": [("none", -1), *((str(i), i) for i in range(count))], "value": -1, "visible": count > 0}


def _layers(canvas: Canvas) -> list[str]:
    named = ["coarse", "middle", "fine"] if hasattr(canvas.G.synthesis, "block_resolutions") else []
    half = canvas.G.num_ws // 2
    return [AS_FOUND, "all", *(named or [f"0-{half - 1}", f"{half}-{canvas.G.num_ws - 1}"])]
