"""The OpenFX plug-in in our mini host, against a real server with fake workers: pixels, faults, threads, memory."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import zmq

from impasto.core.errors import OutputExists
from impasto.hosts.ofx.build import BUNDLE, build_here, this_target
from impasto.hosts.terminal.install import ofx
from impasto.server.client import Client
from impasto.server.protocol.codec import encode
from impasto.server.protocol.messages import ErrorFacts, Rejected
from impasto.server.runtime_dir import control_endpoint, data_endpoint
from tests.server.running_server import new_sandbox
from tests.waiting import until

DTYPES = {"byte": np.uint8, "short": np.uint16, "half": np.float16, "float": np.float32}
RUN_S = 60.0
ASAN = ("-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
TSAN = ("-g", "-O1", "-fsanitize=thread")


@dataclass(frozen=True)
class Said:
    """What the mini host printed."""

    code: int
    text: str

    @property
    def statuses(self) -> list[int]:
        return [int(each) for each in re.findall(r"^frame \d+ status (\d+)", self.text, re.MULTILINE)]

    @property
    def messages(self) -> list[str]:
        return re.findall(r"^message OfxMessageError: (.*)$", self.text, re.MULTILINE)


@dataclass(frozen=True)
class MiniHost:
    """The two programs that are tested."""

    folder: Path

    @property
    def bundle(self) -> Path:
        return self.folder / BUNDLE

    def command(self, *options: object) -> list[str]:
        system = this_target().folder
        plugin = self.bundle / "Contents" / system / "Impasto.ofx"
        return [str(self.folder / "mini_host" / system / "mini_host"), str(plugin), *map(str, options)]

    def run(self, runtime: Path, *options: object, around: Sequence[str] = ()) -> Said:
        environment = {"IMPASTO_RUNTIME": str(runtime), "PATH": "/usr/bin:/bin"}
        done = subprocess.run(
            [*around, *self.command(*options)],
            capture_output=True, text=True, timeout=RUN_S, check=False, env=environment,
        )  # fmt: skip
        return Said(done.returncode, done.stdout + done.stderr)


def built(folder: Path, flags: Sequence[str] = ()) -> MiniHost:
    if shutil.which("cc") is None:
        pytest.skip("the OpenFX plug-in is built by a C compiler, and none is here")
    build_here(folder, flags)
    return MiniHost(folder)


@pytest.fixture(scope="session")
def mini_host(tmp_path_factory: pytest.TempPathFactory) -> MiniHost:
    return built(tmp_path_factory.mktemp("ofx"))


@pytest.fixture(scope="module")
def runtime() -> Iterator[Path]:
    with new_sandbox() as sandbox:
        sandbox.serve()
        yield sandbox.run


def plate_of(dtype: type, channels: int, path: Path, size: tuple[int, int] = (64, 48)) -> np.ndarray:
    bits = np.random.default_rng(7).integers(0, 256, size[0] * size[1] * channels * np.dtype(dtype).itemsize, np.uint8)
    plate = bits.view(dtype).reshape(size[1], size[0], channels)
    plate.tofile(path)
    return plate


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("depth", DTYPES)
@pytest.mark.parametrize("layout", [(), ("--rows-down",), ("--origin", "-7,11"), ("--straight",)], ids=str)
def test_every_bit_comes_back(
    mini_host: MiniHost, runtime: Path, tmp_path: Path, depth: str, channels: int, layout: tuple[str, ...]
) -> None:
    plate = plate_of(DTYPES[depth], channels, tmp_path / "plate")
    options = ["--depth", depth, *([] if channels == 4 else ["--rgb"]), *layout, "--set", "style=echo"]
    said = mini_host.run(runtime, *options, "--read", tmp_path / "plate", "--write", tmp_path / "result")
    assert (said.code, said.messages) == (0, []), said.text
    assert (tmp_path / "result").read_bytes() == plate.tobytes()


def test_the_result_is_the_server_s(mini_host: MiniHost, runtime: Path, tmp_path: Path) -> None:
    plate = plate_of(np.uint8, 4, tmp_path / "plate")
    said = mini_host.run(
        runtime,
        "--depth",
        "byte",
        "--set",
        "style=invert",
        "--read",
        tmp_path / "plate",
        "--write",
        tmp_path / "result",
    )
    assert said.code == 0, said.text
    assert (tmp_path / "result").read_bytes() == (255 - plate).tobytes()


def test_only_the_render_window_is_written(mini_host: MiniHost, runtime: Path, tmp_path: Path) -> None:
    plate = plate_of(np.uint8, 4, tmp_path / "plate")
    said = mini_host.run(
        runtime, "--depth", "byte", "--set", "style=echo", "--window", "10,20,30,25",
        "--read", tmp_path / "plate", "--write", tmp_path / "result",
    )  # fmt: skip
    result = np.fromfile(tmp_path / "result", np.uint8).reshape(plate.shape)
    wanted = np.zeros_like(plate)
    wanted[20:25, 10:30] = plate[20:25, 10:30]
    assert said.code == 0, said.text
    np.testing.assert_array_equal(result, wanted)


def test_larger_frames_get_a_larger_ring_and_threads_share_it(mini_host: MiniHost, runtime: Path) -> None:
    said = mini_host.run(
        runtime,
        "--size",
        "320x200",
        "--instances",
        8,
        "--threads",
        4,
        "--frames",
        20,
        "--set",
        "style=delay-2ms",
        "--quiet",
    )
    assert (said.code, said.text.splitlines()[-1]) == (0, "failures 0"), said.text


def test_fields_are_refused(mini_host: MiniHost, runtime: Path) -> None:
    said = mini_host.run(runtime, "--field", "upper", "--set", "style=echo")
    assert said.statuses == [1]
    assert "deinterlace it in front of Impasto" in said.messages[0]


def test_strength_0_is_the_plate_without_a_server(mini_host: MiniHost, tmp_path: Path) -> None:
    said = mini_host.run(tmp_path / "none", "--set", "strength=0")
    assert said.code == 0
    assert "identity" in said.text


@pytest.mark.parametrize(
    ("name", "status", "first"), [("DaVinciResolve", 1, [0, 0, 0, 0]), ("org.mltframework", 0, [255, 0, 255, 255])]
)
def test_without_a_server_a_host_stops_or_shows_magenta(
    mini_host: MiniHost, tmp_path: Path, name: str, status: int, first: list[int]
) -> None:
    plate_of(np.uint8, 4, tmp_path / "plate")
    options = ["--host", name, "--depth", "byte", "--read", tmp_path / "plate", "--write", tmp_path / "result"]
    said = mini_host.run(tmp_path / "none", *options)
    assert said.statuses == [status]
    assert "press Start server" in said.messages[0]
    assert list(np.fromfile(tmp_path / "result", np.uint8)[:4]) == first


def test_without_a_server_the_plate_shows_where_that_was_chosen(mini_host: MiniHost, tmp_path: Path) -> None:
    plate = plate_of(np.float16, 4, tmp_path / "plate")
    options = ["--set", "noServer=1", "--depth", "half", "--read", tmp_path / "plate", "--write", tmp_path / "result"]
    said = mini_host.run(tmp_path / "none", *options)
    assert said.statuses == [0]
    assert said.messages
    assert (tmp_path / "result").read_bytes() == plate.tobytes()


def test_what_the_server_says_is_shown(mini_host: MiniHost, runtime: Path) -> None:
    said = mini_host.run(runtime, "--set", "style=nobody", "--set", "noServer=0", "--no-message-suite-2")
    assert said.statuses == [1]
    assert "no style is called 'nobody'" in said.messages[0]


@pytest.mark.parametrize(("style", "statuses"), [("crash", [1]), ("crash-once", [0]), ("oom", [1]), ("fail", [1])])
def test_a_worker_that_fails_costs_the_frame_and_no_more(mini_host: MiniHost, style: str, statuses: list[int]) -> None:
    with new_sandbox() as sandbox:
        sandbox.serve()
        said = mini_host.run(sandbox.run, "--set", f"style={style}", "--set", "noServer=0")
        assert said.statuses == statuses, said.text
        assert bool(said.messages) == (statuses == [1])
        assert mini_host.run(sandbox.run, "--set", "style=echo").code == 0


def test_an_abort_ends_the_wait_for_a_worker_that_hangs(mini_host: MiniHost) -> None:
    with new_sandbox() as sandbox:
        sandbox.serve()
        said = mini_host.run(sandbox.run, "--set", "style=hang", "--abort-after", 200)
        assert said.statuses == [1]
        assert said.messages == []
        sandbox.server.kill()


def test_a_server_that_is_killed_in_the_middle_fails_the_frame_and_a_new_one_paints(mini_host: MiniHost) -> None:
    with new_sandbox() as sandbox:
        server = sandbox.serve()
        command = mini_host.command("--set", "style=delay-400ms", "--set", "noServer=0", "--frames", 4)
        environment = {"IMPASTO_RUNTIME": str(sandbox.run)}
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as host:
            assert host.stdout is not None
            for line in host.stdout:
                if line.startswith("frame 0"):
                    server.kill()
                    break
            said = Said(0, line + host.stdout.read())
        assert said.statuses == [0, 1, 1, 1]
        assert said.messages
        sandbox.serve()
        assert mini_host.run(sandbox.run, "--set", "style=echo").code == 0


def test_a_server_of_another_version_is_named(mini_host: MiniHost, tmp_path: Path) -> None:
    with rejecting(tmp_path / "run", "expected protocol 1, got 9; upgrade impasto"):
        said = mini_host.run(tmp_path / "run", "--set", "noServer=0")
    assert said.messages == ["expected protocol 1, got 9; upgrade impasto"]
    assert said.statuses == [1]


@contextmanager
def rejecting(folder: Path, words: str) -> Iterator[None]:
    """A server that rejects whoever says hello."""
    folder.mkdir(mode=0o700)
    context = zmq.Context()
    sockets = [context.socket(zmq.ROUTER) for _ in range(2)]
    for each, endpoint in zip(sockets, (control_endpoint(folder), data_endpoint(folder)), strict=True):
        each.bind(endpoint)
    done = threading.Event()

    def answer() -> None:
        while not done.is_set():
            if sockets[0].poll(50):
                who = sockets[0].recv_multipart()[0]
                sockets[0].send_multipart([who, *encode(Rejected(ErrorFacts("incompatible", words)))])

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        context.destroy(linger=0)


def test_a_folder_that_others_reach_into_is_not_trusted(mini_host: MiniHost, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run").chmod(0o755)
    said = mini_host.run(tmp_path / "run", "--set", "noServer=0")
    assert "of this user alone" in said.messages[0]


def test_a_host_may_unload_the_plug_in_while_it_renders(mini_host: MiniHost) -> None:
    with new_sandbox() as sandbox:
        sandbox.serve()
        said = mini_host.run(
            sandbox.run, "--set", "style=hang", "--threads", 2, "--instances", 2, "--unload-while-rendering"
        )
        assert "unload status 0" in said.text
        assert said.statuses == [1, 1]
        sandbox.server.kill()


def test_the_menu_holds_the_library_and_writes_the_name(mini_host: MiniHost, runtime: Path) -> None:
    said = mini_host.run(runtime, "--frames", 0, "--choose", "library=2")
    (options,) = re.findall(r"^param library \S+ \S+ (.*)$", said.text, re.MULTILINE)
    names = re.findall(r"\[([^\]]+)\]", options)
    assert {"echo", "invert", "hang"} < set(names)
    assert re.search(rf"^param style \S+ \S+ {names[2]}$", said.text, re.MULTILINE)


def test_the_button_starts_the_server_that_was_installed(mini_host: MiniHost, tmp_path: Path) -> None:
    bundle = tmp_path / BUNDLE
    shutil.copytree(mini_host.bundle, bundle)
    (bundle / "Contents" / "Resources").mkdir()
    program = tmp_path / "impasto"
    program.write_text('#!/bin/sh\necho "$@" > "$IMPASTO_RUNTIME/started"\n')
    program.chmod(0o755)
    (bundle / "Contents" / "Resources" / "impasto").write_text(f"{program}\n")
    host = mini_host.command()[0]
    done = subprocess.run(
        [host, bundle / "Contents" / this_target().folder / "Impasto.ofx", "--frames", "0", "--press", "startServer"],
        capture_output=True, text=True, timeout=RUN_S, check=False, env={"IMPASTO_RUNTIME": str(tmp_path / "run")},
    )  # fmt: skip
    assert "changed startServer status 0" in done.stdout, done.stdout + done.stderr
    started = tmp_path / "run" / "started"
    assert until(lambda: started.exists() and started.read_text()).split() == ["serve", "--idle-exit", "900"]


def test_without_an_installed_command_the_button_says_so(mini_host: MiniHost, tmp_path: Path) -> None:
    said = mini_host.run(tmp_path, "--frames", 0, "--press", "startServer")
    assert "run `impasto ofx install` again" in said.messages[0]


@pytest.mark.slow
@pytest.mark.parametrize("flags", [ASAN, TSAN], ids=["address and undefined", "threads"])
def test_the_sanitizers_find_nothing(tmp_path: Path, runtime: Path, flags: tuple[str, ...]) -> None:
    host = built(tmp_path / "built", flags)
    for options in (
        ("--set", "style=echo", "--instances", 4, "--threads", 4, "--frames", 30, "--size", "100x50", "--quiet"),
        ("--set", "style=fail", "--set", "noServer=2", "--frames", 3),
        ("--set", "style=delay-400ms", "--abort-after", 50, "--frames", 2),
    ):
        said = host.run(runtime, *options)
        assert "Sanitizer" not in said.text, said.text
        assert "runtime error" not in said.text, said.text
        assert "failures" in said.text, said.text


@pytest.mark.slow
def test_many_renders_leave_no_memory_behind(mini_host: MiniHost, runtime: Path) -> None:
    if shutil.which("valgrind") is None:
        pytest.skip("valgrind is not installed")
    said = mini_host.run(
        runtime, "--set", "style=echo", "--frames", 100, "--quiet",
        around=("valgrind", "--leak-check=full", "--errors-for-leak-kinds=definite", "--error-exitcode=99"),
    )  # fmt: skip
    assert said.code == 0, said.text


def test_install_and_uninstall_leave_nothing(
    tmp_path: Path, mini_host: MiniHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ofx, "BUILT", mini_host.folder)
    ofx.install(tmp_path / "plugins")
    bundle = tmp_path / "plugins" / BUNDLE
    assert (bundle / "Contents" / "Resources" / "styles").read_text().splitlines() == sorted(
        (bundle / "Contents" / "Resources" / "styles").read_text().splitlines()
    )
    assert "wheatfield\n" in (bundle / "Contents" / "Resources" / "styles").read_text()
    ofx.install(tmp_path / "plugins")
    monkeypatch.setenv("OFX_PLUGIN_PATH", str(tmp_path / "plugins"))
    assert [check.state for check in ofx.host_checks()] == ["ok"] * 3
    ofx.uninstall(tmp_path / "plugins")
    assert list((tmp_path / "plugins").iterdir()) == []


def test_a_bundle_of_somebody_else_is_never_removed(
    tmp_path: Path, mini_host: MiniHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ofx, "BUILT", mini_host.folder)
    (tmp_path / BUNDLE / "Contents").mkdir(parents=True)
    (tmp_path / BUNDLE / "Contents" / "Info.plist").write_text("other")
    with pytest.raises(OutputExists, match="found something else"):
        ofx.install(tmp_path)
    assert (tmp_path / BUNDLE / "Contents" / "Info.plist").read_text() == "other"


def test_it_needs_libc_alone_and_shows_two_names(mini_host: MiniHost) -> None:
    if shutil.which("readelf") is None:
        pytest.skip("readelf is not installed")
    plugin = mini_host.bundle / "Contents" / this_target().folder / "Impasto.ofx"
    said = subprocess.run(["readelf", "-dW", "--dyn-syms", plugin], capture_output=True, text=True, check=True).stdout
    needed = set(re.findall(r"\(NEEDED\).*\[(.+?)\.so", said))
    assert needed <= {"libc", "libpthread"}
    shown = re.findall(r"(?:GLOBAL|WEAK)\s+DEFAULT\s+\d+ (\w+)$", said, re.MULTILINE)
    assert sorted(shown) == ["OfxGetNumberOfPlugins", "OfxGetPlugin"]
    assert plugin.stat().st_size <= 150_000


@pytest.mark.slow
def test_alpha_and_proxies_are_painted_as_the_client_in_python_has_them_painted(
    mini_host: MiniHost, tmp_path: Path
) -> None:
    rng = np.random.default_rng(3)
    plate = rng.random((48, 64, 4), np.float32)
    plate.tofile(tmp_path / "plate")
    with real_server(tmp_path / "run") as client:
        for options, alpha, stroke in (
            ([], "associated", 1.0),
            (["--straight"], "unassociated", 1.0),
            (["--scale", "0.5", "--set", "stroke=2"], "associated", 1.0),
        ):
            wanted = client.submit(
                plate, style="wheatfield-draft", bottom_up=True, alpha=alpha, params={"stroke": stroke}
            ).result(RUN_S)
            said = mini_host.run(
                tmp_path / "run", *options, "--set", "style=wheatfield-draft",
                "--read", tmp_path / "plate", "--write", tmp_path / "result",
            )  # fmt: skip
            assert said.code == 0, said.text
            assert (tmp_path / "result").read_bytes() == wanted.pixels.tobytes(), options
            wanted.release()


@contextmanager
def real_server(folder: Path) -> Iterator[Client]:
    """A client of a server with the built-in styles, in its own process."""
    folder.mkdir(mode=0o700)
    command = [sys.executable, "-c", "from impasto.hosts.terminal.app import main; main()"]
    process = subprocess.Popen(
        [*command, "serve", "--device", "cpu", "--json"],
        stdout=subprocess.PIPE, text=True, env={**os.environ, "IMPASTO_RUNTIME": str(folder)},
    )  # fmt: skip
    try:
        assert process.stdout is not None
        assert process.stdout.readline()
        with Client.connect(folder, start=False, timeout_s=RUN_S, name="tester") as client:
            yield client
    finally:
        process.terminate()
        process.wait(RUN_S)
        if process.stdout is not None:
            process.stdout.close()
