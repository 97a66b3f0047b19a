"""Further keys that training makes: the painted keys' paint carried to other frames of the shot, and completed there.

They are made outwards from the painted keys, each from those and from the nearest made before it. So paint follows
surfaces that turn or change light, and what is invented for new ground is invented once and stays on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from impasto.core.frame import Samples
from impasto.core.generators.unet import UNet
from impasto.core.keyframe_paint.carrying import ReadyKey, carry, laid, ready_key
from impasto.core.keyframe_paint.correspondence import follow
from impasto.core.keyframe_paint.invention import invented
from impasto.core.keyframe_paint.matching import compared_size, scaled
from impasto.core.keyframe_paint.plates import blurred, fetched
from impasto.training.data.followed_frames import FollowedFrame, FollowedShot
from impasto.training.data.guides import with_guides
from impasto.training.data.keyframes import Key
from impasto.training.data.pictures import as_float
from impasto.training.preview import stylize

CONTRADICTS = 0.1
"""Mean difference of colour, in any channel, from which two keys paint the same surfaces otherwise."""
BROAD = 6.0
"""Sigma of the colours that are compared then."""


@dataclass(frozen=True, slots=True, eq=False)
class MadeKey:
    """A frame and its made paint, (3, H, W) as stored and (H, W, 3), with guide planes like those of a key.

    `held` says where there is paint, `invented` how much of it no hand's, both (H, W) in [0, 1].
    """

    number: int
    plate: Tensor
    paint: Samples
    held: Samples
    invented: Samples
    guides: Tensor | None


@torch.no_grad()
def made_keys(net: UNet, keys: Sequence[Key], shot: FollowedShot, noise: float) -> tuple[MadeKey, ...]:
    """A further key on every followed frame that the paint of keys, or what was made of it, reaches."""
    known = {key.number: prepared(key, _painted(net, key.plate, key.guides)) for key in keys}
    by_hand = list(known.values())
    made = []
    for frame in shot.frames:
        leads = {number: lead for number, lead in frame.leads.items() if number in known}
        picture, painted = picture_of(frame.picture), _painted(net, frame.picture, frame.guides)
        carried = carry(
            painted, picture, [known[number] for number in leads], "best", noise, starts=list(leads.values())
        )
        if carried is None:
            continue
        base, share = invented(painted, picture, carried, by_hand)
        paint = np.clip(laid(base, carried, 1.0), 0, 1)
        held = np.maximum(carried.confidence, share)
        no_hands = np.clip(1 - carried.confidence * (1 - carried.invented), 0, 1)
        known[frame.number] = ready_key(picture, paint, held, painted, no_hands)
        size = picture.shape[1], picture.shape[0]
        held, no_hands = (
            np.asarray(cv2.resize(each, size, interpolation=cv2.INTER_LINEAR), np.float32) for each in (held, no_hands)
        )
        made.append(MadeKey(frame.number, frame.picture, paint, held, no_hands, frame.guides))
    return tuple(made)


def contradictions(keys: Sequence[Key]) -> list[str]:
    """A sentence for each two keys in a row that paint the same surfaces in other colours."""
    notes = []
    views = [prepared(key, np.zeros((*key.plate.shape[1:], 3), np.float32)) for key in keys]
    for before, after, one, other in zip(keys, keys[1:], views, views[1:], strict=False):
        if before.plate.shape != after.plate.shape:
            continue
        found = follow(one.plate, other.plate, "draft")
        size = one.plate.luma.shape
        ours, theirs = (blurred(scaled(each.paint.astype(np.float32), size), BROAD) for each in (one, other))
        off = np.abs(ours - fetched(theirs, found.flow, cv2.INTER_LINEAR)).max(axis=2)
        sure = found.confidence * one.held * fetched(other.held, found.flow, cv2.INTER_LINEAR)
        if sure.mean() > 0.2 and float((off * sure).sum() / sure.sum()) > CONTRADICTS:
            notes.append(
                f"keys '{before.name}' and '{after.name}' paint the same surfaces in other colours: between them the "
                "paint will change; paint both from one palette, or leave one out"
            )
    return notes


def prepared(key: Key, painting: Samples) -> ReadyKey:
    """A key by hand, ready to be carried; `painting` is what the network makes of its plate, (H, W, 3)."""
    held = key.loss_mask[0].numpy().astype(np.float32)
    return ready_key(picture_of(key.plate), picture_of(key.paint), held, painting)


def carried_pair(frame: FollowedFrame, keys: Sequence[ReadyKey], numbers: Sequence[int]) -> tuple[Samples, Samples]:
    """The paint of keys by hand on a followed frame, (H, W, 3), and how sure it is, (h, w), without any network."""
    picture = picture_of(frame.picture)
    found = [(key, frame.leads[number]) for key, number in zip(keys, numbers, strict=True) if number in frame.leads]
    none = np.zeros_like(picture)
    carried = carry(none, picture, [key for key, _ in found], "standard", starts=[lead for _, lead in found])
    if carried is None:
        return none, np.zeros(compared_size(*picture.shape[:2]), np.float32)
    return np.clip(carried.paint, 0, 1), carried.confidence


def picture_of(stored: Tensor) -> Samples:
    """(3, H, W) as training stores it, as (H, W, 3) float32."""
    return np.ascontiguousarray(as_float(stored).permute(1, 2, 0).numpy())


def _painted(net: UNet, plate: Tensor, guides: Tensor | None) -> Samples:
    device = next(net.parameters()).device
    painted = stylize(net, with_guides(as_float(plate), guides).to(device)).clamp(0, 1)
    return np.ascontiguousarray(painted.permute(1, 2, 0).float().cpu().numpy())
