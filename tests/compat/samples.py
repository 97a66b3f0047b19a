"""One value of every message of the wire with all its fields, and one with those that need not be given left out.

A recording under `v1_0` says how each of them is written, one under `v1_1` what that minor version added. Values here
are never changed, for the same reason; a field that a later minor version adds gets a sample of its own in a list of
its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from struct import pack
from typing import Any

from impasto.server.protocol import messages as wire
from impasto.server.protocol.messages import FromClient, FromServer, SubmitShot

REQUEST = bytes(range(16))
SESSION = bytes(range(16, 32))
BOOT = bytes(range(32, 48))
NONCE = bytes(range(48, 64))
SHA256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

LOOK = wire.RenderSettings(
    style="wheatfield",
    sha256=SHA256,
    params={"strength": 0.75, "stroke": 2.0, "exposure": -1.5},
    before={"denoise": 0.25},
    after={"sharpen": 0.5},
    precision="float16",
    tile=512,
    device="cuda:0",
)
PICTURE = wire.Picture(1920, 1080, 4, "float16", 15424, True, "unassociated", "ACEScg")
ERROR = wire.ErrorFacts("busy", "expected room in the queue, got none; try again", True, 0.5, "slot", "a1b2c3")
STRENGTH = wire.ParameterFacts("strength", 0.0, 1.0, 1.0, "How much of the style shows.")
STYLE = wire.StyleFacts(
    name="wheatfield",
    title="Weizenfeld – Öl",
    description="Broad strokes of oil.",
    size="standard",
    sha256=SHA256,
    halo=80,
    megabytes=4.5,
    licence="CC0-1.0",
    credits=("A painter", "麦畑"),
    guides=("depth",),
    codes=("dawn", "dusk"),
    defaults={"stroke": 1.5},
    has_preview=True,
    problem="expected finite weights, got NaN; export the style again",
)
DEVICE = wire.DeviceFacts("cuda:0", "A card", "busy", 4711, "float16", 1, ("wheatfield",), 1 << 30, 1 << 31, 1 << 34)
CLIENT = wire.ClientFacts("nuke 16.0", "ws-12", "vincent", 4712, "interactive", "ring", 2, 1)

CLIENTS: Mapping[str, FromClient] = {
    "hello": wire.Hello("blender 5.0.1", 1, 0, 4712, "ws-12", "vincent", "batch", ("blosc2", "raw"), SESSION),
    "hello.least": wire.Hello("blender 5.0.1", 1, 0, 4712),
    "join": wire.Join(SESSION),
    "open_ring": wire.OpenRing(REQUEST, 132_710_400, 4),
    "open_ring.least": wire.OpenRing(REQUEST, 132_710_400),
    "attach_ring": wire.AttachRing(REQUEST, 7, NONCE),
    "close_ring": wire.CloseRing(7),
    "submit": wire.Submit(
        id=REQUEST,
        look=LOOK,
        picture=PICTURE,
        slot=wire.Slot(7, 2, 41),
        encoding="blosc2",
        crc32=0xDEADBEEF,
        matte=wire.MattePicture("uint8", 1920, 16_657_920),
        frame=-7,
        lane="batch",
        viewer="viewer 1",
        deadline_s=2.5,
    ),
    "submit.least": wire.Submit(REQUEST, wire.RenderSettings("wheatfield"), wire.Picture(2, 1, 3, "uint8", 6)),
    "submit_shot": wire.SubmitShot(
        id=REQUEST,
        job=wire.ShotJob(
            look=LOOK,
            input="PLATES:sh010/plate.%04d.exr",
            output="RENDERS:sh010/painted.%04d.exr",
            first=1001,
            last=1100,
            layer="beauty",
            matte="PLATES:sh010/matte.%04d.exr",
            input_space="ACEScg",
            output_space="ACEScg",
            before_resize="50%",
            after_resize="1920x",
            overwrite=True,
            resume=True,
            lane="interactive",
        ),
    ),
    "submit_shot.least": wire.SubmitShot(
        REQUEST, wire.ShotJob(wire.RenderSettings("wheatfield"), "/plates/a.mov", "/renders/a.mov")
    ),
    "cancel": wire.Cancel(REQUEST),
    "ping": wire.Ping((1 << 63) - 1),
    "list_styles": wire.ListStyles(REQUEST, 64),
    "list_styles.least": wire.ListStyles(REQUEST),
    "show_preview": wire.ShowPreview(REQUEST, "wheatfield"),
    "ask_status": wire.AskStatus(REQUEST),
    "shutdown": wire.Shutdown(REQUEST, True),
    "shutdown.least": wire.Shutdown(REQUEST),
    "goodbye": wire.Goodbye(),
}

SERVERS: Mapping[str, FromServer] = {
    "welcome": wire.Welcome(
        server="impasto 0.2.0",
        major=1,
        minor=0,
        boot=BOOT,
        session=SESSION,
        pid=4711,
        lease_s=15.0,
        heartbeat_s=2.0,
        credit_frames=3,
        credit_bytes=512 << 20,
        transports=("ring", "inline"),
        encodings=("blosc2", "raw"),
        devices=("cuda:0", "cpu"),
        parameters=(STRENGTH,),
        before=(wire.ParameterFacts("denoise", 0.0, 1.0, 0.0, "Less noise."),),
        after=(wire.ParameterFacts("sharpen", 0.0, 1.0, 0.0, "More edges."),),
        pixels=67_108_864,
        raw_bytes=1 << 30,
        resumed=True,
    ),
    "joined": wire.Joined(),
    "ring_offered": wire.RingOffered(REQUEST, 7, "/proc/4711/fd/12", 796_266_496, 132_710_400, 3, 4096, 64),
    "ring_ready": wire.RingReady(REQUEST, 7),
    "queued": wire.Queued(REQUEST, 4),
    "done": wire.Done(
        id=REQUEST,
        seconds={"queue": 0.001, "network": 0.0125, "server": 0.02},
        invalid_pixels=3,
        tile=512,
        notes=("3 pixels were not finite and were replaced.",),
        provenance={"impasto:style": "wheatfield", "impasto:sha256": SHA256},
        inline=True,
        encoding="blosc2",
    ),
    "done.least": wire.Done(REQUEST, {}),
    "shot_started": wire.ShotStarted(REQUEST, "/renders/a.mov", 1001, 100, 12, 1920, 1080, 23.976, 2),
    "shot_started.least": wire.ShotStarted(REQUEST, "/renders/a.%04d.exr", -5, None, 0, 1920, 1080),
    "shot_progress": wire.ShotProgress(
        REQUEST, (wire.StoredFrame(1013, "/renders/a.1013.exr", 13, 0),), ("Memory was short; tiles of 512.",)
    ),
    "shot_progress.least": wire.ShotProgress(REQUEST),
    "shot_done": wire.ShotDone(REQUEST, "/renders/a.mov", 88, 12, 3, 41.5, {"read": 2.0, "network": 30.25}),
    "shot_done.least": wire.ShotDone(REQUEST, "", 0, 0, 0, 0.5),
    "failed": wire.Failed(REQUEST, ERROR, "/renders/a.part.mov", 12),
    "failed.least": wire.Failed(REQUEST, wire.ErrorFacts("worker_lost", "The worker died twice of this frame.")),
    "cancelled": wire.Cancelled(REQUEST, "superseded", "/renders/a.part.mov", 12, 3.5),
    "cancelled.least": wire.Cancelled(REQUEST),
    "expired": wire.Expired(REQUEST, 0.25),
    "pong": wire.Pong((1 << 63) - 1),
    "style_list": wire.StyleList(REQUEST, 9, 65, 64, (STYLE,)),
    "style_list.least": wire.StyleList(
        REQUEST, 9, 1, 0, (wire.StyleFacts("a", "A", "", "draft", SHA256, 72, 1.5, "CC0-1.0"),)
    ),
    "styles_changed": wire.StylesChanged(10),
    "preview_found": wire.PreviewFound(REQUEST),
    "status": wire.Status(
        id=REQUEST,
        server="impasto 0.2.0",
        pid=4711,
        boot=BOOT,
        uptime_s=3600.5,
        health="degraded",
        problems=("cuda:0 was replaced 1 time.",),
        devices=(DEVICE,),
        clients=(CLIENT,),
        styles=2,
        queued=2,
        running=1,
        jobs=1,
        frames=1234,
        fps=23.5,
        rss_bytes=120 << 20,
        endpoints=("ipc:///run/user/1000/impasto/control.sock",),
        errors=(wire.PastError(12.5, "worker_lost", "The worker died twice of this frame.", "a1b2c3"),),
        counters={"done": 1234, "failed": 1},
    ),
    "shutting_down": wire.ShuttingDown(REQUEST, 30.0),
    "shutting_down.least": wire.ShuttingDown(),
    "rejected": wire.Rejected(ERROR),
}

SHOT = CLIENTS["submit_shot"]
assert isinstance(SHOT, SubmitShot)
JOB = SHOT.job
CLIENTS_1_1: Mapping[str, FromClient] = {
    "hello.control_only": wire.Hello("impasto status", 1, 1, 4712, control_only=True),
    "hello.replaces": wire.Hello("blender 5.0.1", 1, 1, 4712, replaces=SESSION),
    "submit_shot.animated": replace(
        SHOT,
        job=replace(
            JOB,
            animated=(
                wire.AnimatedParameter(
                    "strength", (wire.Stretch(1001, pack("<2d", 0.2, 0.25)), wire.Stretch(1100, pack("<d", 1.0)))
                ),
                wire.AnimatedParameter("exposure", (wire.Stretch(-7, pack("<d", -1.5)),)),
            ),
        ),
    ),
    "submit_shot.moved": replace(
        SHOT, job=replace(JOB, motion="PLATES:sh010/vectors.%04d.exr", motion_layer="vector=blender")
    ),
    "submit_shot.guided": replace(
        SHOT, job=replace(JOB, guides=("PLATES:sh010/normals.%04d.exr", "PLATES:sh010/depth.%04d.exr"))
    ),
}

CLIENTS_1_2: Mapping[str, FromClient] = {
    "submit.ocio": replace(CLIENTS["submit.least"], ocio="/shows/anna/config.ocio", ocio_sha256="0123456789abcdef" * 4),
    "submit_shot.rate": replace(SHOT, job=replace(JOB, rate="24000/1001")),
    "submit_shot.ocio": replace(
        SHOT, job=replace(JOB, ocio="/shows/anna/config.ocio", ocio_sha256="0123456789abcdef" * 4)
    ),
    "submit_shot.built_in": replace(SHOT, job=replace(JOB, ocio="built-in")),
    "submit_shot.fields": replace(SHOT, job=replace(JOB, fields="keep")),
    "submit_shot.smoothing": replace(SHOT, job=replace(JOB, smoothing=0.7)),
    "submit_shot.sphere": replace(
        SHOT, job=replace(JOB, look=replace(LOOK, projection="equirectangular", stereo="ou"))
    ),
    "submit_shot.no_cache": replace(SHOT, job=replace(JOB, look=replace(LOOK, cache=False))),
    "submit_shot.encoder_speed": replace(SHOT, job=replace(JOB, encoder_speed="superfast")),
    "submit_shot.sound": replace(SHOT, job=replace(JOB, sound="PLATES:sh010/plate.mov")),
    "submit_shot.farm": replace(SHOT, job=replace(JOB, farm_job="20261201T080000Z-0a1b2c", attempt="node7-4711")),
    "cancel_client": wire.CancelClient(REQUEST, 7),
    "submit_shot.within": replace(SHOT, job=replace(JOB, within=("/mnt/uploads", "/home/anna/painted"))),
}

SERVERS_1_2: Mapping[str, FromServer] = {
    "shot_done.precision": wire.ShotDone(REQUEST, "/renders/a.mov", 88, 0, 0, 41.5, {}, "bfloat16"),
    "done.cached": wire.Done(REQUEST, {"before": 0.02}, cached=True),
    "shot_progress.cached": wire.ShotProgress(REQUEST, (wire.StoredFrame(1001, "/renders/a.1001.exr", 1, 0, True),)),
    "client_cancelled": wire.ClientCancelled(REQUEST, 3),
    "status.client_number": replace(SERVERS["status"], clients=(replace(CLIENT, number=7),)),
    "status.eight_bit_precision": replace(
        SERVERS["status"], devices=(replace(DEVICE, device="cpu", precision="float32", eight_bit_precision="bfloat16"),)
    ),
}

SAMPLES: Mapping[tuple[int, str], Mapping[str, Any]] = {
    (0, "client"): CLIENTS,
    (0, "server"): SERVERS,
    (1, "client"): CLIENTS_1_1,
    (2, "client"): CLIENTS_1_2,
    (2, "server"): SERVERS_1_2,
}
"""Minor version and side -> what it added."""
