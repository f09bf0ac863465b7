"""pyarrow's functions over columns, loaded when the first one is called.

Every process that opens a store would pay for them at its start (a twelfth of a one-task script),
and only those that read compacted runs call any.
"""

from __future__ import annotations

import importlib
from typing import Any


class _OnFirstUse:
    """Stands for `pyarrow.compute`."""

    def __getattr__(self, name: str) -> Any:
        return getattr(importlib.import_module("pyarrow.compute"), name)


pc: Any = _OnFirstUse()
