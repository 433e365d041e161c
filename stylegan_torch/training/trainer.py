"""The training loop: one step at a time, the same whatever number of processes share it.

Accelerate starts the processes, picks device and precision, and sums over processes; what GANs need is here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from stylegan_torch import progan, stylegan3
from stylegan_torch.errors import StyleGANError
from stylegan_torch.layers import box_down2d, nearest_up2d, upfirdn2d
from stylegan_torch.training import losses
from stylegan_torch.training.ada import Overfitting, augment
from stylegan_torch.training.data import Dataset, stream
from stylegan_torch.training.draws import Draws, Share
from stylegan_torch.training.settings import Settings, grown_lod

Objective = Callable[[Share], tuple[Tensor, dict[str, Tensor]]]
"""Gives the loss of a share of the batch, and numbers to report."""
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
        G: Any,
        D: Any,
        G_ema: Any,
        data: Dataset,
        settings: Settings,
        accelerator: Accelerator | None = None,
        at_once: int | None = None,
    ) -> None:
        self.accelerator = accelerator or Accelerator()
        self.device = self.accelerator.device
        # The layout is the fastest on CPUs and tensor cores, and changes no number.
        self.G, self.D = (network.to(self.device, memory_format=torch.channels_last) for network in (G, D))
        self.G_ema = G_ema.to(self.device)
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

    def _adam(self, parameters: list[nn.Parameter], lr: float, interval: int) -> Any:
        lr, betas = losses.lazy_adam(lr, self.settings.betas, interval)
        return self.accelerator.prepare(torch.optim.Adam(parameters, lr, betas, eps=1e-8))

    def _check(self) -> None:
        size, channels = self.D.img_size, self.D.img_channels
        if (self.G.img_size, self.G.img_channels) != (size, channels):
            raise StyleGANError(
                f"G draws {_form(self.G.img_size, self.G.img_channels)} and D judges {_form(size, channels)}"
            )
        if self.data.pictures.shape[1:] != (channels, *size):
            raise StyleGANError(f"the data set has {self.data.pictures.shape[1:]}, the networks {(channels, *size)}")
        if self.G.c_dim and not len(self.data.class_names) == self.G.c_dim:
            raise StyleGANError(
                f"this network has {self.G.c_dim} classes, the data set {len(self.data.class_names)}: "
                "there must be one sub-folder for each"
            )
        if self.G.c_dim and (self.data.classes < 0).any():
            raise StyleGANError("some pictures of the data set have no class: they are in no sub-folder")
        if self.settings.grow_from is not None and not (_can_grow(self.G) and _can_grow(self.D)):
            raise StyleGANError("grow_from: these networks cannot grow, as they were not made for it")
        for batch in (self.settings.batch, *self.settings.batches.values()):
            self._split(batch)

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
            lr, _ = losses.lazy_adam(settings.learning_rates.get(side, rate), settings.betas, interval)
            for group in optimizer.param_groups:
                group["lr"] = lr
            if _levels(before) != _levels(self.lod):  # other layers take part now: the moments begin anew
                optimizer.state.clear()
        if settings.grow_from is not None:
            for network in (self.G, self.D, self.G_ema):
                set_lod(network, self.lod)

    def _split(self, batch: int) -> list[Share]:
        """Return the shares of a batch that this process works on, one after the other."""
        processes, rank = self.accelerator.num_processes, self.accelerator.process_index
        rounds = max(batch // processes // (self.at_once or batch), 1)
        count = rounds * processes
        group = self.D.b4.mbstd_group_size if self.D.config.mbstd_num_features else 1
        size = batch // count
        if batch % count or (group is not None and size % min(group, size)):
            raise StyleGANError(
                f"a batch of {batch} cannot be shared by {processes} processes in {rounds} rounds"
                + (f" with minibatch-stddev groups of {group}" if group and group > 1 else "")
            )
        return [Share(index * processes + rank, count) for index in range(rounds)]

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
        values = self._descend(self.g_optimizer, self.g_parameters, self._split(self.batch), self._g_loss)
        if self._g_interval and self.steps % self._g_interval == 0:
            shares = self._split(self.path_batch)
            values |= self._descend(self.g_optimizer, self.g_parameters, shares, self._path_loss, regularizer=True)
            self.path_mean.lerp_(values["path_length"], _PATH_DECAY)
        return values

    def _train_discriminator(self) -> dict[str, Tensor]:
        self.G.requires_grad_(False)
        for value in self.d_parameters:
            value.requires_grad_(True)
        shares = self._split(self.batch)
        with self._tracked_magnitudes():
            values = self._descend(self.d_optimizer, self.d_parameters, shares, self._d_loss)
        if "w_mean" in values:
            self.G.mapping.w_avg.lerp_(values.pop("w_mean"), 1 - self.settings.w_avg_beta)
        if self._d_interval > 1 and self.steps % self._d_interval == 0:
            values |= self._descend(self.d_optimizer, self.d_parameters, shares, self._r1_loss, regularizer=True)
        return values

    def _descend(
        self,
        optimizer: Any,
        parameters: list[nn.Parameter],
        shares: list[Share],
        objective: Objective,
        regularizer: bool = False,
    ) -> dict[str, Tensor]:
        """Make one step of an optimiser, and return what the objective reports, averaged over all shares.

        Regularisers are differentiated twice and run in float32.
        """
        optimizer.zero_grad()
        reports = []
        for share in shares:
            with nullcontext() if regularizer else self.accelerator.autocast():
                loss, values = objective(share)
            self.accelerator.backward(loss / len(shares))
            reports.append(values)
        gradients = [value.grad for value in parameters if value.grad is not None]
        if self.accelerator.num_processes > 1:
            _replace(gradients, self._mean(torch.cat([gradient.flatten() for gradient in gradients])))
        optimizer.step()
        return {
            name: self._mean(torch.stack([values[name].detach().float() for values in reports]).mean(dim=0))
            for name in reports[0]
        }

    def _mean(self, value: Tensor) -> Tensor:
        """Return the mean over all processes."""
        return self.accelerator.reduce(value, "mean") if self.accelerator.num_processes > 1 else value

    def _g_loss(self, share: Share) -> tuple[Tensor, dict[str, Tensor]]:
        images, _, c = self._fakes("g", share, self.batch)
        scores, logits = self._judge(images, c, self._draws("augment_g", share))
        loss = losses.wgan_g_loss(scores) if self.settings.loss == "wgan" else losses.logistic_g_loss(scores)
        if logits is not None:
            loss = loss + self.settings.label_weight * losses.label_loss(logits, c)
        return loss, {"loss_G": loss}

    def _path_loss(self, share: Share) -> tuple[Tensor, dict[str, Tensor]]:
        settings = self.settings
        images, ws, _ = self._fakes("path", share, self.path_batch)
        directions = self._draws("directions", share, self.path_batch).normal(*images.shape[1:])
        assert ws is not None
        lengths = losses.path_lengths(images, ws, directions)
        penalty = losses.path_length_penalty(lengths, self.path_mean)
        weight = settings.path_length_weight * max(settings.path_length_interval, 1)
        return weight * penalty, {"path_length": lengths.mean(), "path_penalty": penalty}

    def _d_loss(self, share: Share) -> tuple[Tensor, dict[str, Tensor]]:
        settings = self.settings
        with torch.no_grad():
            fakes, ws, fake_c = self._fakes("d", share, self.batch)
        reals, real_c = self._reals(share)
        reals.requires_grad_(self._d_interval == 1)
        fake_scores, fake_logits = self._judge(fakes, fake_c, self._draws("augment_fake", share))
        real_scores, real_logits = self._judge(reals, real_c, self._draws("augment_real", share))
        values = {}
        if settings.loss == "wgan":
            between = self._draws("between", share).uniform()
            values["slope_penalty"] = losses.gradient_penalty(
                lambda images: self._scores(images, real_c), reals, fakes, between
            )
            loss = (
                losses.wgan_d_loss(real_scores, fake_scores, settings.drift)
                + settings.gradient_penalty * values["slope_penalty"]
            )
        else:
            loss = losses.logistic_d_loss(real_scores, fake_scores)
        if real_logits is not None and fake_logits is not None:
            both = losses.label_loss(real_logits, real_c) + losses.label_loss(fake_logits, fake_c)
            loss = loss + settings.label_weight * both
        values |= {
            "loss_D": loss,
            "real_score": real_scores.mean(),
            "fake_score": fake_scores.mean(),
            "real_sign": real_scores.sign().mean(),
        }
        if self._d_interval == 1:
            values["r1"] = losses.r1_penalty(reals, real_scores)
            loss = loss + settings.r1_gamma / 2 * values["r1"]
        if ws is not None:
            values["w_mean"] = ws[:, 0].mean(dim=0)
        return loss, values

    def _r1_loss(self, share: Share) -> tuple[Tensor, dict[str, Tensor]]:
        reals, c = self._reals(share)
        reals.requires_grad_(True)
        scores, _ = self._judge(reals, c, self._draws("augment_real", share))
        penalty = losses.r1_penalty(reals, scores)
        return self.settings.r1_gamma / 2 * self._d_interval * penalty, {"r1": penalty}

    @property
    def path_batch(self) -> int:
        """How many pictures path lengths are taken of."""
        return max(self.batch // self.settings.path_length_shrink, self.accelerator.num_processes)

    def _draws(self, purpose: str, share: Share, batch: int | None = None) -> Draws:
        key = (self.settings.seed, self.steps, _PURPOSES.index(purpose))
        return Draws(key, batch or self.batch, share, self.device)

    def _fakes(self, purpose: str, share: Share, batch: int) -> tuple[Tensor, Tensor | None, Tensor]:
        """Return generated images, the ws they are made from before any mixing, and their labels."""
        draws, G = self._draws(purpose, share, batch), self.G
        z = draws.normal(G.z_dim)
        c = self._labels(draws.integers(0, len(self.data)).cpu().numpy())
        if isinstance(G, progan.Generator):
            return G(z, c), None, c
        ws = plain_ws = G.mapping(z, c)
        others, mixed = draws.normal(G.z_dim), draws.uniform() < self.settings.style_mixing
        active = G.num_ws - 2 * math.floor(self.lod)
        if self.settings.style_mixing and active > 1:
            cutoffs = draws.integers(1, active)
            ws = losses.mix_styles(ws, G.mapping(others, c), cutoffs.where(mixed, G.num_ws))
        noise = [draws.normal(1, *stored.shape) for stored in G.synthesis.noise_buffers()]
        return G.synthesis(ws, noise=noise or None), (ws if purpose == "path" else plain_ws), c

    def _reals(self, share: Share) -> tuple[Tensor, Tensor]:
        """Return pictures of the data set and their labels."""
        indices = stream(len(self.data), self.settings.seed, self.shown, self.batch)[share.index :: share.of]
        images = self.data.images(indices).to(self.device)
        if self.settings.flip:
            flipped = self._draws("flips", share).uniform() < 0.5
            images = torch.where(flipped[:, None, None, None], images.flip(3), images)
        return faded(images, self.lod), self._labels(indices)

    def _labels(self, indices: Any) -> Tensor:
        return self.data.labels(indices, self.G.c_dim).to(self.device)

    def _judge(self, images: Tensor, c: Tensor, draws: Draws) -> tuple[Tensor, Tensor | None]:
        """Return scores, and label logits if the discriminator has any, of augmented images."""
        settings = self.settings
        sigma = settings.blur_sigma * max(1 - self.shown / (settings.blur_kimg * 1000), 0.0)
        images = blurred(images, sigma)
        if settings.augment != "none" and self.overfitting.p > 0:
            images = augment(images, self.overfitting.p, draws, settings.augment_groups)
        if isinstance(self.D, progan.Discriminator) and self.D.config.num_label_logits:
            scores, logits = self.D(images, return_labels=True)
            return scores, logits
        return self.D(images, c), None

    def _scores(self, images: Tensor, c: Tensor) -> Tensor:
        return self.D(images, c)

    @contextmanager
    def _tracked_magnitudes(self) -> Iterator[None]:
        """Let StyleGAN3's layers follow the mean square of what enters them (section 3.2 "normalization")."""
        layers = [layer for layer in self.G.modules() if isinstance(layer, stylegan3.SynthesisLayer)]

        def follow(layer: Any, args: tuple[Tensor, ...]) -> None:
            power = self._mean(args[0].detach().float().square().mean())
            layer.magnitude_ema.copy_(power.lerp(layer.magnitude_ema, self.G.config.magnitude_ema_beta))

        handles = [layer.register_forward_pre_hook(follow) for layer in layers]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    @torch.no_grad()
    def _average_generator(self) -> None:
        settings = self.settings
        beta = losses.ema_beta(self.batch, settings.ema_kimg, self.shown, settings.ema_rampup)
        for average, value in zip(self.G_ema.parameters(), self.G.parameters(), strict=True):
            average.copy_(value.lerp(average, beta))
        for average, value in zip(self.G_ema.buffers(), self.G.buffers(), strict=True):
            average.copy_(value)

    def state(self) -> dict[str, Any]:
        """Return what it takes, besides the networks, to go on exactly as if nothing had happened."""
        return {
            "shown": self.shown,
            "steps": self.steps,
            "path_mean": self.path_mean.cpu(),
            "overfitting": self.overfitting.state(),
            "g_optimizer": self.g_optimizer.state_dict(),
            "d_optimizer": self.d_optimizer.state_dict(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` returned; the networks must be those of that moment."""
        self.shown, self.steps = state["shown"], state["steps"]
        self._schedule()
        self.path_mean.copy_(state["path_mean"])
        self.overfitting.restore(state["overfitting"])
        self.g_optimizer.load_state_dict(state["g_optimizer"])
        self.d_optimizer.load_state_dict(state["d_optimizer"])
        self._schedule()


def _form(size: tuple[int, int], channels: int) -> str:
    return f"{size[0]}×{size[1]} pictures of {channels} channels"


def _can_grow(network: Any) -> bool:
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


def freeze(D: Any, layers: int) -> set[str]:
    """Take a discriminator's first layers out of training, counted from the picture (Freeze-D, Mo et al. 2020).

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
