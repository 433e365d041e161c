"""The training loop, one step at a time: the same whatever number of processes share it.

Accelerate starts the processes, picks device and precision, and sums over processes; what GANs need is here. (StyleGAN3
alone depends on how a batch is shared: its styles are normalised over all pictures that are drawn together.)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim import Optimizer

from stylegan_torch.drawing.random_streams import RandomStream, Share
from stylegan_torch.errors import StyleGANError
from stylegan_torch.networks import progan, stylegan3
from stylegan_torch.networks.interface import Discriminator, Generator
from stylegan_torch.networks.layers import box_down2d, nearest_up2d, upfirdn2d
from stylegan_torch.networks.path_lengths import path_lengths
from stylegan_torch.training import losses
from stylegan_torch.training.ada import Overfitting, augment
from stylegan_torch.training.dataset import Dataset, stream
from stylegan_torch.training.settings import Settings, grown_lod

Objective = Callable[[Share], tuple[Tensor, dict[str, Tensor]]]
"""Gives the loss of a share of the batch, and numbers to report."""


@dataclass(frozen=True)
class Part:
    """Of a step: what to make small, the shares of the batch to take it of, and whether in float32 whatever else is."""

    objective: Objective
    shares: list[Share]
    precise: bool = False


_PATH_DECAY = 0.01
"""How much of the mean path length is renewed at each of its steps (StyleGAN2 appendix B)."""
_PURPOSES = ("g", "d", "path", "directions", "flips", "augment_g", "augment_real", "augment_fake", "between")
"""What random numbers are for; each has its own stream."""


class Trainer:
    """Trains a generator against a discriminator, and keeps the generator's average.

    Args:
        G, D, G_ema: networks of this package; they are changed, and moved to the accelerator's device.
        data: pictures of the networks' size.
        settings: how to train.
        accelerator: of Hugging Face Accelerate.
        at_once: pictures a process takes at once; None = its share of the batch. Less saves memory, not time.

    Raises:
        StyleGANError: if networks, data and settings don't fit each other.
    """

    def __init__(
        self,
        G: Generator,
        D: Discriminator,
        G_ema: Generator,
        data: Dataset,
        settings: Settings,
        *,
        accelerator: Accelerator | None = None,
        at_once: int | None = None,
    ) -> None:
        self.accelerator = accelerator or Accelerator()
        self.device = self.accelerator.device
        # This layout is the fastest on CPUs and tensor cores.
        self.G: Generator = G.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.D: Discriminator = D.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.G_ema: Generator = G_ema.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.G_ema.requires_grad_(False)
        self.data, self.settings, self.at_once = data, settings, at_once
        self.shown, self.steps = 0, 0
        self.path_mean = torch.zeros([], device=self.device)
        self.overfitting = Overfitting(settings.augment_target, settings.augment_kimg, p=settings.augment_p)
        self.frozen = freeze(D, settings.freeze_d)
        self.g_parameters = list(G.parameters())
        self.d_parameters = [value for name, value in D.named_parameters() if name not in self.frozen]
        self.g_optimizer = self._adam(self.g_parameters, settings.g_lr, self._g_interval)
        self.d_optimizer = self._adam(self.d_parameters, settings.d_lr, self._d_interval)
        self.lod, self.batch = 0.0, settings.batch
        self._check()
        self._schedule()

    @property
    def _g_interval(self) -> int:
        return self.settings.path_length_interval if self.settings.path_length_weight else 0

    @property
    def _d_interval(self) -> int:
        return self.settings.r1_interval if self.settings.r1_gamma else 0

    def _adam(self, parameters: list[nn.Parameter], lr: float, interval: int) -> Optimizer:
        lr, betas = losses.lazy_adam(lr, self.settings.betas, interval)
        fused = self.device.type == "cpu" and self.accelerator.scaler is None
        return self.accelerator.prepare(torch.optim.Adam(parameters, lr, betas, eps=1e-8, fused=fused or None))

    def _check(self) -> None:
        G, D, size, channels = self.G, self.D, self.D.img_size, self.D.img_channels
        if (G.img_size, G.img_channels) != (size, channels):
            raise StyleGANError(f"G draws {_form(G.img_size, G.img_channels)}, D judges {_form(size, channels)}")
        if G.config != self.G_ema.config:
            raise StyleGANError("G and G_ema are different networks")
        if D.c_dim not in (0, G.c_dim):
            raise StyleGANError(f"G has {G.c_dim} classes, D has {D.c_dim}")
        if self.data.pictures.shape[1:] != (channels, *size):
            raise StyleGANError(f"the data set has {self.data.pictures.shape[1:]}, the networks {(channels, *size)}")
        self.label_note = self.data.fit_labels(G.c_dim)
        if self.settings.grow_from is not None and not (_can_grow(G) and _can_grow(D)):
            raise StyleGANError("grow_from: these networks cannot grow, as they were not made for it")
        if not G.has_w and self._g_interval:
            raise StyleGANError("path_length_weight: ProGAN has no W to take path lengths in")
        for batch in (self.settings.batch, *self.settings.batches.values()):
            self._split(batch, self._group)
            if self._g_interval:
                self._split(self._path_batch(batch))

    def _schedule(self) -> None:
        """Set what depends on how many pictures were shown: sizes, batch, learning rates."""
        settings, before = self.settings, self.lod
        self.lod = grown_lod(settings, self.D.img_resolution, self.shown)
        side = self.D.img_resolution >> math.floor(self.lod)
        self.batch = settings.batches.get(side, settings.batch)
        for optimizer, rate, interval in (
            (self.g_optimizer, settings.g_lr, self._g_interval),
            (self.d_optimizer, settings.d_lr, self._d_interval),
        ):
            lr, betas = losses.lazy_adam(settings.learning_rates.get(side, rate), settings.betas, interval)
            for group in optimizer.param_groups:
                group["lr"], group["betas"] = lr, betas
            if _levels(before) != _levels(self.lod):  # other layers take part now: the moments begin anew
                optimizer.state.clear()
        if settings.grow_from is not None:
            for network in (self.G, self.D, self.G_ema):
                set_lod(network, self.lod)

    @property
    def _group(self) -> int | None:
        """How many pictures the discriminator compares with each other; None = all of a batch."""
        return self.D.b4.mbstd_group_size if self.D.config.mbstd_num_features else 1

    @property
    def most_at_once(self) -> int:
        """How many pictures a process takes at once."""
        return self.batch // self._split(self.batch, self._group)[0].of

    def _path_batch(self, batch: int) -> int:
        return max(batch // self.settings.path_length_shrink, self.accelerator.num_processes)

    def _split(self, batch: int, group: int | None = 1) -> list[Share]:
        """Return the shares of a batch that this process works on, one after the other.

        A share is a whole number of groups, and no more pictures than may be taken at once.
        """
        processes, rank = self.accelerator.num_processes, self.accelerator.process_index
        group = batch if group is None else min(group, batch)
        for rounds in range(1, batch // processes + 1):
            size = batch // (rounds * processes)
            fits = batch == size * rounds * processes and size % group == 0
            if fits and size <= (self.at_once or batch):
                return [Share(index * processes + rank, rounds * processes) for index in range(rounds)]
        raise StyleGANError(
            f"a batch of {batch} cannot be shared by {processes} process{'es' * (processes > 1)}"
            + (f" in groups of {group} (minibatch standard deviation)" if group > 1 else "")
            + (f" of {self.at_once} pictures at once" if self.at_once else "")
        )

    def step(self) -> dict[str, float]:
        """Show the discriminator the next batch, and return the losses and what else is worth watching.

        Raises:
            StyleGANError: if a loss is no longer finite.
        """
        self._schedule()
        values = {**self._train_generator(), **self._train_discriminator()}
        self._average_generator()
        self.shown += self.batch
        self.steps += 1
        numbers = {name: float(value) for name, value in values.items()}
        if self.settings.augment == "ada":
            self.overfitting.observe(numbers["real_sign"] * self.batch, self.batch)
            numbers["augment_p"] = self.overfitting.p
        if not all(math.isfinite(value) for value in numbers.values()):
            raise StyleGANError(
                f"training diverged after {self.shown / 1000:.1f} kimg (a loss is not finite): lower the learning "
                "rates or raise r1_gamma, and go on from an earlier snapshot"
            )
        return numbers

    def _train_generator(self) -> dict[str, Tensor]:
        self.D.requires_grad_(False)
        self.G.requires_grad_(True)
        loss = Part(self._g_loss, self._split(self.batch, self._group))
        penalty = Part(self._path_loss, self._split(self._path_batch(self.batch)), precise=True)
        values = self._optimize(self.g_optimizer, self.g_parameters, loss, penalty, self._g_interval)
        if "path_length" in values:
            self.path_mean.lerp_(values["path_length"], _PATH_DECAY)
        return values

    def _train_discriminator(self) -> dict[str, Tensor]:
        self.G.requires_grad_(False)
        for value in self.d_parameters:
            value.requires_grad_(True)
        shares = self._split(self.batch, self._group)
        loss, penalty = Part(self._d_loss, shares), Part(self._r1_loss, shares, precise=True)
        with self._tracked_magnitudes():
            values = self._optimize(self.d_optimizer, self.d_parameters, loss, penalty, self._d_interval)
        mean = values.pop("w_mean", None)
        if mean is not None and self.G.mapping.w_avg is not None:
            self.G.mapping.w_avg.lerp_(mean, 1 - self.settings.w_avg_beta)
        return values

    def _optimize(
        self, optimizer: Optimizer, parameters: list[nn.Parameter], loss: Part, penalty: Part, interval: int
    ) -> dict[str, Tensor]:
        """Step for a loss, and every `interval` steps for its regulariser: by itself, or with it if that is always."""
        if interval == 1:
            return self._descend(optimizer, parameters, loss, penalty)
        values = self._descend(optimizer, parameters, loss)
        if interval and self.steps % interval == 0:
            values |= self._descend(optimizer, parameters, penalty)
        return values

    def _descend(self, optimizer: Optimizer, parameters: list[nn.Parameter], *parts: Part) -> dict[str, Tensor]:
        """Make one step of an optimiser, and return what the parts report, averaged over all shares."""
        optimizer.zero_grad()
        report: dict[str, Tensor] = {}
        for part in parts:
            reports = []
            for share in part.shares:
                with self._in_float32() if part.precise else self.accelerator.autocast():
                    loss, values = part.objective(share)
                self.accelerator.backward(loss / len(part.shares))
                reports.append(values)
            report |= {
                name: self._mean(torch.stack([values[name].detach().float() for values in reports]).mean(dim=0))
                for name in reports[0]
            }
        gradients = [value.grad for value in parameters if value.grad is not None]
        if self.accelerator.num_processes > 1:
            _replace(gradients, self._mean(torch.cat([gradient.flatten() for gradient in gradients])))
        optimizer.step()
        return report

    def _in_float32(self) -> AbstractContextManager[object]:
        """Leave mixed precision: second derivatives and positions in pictures need all digits."""
        return torch.autocast(self.device.type, enabled=False)

    def _mean(self, value: Tensor) -> Tensor:
        """Return the mean over all processes."""
        return self.accelerator.reduce(value, "mean") if self.accelerator.num_processes > 1 else value

    def any_process(self, flag: bool) -> bool:
        """Return whether a flag is set in one of the processes."""
        return float(self._mean(torch.tensor(float(flag), device=self.device))) > 0

    def _g_loss(self, share: Share) -> tuple[Tensor, dict[str, Tensor]]:
        images, _, c = self._fakes("g", share, self.batch)
        scores, logits = self._judge(self._seen(images, "augment_g", share), c)
        loss = losses.wgan_g_loss(scores) if self.settings.loss == "wgan" else losses.logistic_g_loss(scores)
        if logits is not None:
            loss = loss + self.settings.label_weight * losses.label_loss(logits, c)
        return loss, {"loss_G": loss}

    def _path_loss(self, share: Share) -> tuple[Tensor, dict[str, Tensor]]:
        settings, batch = self.settings, self._path_batch(self.batch)
        images, ws, _ = self._fakes("path", share, batch)
        directions = self._draws("directions", share, batch).normal(*images.shape[1:])
        assert ws is not None
        lengths = path_lengths(images, ws, directions)
        penalty = losses.path_length_penalty(lengths, self.path_mean)
        weight = settings.path_length_weight * settings.path_length_interval
        return weight * penalty, {"path_length": lengths.mean(), "path_penalty": penalty}

    def _d_loss(self, share: Share) -> tuple[Tensor, dict[str, Tensor]]:
        settings = self.settings
        with torch.no_grad():
            fakes, ws, fake_c = self._fakes("d", share, self.batch)
            fakes = self._seen(fakes, "augment_fake", share)
            reals, real_c = self._reals(share)
            reals = self._seen(reals, "augment_real", share)
        fake_scores, fake_logits = self._judge(fakes, fake_c)
        real_scores, real_logits = self._judge(reals, real_c)
        values = {
            "real_score": real_scores.mean(),
            "fake_score": fake_scores.mean(),
            "real_sign": real_scores.sign().mean(),
        }
        if settings.loss == "wgan":
            values["slope_penalty"] = self._slope_penalty(reals, fakes, real_c, share)
            loss = losses.wgan_d_loss(real_scores, fake_scores, settings.drift)
            loss = loss + settings.gradient_penalty * values["slope_penalty"]
        else:
            loss = losses.logistic_d_loss(real_scores, fake_scores)
        if real_logits is not None and fake_logits is not None:
            both = losses.label_loss(real_logits, real_c) + losses.label_loss(fake_logits, fake_c)
            loss = loss + settings.label_weight * both
        if ws is not None:
            values["w_mean"] = ws[:, 0].mean(dim=0)
        return loss, {"loss_D": loss, **values}

    def _slope_penalty(self, reals: Tensor, fakes: Tensor, c: Tensor, share: Share) -> Tensor:
        between = self._draws("between", share).uniform()
        with self._in_float32():
            return losses.gradient_penalty(
                lambda images: self._judge(images, c)[0], reals.float(), fakes.float(), share=between
            )

    def _r1_loss(self, share: Share) -> tuple[Tensor, dict[str, Tensor]]:
        reals, c = self._reals(share)
        reals.requires_grad_(True)
        scores, _ = self._judge(self._seen(reals, "augment_real", share), c)
        penalty = losses.r1_penalty(reals, scores)
        return self.settings.r1_gamma / 2 * self._d_interval * penalty, {"r1": penalty}

    def _draws(self, purpose: str, share: Share, batch: int | None = None) -> RandomStream:
        key = (self.settings.seed, self.steps, _PURPOSES.index(purpose))
        return RandomStream(key, batch or self.batch, share, device=self.device)

    def _fakes(self, purpose: str, share: Share, batch: int) -> tuple[Tensor, Tensor | None, Tensor]:
        """Return generated images, the ws they are made from (None in ProGAN), and their labels.

        Where ws are wanted for their mean, they are those before any mixing.
        """
        draws, G = self._draws(purpose, share, batch), self.G
        z = draws.normal(G.z_dim)
        c = self._labels(draws.integers(0, len(self.data)).cpu().numpy())
        if not G.has_w:
            return G(z, c), None, c
        ws = plain_ws = G.mapping(z, c)
        active = G.num_ws - 2 * math.floor(self.lod)
        if self.settings.style_mixing and active > 1:
            others, mixed = draws.normal(G.z_dim), draws.uniform() < self.settings.style_mixing
            cutoffs = draws.integers(1, active)
            ws = losses.mix_styles(ws, G.mapping(others, c), cutoffs.where(mixed, G.num_ws))
        noise = [draws.normal(1, *stored.shape) for stored in G.synthesis.noise_buffers()]
        return G.synthesis(ws, noise=noise or None), (ws if purpose == "path" else plain_ws), c

    def _reals(self, share: Share) -> tuple[Tensor, Tensor]:
        """Return pictures of the data set and their labels."""
        indices = stream(len(self.data), seed=self.settings.seed, start=self.shown, length=self.batch)
        indices = indices[share.index :: share.of]
        images = self.data.images(indices).to(self.device)
        if self.settings.flip:
            flipped = self._draws("flips", share).uniform() < 0.5
            images = torch.where(flipped[:, None, None, None], images.flip(3), images)
        return faded(images, self.lod), self._labels(indices)

    def _labels(self, indices: NDArray[np.int64]) -> Tensor:
        return self.data.labels(indices, self.G.c_dim).to(self.device)

    def _seen(self, images: Tensor, purpose: str, share: Share) -> Tensor:
        """Return images as the discriminator is shown them: blurred at first, and augmented."""
        settings = self.settings
        sigma = settings.blur_sigma * max(1 - self.shown / (settings.blur_kimg * 1000), 0.0)
        with self._in_float32():
            images = blurred(images.float(), sigma)
            if settings.augment != "none" and self.overfitting.p > 0:
                images = augment(
                    images, self.overfitting.p, self._draws(purpose, share), groups=settings.augment_groups
                )
        return images

    def _judge(self, images: Tensor, c: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return scores, and label logits if the discriminator has any."""
        if isinstance(self.D, progan.Discriminator) and self.D.config.num_label_logits:
            scores, logits = self.D(images, return_labels=True)
            return scores, logits
        return self.D(images, c if self.D.c_dim else None), None

    @contextmanager
    def _tracked_magnitudes(self) -> Iterator[None]:
        """Let layers follow the mean square of what enters them (StyleGAN3 section 3.2), once for the whole batch."""
        layers = [layer for layer in self.G.modules() if isinstance(layer, stylegan3.SynthesisLayer)]
        powers: dict[stylegan3.SynthesisLayer, list[Tensor]] = {layer: [] for layer in layers}

        def note(layer: stylegan3.SynthesisLayer, args: tuple[Tensor, ...]) -> None:
            powers[layer].append(args[0].detach().float().square().mean())

        handles = [layer.register_forward_pre_hook(note) for layer in layers]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()
        for layer, seen in powers.items():
            power = self._mean(torch.stack(seen).mean())
            layer.magnitude_ema.copy_(power.lerp(layer.magnitude_ema, layer.magnitude_ema_beta))

    @torch.no_grad()
    def _average_generator(self) -> None:
        settings = self.settings
        beta = losses.ema_beta(self.batch, settings.ema_kimg, shown=self.shown, rampup=settings.ema_rampup)
        for average, value in zip(self.G_ema.parameters(), self.G.parameters(), strict=True):
            average.lerp_(value, 1 - beta)
        for kept, now in zip(self.G_ema.buffers(), self.G.buffers(), strict=True):
            kept.copy_(now)

    def state(self) -> dict[str, Any]:
        """Return what it takes, besides the networks, to go on exactly as if nothing had happened."""
        scaler = self.accelerator.scaler
        return {
            "shown": self.shown,
            "steps": self.steps,
            "lod": self.lod,
            "path_mean": self.path_mean.cpu(),
            "overfitting": self.overfitting.state(),
            "g_optimizer": self.g_optimizer.state_dict(),
            "d_optimizer": self.d_optimizer.state_dict(),
            "scaler": scaler.state_dict() if scaler else None,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` returned; the networks must be those of that moment."""
        self.shown, self.steps, self.lod = state["shown"], state["steps"], state["lod"]
        self.path_mean.copy_(state["path_mean"])
        self.overfitting.restore(state["overfitting"])
        if self.settings.augment == "fixed":  # at what may not have been asked for then
            self.overfitting.p = self.settings.augment_p
        self.g_optimizer.load_state_dict(state["g_optimizer"])
        self.d_optimizer.load_state_dict(state["d_optimizer"])
        if self.accelerator.scaler and state["scaler"]:
            self.accelerator.scaler.load_state_dict(state["scaler"])


def _form(size: tuple[int, int], channels: int) -> str:
    return f"{size[0]}×{size[1]} pictures of {channels} channels"


def _can_grow(network: Generator | Discriminator) -> bool:
    """Return whether a network can draw, or judge, smaller pictures than its own."""
    architecture = getattr(network.config, "architecture", "revised")
    return getattr(network.config, "growing", False) and architecture == "revised"


def _levels(lod: float) -> tuple[int, int]:
    """Return the finest and the coarsest level that give pictures."""
    return math.floor(lod), math.ceil(lod)


def _replace(tensors: list[Tensor], flat: Tensor) -> None:
    parts = torch.split(flat, [tensor.numel() for tensor in tensors])
    for tensor, values in zip(tensors, parts, strict=True):
        tensor.copy_(values.view_as(tensor))


def set_lod(network: nn.Module, lod: float) -> None:
    """Set the level of detail of a growing network: 0 = finished (ProGAN section 2)."""
    for module in network.modules():
        config = getattr(module, "config", None)
        if hasattr(config, "lod"):
            module.config = replace(config, lod=lod)  # type: ignore[assignment,type-var]


def faded(images: Tensor, lod: float) -> Tensor:
    """Return pictures of the data set as detailed as a network of that level draws them (ProGAN figure 2)."""
    level = math.floor(lod)
    images = box_down2d(images, 2**level)
    if lod > level:
        images = images.lerp(nearest_up2d(box_down2d(images)), lod - level)
    return nearest_up2d(images, 2**level)


def blurred(images: Tensor, sigma: float) -> Tensor:
    """Return images smoothed by a Gaussian of that many pixels (StyleGAN3 appendix F.2)."""
    reach = math.floor(3 * sigma)
    if reach < 1:
        return images
    x = torch.arange(-reach, reach + 1, device=images.device)
    f = torch.exp(-0.5 * (x / sigma).square())
    return upfirdn2d(images, f / f.sum(), pad=(reach, reach))


def freeze(D: Discriminator, layers: int) -> set[str]:
    """Take a discriminator's first layers out of training, counted from the picture (Freeze-D section 2).

    Returns:
        The names of the parameters that stay as they are.

    Raises:
        StyleGANError: if there are not so many layers.
    """
    order = dict.fromkeys(name.rpartition(".")[0] for name, _ in D.named_parameters())
    entries = [layer for layer in order if layer.endswith("fromrgb")]
    unused = [] if getattr(D.config, "architecture", None) == "skip" else entries[1:]  # they were for smaller pictures
    used = [layer for layer in order if layer not in unused and not layer.startswith("mapping.")]
    if not 0 <= layers < len(used):
        raise StyleGANError(f"cannot freeze {layers} layers of a discriminator that has {len(used)}")
    chosen = set(used[:layers])
    frozen = {name for name, _ in D.named_parameters() if name.rpartition(".")[0] in chosen}
    D.requires_grad_(True)
    for name, value in D.named_parameters():
        if name in frozen:
            value.requires_grad_(False)
    return frozen
