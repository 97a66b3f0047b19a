"""The library: what is in the folders, what of it is good, and what a client may name."""

from __future__ import annotations

import base64
import json
import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from impasto.core.card import COLOUR_CONTRACT
from impasto.core.errors import NotPermitted, StyleError, UnknownName, UsageError
from impasto.core.style_file import BUILT_IN, offered_by
from impasto.core.style_reference import name_of
from impasto.server.front import library as library_file
from impasto.server.front import style_facts
from impasto.server.front.library import ANSWER_S, CARDS_A_POLL, PAGE_BYTES, POLL_S, Library, StyleFile
from impasto.server.protocol.messages import ErrorFacts, StyleFacts
from impasto.server.protocol.worker_messages import CheckStyle, StyleChecked

PNG = b"\x89PNG\r\n\x1a\n and so on"
BUILT_INS = [
    name_of(str(each))
    for path in sorted(BUILT_IN.glob("*.safetensors"), key=lambda path: path.stem)
    for each, _ in offered_by(path)
]


class Watched:
    """A library of one folder, and the time that it is told."""

    def __init__(self, *folders: Path) -> None:
        self.now = 100.0
        self.library = Library(folders, clock=lambda: self.now)

    def look(self, times: int = 1) -> list[CheckStyle]:
        """So many looks later: what was asked."""
        asked = []
        for _ in range(times):
            self.now += POLL_S
            asked += self.library.poll(self.now)
        return asked

    def take(self, check: CheckStyle, error: str = "") -> None:
        """A worker's answer."""
        facts = ErrorFacts("style", error) if error else None
        self.library.checked(StyleChecked(check.style, check.path, error=facts))

    def adopt(self, times: int = 2) -> None:
        """Look, and find good whatever is asked."""
        for check in self.look(times):
            self.take(check)

    def facts(self, name: str) -> StyleFacts | None:
        return next((facts for facts in self.library.facts() if facts.name == name), None)

    def names(self) -> list[str]:
        return [facts.name for facts in self.library.facts()]


