"""The explorer's page, on Gradio.

What a visitor changes runs `_glimpse`, which answers at once; after it comes `_settle`, which waits for a moment of
calm, draws the picture whole, and makes the files. A newer glimpse overtakes an older settling.
"""

from __future__ import annotations

import functools
import random
import re
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
from stylegan_torch.explorer.studio import Base, Sitting, Studio, Wish
from stylegan_torch.images import to_pil

SLIDERS = 10
"""Directions of a kind that can be moved along."""
CALM = 0.4
"""So many seconds without a change, and the picture is drawn whole and kept."""
_SHOWN = 0.5
"""Seconds between the pictures of a projection."""
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
    """Return what a visitor reads of an error: a line, that names their files without our folders."""
    text = re.sub(r"\S*stylegan-explore-\w+/(\w+/)*", "", str(error))
    return gr.Error(one_line(text), duration=8, print_exception=False)


class Page:
    """The page of a studio; `blocks` is what Gradio serves."""

    def __init__(self, studio: Studio) -> None:
        self.studio = studio
        first = next(iter(studio.sources))
        canvas = studio.canvas(first)
        with gr.Blocks(title="StyleGAN explorer", analytics_enabled=False, delete_cache=(3600, 3600)) as self.blocks:
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
        self.psi = gr.Slider(-1, 1.5, 0.7, step=0.01, label="Truncation psi", elem_id="psi")
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
                self.mix_first = gr.Slider(0, last, 0, step=1, label="From layer", elem_id="mix-first", min_width=120)
                self.mix_last = gr.Slider(
                    0, last, last // 2, step=1, label="To layer", elem_id="mix-last", min_width=120
                )

    def _direction_controls(self, canvas: Canvas) -> None:
        with gr.Accordion("Directions", open=False, elem_id="directions"):
            with gr.Row():
                self.kind = gr.Dropdown(list(self.studio.directions), value="pca", label="Found by", min_width=120)
                self.layers = gr.Dropdown(
                    **_layers(canvas), value="all", label="Layers", allow_custom_value=True, min_width=120
                )
            self.strengths = [
                gr.Slider(-5, 5, 0, step=0.1, label=f"Direction {i}", elem_id=f"direction-{i}") for i in range(SLIDERS)
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
                    300, label="Steps", precision=0, minimum=1, maximum=5000, min_width=80, elem_id="steps"
                )
            with gr.Row():
                self.project = gr.Button("Project", variant="primary", elem_id="project")
                self.stop = gr.Button("Stop")
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
        everything = [self.network, self.kind, *self._controls]

        def redraw(event: Any) -> None:
            glimpse = event(self._glimpse, given, seen, trigger_mode="always_last", **private)
            glimpse.success(self._settle, None, finished, trigger_mode="multiple", concurrency_limit=None, **private)

        redraw(functools.partial(gr.on, [control.input for control in self._controls]))
        redraw(self.blocks.load)
        redraw(self.dice.click(lambda: random.randrange(1_000_000), None, self.seed, **private).then)
        redraw(self.straight.click(self._straighten, None, self.strengths, **private).then)
        redraw(self.network.input(self._choose_network, self.network, everything, **private).then)
        redraw(self.history.select(self._recall, None, everything, **private).then)
        redraw(self.latents.upload(self._bring, [self.network, self.latents], everything, **private).success)
        self.kind.input(self._show_kind, [self.network, self.kind], [self.layers, *self.strengths], **private)
        self.noise.input(lambda kind: gr.update(visible=kind == "random"), self.noise, self.noise_seed, **private)
        projection = self.project.click(
            self._project,
            {self.network, self.photo, self.space, self.fit, self.steps, self.label},
            [self.picture, self.progress, self.target, *everything],
            concurrency_limit=1,
            **private,
        )
        redraw(projection.success)
        self.stop.click(lambda: "Stopped.", None, self.progress, cancels=[projection], **private)
        self.blocks.unload(self._leave)

    def _sitting(self, request: gr.Request) -> Sitting:
        return self.studio.sitting(str(request.session_hash))

    def _leave(self, request: gr.Request) -> None:
        self.studio.leave(str(request.session_hash))

    def _wish(self, values: Values, sitting: Sitting) -> Wish:
        """Return what the controls ask for."""
        sitting.moves[values[self.kind]] = (values[self.layers] or "all", [values[each] for each in self.strengths])
        low, high = sorted((values[self.mix_first], values[self.mix_last]))
        mixes = (Mix(_whole(values[self.mix_seed]), f"{low}-{high}"),) if values[self.mixing] else ()
        base: int | Path = _whole(values[self.seed])
        row = None
        if values[self.base] == _LATENTS:
            if sitting.base is None:
                raise StyleGANError("there are no latents yet: project a photograph, or upload a file")
            base = sitting.base
            row = _whole(values[self.row]) if sitting.bases[base].rows > 1 else None
        label = None if values[self.label] is None or values[self.label] < 0 else values[self.label]
        noise_seed = _whole(values[self.noise_seed]) if values[self.noise] == "random" else 0
        psi, noise = float(values[self.psi]), values[self.noise]
        moves = sitting.all_moves()
        return Wish(values[self.network], Composition(base, psi, label, mixes, moves, noise, noise_seed, row))

    @_told
    def _glimpse(self, values: Values, request: gr.Request) -> tuple[Any, Any]:
        sitting = self._sitting(request)
        wish = self._wish(values, sitting)
        sitting.wish = wish  # from now on, what was wished before is given up
        canvas = self.studio.canvas(wish.network)
        picture = canvas.glimpse(canvas.compose(wish.picture))
        return _shown(picture), "" if canvas.quick else "A preview; the whole picture follows."

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
        self._sitting(request).moves.clear()
        return [0.0] * SLIDERS

    @_told
    def _show_kind(self, network: str, kind: str, request: gr.Request) -> list[Any]:
        """Show the sliders of another kind of directions as they were left."""
        return list(self._sliders(network, kind, self._sitting(request)).values())

    def _sliders(self, network: str, kind: str, sitting: Sitting) -> Values:
        count = len(self.studio.canvas(network).directions(kind))
        layers, strengths = sitting.moves.get(kind, ("all", [0.0] * SLIDERS))
        sliders = {
            each: gr.update(value=value, visible=i < count)
            for i, (each, value) in enumerate(zip(self.strengths, strengths, strict=True))
        }
        return {self.layers: gr.update(value=layers), **sliders}

    @_told
    def _choose_network(self, network: str, request: gr.Request) -> Values:
        sitting = self._sitting(request)
        sitting.moves.clear()
        sitting.base = None
        return self._of_network(network)

    def _of_network(self, network: str) -> Values:
        """Return what the controls of a network are at first."""
        canvas = self.studio.canvas(network)
        last = canvas.G.num_ws - 1
        return {
            self.label: gr.update(**_classes(canvas)),
            self.mix_first: gr.update(value=0, maximum=last),
            self.mix_last: gr.update(value=last // 2, maximum=last),
            self.kind: "pca",
            self.layers: gr.update(**_layers(canvas), value="all"),
            **{each: gr.update(value=0, visible=True) for each in self.strengths},
            self.base: _SEED,
        }

    @_told
    def _recall(self, event: gr.SelectData, request: gr.Request) -> Values:
        """Put the controls to where they were for a picture of the history."""
        sitting = self._sitting(request)
        wish = sitting.history[event.index].wish
        picture = wish.picture
        sitting.set_moves(picture.moves, SLIDERS)
        values = {self.network: wish.network, **self._of_network(wish.network)}
        kind = next(reversed(sitting.moves), "pca")
        values |= {self.kind: kind, **self._sliders(wish.network, kind, sitting)}
        values |= {self.psi: picture.truncation_psi, self.noise: picture.noise}
        values |= {self.noise_seed: gr.update(value=picture.noise_seed, visible=picture.noise == "random")}
        label = -1 if picture.class_index is None else picture.class_index
        values |= {self.label: gr.update(**_classes(self.studio.canvas(wish.network)) | {"value": label})}
        if isinstance(picture.base, Path):
            sitting.base = picture.base
            values |= {self.base: _LATENTS, **self._rows(sitting.bases[picture.base], picture.row or 0)}
        else:
            values |= {self.base: _SEED, self.seed: picture.base}
        values[self.mixing] = bool(picture.mixes)
        for mix in picture.mixes:
            first, last = map(int, mix.layers.split("-"))
            values |= {self.mix_seed: mix.source, self.mix_first: first, self.mix_last: last}
        return values

    def _rows(self, base: Base, row: int = 0) -> Values:
        return {self.row: gr.update(value=row, maximum=base.rows - 1, visible=base.rows > 1)}

    @_told
    def _bring(self, network: str, path: str, request: gr.Request) -> Values:
        sitting = self._sitting(request)
        base = self.studio.bring(sitting, network, Path(path))
        return {self.base: _LATENTS, **self._rows(base)}

    def _project(self, values: Values, request: gr.Request) -> Iterator[Values]:
        try:
            yield from self._projected(values, self._sitting(request))
        except StyleGANError as error:
            raise _complaint(error) from error

    def _projected(self, values: Values, sitting: Sitting) -> Iterator[Values]:
        """Project the photograph, showing how far it is, and make it what pictures begin with."""
        if not values[self.photo]:
            raise StyleGANError("upload a photograph first")
        network, photo = values[self.network], Path(values[self.photo])
        canvas, space, fit, steps = (
            self.studio.canvas(network),
            values[self.space],
            values[self.fit],
            values[self.steps],
        )
        target = read_target(photo, canvas.G, fit)
        yield {self.target: gr.update(value=_shown(target.picture), visible=True), self.progress: target.story}
        sitting.wish = None  # nothing else is being drawn
        settings = ProjectionSettings(space=space, steps=_whole(steps))
        label = None if values[self.label] is None or values[self.label] < 0 else values[self.label]
        projection = Projection(canvas.G, target.image(), settings, class_index=label)
        shown = -_SHOWN
        while not projection.done and not sitting.left:
            projection.step()
            if time.monotonic() - shown >= _SHOWN:
                picture = canvas.glimpse(projection.latents())
                yield {self.picture: _shown(picture), self.progress: f"Step {projection.taken} of {settings.steps}"}
                shown = time.monotonic()
        latents = projection.latents()
        options = self.studio.sources[network].options
        chosen = ["--space", space, "--fit", fit, "--steps", str(settings.steps)]
        chosen += [] if label is None else ["--class", str(label)]
        base = self.studio.take_projection(sitting, latents, photo.name, [*options, *chosen])
        likeness = psnr(canvas.draw(latents), target.picture)
        yield {
            self.progress: f"{target.story}; projected at a PSNR of {likeness:.1f} dB",
            self.base: _LATENTS,
            self.noise: "official",
            self.mixing: False,
            **self._rows(base),
        }


def _whole(value: Any) -> int:
    """Return what a number field holds; an empty one is 0."""
    return int(value or 0)


def _shown(picture: Picture) -> Image.Image:
    """Return a picture as the page shows it while it changes, in RGB."""
    return to_pil(picture).convert("RGB")


def _classes(canvas: Canvas) -> dict[str, Any]:
    count = canvas.G.c_dim
    return {"choices": [("none", -1), *((str(i), i) for i in range(count))], "value": -1, "visible": count > 0}


def _layers(canvas: Canvas) -> dict[str, Any]:
    named = ["coarse", "middle", "fine"] if hasattr(canvas.G.synthesis, "block_resolutions") else []
    half = canvas.G.num_ws // 2
    return {"choices": ["all", *(named or [f"0-{half - 1}", f"{half}-{canvas.G.num_ws - 1}"])]}
