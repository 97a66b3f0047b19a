"""A fake Resolve, as strict as its stubs, with the terse answers of the real one.

It proves what our script does, and that its calls have names, arities and keys of the stubs. It does not prove that
Resolve accepts them.

Documented (scripting README, or the stubs made from it): names and arities; `False` or `None` for what cannot be done;
`StartRendering` returns at once; render settings can be saved as a preset and loaded, and not be read;
markers count from the start of the timeline and one frame bears one; in and out marks count from the start of the
timeline (19.1 and newer); a current timeline and a current bin, which `AppendToTimeline` and `ImportMedia` mean;
`ImportMedia` of a printf pattern with `StartIndex` and `EndIndex` makes one clip.

Assumed, each a field of `Habits` where reports differ: whether `endFrame` is the last frame or the one behind it;
whether `MarkOut` is rendered; that rendering moves the playhead; how files are named and numbered; whether frames of a
sequence are counted from its first number; how many looks a job takes to show that it runs;
that a preset brings back folder, file name and range too; that the range of a render is that of the timeline's marks;
names and values of settings and clip properties; that an imported EXR brings the timecode of its header;
that a name which a version does not know is None on its objects (a name that none knows is an AttributeError here);
that a script may call from its own thread alone.

Measured by others on Studio 19.1 to 21.1, as they report it: what lies on a track is not overwritten, the later clip is
refused; transitions are listed among the items of a track, without media or properties; whatever sets up a render
opens the Deliver page; items are taken off a timeline on the Edit page alone; the state of a render job is in the
language of the interface.
"""

from __future__ import annotations

import itertools
import os
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import OpenImageIO as oiio

from tests.hosts.resolve.stubs import keys, methods

WIDTH, HEIGHT, RATE = 32, 24, 24
NEWER = {
    ("Timeline", "GetMarkInOut"): (19, 1),
    ("Timeline", "SetMarkInOut"): (19, 1),
    ("Timeline", "ClearMarkInOut"): (19, 1),
}
"""Methods that older versions do not have."""
DEFAULTS = {
    "SelectAllFrames": True, "MarkIn": 0, "MarkOut": 0, "TargetDir": "/users/own", "CustomName": "final_v3",
    "ExportVideo": True, "ExportAudio": True, "FormatWidth": 1920, "FormatHeight": 1080,
}  # fmt: skip


class Gone(BaseException):
    """The host was closed while the script ran."""


@dataclass
class Habits:
    """What differs between versions, or is not known."""

    version: tuple[int, ...] = (21, 0, 0)
    product: str = "DaVinci Resolve Studio"
    end_is_behind: bool = True
    """`endFrame` is the frame behind the last."""
    mark_out_and_one: bool = False
    """A job renders one frame behind `MarkOut`."""
    name: str = "{name}{number:08d}.exr"
    numbering: str = "timeline"
    """'timeline', 'clip' (from 0), or 'source'."""
    frames_a_look: int = 2
    late: int = 1
    """Looks before a started job is in progress."""
    import_rate: str = str(RATE)
    """What an imported sequence is taken to run at; a clip of another rate is as long as its time."""
    individual: bool = False
    """'Show Individual Frames' is on."""
    no_property: tuple[str, ...] = ()
    """Clip properties that cannot be set."""
    pictures: bool = True
    """Files of a render job are EXR; for hundreds of jobs it is enough that they are there."""
    words: dict[str, str] = field(default_factory=dict)
    """States of a render job in the language of the interface, where that is not English."""
    counts_from_first: bool = False
    """Frames of a sequence are counted from the number of its first file, not from 0."""
    codecs: tuple[str, ...] = ("RGBHalf", "RGBHalfZIP", "RGBFloatZIP")


