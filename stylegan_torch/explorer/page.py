"""The explorer's page, on Gradio.

What a visitor changes turns the files off, in the browser, and runs `_glimpse`, which answers at once; after it comes
`_settle`, which waits for a moment of calm, draws the picture whole, and makes the files; and when the browser shows
it, `_hand_out` turns the files on. Whatever a visitor does overtakes what went before. An answer that brings another
picture turns the files off with it, and no handler fails, so that this always ends in the files of what is shown.
`_glimpse` and `_hand_out` answer in turn: files that were on their way cannot come after the next picture.
"""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from pathlib import Path
from typing import Any, Literal, ParamSpec, TypeVar

import gradio as gr
from gradio.components import Component
from PIL import Image

from stylegan_torch.drawing.images import Picture, to_pil
from stylegan_torch.editing.composition import Composition, Mix, Noise
from stylegan_torch.editing.latents import Latents
from stylegan_torch.editing.mixing import layers_of
from stylegan_torch.editing.projection import Projection, ProjectionSettings
from stylegan_torch.editing.targets import Target, psnr, read_target
from stylegan_torch.errors import StyleGANError
from stylegan_torch.explorer.fields import FieldError, as_text, choice, number, text, whole
from stylegan_torch.explorer.renderer import OvertakenError, Renderer
from stylegan_torch.explorer.reports import told
from stylegan_torch.explorer.roof import Blocks
from stylegan_torch.explorer.sessions import AS_FOUND, Moves, Request, Session, Sessions, as_set, moves_of
from stylegan_torch.pictures.alignment import Alignment
from stylegan_torch.pictures.faces import FaceFinder, can_find

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
_WAITING = 8
"""Projections that may wait for the one that is made."""
_LAST_SEED = 2**32 - 1
_SEED, _LATENTS = "a seed", "latents"
_MOST_STEPS = 2000
_NOISE: list[Noise] = ["official", "const", "random", "none"]
_SPACES: list[Literal["w", "w+"]] = ["w+", "w"]
_FITS: list[Literal["crop", "pad", "align"]] = ["crop", "pad", "align"] if can_find() else ["crop", "pad"]
_finder = functools.cache(FaceFinder)
_DRAWING = "drawing …"
_OFF = f"() => [...Array(2).fill({{__type__: 'update', interactive: false}}), '', '{_DRAWING}']"
"""Turns the files off in the browser, before anything is asked of the server."""
_SEEN = "async () => { await document.querySelector('#picture img')?.decode().catch(() => {}); return []; }"
"""Waits until the picture is on the screen."""
_Keywords = dict[str, Any]
"""Arguments for Gradio, of any type."""
_IN_TURN: _Keywords = {"concurrency_id": "in turn", "concurrency_limit": 1}
"""One handler at a time, until its answer is on its way."""
CSS = """
.gradio-container { overflow: clip !important; }  /* anything else would be what sticks scroll in */
#results { position: sticky; top: 0; align-self: flex-start; }
#picture:not(.fullscreen) { --height: clamp(30vh, 100vh - 430px, 56vh); }  /* so that all of #results is seen */
#picture, #picture img { height: var(--height, 100vh) !important; }
#picture img { width: 100% !important; object-fit: contain; }
#status { height: 3em; overflow: hidden auto; }
#history { height: 112px; min-height: 112px; }
#history .thumbnail-item { width: 80px; height: 80px; }
#results:has(.fullscreen) { z-index: 100; }
/* On a phone, all else scrolls below the picture, so that it covers nothing. */
@media (max-width: 767px), (max-height: 540px) {
  #picture:not(.fullscreen) { --height: 38vh; position: fixed; inset: 0 0 auto; }
  #status { position: fixed; inset: 38vh 1em auto; }
  #page { position: fixed; inset: calc(38vh + 3em) 0 0; overflow-y: auto; padding: 1em; flex-flow: column nowrap; }
  #page > *, #results > * { flex: none; width: 100%; }
  #results { display: contents; }
}
"""
THEME = gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"])

Values = dict[Component, object]
"""What controls hold, or are to hold, by the control."""
_Control = gr.Checkbox | gr.Dropdown | gr.Number | gr.Radio | gr.Slider
_Parameters = ParamSpec("_Parameters")
_Answer = TypeVar("_Answer")
_Choice = TypeVar("_Choice", bound=str)


