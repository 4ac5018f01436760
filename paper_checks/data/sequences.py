"""Sequences for recurrent networks: a task of memory, and images row by row."""

from __future__ import annotations

from typing import Annotated

from array_api_compat import array_namespace, device

from nmnc_ref import random
from nmnc_ref.arrays import Array, Words
from nmnc_ref.checked import checked
from nmnc_ref.scalars import Count, Dtype, Integer, NonNegative
from paper_checks.data.dataset import Dataset, Samples
from paper_checks.lab import Lab

Several = Annotated[int, Integer(2)]


@checked
def memory_task(
    key: Words[Array, "2"],
    dtype: Dtype,
    *,
    samples: Count,
    steps: Several,
    symbols: Several = 2,
    distraction: NonNegative = 1.0,
) -> Samples:
    """Draw sequences whose first symbol is to be named at the end, after others that do not matter.

    Symbols s_1, …, s_T are independent and uniform. The input at step t is onehot(s_t), times `distraction` for t > 1,
    followed by a cue that is 1 at t = 1 and 0 later. The target is onehot(s_1).

    Args:
        key: random key; the sequences are the same on every library and in both dtypes.
        dtype: the library's float32 or float64.
        samples: N.
        steps: T.
        symbols: how many there are.
        distraction: 1 for symbols that look like the first but for the cue, 0 for none.

    Returns:
        Inputs [N, T, symbols + 1] and targets [N, symbols].
    """
    bits = random.bits(key, (samples, steps))
    xp = array_namespace(bits)
    alphabet = xp.arange(symbols, dtype=bits.dtype, device=device(bits))
    one_hot = xp.astype((bits % symbols)[..., None] == alphabet[None, None, :], dtype)  # [N, T, symbols]
    cue = xp.zeros_like(one_hot[..., :1]) + xp.astype(xp.arange(steps, device=device(bits)) == 0, dtype)[None, :, None]
    strength = distraction + (1 - distraction) * cue
    return Samples(xp.concat([strength * one_hot, cue], axis=-1), one_hot[:, 0, :])


@checked
def memory(
    lab: Lab,
    *,
    steps: Several,
    symbols: Several = 2,
    distraction: NonNegative = 1.0,
    samples: tuple[Count, Count, Count] = (3_500, 500, 1_000),
) -> Dataset:
    """Return the task of memory, drawn from fixed keys, with as many samples for training, validation and testing.

    Short sequences of few symbols occur in more than one of the three parts: there are symbolsᵀ of them.
    """
    keys = random.split(random.key(0, lab.xp), 3)
    train, validation, test = (
        memory_task(keys[k, :], lab.dtype, samples=number, steps=steps, symbols=symbols, distraction=distraction)
        for k, number in enumerate(samples)
    )
    return Dataset(train, validation, test, (steps, symbols + 1))


def rows(images: Dataset) -> Dataset:
    """Return images as sequences of their rows from top to bottom: [N, C·H·W] becomes [N, H, C·W], channel by channel.

    Raises:
        ValueError: `images` are not images.
    """
    if len(images.shape) != 3:
        raise ValueError(f"images: expected a shape (C, H, W), got {images.shape}")
    channels, height, width = images.shape

    def by_row(part: Samples) -> Samples:
        xp = array_namespace(part.inputs)
        whole = xp.reshape(part.inputs, (-1, channels, height, width))
        return Samples(xp.reshape(xp.permute_dims(whole, (0, 2, 1, 3)), (-1, height, channels * width)), part.targets)

    return Dataset(by_row(images.train), by_row(images.validation), by_row(images.test), (height, channels * width))
