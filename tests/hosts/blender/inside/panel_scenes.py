"""The panels drawn into a layout that takes what Blender's own takes, and writes down what it is given."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any


class Layout:
    """Stands in for `bpy.types.UILayout`, of which the background has none.

    Names and keywords are checked against Blender's own description of it; properties and operators must exist.
    """

    def __init__(self, said: list[str]) -> None:
        object.__setattr__(self, "said", said)

    def __setattr__(self, name: str, value: Any) -> None:
        import bpy

        assert name in bpy.types.UILayout.bl_rna.properties, f"UILayout has no property '{name}'"

    def __getattr__(self, name: str) -> Any:
        import bpy

        function = bpy.types.UILayout.bl_rna.functions.get(name)
        if function is None:
            raise AttributeError(name)  # as Blender's own says it, so that `hasattr` works
        known = {each.identifier: each for each in function.parameters if not each.is_output}

        def call(*arguments: Any, **words: Any) -> Any:
            given = {**dict(zip(known, arguments, strict=False)), **words}
            odd = set(given) - set(known)
            assert not odd, f"UILayout.{name} takes no {odd}"
            missing = {each for each, facts in known.items() if facts.is_required} - set(given)
            assert not missing, f"UILayout.{name} needs {missing}"
            icon = given.get("icon", "NONE")
            assert icon in bpy.types.UILayout.bl_rna.functions["label"].parameters["icon"].enum_items, icon
            return self._draw(name, given)

        return call

    def _draw(self, name: str, given: dict[str, Any]) -> Any:
        import bpy

        if name == "operator":
            family, _, word = given["operator"].partition(".")
            assert getattr(getattr(bpy.ops, family), word).get_rna_type(), given
            self.said.append(f"[{given.get('text', word)}]")
            return SimpleNamespace()
        if name == "label":
            self.said.append(given.get("text", ""))
        if name in ("prop", "prop_search", "template_icon_view"):
            assert given["property"] in given["data"].bl_rna.properties, given
            self.said.append(given["property"])
        if name == "progress":
            self.said.append(f"{given['factor']:.2f}: {given['text']}")
        return Layout(self.said)


def drawn(context: Any = None) -> dict[str, list[str]]:
    """What every panel of ours draws now, by its title."""
    import bpy

    found = {}
    for each in bpy.types.Panel.__subclasses__():
        if each.__name__.startswith("IMPASTO_PT"):
            said: list[str] = []
            each.draw(SimpleNamespace(layout=Layout(said)), context or bpy.context)
            found[each.bl_label] = said
    return found


def panels_without_a_server() -> dict[str, Any]:
    """Before anything was done."""
    import bpy

    from impasto.hosts.blender import failure

    preferences = bpy.context.preferences.addons["impasto.hosts.blender"].preferences
    said: list[str] = []
    type(preferences).draw(SimpleNamespace(layout=Layout(said), command="", bl_rna=preferences.bl_rna), bpy.context)
    return {"drawn": drawn(), "error": failure.last_error(), "preferences": said}


def panels_with_a_server(style: str) -> dict[str, Any]:
    """Connected, a style chosen, a matte asked for, an error remembered, a job under way."""
    import bpy

    from impasto.core.errors import UsageError
    from impasto.hosts.blender import connection, failure
    from impasto.hosts.blender.bake import job_state

    connection.current().wait_ready(30)
    settings = bpy.context.scene.impasto
    bpy.context.scene.sequence_editor_create()
    settings.style, settings.matte, settings.range = style, "STRIP", "CUSTOM"
    failure.remember(UsageError("expected a strip, got none; select one"))
    job_state.JOBS.begin(job_state.JobState("shot", style, 48, "painting", done=12, fps=3.0))
    found = drawn()
    after = failure.last_error()
    bpy.ops.impasto.cancel(strip="shot")
    cancelling = job_state.JOBS.cancelled("shot")
    bpy.ops.impasto.dismiss()
    tooltip = bpy.ops.impasto.dismiss.get_rna_type().description
    return {"drawn": found, "error": after, "dismissed": failure.last_error(), "cancelling": cancelling,
            "tooltip": tooltip}  # fmt: skip


def states_of_the_connection() -> dict[str, Any]:
    """From absent to ready, to lost when the server is stopped, and ready again."""
    import threading

    import bpy

    from impasto.hosts.blender import connection

    there = connection.current()
    before = there.state
    reach, may_go_on = there._reach, threading.Event()

    def reach_later(*arguments: Any) -> Any:
        may_go_on.wait(20)
        return reach(*arguments)

    there._reach = reach_later
    there.connect(start=True)
    waited, soon = may_go_on.is_set(), there.state
    may_go_on.set()
    client = there.wait_ready(40)
    ready, sentence = there.state, there.sentence
    client.shut_down(at_once=True)
    _until(lambda: there.state == "lost")
    lost = there.sentence
    there.wait_ready(40)
    again, same = there.state, there.client() is client
    preferences = bpy.context.preferences.addons["impasto.hosts.blender"].preferences
    preferences.address = "tcp://render1.example:7780"
    left = [there.state, there.client() is None, there.sentence, drawn()["Impasto"][:2]]
    preferences.address = ""
    there.wait_ready(40)
    return {"before": before, "soon": soon, "ready": ready, "sentence": sentence, "lost": lost, "waited": waited,
            "again": again, "same": same, "left": left, "back": there.state}  # fmt: skip


def missing_command(command: str) -> dict[str, Any]:
    """The command of the preferences is not there."""
    import bpy

    from impasto.core.errors import ServerUnreachable
    from impasto.hosts.blender import connection, failure

    bpy.context.preferences.addons["impasto.hosts.blender"].preferences.command = command
    try:
        connection.current().wait_ready(20)
    except ServerUnreachable as error:
        return {"sentence": str(error), "last": failure.last_error(), "state": connection.current().state,
                "operator": sorted(bpy.ops.impasto.connect())}  # fmt: skip
    return {}


def leave_while_it_starts() -> None:
    """Begin to start a server, and end without waiting for it."""
    from impasto.hosts.blender import connection

    connection.current().connect(start=True)


def far_server_offline(address: str) -> dict[str, Any]:
    """A server on another machine, while Blender is set to work offline."""
    import bpy

    from impasto.core.errors import ServerUnreachable
    from impasto.hosts.blender import connection

    bpy.context.preferences.addons["impasto.hosts.blender"].preferences.address = address
    try:
        connection.current().wait_ready(20)
    except ServerUnreachable as error:
        return {"sentence": str(error), "online": bpy.app.online_access}
    return {}


def wipe_switched() -> list[bool]:
    """Whether Blender calls the wipe: at first, once it is on, and once it is off."""
    import bpy

    from impasto.hosts.blender.wipe import overlay

    found = [overlay.hooked()]
    for show in (True, False):
        bpy.context.scene.impasto_wipe.show = show
        found.append(overlay.hooked())
    return found


def operator_that_fails() -> dict[str, Any]:
    """A fault inside an operator: what Blender reports, what is remembered, and that there is no traceback."""
    import bpy

    from impasto.hosts.blender import failure

    class IMPASTO_OT_faulty(bpy.types.Operator):  # noqa: N801
        bl_idname, bl_label = "impasto.faulty", "Faulty"

        @failure.guarded
        def execute(self, context: Any) -> set[str]:
            raise ZeroDivisionError("of a test")

    bpy.utils.register_class(IMPASTO_OT_faulty)
    try:
        bpy.ops.impasto.faulty()
        reported = ""
    except RuntimeError as error:  # how a reported ERROR comes back to Python
        reported = str(error)
    finally:
        bpy.utils.unregister_class(IMPASTO_OT_faulty)
    return {"reported": reported, "last": failure.last_error()}


def _until(condition: Any, limit_s: float = 20.0) -> None:
    import time

    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end, f"waited {limit_s} s in vain"
        time.sleep(0.02)