def _warns(handler: Callable[_Parameters, _Answer]) -> Callable[_Parameters, _Answer | Values]:
    """Show a visitor what goes wrong, in a line, and change nothing."""

    @functools.wraps(handler)
    def wrapper(*args: _Parameters.args, **keywords: _Parameters.kwargs) -> _Answer | Values:
        try:
            return handler(*args, **keywords)
        except Exception as error:  # the visitor's roof: an event that fails would end the chain that turns files on
            gr.Warning(_line(error))
            return _skip()

    return wrapper


def _skip() -> Values:
    """Return what changes nothing."""
    return gr.skip()


def _line(error: Exception) -> str:
    """Return what a visitor reads of an error, in HTML."""
    return as_text(told(error))


class Page:
    """The page of some sessions; `blocks` is what Gradio serves."""

    def __init__(self, sessions: Sessions) -> None:
        self.sessions = sessions
        self._projecting = threading.Lock()  # one at a time
        self._waiting = threading.BoundedSemaphore(1 + _WAITING)
        first = next(iter(sessions.networks))
        renderer = sessions.renderer(first)
        with Blocks(title="StyleGAN explorer", analytics_enabled=False) as self.blocks:
            with gr.Row(elem_id="page"):
                with gr.Column(scale=2, min_width=300):
                    self._network_controls(first)
                    self._seed_controls(renderer)
                    self._mix_controls(renderer)
                    self._direction_controls(renderer)
                    self._photo_controls()
                with gr.Column(scale=3, min_width=320, elem_id="results"):
                    self._results()
            self._connect()

    def _network_controls(self, first: str) -> None:
        names = list(self.sessions.networks)
        self.network = gr.Dropdown(names, value=first, label="Network", visible=len(names) > 1, elem_id="network")

    def _seed_controls(self, renderer: Renderer) -> None:
        with gr.Row(equal_height=True):
            self.seed = gr.Number(
                0, label="Seed", precision=0, minimum=0, maximum=_LAST_SEED, elem_id="seed", min_width=120
            )
            self.dice = gr.Button("Another", elem_id="dice", min_width=90, scale=0)
        self.psi = gr.Slider(-1, 1.5, 0.7, step=0.01, label="Truncation psi", elem_id="psi", buttons=[])
        self.label = gr.Dropdown(**_classes(renderer), label="Class", elem_id="class")
        with gr.Row():
            self.noise = gr.Dropdown(_NOISE, value="official", label="Noise", elem_id="noise", min_width=120)
            self.noise_seed = gr.Number(
                0, label="Noise seed", precision=0, minimum=0, maximum=_LAST_SEED, visible=False, min_width=120
            )

    def _mix_controls(self, renderer: Renderer) -> None:
        last = renderer.G.num_ws - 1
        with gr.Accordion("Mix", open=False, elem_id="mix"):
            self.mixing = gr.Checkbox(False, label="Take styles from another seed", elem_id="mixing")
            self.mix_seed = gr.Number(1, label="Its seed", precision=0, minimum=0, maximum=_LAST_SEED)
            with gr.Row():
                slider: _Keywords = {"step": 1, "min_width": 120, "buttons": []}
                self.mix_first = gr.Slider(0, last, 0, label="From layer", elem_id="mix-first", **slider)
                self.mix_last = gr.Slider(0, last, last // 2, label="To layer", elem_id="mix-last", **slider)

    def _direction_controls(self, renderer: Renderer) -> None:
        with gr.Accordion("Directions", open=False, elem_id="directions"):
            with gr.Row():
                self.kind = gr.Dropdown(list(self.sessions.directions), value="pca", label="Found by", min_width=120)
                self.layers = gr.Dropdown(
                    _layers(renderer), value=AS_FOUND, label="Layers", allow_custom_value=True, min_width=120
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
                self.space = gr.Dropdown(_SPACES, value="w+", label="Space", min_width=80)
                self.fit = gr.Dropdown(_FITS, value="crop", label="Fit", min_width=80)
                self.steps = gr.Number(
                    300, label="Steps", precision=0, minimum=1, maximum=_MOST_STEPS, min_width=80, elem_id="steps"
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
            lines=3,
            max_lines=3,
            placeholder=_DRAWING,
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
    def _controls(self) -> list[_Control]:
        """Return the controls whose change changes the picture."""
        mix: list[_Control] = [self.mixing, self.mix_seed, self.mix_first, self.mix_last]
        seed: list[_Control] = [self.seed, self.psi, self.label, self.noise, self.noise_seed]
        return [*seed, *mix, self.layers, *self.strengths, self.base, self.row]

    def _connect(self) -> None:
        given = {self.network, *self._controls}
        private: _Keywords = {"show_progress": "hidden", "api_visibility": "private", "preprocess": False}
        files = [self.png, self.npz, self.commands, self.status]
        drawn = [self.picture, *files]
        photo = [self.photo, self.latents, self.target, self.progress]
        everything = [self.network, self.kind, *self._controls, *photo]
        sliders = [control for control in self._controls if isinstance(control, gr.Slider)]
        changes = [*(control.input for control in self._controls), *(slider.release for slider in sliders)]

        def redraw(
            event: Callable[..., Any],
            handler: Callable[..., object] | None = None,
            inputs: object = None,
            outputs: object = None,
            js: str | None = None,
        ) -> None:
            event(None, None, files, js=_OFF, **private)
            if handler or js:
                event = event(handler, inputs, outputs, js=js, **private).success
            glimpse = event(self._glimpse, given, drawn, trigger_mode="always_last", **_IN_TURN, **private)
            at_once: _Keywords = {"trigger_mode": "multiple", "concurrency_limit": None, **private}
            settled = glimpse.success(self._settle, None, [self.picture, self.status, self.history], **at_once)
            settled.success(self._hand_out, None, files, js=_SEEN, trigger_mode="multiple", **_IN_TURN, **private)

        shows_seed = "kind => ({__type__: 'update', visible: kind === 'random'})"
        self.noise.input(None, self.noise, self.noise_seed, js=shows_seed, **private)
        redraw(functools.partial(gr.on, changes))  # a slider is put back into its range when it is released
        redraw(self.blocks.load)
        redraw(self.dice.click, None, None, self.seed, "() => Math.floor(Math.random() * 1e6)")
        redraw(self.straight.click, self._straighten, None, self.strengths)
        redraw(self.network.input, self._choose_network, self.network, everything)
        redraw(self.history.select, self._recall, None, everything)
        redraw(self.latents.upload, self._bring, [self.network, self.latents], everything)
        redraw(self.kind.input, self._show_kind, [self.network, self.kind], [self.layers, *self.strengths])
        projection = self.project.click(
            self._project,
            {self.network, self.photo, self.space, self.fit, self.steps, self.label},
            [*drawn, *everything],
            concurrency_limit=None,
            **private,
        )
        redraw(projection.success)
        self.stop.click(self._stop, **private)
        self.blocks.unload(self._leave)
        self.blocks.queue(max_size=_QUEUE)

    def _session(self, visit: gr.Request) -> Session:
        return self.sessions.of(str(visit.session_hash))

    def _stop(self, visit: gr.Request) -> None:
        self._session(visit).projects = False

    def _leave(self, visit: gr.Request) -> None:
        self.sessions.leave(str(visit.session_hash))

    def _whole(self, values: Values, field: Component, high: int, low: int = 0) -> int:
        return whole(str(field.label), values[field], low=low, high=high)

    def _choice(self, values: Values, field: Component, choices: Iterable[_Choice]) -> _Choice:
        return choice(str(field.label), values[field], choices)

    def _uploaded(self, field: Component, file: object) -> Path:
        """Return where an upload is: Gradio has looked, and so do we."""
        try:
            return self.sessions.uploaded(file["path"] if isinstance(file, dict) else None)
        except (KeyError, StyleGANError) as error:
            raise FieldError(str(field.label), file, "an upload") from error

    def _class(self, values: Values, renderer: Renderer) -> int | None:
        if values[self.label] in (None, -1):
            return None
        if not renderer.G.c_dim:
            raise StyleGANError(f"{self.label.label}: the network has none")
        return self._whole(values, self.label, renderer.G.c_dim - 1)

    def _moves(self, values: Values, session: Session, renderer: Renderer) -> Moves:
        layers = text(str(self.layers.label), values[self.layers] or AS_FOUND)
        if layers != AS_FOUND:
            try:
                layers_of(renderer.G, layers)
            except ValueError as error:
                raise StyleGANError(f"{self.layers.label}: {error}") from error
        strengths = [
            number(str(each.label), values[each], low=each.minimum, high=each.maximum) for each in self.strengths
        ]
        # The sliders are those of the kind that we sent last, which the visitor may have changed since.
        return {**session.moves, session.kind: (layers, strengths)}

    def _mixes(self, values: Values, renderer: Renderer) -> tuple[Mix, ...]:
        if not values[self.mixing]:
            return ()
        last = renderer.G.num_ws - 1
        low, high = sorted(self._whole(values, each, last) for each in (self.mix_first, self.mix_last))
        return (Mix(self._whole(values, self.mix_seed, _LAST_SEED), f"{low}-{high}"),)

    def _base(self, values: Values, session: Session) -> tuple[int | Path, int | None]:
        """Return what a picture begins with: a seed, or a file of latents and which row of it if it has several."""
        if self._choice(values, self.base, [_SEED, _LATENTS]) == _SEED:
            return self._whole(values, self.seed, _LAST_SEED), None
        if session.base is None or session.bases[session.base].network != values[self.network]:
            raise StyleGANError(f"{self.base.label}: there are no latents yet: project a photograph, or upload a file")
        rows = session.bases[session.base].rows
        return session.base, self._whole(values, self.row, rows - 1) if rows > 1 else None

    def _composition(self, values: Values, session: Session, moves: Moves, renderer: Renderer) -> Composition:
        """Return what the controls ask for."""
        base, row = self._base(values, session)
        psi = number(str(self.psi.label), values[self.psi], low=self.psi.minimum, high=self.psi.maximum)
        noise = self._choice(values, self.noise, _NOISE)
        noise_seed = self._whole(values, self.noise_seed, _LAST_SEED) if noise == "random" else 0
        label, mixes = self._class(values, renderer), self._mixes(values, renderer)
        return Composition(base, psi, label, mixes, moves_of(moves), noise, noise_seed, row)

    def _glimpse(self, values: Values, visit: gr.Request) -> Values:
        session = self._session(visit)
        turn = session.begin()
        try:
            network = self._choice(values, self.network, self.sessions.networks)
            renderer = self.sessions.renderer(network)
            moves = self._moves(values, session, renderer)
            request = Request(network, self._composition(values, session, moves, renderer))
            picture = session.draft(_rgb(renderer.glimpse(renderer.compose(request.picture))))
        except Exception as error:  # as in `_warns`: what was shown stays, with what is wrong below it
            session.complaint = f"{_line(error)}. The picture is the one before."
            session.ask(turn, None)
            return {self.status: session.complaint}
        if not session.ask(turn, request):
            return _skip()
        session.moves, session.complaint = moves, ""
        return self._draft(picture)

    def _draft(self, picture: Path) -> Values:
        """Return a picture that has no files to take away."""
        off = gr.update(interactive=False)
        return {self.picture: str(picture), self.png: off, self.npz: off, self.commands: "", self.status: _DRAWING}

    @_warns
    def _settle(self, visit: gr.Request) -> Values:
        session = self._session(visit)
        request = session.request
        time.sleep(CALM)
        if request is None or session.request is not request:
            return _skip()
        try:
            result = self.sessions.finish(session, request)
        except OvertakenError:
            return _skip()
        except StyleGANError as error:
            return {self.status: _line(error)}
        if session.request is not request:
            return _skip()
        session.shown = request, result
        return {self.picture: str(result.png), self.history: [(str(each.thumbnail), "") for each in session.history]}

    @_warns
    def _hand_out(self, visit: gr.Request) -> Values:
        """Turn the files of the finished picture on, if it is still the one that is shown."""
        session = self._session(visit)
        request, result = session.shown or (None, None)
        if result is None or session.request is not request:
            return _skip()
        png, npz = (gr.update(value=str(path), interactive=True) for path in (result.png, result.npz))
        return {self.png: png, self.npz: npz, self.commands: result.commands, self.status: session.complaint}

    @_warns
    def _straighten(self, visit: gr.Request) -> list[float]:
        session = self._session(visit)
        session.begin()
        session.moves = {}
        return [0.0] * SLIDERS

    @_warns
    def _show_kind(self, network: str, kind: str, visit: gr.Request) -> list[object]:
        """Show the sliders of another kind of directions as they were left."""
        session = self._session(visit)
        session.begin()
        network = choice(str(self.network.label), network, self.sessions.networks)
        kind = choice(str(self.kind.label), kind, self.sessions.directions)
        sliders = self._sliders(network, kind, session)
        session.kind = kind
        return list(sliders.values())

    def _sliders(self, network: str, kind: str, session: Session) -> Values:
        renderer = self.sessions.renderer(network)
        count = len(renderer.directions(kind))
        layers, strengths = session.moves.get(kind, (AS_FOUND, [0.0] * SLIDERS))
        sliders: Values = {
            each: gr.update(value=value, visible=i < count)
            for i, (each, value) in enumerate(zip(self.strengths, strengths, strict=True))
        }
        return {self.layers: gr.update(choices=_layers(renderer), value=layers), **sliders}

    def _choose_network(self, network: str, visit: gr.Request) -> Values:
        """Keep the seed, truncation and noise; the rest is another network's."""
        session = self._session(visit)
        session.begin()
        last = session.last.picture if session.last else Composition(0, 0.7)
        seed = last.base if isinstance(last.base, int) else 0
        picture = Composition(seed, last.truncation_psi, noise=last.noise, noise_seed=last.noise_seed)
        try:
            shown = self._show(choice(str(self.network.label), network, self.sessions.networks), picture, session)
        except Exception as error:  # as in `_warns`, but the list goes back to the network that is shown
            gr.Warning(_line(error))
            return {self.network: session.network}
        return shown | {self.photo: None, self.latents: None, self.progress: "", self.target: gr.update(visible=False)}

    @_warns
    def _recall(self, event: gr.SelectData, visit: gr.Request) -> Values:
        """Put the controls to where they were for a picture of the history."""
        session = self._session(visit)
        session.begin()
        name = Path(event.value["image"]["path"]).name  # there may be more pictures by now than when they clicked
        request = next((each.request for each in session.history if each.thumbnail.name == name), None)
        if request is None:
            raise StyleGANError("this picture is no longer there")
        return self._show(request.network, request.picture, session)

    def _show(self, network: str, picture: Composition, session: Session) -> Values:
        """Return what the controls are for a picture of a network."""
        renderer = self.sessions.renderer(network)
        last = renderer.G.num_ws - 1
        moves = as_set(picture.moves, SLIDERS)
        kind = next(reversed(moves), "pca")
        mix = picture.mixes[0] if picture.mixes else Mix(1, f"0-{last // 2}")
        mix_first, mix_last = map(int, mix.layers.split("-"))
        label = -1 if picture.class_index is None else picture.class_index
        base = _LATENTS if isinstance(picture.base, Path) else _SEED
        session.projects = session.projects and session.network == network
        session.network, session.moves, session.kind = network, moves, kind
        session.base = picture.base if isinstance(picture.base, Path) else None
        seed: Values = {self.seed: picture.base} if isinstance(picture.base, int) else {}
        return {
            self.network: network,
            **seed,
            self.psi: picture.truncation_psi,
            self.label: gr.update(**_classes(renderer) | {"value": label}),
            self.noise: picture.noise,
            self.noise_seed: gr.update(value=picture.noise_seed, visible=picture.noise == "random"),
            self.mixing: bool(picture.mixes),
            self.mix_seed: mix.source,
            self.mix_first: gr.update(value=mix_first, maximum=last),
            self.mix_last: gr.update(value=mix_last, maximum=last),
            self.kind: kind,
            **self._sliders(network, kind, session),
            self.base: base,
            **self._rows(session, picture.row or 0),
        }

    def _rows(self, session: Session, row: int = 0) -> Values:
        rows = session.bases[session.base].rows if session.base else 1
        return {self.row: gr.update(value=row, maximum=rows - 1, visible=rows > 1)}

    @_warns
    def _bring(self, network: str, file: object, visit: gr.Request) -> Values:
        session = self._session(visit)
        session.begin()
        network = choice(str(self.network.label), network, self.sessions.networks)
        self.sessions.bring(session, network, self._uploaded(self.latents, file))
        return {self.base: _LATENTS, **self._rows(session)}

    def _project(self, values: Values, visit: gr.Request) -> Iterator[Values]:
        try:
            yield from self._projected(values, self._session(visit))
        except Exception as error:
            gr.Warning(_line(error))
            yield {self.progress: ""}

    def _projected(self, values: Values, session: Session) -> Iterator[Values]:
        """Project the photograph, showing how far it is, and make it what pictures begin with."""
        if not values[self.photo]:
            raise StyleGANError("upload a photograph first")
        photo = self._uploaded(self.photo, values[self.photo])
        steps = self._whole(values, self.steps, _MOST_STEPS, low=1)
        space, fit = self._choice(values, self.space, _SPACES), self._choice(values, self.fit, _FITS)
        network = self._choice(values, self.network, self.sessions.networks)
        renderer = self.sessions.renderer(network)
        label = self._class(values, renderer)
        alignment = Alignment(_finder(), "largest") if fit == "align" else None
        target = read_target(photo, renderer.G, "pad" if fit == "pad" else "crop", alignment=alignment)
        if session.projects:
            raise StyleGANError("a photograph of yours is being projected: stop that first")
        if not self._waiting.acquire(blocking=False):
            raise StyleGANError("too many projections are waiting: try again later")
        session.projects = True
        try:
            aim = str(session.target(_rgb(target.picture)))
            yield {self.target: gr.update(value=aim, visible=True), self.progress: target.story}
            settings = ProjectionSettings(space=space, steps=steps)
            latents = yield from self._found(session, renderer, target, settings, label)
        finally:
            session.projects = False
            self._waiting.release()
        if latents is None:
            yield {self.progress: "Stopped."}
            return
        options = ["--space", space, *(["--align", "--face", "largest"] if fit == "align" else ["--fit", fit])]
        options += ["--steps", str(steps)]
        options += [] if label is None else ["--class", str(label)]
        self.sessions.take_projection(session, network, latents, photo=photo.name, options=options)
        likeness = psnr(renderer.draw(latents), target.picture)
        yield {
            self.progress: f"{target.story}; projected at a PSNR of {likeness:.1f} dB",
            self.base: _LATENTS,
            self.noise: "official",
            self.mixing: False,
            **self._rows(session),
        }

    def _found(
        self, session: Session, renderer: Renderer, target: Target, settings: ProjectionSettings, label: int | None
    ) -> Generator[Values, None, Latents | None]:
        """Project when it is this visitor's turn, showing how far it is; returns None if they stopped it."""
        while not self._projecting.acquire(timeout=_SHOWN):
            yield {self.progress: "Waiting for the projections of others …"}
            if not session.projects:
                return None
        try:
            projection = Projection(renderer.G, target.image(), settings, class_index=label)
            turn = session.begin()
            for step in _in_time(projection):
                if not session.projects:
                    return None
                picture = self._draft(session.draft(_rgb(renderer.glimpse(projection.latents()))))
                # A visitor who does something meanwhile sees what that makes.
                seen = {**picture, self.status: "projecting …"} if session.turn is turn else {}
                yield {**seen, self.progress: f"Step {step} of {settings.steps}"}
            return projection.latents() if session.projects else None
        finally:
            self._projecting.release()


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


def _rgb(picture: Picture) -> Image.Image:
    """Return a picture as the page shows it while it changes."""
    return to_pil(picture).convert("RGB")


def _classes(renderer: Renderer) -> _Keywords:
    count = renderer.G.c_dim
    return {"choices": [("none", -1), *((str(i), i) for i in range(count))], "value": -1, "visible": count > 0}


def _layers(renderer: Renderer) -> list[str]:
    named = ["coarse", "middle", "fine"] if hasattr(renderer.G.synthesis, "block_resolutions") else []
    half = renderer.G.num_ws // 2
    return [AS_FOUND, "all", *(named or [f"0-{half - 1}", f"{half}-{renderer.G.num_ws - 1}"])]
