"""Read by Nuke at every start, also without a window: puts the adapter on the path and checks final renders."""

from __future__ import annotations

import nuke

nuke.pluginAddPath("./python")

from impasto.hosts.nuke import render_check  # noqa: E402  # found on the path of the line above

nuke.addBeforeRender(render_check.before_render, nodeClass="Write")
nuke.addBeforeFrameRender(render_check.before_frame, nodeClass="Write")