@dataclass
class World:
    """The state behind the proxies; it outlives the script."""

    habits: Habits = field(default_factory=Habits)
    calls: list[str] = field(default_factory=list)
    refuse: Callable[[int, str], bool] = lambda number, name: False
    """Whether the call of this number, counted from 1, is refused and not done."""
    gone_at: int = 0
    """The call at which the host is closed; 0 for never."""
    render_fails_after: int | None = None
    """Frames that a render job writes before it fails."""
    looked: Callable[[], None] = lambda: None
    """Called at every look at a running job."""
    thread: int = field(default_factory=threading.get_ident)
    page: str = "edit"
    ids: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        self.project = Project(self)
        self.resolve = Resolve(self)

    def state(self) -> dict[str, Any]:
        """What belongs to the user, as values."""
        project, timeline = self.project, self.project.timeline
        return {
            "page": self.page,
            "timeline": timeline.name,
            "timelines": [each.name for each in project.timelines],
            "playhead": project.timelines[0].playhead,
            "disabled tracks": set(project.timelines[0].disabled),
            "marks": project.timelines[0].marks,
            "bin": project.pool.current.name,
            "render": dict(project.render),
            "format": (project.format, project.codec, project.mode),
            "presets": sorted(project.presets),
            "queue": sorted(project.queue),
            "rendering": project.running is not None,
        }

    def placed(self) -> dict[str, Any]:
        """What is on the timeline and in the user's own bins, as values."""
        timeline = self.project.timelines[0]
        return {
            "tracks": [[(each.start, each.length, each.media.name) for each in track] for track in timeline.tracks],
            "takes": [(len(each.takes), each.selected) for each in timeline.tracks[0]],
            "clips": [clip.name for folder in self.project.pool.folders[:2] for clip in folder.clips],
        }