def write(path: Path, *, weights: int = 0, **facts: Any) -> Path:
    """A file with a sound header and a card, and as many bytes of weights; renamed into place."""
    card = {
        "schema": 1, "name": path.stem, "title": "A title", "description": "", "generator": "unet", "config": {},
        "size": "draft", "halo": 32, "stride": 8, "licence": "CC0", "weights_sha256": "ab" * 32, "canary": [0, 0],
        "credits": [], "guides": [], "codes": [], "defaults": {}, "training": None, "preview": "",
        "colour": COLOUR_CONTRACT,
    }  # fmt: skip
    header = json.dumps({"__metadata__": {"card": json.dumps(card | facts)}}).encode()
    partial = path.with_name(f".{path.name}.part")
    partial.write_bytes(struct.pack("<Q", len(header)) + header + bytes(weights))
    return partial.replace(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "styles"
    made.mkdir()
    return made


def test_the_built_in_styles_are_there_without_a_check() -> None:
    watched = Watched()
    assert watched.names() == BUILT_INS
    assert watched.look(3) == []
    found = watched.library.find("wheatfield", paths_allowed=False)
    assert found.path == BUILT_IN / "wheatfield.safetensors"
    facts = watched.facts("wheatfield")
    assert facts is not None
    assert facts.sha256 == found.sha256
    assert facts.megabytes == pytest.approx(found.path.stat().st_size / 1e6)
    assert facts.has_preview
    assert facts.problem == ""
    assert watched.library.problems() == ()


def test_the_library_needs_no_torch() -> None:
    program = "import sys, impasto.server.front.library as l; l.Library(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], timeout=30).returncode == 0


def test_a_style_of_ones_own_comes_before_the_built_in_one(folder: Path) -> None:
    path = write(folder / "wheatfield.safetensors", title="Mine")
    watched = Watched(folder)
    assert watched.library.find("wheatfield", paths_allowed=False) == StyleFile("wheatfield", path, "ab" * 32)
    path.unlink()
    watched.look()
    assert watched.library.find("wheatfield", paths_allowed=False).path.parent == BUILT_IN


def test_a_preview_is_the_cards_picture(folder: Path) -> None:
    write(folder / "seen.safetensors", preview=base64.b64encode(PNG).decode())
    write(folder / "unseen.safetensors")
    write(folder / "odd.safetensors", preview="no base64")
    watched = Watched(folder)
    assert watched.library.preview("seen") == PNG
    assert [watched.library.preview(name) for name in ("unseen", "odd", "unknown")] == [None, None, None]
    assert [facts.has_preview for facts in watched.library.facts() if facts.name in ("seen", "odd")] == [False, True]


def test_a_new_style_appears_once_a_worker_finds_it_good(folder: Path) -> None:
    watched = Watched(folder)
    before = watched.library.revision
    path = write(folder / "new.safetensors")
    assert watched.look() == []
    assert watched.look() == [CheckStyle("new", str(path))]
    assert watched.look(5) == []
    assert "new" not in watched.names()
    assert watched.library.revision == before
    watched.take(CheckStyle("new", str(path)))
    assert "new" in watched.names()
    assert watched.library.revision == before + 1


def test_a_file_that_still_grows_is_left_alone(folder: Path) -> None:
    watched = Watched(folder)
    for size in range(1, 6):
        write(folder / "slow.safetensors", weights=size)
        assert watched.look() == []
    assert [check.style for check in watched.look()] == ["slow"]


def test_looks_are_at_most_two_a_second(folder: Path) -> None:
    watched = Watched(folder)
    write(folder / "new.safetensors")
    watched.look()
    assert watched.library.next_poll == watched.now + POLL_S
    assert watched.library.poll(watched.now + POLL_S / 2) == []
    assert len(watched.look()) == 1


def test_a_changed_style_takes_the_place_of_the_old_one_once_it_is_good(folder: Path) -> None:
    path = write(folder / "mine.safetensors", title="Old")
    watched = Watched(folder)
    write(path, title="New", weights_sha256="cd" * 32)
    (check,) = watched.look(2)
    assert watched.library.find("mine", paths_allowed=False).sha256 == "ab" * 32
    watched.take(check)
    facts = watched.facts("mine")
    assert facts is not None
    assert facts.title == "New"
    assert watched.library.find("mine", paths_allowed=False).sha256 == "cd" * 32


def test_a_style_that_a_worker_refuses_leaves_the_old_one_and_says_why(folder: Path) -> None:
    path = write(folder / "mine.safetensors", title="Old")
    watched = Watched(folder)
    write(path, title="Broken")
    before = watched.library.revision
    (check,) = watched.look(2)
    watched.take(check, "the weights are\nnot finite")
    facts = watched.facts("mine")
    assert facts is not None
    assert (facts.title, facts.problem) == ("Old", "the weights are not finite")
    assert watched.library.revision == before + 1
    assert watched.library.problems() == ("style 'mine': the weights are not finite",)
    write(path, title="Mended")
    watched.adopt()
    facts = watched.facts("mine")
    assert facts is not None
    assert (facts.title, facts.problem) == ("Mended", "")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"garbage" * 100,
        struct.pack("<Q", 1 << 40),
        struct.pack("<Q", 2) + b"{}",
        struct.pack("<Q", 200_000) + b"[" * 200_000,
        *(
            struct.pack("<Q", len(header)) + header
            for card in (5, "5", "{}", '{"schema":0}', '{"schema":99}', "[" * 100_000)
            for header in [json.dumps({"__metadata__": {"card": card}}).encode()]
        ),
    ],
    ids=lambda content: repr(content[:24]),
)
def test_a_file_that_is_no_style_leaves_the_old_one_and_says_why(folder: Path, content: bytes) -> None:
    path = write(folder / "mine.safetensors", title="Old")
    watched = Watched(folder)
    path.write_bytes(content)
    before = watched.library.revision
    assert watched.look(3) == []
    facts = watched.facts("mine")
    assert facts is not None
    assert facts.title == "Old"
    assert facts.problem
    assert watched.library.revision == before + 1


@pytest.mark.parametrize("odd", [{"description": 5}, {"title": None}, {"credits": [1]}, {"defaults": {"stroke": 1e9}}])
def test_a_card_with_odd_values_is_no_card(folder: Path, odd: dict[str, Any]) -> None:
    write(folder / "odd.safetensors", **odd)
    watched = Watched(folder)
    assert "odd" not in watched.names()
    assert "style 'odd': expected" in watched.library.problems()[0]


