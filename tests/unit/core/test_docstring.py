"""What a docstring says, in parts."""

from __future__ import annotations

from flyte_ray.core.docstring import Docstring, parsed

GOOGLE = """Mine the sources,
all of them.

More words: and a colon.

Args:
    path (str): where they
        lie: below here.
    limit: how many.

Returns:
    count: not a parameter.
"""


def test_googles_sections_are_read() -> None:
    found = parsed(GOOGLE)
    assert found.short_description == "Mine the sources, all of them."
    assert found.long_description == "More words: and a colon."
    assert found.input_descriptions == {
        "path": "where they lie: below here.",
        "limit": "how many.",
    }


def test_sphinx_fields_are_read() -> None:
    found = parsed("Do it.\n\n:param x: the x\n:param int y: the y\n:returns: something")
    assert found.short_description == "Do it."
    assert found.input_descriptions["x"] == "the x"
    assert found.input_descriptions["y"].startswith("the y")


def test_no_docstring_says_nothing() -> None:
    assert parsed(None) == Docstring()