class Strict:
    """Rejects what the stubs do not have, logs every call, and refuses the calls that the test wants refused."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._id = uuid4().hex

    def __getattribute__(self, name: str) -> Any:
        if not name[0].isupper():
            return object.__getattribute__(self, name)
        kind, world = type(self).__name__, object.__getattribute__(self, "_world")
        known = methods()[kind]
        if name not in known:
            raise AttributeError(f"the stubs know no {kind}.{name}")
        if world.habits.version < NEWER.get((kind, name), (0,)):
            return None
        try:
            method = object.__getattribute__(self, name)
        except AttributeError:
            raise NotImplementedError(f"this fake does not know what {kind}.{name} does") from None

        def call(*given: Any) -> Any:
            arity = known[name]
            if len(given) < arity.least or (arity.most is not None and len(given) > arity.most):
                raise TypeError(f"{kind}.{name} takes {arity.least} to {arity.most} arguments, got {len(given)}")
            if threading.get_ident() != world.thread:
                raise RuntimeError(f"{kind}.{name} was called from another thread")
            world.calls.append(f"{kind}.{name}")
            number = len(world.calls)
            if world.gone_at and number >= world.gone_at:
                raise Gone
            if world.refuse(number, f"{kind}.{name}"):
                return None if name.startswith(("Get", "Is", "Import", "Append", "Create", "Stop")) else False
            return method(*given)

        return call

    def GetUniqueId(self) -> str:
        return self._id


class Resolve(Strict):
    def GetVersion(self) -> list[Any]:
        return [*self._world.habits.version, ""]

    def GetVersionString(self) -> str:
        return ".".join(map(str, self._world.habits.version))

    def GetProductName(self) -> str:
        return self._world.habits.product

    def GetCurrentPage(self) -> str:
        return self._world.page

    def OpenPage(self, page: str) -> bool:
        if page not in ("media", "cut", "edit", "fusion", "color", "fairlight", "deliver"):
            return False
        self._world.page = page
        return True

    def GetProjectManager(self) -> Manager:
        return Manager(self._world)


class Manager(Strict):
    def GetCurrentProject(self) -> Project:
        return self._world.project


Manager.__name__ = "ProjectManager"


class Project(Strict):
    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.name = "Orchard"
        self.settings = {
            "colorScienceMode": "davinciYRGBColorManagedv2", "separateColorSpaceAndGamma": "1",
            "colorSpaceTimeline": "DaVinci WG", "colorSpaceTimelineGamma": "DaVinci Intermediate",
            "colorSpaceOutput": "Rec.709", "colorSpaceOutputGamma": "Gamma 2.4", "colorAcesODT": "",
        }  # fmt: skip
        self.pool = MediaPool(world)
        self.render, self.format, self.codec, self.mode = dict(DEFAULTS), "mov", "H264", 0
        self.presets: dict[str, Any] = {"YouTube": (dict(DEFAULTS), "mp4", "H264", 1)}
        self.queue: dict[str, dict[str, Any]] = {"old": {"state": "Complete"}}
        self.running: Iterator[bool] | None = None
        self.timelines = [Timeline(world, "Reel 1")]
        self.timeline = self.timelines[0]

    def GetName(self) -> str:
        return self.name

    def GetMediaPool(self) -> MediaPool:
        return self.pool

    def GetTimelineCount(self) -> int:
        return len(self.timelines)

    def GetTimelineByIndex(self, index: int) -> Timeline | None:
        return self.timelines[index - 1] if 1 <= index <= len(self.timelines) else None

    def GetCurrentTimeline(self) -> Timeline:
        return self.timeline

    def SetCurrentTimeline(self, timeline: Timeline) -> bool:
        if timeline not in self.timelines:
            return False
        if timeline is not self.timeline:
            self.timeline = timeline
        return True

    def GetSetting(self, name: str) -> str:
        return self.settings.get(name, "")

    def GetRenderCodecs(self, form: str) -> dict[str, str]:
        return {f"RGB {each}": each for each in self._world.habits.codecs} if form == "exr" else {}

    def GetCurrentRenderFormatAndCodec(self) -> dict[str, str]:
        return {"format": self.format, "codec": self.codec}

    def SetCurrentRenderFormatAndCodec(self, form: str, codec: str) -> bool:
        self._world.page = "deliver"
        known = {"exr": self._world.habits.codecs, "mov": ("H264", "ProRes422"), "mp4": ("H264",)}
        if codec not in known.get(form, ()):
            return False
        self.format, self.codec = form, codec
        return True

    def GetCurrentRenderMode(self) -> int:
        self._world.page = "deliver"
        return self.mode

    def SetCurrentRenderMode(self, mode: int) -> bool:
        self._world.page = "deliver"
        if mode not in (0, 1):
            return False
        self.mode = mode
        return True

    def SetRenderSettings(self, settings: dict[str, Any]) -> bool:
        self._world.page = "deliver"
        strange = settings.keys() - keys()["RenderSettings"]
        if strange:
            raise KeyError(f"the stubs know no render settings {strange}")
        if self.running is not None:
            return False
        self.render.update(settings)
        if "MarkIn" in settings:
            # As in the interface, the range of a render is the range between the timeline's marks.
            start = self.timeline.start
            marks = {"in": settings["MarkIn"] - start, "out": settings["MarkOut"] - start}
            self.timeline.marks = {"video": dict(marks), "audio": dict(marks)}
        return True

    def SaveAsNewRenderPreset(self, name: str) -> bool:
        if name in self.presets:
            return False
        self.presets[name] = (dict(self.render), self.format, self.codec, self.mode)
        return True

    def LoadRenderPreset(self, name: str) -> bool:
        if name not in self.presets:
            return False
        render, self.format, self.codec, self.mode = self.presets[name]
        self.render = dict(render)
        return True

    def DeleteRenderPreset(self, name: str) -> bool:
        return self.presets.pop(name, None) is not None

    def AddRenderJob(self) -> str:
        self._world.page = "deliver"
        if self.format != "exr" or not os.path.isdir(self.render["TargetDir"]):
            return ""
        name = f"job-{next(self._world.ids)}"
        self.queue[name] = {"state": "Ready", "done": 0, "timeline": self.timeline, **self.render}
        return name

    def DeleteRenderJob(self, name: str) -> bool:
        if self.queue.get(name, {}).get("state") == "Rendering":
            return False
        return self.queue.pop(name, None) is not None

    def StartRendering(self, jobs: list[str], interactive: bool = False) -> bool:
        if self.running is not None or any(each not in self.queue for each in jobs):
            return False
        self.running = self._render(self.queue[jobs[0]])
        self._world.page = "deliver"
        return True

    def IsRenderingInProgress(self) -> bool:
        if self.running is None:
            return False
        self._world.looked()
        if self.running is None:
            return False
        shown = next(self.running, None)
        if shown is None:
            self.running = None
        return bool(shown)

    def StopRendering(self) -> None:
        self.running = self._stop()

    def _stop(self) -> Iterator[bool]:
        """Renders on for a look."""
        yield True
        for job in self.queue.values():
            if job["state"] == "Rendering":
                job["state"] = "Cancelled"

    def GetRenderJobStatus(self, name: str) -> dict[str, Any]:
        job = self.queue.get(name)
        if job is None:
            return {}
        state = self._world.habits.words.get(job["state"], job["state"])
        status = {"JobStatus": state, "CompletionPercentage": job.get("done", 0)}
        return {**status, "Error": job["error"]} if "error" in job else status

    def _render(self, job: dict[str, Any]) -> Iterator[bool]:
        """Writes a few frames at every look."""
        habits, timeline = self._world.habits, job["timeline"]
        for _ in range(habits.late):
            yield False
        job["state"] = "Rendering"
        last = job["MarkOut"] + habits.mark_out_and_one
        frames = range(job["MarkIn"], last + 1)
        for index, frame in enumerate(frames):
            if self._world.render_fails_after == index:
                job["state"], job["error"] = "Failed", "The disk is full"
                return
            number = {"timeline": frame, "clip": index, "source": timeline.source_at(frame)}[habits.numbering]
            path = Path(job["TargetDir"]) / habits.name.format(name=job["CustomName"], number=number)
            if habits.pictures:
                write_exr(path, timeline.source_at(frame), (job["FormatWidth"], job["FormatHeight"]))
            else:
                path.write_bytes(b"a frame")
            timeline.playhead = "01:00:59:00"
            job["done"] = 100 * (index + 1) / len(frames)
            if index % habits.frames_a_look == habits.frames_a_look - 1:
                yield True
        job["state"] = "Complete"


class MediaPool(Strict):
    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.root = Folder(world, "Master")
        self.folders = [self.root, Folder(world, "Dailies")]
        self.root.folders = [self.folders[1]]
        self.current = self.folders[1]
        self.film = MediaPoolItem(world, "A001.mov", frames=400, timecode="10:00:00:00")
        self.root.clips = [self.film]

    def GetRootFolder(self) -> Folder:
        return self.root

    def GetCurrentFolder(self) -> Folder:
        return self.current

    def SetCurrentFolder(self, folder: Folder) -> bool:
        self.current = folder
        return True

    def AddSubFolder(self, folder: Folder, name: str) -> Folder:
        made = Folder(self._world, name)
        folder.folders.append(made)
        self.folders.append(made)
        self.current = made
        return made

    def ImportMedia(self, items: list[dict[str, Any]]) -> list[MediaPoolItem] | None:
        made = []
        for each in items:
            if each.keys() != keys()["ImportClipInfo"]:
                raise KeyError(f"the stubs know ImportClipInfo otherwise: {sorted(each)}")
            paths = [each["FilePath"] % number for number in range(each["StartIndex"], each["EndIndex"] + 1)]
            if not paths or not all(os.path.isfile(path) for path in paths):
                return None
            groups = [[path] for path in paths] if self._world.habits.individual else [paths]
            for group in groups:
                name = os.path.basename(group[0])
                code = timecode_of(group[0]) if self._world.habits.pictures else "00:00:00:00"
                clip = MediaPoolItem(self._world, name, len(group), code, group)
                self.current.clips.append(clip)
                made.append(clip)
        return made

    def DeleteClips(self, clips: list[MediaPoolItem]) -> bool:
        for folder in self.folders:
            folder.clips = [each for each in folder.clips if each not in clips]
        return True

    def AppendToTimeline(self, clips: list[dict[str, Any]]) -> list[TimelineItem] | None:
        timeline = self._world.project.timeline
        laid = []
        for each in clips:
            if not each.keys() <= keys()["MediaPoolClipInfo"]:
                raise KeyError(f"the stubs know MediaPoolClipInfo otherwise: {sorted(each)}")
            if not 1 <= each["trackIndex"] <= len(timeline.tracks):
                return None
            track = timeline.tracks[each["trackIndex"] - 1]
            item = self._cut(each, each["recordFrame"])
            if any(
                other.start < item.start + item.length and item.start < other.start + other.length for other in track
            ):
                return None
            track.append(item)
            laid.append(item)
        return laid

    def CreateEmptyTimeline(self, name: str) -> Timeline | None:
        project = self._world.project
        if any(each.name == name for each in project.timelines):
            return None
        made = Timeline(self._world, name, tracks=[[]])
        project.timelines.append(made)
        project.timeline = made
        return made

    def DeleteTimelines(self, timelines: list[Timeline]) -> bool:
        project = self._world.project
        if project.timeline in timelines:
            return False
        project.timelines = [each for each in project.timelines if each not in timelines]
        return True

    def _cut(self, clip: dict[str, Any], at: int) -> TimelineItem:
        media, habits = clip["mediaPoolItem"], self._world.habits
        first = clip["startFrame"]
        length = clip["endFrame"] - first + (0 if habits.end_is_behind else 1)
        first -= media.number if habits.counts_from_first else 0
        length = int(min(length, media.frames - first) * RATE / float(media.properties["FPS"]))
        return TimelineItem(self._world, media, at, length, first)


class Folder(Strict):
    def __init__(self, world: World, name: str) -> None:
        super().__init__(world)
        self.name = name
        self.folders: list[Folder] = []
        self.clips: list[MediaPoolItem] = []

    def GetName(self) -> str:
        return self.name

    def GetClipList(self) -> list[MediaPoolItem]:
        return list(self.clips)

    def GetSubFolderList(self) -> list[Folder]:
        return self.folders


class MediaPoolItem(Strict):
    def __init__(self, world: World, name: str, frames: int, timecode: str, files: list[str] | None = None) -> None:
        super().__init__(world)
        self.name, self.frames, self.files = name, frames, files or []
        digits = re.findall(r"\d+", os.path.basename(self.files[0])) if self.files else []
        self.number = int(digits[-1]) if digits else 0
        self.properties = {
            "Start TC": timecode,
            "FPS": world.habits.import_rate if files else str(RATE),
            "Input Color Space": "Project",
            "Input Gamma": "Project",
            "IDT": "",
        }
        self.properties["File Path"] = self.files[0] if self.files else "/film/" + name

    def GetName(self) -> str:
        return self.name

    def GetClipProperty(self, name: str) -> str:
        return self.properties.get(name, "")

    def SetClipProperty(self, name: str, value: str) -> bool:
        if name not in self.properties or name in self._world.habits.no_property:
            return False
        self.properties[name] = value
        return True


class Timeline(Strict):
    def __init__(self, world: World, name: str, tracks: list[list[TimelineItem]] | None = None) -> None:
        super().__init__(world)
        self.name, self.start, self.playhead = name, 86400, "01:00:01:00"
        self.marks: dict[str, Any] = {}
        self.markers: dict[int, dict[str, Any]] = {}
        self.names: dict[int, str] = {}
        self.disabled: set[int] = set()
        self.settings = {
            "timelineResolutionWidth": str(WIDTH),
            "timelineResolutionHeight": str(HEIGHT),
            "timelineFrameRate": str(RATE),
        }
        self.tracks = tracks if tracks is not None else [[]]

    def source_at(self, frame: int) -> int:
        """Which frame of the film is shown; -1 where it is something else."""
        for number in range(len(self.tracks), 0, -1):
            for item in self.tracks[number - 1]:
                if number not in self.disabled and item.start <= frame < item.start + item.length:
                    return item.inside + frame - item.start if item.media is self._world.project.pool.film else -1
        return -1

    def GetName(self) -> str:
        return self.name

    def GetStartFrame(self) -> int:
        return self.start

    def GetStartTimecode(self) -> str:
        return "01:00:00:00"

    def GetSetting(self, name: str) -> str:
        return self.settings.get(name, "")

    def GetCurrentTimecode(self) -> str:
        return self.playhead

    def SetCurrentTimecode(self, timecode: str) -> bool:
        self.playhead = timecode
        return True

    def GetCurrentVideoItem(self) -> TimelineItem | None:
        hours, minutes, seconds, frames = map(int, self.playhead.split(":"))
        at = ((hours * 60 + minutes) * 60 + seconds) * RATE + frames
        return next((item for item in self.tracks[0] if item.start <= at < item.start + item.length), None)

    def GetTrackCount(self, kind: str) -> int:
        return len(self.tracks) if kind == "video" else 1

    def AddTrack(self, kind: str, options: Any = None) -> bool:
        self.tracks.append([])
        return True

    def DeleteTrack(self, kind: str, index: int) -> bool:
        if not 1 <= index <= len(self.tracks):
            return False
        del self.tracks[index - 1]
        self.names.pop(index, None)
        return True

    def GetTrackName(self, kind: str, index: int) -> str:
        return self.names.get(index, f"Video {index}")

    def SetTrackName(self, kind: str, index: int, name: str) -> bool:
        self.names[index] = name
        return True

    def GetIsTrackEnabled(self, kind: str, index: int) -> bool:
        return index not in self.disabled

    def SetTrackEnable(self, kind: str, index: int, enabled: bool) -> bool:
        if not 1 <= index <= len(self.tracks):
            return False
        (self.disabled.discard if enabled else self.disabled.add)(index)
        return True

    def GetItemListInTrack(self, kind: str, index: int) -> list[TimelineItem]:
        return list(self.tracks[index - 1]) if 1 <= index <= len(self.tracks) else []

    def DeleteClips(self, items: list[TimelineItem], ripple: bool) -> bool:
        if self._world.page != "edit":
            return False
        for track in self.tracks:
            track[:] = [each for each in track if each not in items]
        return True

    def AddMarker(self, at: int, colour: str, name: str, note: str, length: int, data: str = "") -> bool:
        if at < 0 or at in self.markers:
            return False
        self.markers[at] = {"color": colour, "name": name, "note": note, "duration": length, "customData": data}
        return True

    def GetMarkInOut(self) -> dict[str, Any]:
        return {kind: dict(each) for kind, each in self.marks.items()}

    def SetMarkInOut(self, first: int, last: int, kind: str) -> bool:
        self.marks[kind] = {"in": first, "out": last}
        return True

    def ClearMarkInOut(self, kind: str) -> bool:
        self.marks = {}
        return True


class TimelineItem(Strict):
    def __init__(self, world: World, media: Any, start: int, length: int, inside: int) -> None:
        super().__init__(world)
        self.media, self.start, self.length, self.inside = media, start, length, inside
        self.compositions, self.grade, self.speed = 0, "none", 1.0
        self.properties: dict[str, Any] = {"ZoomX": 1.0, "Pan": 0.0} if media is not None else {}
        self.takes: list[tuple[MediaPoolItem, int, int]] = []
        self.selected = 0

    def GetName(self) -> str:
        return self.media.name

    def GetMediaPoolItem(self) -> MediaPoolItem:
        return self.media

    def GetStart(self) -> int:
        return self.start

    def GetEnd(self) -> int:
        return self.start + self.length

    def GetDuration(self) -> int:
        if self.selected > 1:
            _, first, end = self.takes[self.selected - 1]
            return end - first + (0 if self._world.habits.end_is_behind else 1)
        return self.length

    def GetSourceStartFrame(self) -> int:
        return self.inside

    def GetSourceEndFrame(self) -> int:
        return self.inside + round(self.length * self.speed)

    def GetProperty(self, name: str | None = None) -> Any:
        return dict(self.properties) if name is None else self.properties.get(name)

    def SetProperty(self, name: str, value: Any) -> bool:
        if name not in self.properties:
            return False
        self.properties[name] = value
        return True

    def GetLeftOffset(self) -> int:
        return self.takes[self.selected - 1][1] if self.selected > 1 else self.inside

    def GetRightOffset(self) -> int:
        return self.media.frames - self.inside - self.length

    def GetFusionCompCount(self) -> int:
        return self.compositions

    def GetTrackTypeAndIndex(self) -> tuple[str, int]:
        tracks = self._world.project.timeline.tracks
        return "video", next(number for number, track in enumerate(tracks, 1) if self in track)

    def CopyGrades(self, items: list[TimelineItem]) -> bool:
        for item in items:
            item.grade = self.grade
        return True

    def AddTake(self, media: MediaPoolItem, first: int, end: int) -> bool:
        if not self.takes:
            self.takes.append((self.media, self.inside, self.inside + self.length))
            self.selected = 1
        self.takes.append((media, first, end))
        return True

    def GetTakesCount(self) -> int:
        return len(self.takes)

    def GetSelectedTakeIndex(self) -> int:
        return self.selected

    def GetTakeByIndex(self, index: int) -> dict[str, Any] | None:
        if not 1 <= index <= len(self.takes):
            return None
        media, first, end = self.takes[index - 1]
        return {"mediaPoolItem": media, "startFrame": first, "endFrame": end}

    def FinalizeTake(self) -> bool:
        self.takes, self.selected = [], 0
        return True

    def SelectTakeByIndex(self, index: int) -> bool:
        if not 1 <= index <= len(self.takes):
            return False
        self.selected = index
        return True

    def DeleteTakeByIndex(self, index: int) -> bool:
        if not 1 <= index <= len(self.takes):
            return False
        del self.takes[index - 1]
        self.selected = min(self.selected, len(self.takes))
        return True


def cut(world: World, *clips: tuple[int, int, int]) -> None:
    """Lay the film on the first track: (frame of the timeline, length, first frame of the film)."""
    timeline = world.project.timelines[0]
    timeline.tracks[0] = [TimelineItem(world, world.project.pool.film, *clip) for clip in clips]


def picture(source: int, size: tuple[int, int] = (WIDTH, HEIGHT)) -> np.ndarray:
    """A frame of the film, (H, W, 3) float16: a ramp that differs from frame to frame."""
    width, height = size
    ramp = np.linspace(0, 1, height * width * 3).reshape(height, width, 3)
    return (ramp * (0.4 + 0.02 * (source % 30))).astype(np.float16)


def write_exr(path: Path, source: int, size: tuple[int, int]) -> None:
    """A half-float EXR with the timecode of the film, as a render job writes it."""
    width, height = size
    spec = oiio.ImageSpec(width, height, 3, "half")
    code = 10 * 3600 * RATE + source
    hours, rest = divmod(code, 3600 * RATE)
    fields = (rest % RATE, rest // RATE % 60, rest // RATE // 60, hours)
    packed = sum((value // 10 << 4 | value % 10) << 8 * index for index, value in enumerate(fields))
    spec.attribute("smpte:TimeCode", oiio.TypeTimeCode, (packed, 0))
    spec.attribute("compression", "zip")
    output = oiio.ImageOutput.create(str(path))
    assert output.open(str(path), spec), oiio.geterror()
    assert output.write_image(picture(source, size))
    output.close()


def timecode_of(path: str) -> str:
    """The timecode in the header of an EXR, as Resolve shows it."""
    image = oiio.ImageInput.open(path)
    assert image is not None, oiio.geterror()
    code = image.spec().get_string_attribute("smpte:TimeCode")
    image.close()
    return code or "00:00:00:00"
