"""A small tkinter window: not every edition of Resolve offers its own windows, and most Pythons have tkinter."""

from __future__ import annotations

import time
import tkinter as tk
from contextlib import contextmanager
from tkinter import messagebox, ttk
from typing import Callable, Iterator

from impasto.hosts.bridge.catalogue import Catalogue
from impasto.hosts.bridge.errors import BridgeError
from impasto.hosts.bridge.jobs import HostJob
from impasto.hosts.resolve.dialog_request import PLACE_WORDS, SCOPE_WORDS, Answer, job_words, request_of, values_of
from impasto.hosts.resolve.request import Request
from impasto.hosts.resolve.ui import UserInterface

POLL_S = 0.03
NEW = "a new job"
COLOUR = "colour space (empty: as Resolve says)"


class JobWindow(UserInterface):
    """The window while a job runs: a bar, a line of text and a Stop button. It lives in the script's one thread."""

    def __init__(self, root: tk.Tk) -> None:
        self.root, self._stopped = root, False
        self.notes: list[str] = []
        self._bar = ttk.Progressbar(root, maximum=1.0, length=420)
        self._text = ttk.Label(root, text="", wraplength=420)
        self._button = ttk.Button(root, text="Stop", command=self.stop)

    def open_bar(self) -> None:
        """Show the bar in place of the questions; closing the window now means Stop."""
        self.root.protocol("WM_DELETE_WINDOW", self.stop)
        for each in (self._text, self._bar, self._button):
            each.pack(padx=12, pady=6, anchor="w")

    def stop(self) -> None:
        """Note that the user asked to stop."""
        self._stopped = True

    def say(self, text: str) -> None:
        """Show a note, and once more at the end, so that no message box holds up the job."""
        self.notes.append(text)
        self._text.configure(text=text)
        self.root.update()

    def show_progress(self, fraction: float, text: str) -> None:
        """Move the bar."""
        self._bar.configure(value=fraction)
        self._text.configure(text=f"{text} ({100 * fraction:.0f} %)")
        self.root.update()

    def stop_requested(self) -> bool:
        """Whether Stop was pressed or the window closed."""
        return self._stopped

    def pause(self, seconds: float) -> None:
        """Wait with the window alive."""
        until = time.monotonic() + seconds
        self.root.update()
        while time.monotonic() < until:
            time.sleep(POLL_S)
            self.root.update()


@contextmanager
def opened() -> Iterator[JobWindow]:
    """A window; its notes are shown at the end. ImportError without a screen, as without tkinter."""
    try:
        root = tk.Tk()
    except tk.TclError as error:
        raise ImportError(str(error)) from error
    root.title("Impasto")
    window = JobWindow(root)
    try:
        yield window
        if window.notes:
            messagebox.showinfo("Impasto", "\n\n".join(window.notes), parent=root)
    finally:
        root.destroy()


def ask(window: JobWindow) -> Callable[[Catalogue, Request, tuple[HostJob, ...]], Answer]:
    """A function that shows the questions in the window and waits for the answer."""

    def asked(catalogue: Catalogue, last: Request, jobs: tuple[HostJob, ...]) -> Answer:
        answer = Questions(window.root, catalogue, last, jobs).wait()
        window.open_bar()
        return answer

    return asked


class Questions:
    """The form, one field a row."""

    def __init__(self, root: tk.Tk, catalogue: Catalogue, last: Request, jobs: tuple[HostJob, ...]) -> None:
        self._catalogue, self._last, self._jobs = catalogue, last, job_words(jobs)
        self._answer: Answer = None
        self._done = tk.BooleanVar(root, False)
        self._frame = ttk.Frame(root, padding=12)
        self._frame.pack()
        self.fields: dict[str, tk.StringVar] = {
            name: tk.StringVar(root, value) for name, value in values_of(last, catalogue).items()
        }
        self.job = tk.StringVar(root, NEW)
        if jobs:
            self._choice("continue", self.job, [NEW, *self._jobs])
        self._choice("style", self.fields["style"], catalogue.style_names())
        self._choice("paint", self.fields["scope"], list(SCOPE_WORDS))
        self._choice("put it on", self.fields["place"], list(PLACE_WORDS))
        for name in ("handles", *(each.name for each in catalogue.parameters)):
            self._row(name, ttk.Entry(self._frame, textvariable=self.fields[name], width=10))
        self._row(COLOUR, ttk.Entry(self._frame, textvariable=self.fields["input_space"], width=28))
        self._row("", ttk.Button(self._frame, text="Paint", command=self.accept))
        self._wrong = ttk.Label(self._frame, text="", wraplength=420)
        self._wrong.grid(columnspan=2, sticky="w")
        root.protocol("WM_DELETE_WINDOW", self.refuse)

    def wait(self) -> Answer:
        """The answer, None where the window was closed."""
        self._frame.wait_variable(self._done)
        self._frame.destroy()
        return self._answer

    def accept(self) -> None:
        """Take the values of the fields, or show what is wrong with them."""
        try:
            job = self._jobs.get(self.job.get())
            values = {name: field.get() for name, field in self.fields.items()}
            self._answer = (self._last if job else request_of(values, self._catalogue, self._last), job)
        except BridgeError as error:
            self._wrong.configure(text=str(error))
            return
        self._done.set(True)

    def refuse(self) -> None:
        """The window was closed."""
        self._done.set(True)

    def _choice(self, label: str, field: tk.StringVar, words: list[str]) -> None:
        self._row(label, ttk.Combobox(self._frame, textvariable=field, values=words, state="readonly", width=28))

    def _row(self, label: str, widget: ttk.Widget) -> None:
        row = self._frame.grid_size()[1]
        ttk.Label(self._frame, text=label).grid(row=row, column=0, sticky="w", padx=(0, 12), pady=2)
        widget.grid(row=row, column=1, sticky="w", pady=2)