def test_line_ends_on_a_card_do_not_reach_the_clients(folder: Path) -> None:
    write(folder / "mine.safetensors", title="One\nTwo\x1b[31m", description="x" * 5000, credits=["a\x00b"])
    facts = Watched(folder).facts("mine")
    assert facts is not None
    assert facts.title == "One Two [31m"
    assert facts.credits == ("a b",)
    assert len(facts.description.encode()) <= 1000


def test_a_broken_style_of_ones_own_leaves_the_built_in_one(folder: Path) -> None:
    (folder / "wheatfield.safetensors").write_bytes(b"garbage")
    watched = Watched(folder)
    facts = watched.facts("wheatfield")
    assert facts is not None
    assert "expected a style" in facts.problem
    assert watched.library.find("wheatfield", paths_allowed=False).path.parent == BUILT_IN


def test_a_broken_style_that_was_never_good_is_not_listed_but_reported(folder: Path) -> None:
    (folder / "odd.safetensors").write_bytes(b"garbage")
    watched = Watched(folder)
    assert watched.names() == BUILT_INS
    assert "style 'odd': expected a style" in watched.library.problems()[0]


def test_a_deleted_style_is_not_listed_any_more(folder: Path) -> None:
    path = write(folder / "mine.safetensors")
    watched = Watched(folder)
    before = watched.library.revision
    path.unlink()
    watched.look()
    assert "mine" not in watched.names()
    assert watched.library.revision == before + 1
    with pytest.raises(UnknownName):
        watched.library.find("mine", paths_allowed=True)


def test_a_style_put_back_as_it_was_needs_no_check(folder: Path) -> None:
    path = write(folder / "mine.safetensors")
    watched = Watched(folder)
    os.utime(path, (1, 1))
    old = path.with_name("aside")
    watched.adopt()
    path.rename(old)
    path.write_bytes(b"garbage")
    watched.look(2)
    facts = watched.facts("mine")
    assert facts is not None
    assert facts.problem
    old.replace(path)
    assert watched.look(2) == []
    facts = watched.facts("mine")
    assert facts is not None
    assert facts.problem == ""


def test_an_answer_about_a_state_that_is_gone_is_passed_over(folder: Path) -> None:
    watched = Watched(folder)
    path = write(folder / "mine.safetensors", title="First")
    (check,) = watched.look(2)
    write(path, title="Second")
    assert watched.look() == []
    watched.take(check)
    assert "mine" not in watched.names()
    (check,) = watched.look()
    watched.take(check)
    facts = watched.facts("mine")
    assert facts is not None
    assert facts.title == "Second"


def test_an_answer_about_other_weights_than_the_cards_is_not_taken(folder: Path) -> None:
    watched = Watched(folder)
    path = write(folder / "mine.safetensors")
    watched.look(2)
    watched.library.checked(StyleChecked("mine", str(path), sha256="ef" * 32))
    assert "mine" not in watched.names()
    assert "save it again" in watched.library.problems()[0]


def test_answers_that_nobody_asked_for_do_nothing(folder: Path) -> None:
    watched = Watched(folder)
    before = watched.library.revision
    watched.take(CheckStyle("wheatfield", str(BUILT_IN / "wheatfield.safetensors")), "odd")
    watched.take(CheckStyle("x", "/nowhere/x.safetensors"))
    assert watched.library.revision == before


def test_a_style_whose_checks_kill_two_workers_is_given_up(folder: Path) -> None:
    watched = Watched(folder)
    path = write(folder / "deadly.safetensors")
    (check,) = watched.look(2)
    watched.library.unanswered(check)
    assert watched.look() == [check]
    watched.library.unanswered(check)
    assert watched.look(3) == []
    assert "2 workers that checked" in watched.library.problems()[0]
    write(path, title="Another")
    assert watched.look(2) == [check]


def test_a_check_that_is_not_answered_is_asked_again(folder: Path) -> None:
    watched = Watched(folder)
    write(folder / "mine.safetensors")
    (check,) = watched.look(2)
    assert watched.look(int(ANSWER_S / POLL_S) - 1) == []
    assert watched.look() == [check]


