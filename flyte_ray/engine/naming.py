"""Who hosts: the name that stands in a run's owners' files."""

from __future__ import annotations

import os
import socket
import uuid


def owner_name() -> str:
    """Machine, process, and a part that no other host has."""
    return f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex}"
