"""`impasto web`: what it prints, what it refuses, and that `impasto serve --web` starts it."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from impasto.hosts.terminal.exit_codes import USAGE
from impasto.hosts.terminal.failure import missing_package
from impasto.hosts.terminal.web.command import named_folders
from impasto.server.settings import Root
from tests.hosts.terminal.conftest import IMPASTO, LIMIT_S, Impasto


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--host", "0.0.0.0"), "expected --tls CERT KEY with --host 0.0.0.0"),
        (("--host", "0.0.0.0", "--tls", "c.pem", "k.pem"), "expected --host as browsers name this machine"),
        (("--host", "render1", "--tls", "c.pem", "k.pem"), "expected a PEM file for --tls, 'c.pem' is none"),
        (("--port", "70000"), "expected --port from 1 to 65535"),
        (("--plates", "nowhere"), "expected a folder for the root 'nowhere'"),
        (("--plates", "aa=.", "--plates", "aa=."), "expected a name of its own for every --plates"),
        (("--server-key", "k"), "expected --server with --server-key"),
    ],
)
def test_what_cannot_be_served_is_a_sentence(
    runtime: Path, impasto: Impasto, arguments: tuple[str, ...], said: str
) -> None:
    done = impasto("web", *arguments)
    assert (done.code, done.out) == (USAGE, "")
    assert said in done.err
    assert done.err.count("\n") == 1


def test_a_package_of_the_pages_that_is_missing_names_its_extra() -> None:
    assert "pip install 'impasto[web]'" in missing_package("starlette.applications").message


def test_a_folder_bears_its_own_name_or_a_given_one(tmp_path: Path) -> None:
    (tmp_path / "my plates (2)").mkdir()
    found = named_folders("--plates", [str(tmp_path / "my plates (2)"), f"out={tmp_path}:rw"])
    assert found == {"my-plates--2": Root(tmp_path / "my plates (2)"), "out": Root(tmp_path, writable=True)}


def test_the_pages_answer_at_the_address_that_is_printed_and_end_in_silence(runtime: Path) -> None:
    process = subprocess.Popen(
        [*IMPASTO, "web", "--port", "0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    address = re.search(r"http://127\.0\.0\.1:\d+/\?token=\S+(?=;)", line)
    assert address is not None, line
    page = urllib.request.build_opener(urllib.request.HTTPCookieProcessor()).open(address[0], timeout=LIMIT_S)
    assert (page.status, b"<nav" in page.read()) == (200, True)
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(address[0].partition("?")[0] + "look", timeout=LIMIT_S)
    process.send_signal(signal.SIGINT)
    rest = process.communicate(timeout=LIMIT_S)
    assert (process.returncode, *rest) == (0, "", "")
    assert not (runtime / "server.lock").exists(), "a page alone started a render server"


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl, which makes the certificate, is not installed")
def test_beyond_loopback_the_pages_are_encrypted_and_that_is_said(runtime: Path, tmp_path: Path) -> None:
    host = socket.gethostname().lower()
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={host}"]
    made += ["-addext", f"subjectAltName=DNS:{host}", "-keyout", str(key), "-out", str(cert)]
    subprocess.run(made, check=True, capture_output=True, timeout=LIMIT_S)
    command = [*IMPASTO, "web", "--port", "0", "--host", host, "--tls", str(cert), str(key)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    address = re.search(rf"https://{re.escape(host)}:\d+/\?token=\S+(?=;)", process.stdout.readline())
    assert address is not None
    trust = urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=str(cert)))
    page = urllib.request.build_opener(trust, urllib.request.HTTPCookieProcessor()).open(address[0], timeout=LIMIT_S)
    assert (page.status, b"<nav" in page.read()) == (200, True)
    process.send_signal(signal.SIGTERM)
    assert "other machines reach these pages" in process.communicate(timeout=LIMIT_S)[1]


@pytest.mark.skipif(os.name == "nt", reason="the server's socket is one of POSIX")
def test_the_server_starts_and_ends_the_pages(runtime: Path) -> None:
    command = [*IMPASTO, "serve", "--web", "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        assert json.loads(process.stdout.readline())["event"] == "serving"
        line = process.stderr.readline()
        address = re.search(r"http://\S+(?=;)", line)
        if address is None:  # pages of another user of this machine are there already, and the server goes on
            assert "another program listens on it" in line
        else:
            browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
            assert browser.open(address[0], timeout=LIMIT_S).status == 200
    finally:
        process.send_signal(signal.SIGTERM)
        rest, _ = process.communicate(timeout=LIMIT_S)
    assert [json.loads(line)["event"] for line in rest.splitlines()] == ["finished"]
    if address is not None:
        with pytest.raises(urllib.error.URLError):
            urllib.request.urlopen(address[0], timeout=LIMIT_S)