def test_folders_that_are_not_there_yet_or_vanish_are_a_problem_and_no_crash(tmp_path: Path) -> None:
    folder = tmp_path / "later"
    watched = Watched(folder)
    assert f"expected a folder of styles at '{folder}', there is none" in watched.library.problems()[0]
    folder.mkdir()
    write(folder / "mine.safetensors")
    watched.adopt()
    assert "mine" in watched.names()
    assert watched.library.problems() == ()
    folder.rename(tmp_path / "gone")
    watched.look()
    assert watched.names() == BUILT_INS
    assert watched.library.problems() != ()


def test_a_folder_that_cannot_be_read_for_a_while_keeps_its_styles(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(folder / "mine.safetensors")
    watched = Watched(folder)
    before = watched.library.revision

    def fails(path: Path) -> Iterator[os.DirEntry[str]]:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(library_file.os, "scandir", fails)
        watched.look(3)
        assert "mine" in watched.names()
        assert "Input/output error" in watched.library.problems()[0]
    assert watched.look(3) == []
    assert watched.library.problems() == ()
    assert watched.library.revision == before


def test_what_is_hidden_or_no_file_is_not_looked_at(folder: Path) -> None:
    write(folder / ".hidden.safetensors")
    (folder / ".mine.safetensors.part").write_bytes(b"half")
    (folder / ".mine.1-ab.part.safetensors").write_bytes(b"half")
    (folder / "folder.safetensors").mkdir()
    os.mkfifo(folder / "pipe.safetensors")
    (folder / "nothing.safetensors").symlink_to(folder / "nowhere")
    watched = Watched(folder)
    assert watched.look(3) == []
    assert watched.names() == BUILT_INS
    assert watched.library.problems() == ()


@pytest.mark.parametrize(
    "name", ["x" * 65, "new\nline", "\u202egnp", "pipe|", b"\xff".decode(errors="surrogateescape")]
)
def test_odd_names_are_reported_and_not_listed(folder: Path, name: str) -> None:
    write(folder / f"{name}.safetensors")
    watched = Watched(folder)
    assert watched.look(3) == []
    assert watched.names() == BUILT_INS
    (problem,) = watched.library.problems()
    assert "rename it" in problem
    assert problem.isprintable()
    problem.encode()


def test_many_styles_copied_at_once_are_read_a_few_at_a_time(folder: Path) -> None:
    watched = Watched(folder)
    for number in range(20):
        write(folder / f"style {number:02}.safetensors")
    watched.look()
    asked = [len(watched.look()) for _ in range(4)]
    assert asked == [CARDS_A_POLL, CARDS_A_POLL, 20 - 2 * CARDS_A_POLL, 0]


def test_the_pages_hold_every_style_once_and_fit_into_messages(folder: Path) -> None:
    for number in range(100):
        write(folder / f"style {number:03}.safetensors", description="d" * 900, credits=["c" * 400] * 5)
    library = Library((folder,))
    names: list[str] = []
    while page := library.page(len(names)):
        assert sum(len(facts.description) + 5 * 400 for facts in page if facts.name.startswith("style ")) <= PAGE_BYTES
        names += [facts.name for facts in page]
    assert names == [facts.name for facts in library.facts()]
    assert len(names) == 100 + len(BUILT_INS)


def test_an_unknown_name_names_the_nearest() -> None:
    with pytest.raises(UnknownName, match="did you mean 'wheatfield'"):
        Library().find("wheatfeild", paths_allowed=False)
    with pytest.raises(UnknownName):
        Library().find("", paths_allowed=True)


def test_a_path_is_for_clients_of_the_same_machine_alone(folder: Path) -> None:
    path = write(folder / "mine.safetensors")
    library = Library()
    assert library.find(str(path), paths_allowed=True) == StyleFile("mine", path, "ab" * 32)
    with pytest.raises(NotPermitted, match="expected the name of a style"):
        library.find(str(path), paths_allowed=False)


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_one_file_is_one_style_by_whatever_way_it_is_named(folder: Path, tmp_path: Path) -> None:
    path = write(folder / "mine.safetensors")
    (tmp_path / "elsewhere").symlink_to(folder)
    (tmp_path / "latest.safetensors").symlink_to(path)
    library = Library()
    wanted = library.find(str(path), paths_allowed=True)
    for way in (f"{folder}/./mine.safetensors", f"{folder}/../{folder.name}/mine.safetensors"):
        assert library.find(way, paths_allowed=True) == wanted
    assert library.find(str(tmp_path / "elsewhere" / "mine.safetensors"), paths_allowed=True) == wanted
    latest = library.find(str(tmp_path / "latest.safetensors"), paths_allowed=True)
    assert (latest.name, latest.path) == ("latest", path)


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_a_link_to_a_file_that_a_cache_named_is_read_by_its_own_name(folder: Path, tmp_path: Path) -> None:
    blob = write(folder / "mine.safetensors").rename(tmp_path / ("9f" * 32))
    link = folder / "mine.safetensors"
    link.symlink_to(blob)
    assert Library().find(str(link), paths_allowed=True) == StyleFile("mine", link, "ab" * 32)


@pytest.mark.parametrize("style", ["mine.safetensors", "./mine.safetensors", "../mine", "a/b", "C:\\mine.safetensors"])
def test_a_relative_path_is_refused(style: str) -> None:
    with pytest.raises(UsageError, match="absolute path"):
        Library().find(style, paths_allowed=True)


@pytest.mark.parametrize("ending", [".pt", ".pth", ".ckpt", ".bin", ".pkl"])
def test_a_pickle_is_refused_unread(tmp_path: Path, ending: str) -> None:
    with pytest.raises(StyleError, match="pickled weights can run code"):
        Library().find(str(tmp_path / f"mine{ending}"), paths_allowed=True)


@pytest.mark.parametrize("path", ["/etc/passwd", "/dev/zero", "/nowhere/x.safetensors", "/x\0.safetensors"])
def test_a_path_to_no_style_is_refused(path: str) -> None:
    with pytest.raises(StyleError, match="expected a style"):
        Library().find(path, paths_allowed=True)


def test_a_path_to_a_pipe_does_not_hold_the_server(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.safetensors")
    with pytest.raises(StyleError, match="a folder or a device"):
        Library().find(str(tmp_path / "pipe.safetensors"), paths_allowed=True)


def test_the_card_of_a_path_is_read_again_when_the_file_changed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(folder / "mine.safetensors")
    library = Library()
    reads: list[Path] = []
    read = style_facts.read_card
    monkeypatch.setattr(style_facts, "read_card", lambda path: reads.append(path) or read(path))
    for _ in range(3):
        assert library.find(str(path), paths_allowed=True).sha256 == "ab" * 32
    assert len(reads) == 1
    write(path, weights_sha256="cd" * 32)
    assert library.find(str(path), paths_allowed=True).sha256 == "cd" * 32


def test_each_of_several_styles_in_a_file_is_offered_and_found_by_its_name(folder: Path) -> None:
    path = write(folder / "many.safetensors", codes=["wave", "wheat"], title="Many")
    watched = Watched(folder)
    facts = [facts for facts in watched.library.facts() if facts.name.startswith("many")]
    assert [(each.name, each.title, each.codes) for each in facts] == [
        ("many", "Many", ("wave", "wheat")),
        ("many@wave", "Many: Wave", ()),
        ("many@wheat", "Many: Wheat", ()),
    ]
    found = watched.library.find("many@wheat", paths_allowed=False)
    assert found == StyleFile("many@wheat", Path(f"{path}@wheat"), facts[2].sha256)
    assert watched.library.find(f"{path}@wheat", paths_allowed=True).path == found.path
    blend = watched.library.find("many@wheat+wave=3", paths_allowed=False)
    assert blend.name == "many@wave=0.75+wheat=0.25"
    assert len({blend.sha256, *(each.sha256 for each in facts)}) == 4


def test_what_is_not_in_a_file_cannot_be_chosen_of_it(folder: Path) -> None:
    write(folder / "many.safetensors", codes=["wave", "wheat"])
    write(folder / "one.safetensors")
    library = Watched(folder).library
    with pytest.raises(UnknownName, match="did you mean 'wheat'"):
        library.find("many@whaet", paths_allowed=False)
    with pytest.raises(UsageError, match="weight of 0 or more"):
        library.find("many@wave=-1", paths_allowed=False)
    with pytest.raises(StyleError, match="it holds one"):
        library.find("one@wave", paths_allowed=False)
    with pytest.raises(NotPermitted):
        library.find("/somewhere/many.safetensors@wave", paths_allowed=False)
