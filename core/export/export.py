"""A style as a file for programs that run networks themselves; checked against the engine before it bears its name."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Protocol

from impasto.core.errors import OutputError, OutputExists, UnknownName, UsageError
from impasto.core.export.facts import facts_of
from impasto.core.frame import Samples
from impasto.core.style import Style
