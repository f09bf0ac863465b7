"""What `.gitignore` and `.flyteignore` leave out of a code bundle.

The rules are git's (gitignore(5)): a pattern with a slash is relative to its file's folder, one
without matches at any depth; `*` stops at a slash, `**` does not; a slash at the end means folders;
`!` takes back; of two patterns that match, the later one counts, and files further down come later.
What lies in a folder that is left out cannot be taken back.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

FILES = (".gitignore", ".flyteignore")
"""In the order of their weight: the later one has the last word."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of such a file."""

    pattern: re.Pattern[str]
    folder: str
    """Where the file lies, relative to the root; its patterns say nothing elsewhere."""
    takes_back: bool
    folders_only: bool

    def matches(self, path: str, *, is_folder: bool) -> bool:
        """True if the rule speaks of that path, relative to the root."""
        if self.folders_only and not is_folder:
            return False
        if self.folder:
            if not path.startswith(f"{self.folder}/"):
                return False
            path = path[len(self.folder) + 1 :]
        return self.pattern.fullmatch(path) is not None


def rules_in(folder: Path, root: Path) -> list[Rule]:
    """The rules that the files in one folder state; none where there are no such files."""
    found: list[Rule] = []
    place = folder.relative_to(root).as_posix() if folder != root else ""
    for name in FILES:
        try:
            text = (folder / name).read_text("utf-8", "replace")
        except OSError:
            continue
        found += parsed_rules(text, place)
    return found


def parsed_rules(text: str, folder: str = "") -> Iterator[Rule]:
    """The rules of such a file's text."""
    for line in text.splitlines():
        pattern = line.rstrip() if not line.endswith("\\ ") else line
        if not pattern or pattern.startswith("#"):
            continue
        takes_back = pattern.startswith("!")
        pattern = pattern[1:] if takes_back else pattern
        folders_only = pattern.endswith("/")
        pattern = pattern.rstrip("/")
        if not pattern:
            continue
        is_anchored = "/" in pattern
        yield Rule(
            _compiled(pattern.lstrip("/"), at_any_depth=not is_anchored),
            folder,
            takes_back,
            folders_only,
        )


def is_left_out(rules: Sequence[Rule], path: str, *, is_folder: bool) -> bool:
    """What the rules, weakest first, say of a path relative to the root."""
    for rule in reversed(rules):
        if rule.matches(path, is_folder=is_folder):
            return not rule.takes_back
    return False


def _compiled(pattern: str, *, at_any_depth: bool) -> re.Pattern[str]:
    out = "(?:.*/)?" if at_any_depth else ""
    at = 0
    while at < len(pattern):
        step, text = _token(pattern, at)
        out += text
        at += step
    try:
        return re.compile(out, re.DOTALL)
    except re.error:
        return re.compile(re.escape(pattern))


def _token(pattern: str, at: int) -> tuple[int, str]:
    """How many characters the next part has, and its regular expression."""
    rest = pattern[at:]
    if rest.startswith("**/"):
        return 3, "(?:.*/)?"
    if rest == "**" or rest.startswith("**"):
        return 2, ".*"
    if rest[0] == "*":
        return 1, "[^/]*"
    if rest[0] == "?":
        return 1, "[^/]"
    if rest[0] == "\\" and len(rest) > 1:
        return 2, re.escape(rest[1])
    if rest[0] == "[":
        end = rest.find("]", 2)
        if end > 0:
            inner = rest[1:end].replace("\\", "\\\\")
            inner = f"^{inner[1:]}" if inner[0] == "!" else inner
            return end + 1, f"[{inner}]"
    return 1, re.escape(rest[0])
