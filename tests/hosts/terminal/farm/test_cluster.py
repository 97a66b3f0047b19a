"""`impasto submit --to ray`: what it refuses, and what a node answers."""

from __future__ import annotations

import secrets
import socket
import sys
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import pytest

from impasto.hosts.farm.job_file import farm_job_for
from impasto.hosts.farm.ray_node import RayNode, order_of
from impasto.hosts.terminal.exit_codes import INTERNAL, SERVER, USAGE
from impasto.hosts.terminal.render.job import job_from
from tests.hosts.terminal.conftest import Impasto

LOOK = ("--style", "identity", "--device", "cpu")
WITH_RAY = pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed: pip install '.[cluster]'")


@pytest.fixture
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")


def test_ray_that_is_not_installed_is_named_with_its_extra(
    sequence: str, impasto: Impasto, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    done = impasto("submit", sequence, "out/", *LOOK, "--to", "ray")
    assert (done.code, "pip install 'impasto[cluster]'" in done.err) == (INTERNAL, True)
    assert not Path("out.job").exists()


@WITH_RAY
class TestRefusals:
    def test_a_cluster_without_a_token(self, sequence: str, impasto: Impasto, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
        done = impasto("submit", sequence, "out/", *LOOK, "--to", "ray")
        assert (done.code, "RAY_AUTH_MODE=token" in done.err) == (USAGE, True)

    def test_a_cluster_that_does_not_answer(
        self, sequence: str, impasto: Impasto, token: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{taken.getsockname()[1]}")
            done = impasto("submit", sequence, "out/", *LOOK, "--to", "ray")
        assert (done.code, "ray start --head" in done.err) == (SERVER, True)
        monkeypatch.setenv("RAY_ADDRESS", "ray://somewhere")
        assert impasto("submit", sequence, "out/", *LOOK, "--to", "ray").code == USAGE
        assert not Path("out.job").exists()

    def test_a_device_that_is_not_rays_to_choose(self, sequence: str, impasto: Impasto, token: None) -> None:
        done = impasto("submit", sequence, "out/", "--style", "identity", "--device", "cuda:1", "--to", "ray")
        assert (done.code, "auto or cpu" in done.err) == (USAGE, True)


def test_nodes_on_other_machines_need_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    from impasto.core.errors import UsageError
    from impasto.hosts.farm.ray import _require_private

    monkeypatch.delenv("RAY_USE_TLS", raising=False)
    _require_private(["127.0.0.1"])
    with pytest.raises(UsageError, match="RAY_USE_TLS=1"):
        _require_private(["127.0.0.1", "198.51.100.7"])
    monkeypatch.setenv("RAY_USE_TLS", "1")
    _require_private(["198.51.100.7"])


class TestNode:
    def node(self, sequence: str, **other: str) -> RayNode:
        shot = job_from(input=sequence, output=str(Path("out/o.####.exr").absolute()), style="identity", controls={})
        order = order_of(shot, farm_job_for("identity"))
        return RayNode({**order.farm_job, **other}, order.shot, "cpu")

    def test_another_version_is_refused_with_both(self, sequence: str, token: None) -> None:
        assert self.node(sequence).refusal() == ""
        said = self.node(sequence, impasto="9.9").refusal()
        assert "impasto 9.9" in said
        assert version("impasto") in said

    def test_a_node_that_takes_orders_from_anybody_is_refused(
        self, sequence: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
        assert "RAY_AUTH_MODE=token" in self.node(sequence).refusal()

    def test_a_bad_chunk_is_told_from_a_bad_node(
        self, sequence: str, token: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        node = self.node(sequence)
        assert node.paint(1001, 1003) == (3, "", False)
        assert node.paint(1001, 1004) == (1, "", False), "what is there is skipped"
        Path(sequence.replace("####", "1005")).write_bytes(b"no picture")
        painted, wrong, everywhere = node.paint(1005, 1005)
        assert (painted, "1005" in wrong, everywhere) == (0, True, True)

        def lost(*arguments: object, **more: object) -> None:
            raise RuntimeError("CUDA error: device lost")

        monkeypatch.setattr("impasto.core.engine.Engine.render", lost)
        painted, wrong, everywhere = node.paint(1006, 1006)
        assert (painted, "device lost" in wrong, everywhere) == (0, True, False)
