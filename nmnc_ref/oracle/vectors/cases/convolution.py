"""Convolutional layers: forward, backward, gradients and mirrors."""

from __future__ import annotations

from collections.abc import Iterator

from nmnc_ref.oracle.vectors.cases.draft import Draft, numbers


def drafts() -> Iterator[Draft]:
    """Yield the cases of the family."""
    why = "Odd sizes, a stride, an edge: rows for columns, a kernel that is flipped, padding on one side, a lost pixel."
    yield _draft("convolution_strided", why, 2, 3, (2, 5, 4), 3, 2, 1, 1, places=6)
    why = "Averages before the kernel, which leave out the last column: a maximum, or a gradient not shared out."
    yield _draft("convolution_pooled", why, 2, 2, (3, 4, 7), 2, 1, 0, 2, places=2)
    why = "Zeros around the averages: an image padded before it is pooled, in which the pixels left out fill windows."
    yield _draft("convolution_pooled_and_padded", why, 2, 3, (2, 5, 7), 2, 1, 1, 2, places=12)
    why = "A kernel as large as the image: the dense layer."
    yield _draft("convolution_whole", why, 3, 4, (2, 3, 3), 3, 1, 0, 1, places=1)


def _draft(
    name: str,
    why: str,
    batch: int,
    outputs: int,
    image: tuple[int, int, int],
    size: int,
    stride: int,
    padding: int,
    pool: int,
    places: int,
) -> Draft:
    channels, height, width = image
    geometry = {"height": height, "width": width, "stride": stride, "padding": padding, "pool": pool}
    draft = Draft(
        name,
        why,
        activity=numbers(f"{name} x", batch, channels * height * width),
        weight=numbers(f"{name} W", outputs, channels, size, size),
        bias=numbers(f"{name} b", outputs),
        delta=numbers(f"{name} delta", batch, outputs * places),
        response=numbers(f"{name} response", 5, outputs * places),
        noise=numbers(f"{name} noise", 5, channels * height * width),
    )
    for stage in ("preactivation", "activity_gradient", "weight_gradient", "bias_gradient"):
        draft.stage(f"convolution_{stage}", **geometry)
    return draft.stage("convolution_mirror", sigma=0.375, **geometry)
