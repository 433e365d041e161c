"""Serves pictures of a network over HTTP, by FastAPI; requests that come at the same time are drawn together.

    pip install -r requirements.txt
    python serve.py --network ffhq.pt --device cuda --batch 16
    curl 'http://127.0.0.1:8000/picture?seed=7&truncation=0.7' --output face.png

One thread draws, so that the memory of one batch is all there is, and two encode. Requests that wait are bounded, in
number and in time.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from functools import partial
from typing import Annotated, Any, Literal

import click
import torch
import uvicorn
from fastapi import Depends, FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from starlette.exceptions import HTTPException

import checkpoints
import converter
from stylegan_torch import StyleGANError, latents_from_seeds, to_uint8
from stylegan_torch.commands.terminal import FiniteRange, one_line_errors, say
from stylegan_torch.drawing.devices import best_device, has_fast_form, usable_device
from stylegan_torch.drawing.draw import labels_of, official_noise, set_transform, synthesize, truncation_of
from stylegan_torch.drawing.images import ENCODERS, Picture, encode, to_pil
from stylegan_torch.errors import NoAverageError
from stylegan_torch.explorer.server import address_of, listen
from stylegan_torch.fast import optimize

ENCODING_THREADS = 2
_ASKED = ("seed", "truncation", "class", "format")


@dataclass(frozen=True)
class Wanted:
    """A picture: its seed, truncation psi (None = the network's own) and class (None = an all-zero label)."""

    seed: int
    truncation: float | None = None
    class_index: int | None = None


@dataclass(frozen=True)
class Limits:
    """How requests are put together, and how many wait how long.

    batch: pictures drawn at once. linger: seconds that the first of a batch waits for others.
    waiting: requests that may wait to be drawn. timeout: seconds that one may take.
    """

    batch: int = 8
    linger: float = 0.002
    waiting: int = 64
    timeout: float = 30.0


class Painter:
    """Draws what `stylegan-generate` draws, several pictures at once, each with a truncation and class of its own."""

    def __init__(self, network: str, device: str | None = None) -> None:
        """Open a file of ours, or anything that stylegan-convert reads; by default on the best device there is."""
        self.device = usable_device(device) if device else best_device()
        G = converter.load(network, ["G_ema"]).network("G_ema").to(self.device)
        set_transform(G)
        self.G, self._drawer = G, optimize(G) if has_fast_form(self.device) else G

    def check(self, wanted: Wanted) -> None:
        """Raise StyleGANError for a picture that the network cannot draw."""
        labels_of(self.G, wanted.class_index, 1)
        if not self.G.has_w and wanted.truncation not in (None, 1):
            raise StyleGANError("ProGAN has no truncation")
        if self.G.has_w and self.G.mapping.w_avg is None and truncation_of(self.G, wanted.truncation)[0] != 1:
            raise NoAverageError

    @torch.inference_mode()
    def draw(self, wanted: Sequence[Wanted]) -> list[Picture]:
        """Return the pictures [H, W, C]."""
        G, seeds = self.G, [each.seed for each in wanted]
        latents = latents_from_seeds(seeds, G.z_dim).to(self.device)
        c = torch.cat([labels_of(G, each.class_index, 1) for each in wanted]).to(self.device)
        if G.has_w:
            latents = G.mapping(latents, c)
        if G.has_w and G.mapping.w_avg is not None:
            psis = torch.ones(len(wanted), G.num_ws, 1)
            for row, each in zip(psis, wanted, strict=True):
                psi, cutoff = truncation_of(G, each.truncation)
                row[:cutoff] = psi
            latents = G.mapping.w_avg.lerp(latents, psis.to(latents))
        images = synthesize(self._drawer, latents, c=c, noise=official_noise(G, seeds))
        return list(to_uint8(images, G.rounding).numpy())


@dataclass
class Counts:
    """What was drawn, in how many batches."""

    pictures: int = 0
    batches: int = 0


class Batcher:
    """Puts requests together."""

    def __init__(self, draw: Callable[[Sequence[Wanted]], Sequence[Picture]], limits: Limits) -> None:
        self._draw, self._limits, self.counts = draw, limits, Counts()
        self._waiting = asyncio.Queue[tuple[Wanted, asyncio.Future[Picture]]](limits.waiting)

    @property
    def waiting(self) -> int:
        """Return how many requests wait."""
        return self._waiting.qsize()

    async def picture(self, wanted: Wanted) -> Picture:
        """Return a picture.

        Raises:
            HTTPException: if too many wait already, or it takes too long.
        """
        future = asyncio.get_running_loop().create_future()
        try:
            self._waiting.put_nowait((wanted, future))
            async with asyncio.timeout(self._limits.timeout):
                return await future
        except asyncio.QueueFull as error:
            line = f"{self._limits.waiting} requests wait already: try again in a moment"
            raise HTTPException(503, line, {"Retry-After": "1"}) from error
        except TimeoutError as error:
            raise HTTPException(504, f"this took more than {self._limits.timeout:g} seconds") from error

    async def run(self) -> None:
        """Draw what is wanted, until cancelled."""
        with ThreadPoolExecutor(1, "drawing") as thread:
            while True:
                batch = [await self._waiting.get()]
                if self._waiting.qsize() < self._limits.batch - 1:
                    await asyncio.sleep(self._limits.linger)
                while len(batch) < self._limits.batch and not self._waiting.empty():
                    batch.append(self._waiting.get_nowait())
                batch = [(wanted, future) for wanted, future in batch if not future.done()]  # some gave up
                if batch:
                    await self._answer(thread, batch)

    async def _answer(self, thread: ThreadPoolExecutor, batch: list[tuple[Wanted, asyncio.Future[Picture]]]) -> None:
        loop, everything = asyncio.get_running_loop(), [wanted for wanted, _ in batch]
        results: Sequence[Picture | Exception]
        try:
            results = await loop.run_in_executor(thread, self._draw, everything)
        except Exception as error:  # whatever it is, those who wait are told
            results = [error] * len(batch)
        self.counts.batches += 1
        self.counts.pictures += len(batch)
        for (_, future), result in zip(batch, results, strict=True):
            if future.done():
                continue
            if isinstance(result, Exception):
                future.set_exception(result)
            else:
                future.set_result(result)


def application(painter: Painter, limits: Limits | None = None) -> FastAPI:
    """Return the service: `/picture` and `/health`."""
    batcher = Batcher(painter.draw, limits or Limits())
    encoders = ThreadPoolExecutor(ENCODING_THREADS, "encoding")

    @asynccontextmanager
    async def running(app: FastAPI) -> AsyncIterator[None]:
        app.state.drawing = asyncio.create_task(batcher.run())
        yield
        app.state.drawing.cancel()
        encoders.shutdown(cancel_futures=True)

    # Its pages for people load scripts from elsewhere.
    app = FastAPI(title="Pictures of a StyleGAN network", docs_url=None, redoc_url=None, lifespan=running)

    def only_known(request: Request) -> None:
        for name in request.query_params:
            if name not in _ASKED:
                raise StyleGANError(f"{name}: there is only {', '.join(_ASKED[:-1])} and {_ASKED[-1]}")

    @app.get("/picture", response_class=Response, dependencies=[Depends(only_known)])
    async def picture(
        seed: Annotated[int, Query(ge=0, lt=2**32)],
        truncation: Annotated[float | None, Query(ge=-2, le=2)] = None,
        class_index: Annotated[int | None, Query(alias="class", ge=0)] = None,
        form: Annotated[Literal["png", "jpeg", "webp"], Query(alias="format")] = "png",
    ) -> Response:
        """Return the picture of a seed."""
        wanted = Wanted(seed, truncation, class_index)
        painter.check(wanted)
        drawn, encoder = to_pil(await batcher.picture(wanted)), ENCODERS[form]
        content = await asyncio.get_running_loop().run_in_executor(
            encoders, partial(encode, drawn, encoder, asdict(wanted))
        )
        return Response(content, media_type=encoder.media_type)

    @app.get("/health")
    async def health(request: Request) -> JSONResponse:
        """Say whether pictures are drawn."""
        draws = not request.app.state.drawing.done()
        about: dict[str, Any] = {"size": painter.G.img_size, "device": painter.device, "waiting": batcher.waiting}
        return JSONResponse({**about, **asdict(batcher.counts)}, 200 if draws else 503)

    @app.exception_handler(StyleGANError)
    async def wrong(request: Request, error: StyleGANError) -> Response:
        return PlainTextResponse(f"{error}\n", 400)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        return PlainTextResponse(f"{first['loc'][-1]}: {first['msg']}\n", 400)

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> Response:
        return PlainTextResponse(f"{error.detail}\n", error.status_code, error.headers)

    @app.exception_handler(Exception)
    async def unexpected(request: Request, error: Exception) -> Response:
        return PlainTextResponse("this picture could not be drawn\n", 500)

    return app


@click.command()
@click.option("--network", help="A file of ours, or anything stylegan-convert reads.  [default: the bundled one]")
@click.option("--device", help="[default: the best there is]")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(1, 65535), default=8000, show_default=True, help="Port to listen on.")
@click.option(
    "--batch", type=click.IntRange(1, 256), help="Pictures drawn at once.  [default: 8 on a graphics card, 1 elsewhere]"
)
@click.option(
    "--linger",
    type=FiniteRange(0, 1000),
    default=2,
    show_default=True,
    help="Milliseconds that the first of a batch waits for others.",
)
@click.option(
    "--waiting", type=click.IntRange(1, 10_000), default=64, show_default=True, help="Requests that may wait."
)
@click.option(
    "--timeout", type=FiniteRange(0.1, 3600), default=30, show_default=True, help="Seconds that one may take."
)
@click.option("--threads", type=click.IntRange(1, 256), help="To compute with on the CPU.  [default: as PyTorch does]")
@one_line_errors
def main(
    network: str | None,
    device: str | None,
    host: str,
    port: int,
    batch: int | None,
    linger: float,
    waiting: int,
    timeout: float,
    threads: int | None,
) -> None:
    """Serve pictures of a network until Ctrl-C."""
    if threads:
        torch.set_num_threads(threads)
    try:
        painter = Painter(network or str(checkpoints.DEMO), device)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--device") from error
    batch = batch or (1 if painter.device == "cpu" else 8)
    painter.draw([Wanted(seed) for seed in range(batch)])  # the first batch takes longer, or has no room
    config = uvicorn.Config(
        application(painter, Limits(batch, linger / 1000, waiting, timeout)),
        log_level="warning",
        limit_concurrency=2 * (waiting + batch),  # a picture on its way to a slow reader is one too
        timeout_graceful_shutdown=5,
    )
    with suppress(KeyboardInterrupt), listen(host, port) as listener:
        say(f"Pictures at {address_of(listener)}picture?seed=0 (Ctrl-C ends)")
        uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
