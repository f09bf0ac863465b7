"""`RUN/ACTION/output[3]`: how people name things in the record, and what the record says of them.

Actions may be named by any unambiguous beginning of their id, and by the short name of their task
where only one action has it. Every refusal says what there is instead.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence

from flyte_ray.client.explain.origins import Place, values_at
from flyte_ray.core.ids import ROOT_ACTION
from flyte_ray.errors import ActionNotFoundError, UnsupportedValueError
from flyte_ray.store.catalog import Catalog
from flyte_ray.store.fold import ActionRecord

_VALUE = re.compile(r"(?:(?P<side>inputs?|outputs?)\.)?(?P<name>[^.\[]+)(?P<element>[.\[].*)?")
MOST_NAMED = 8


def split(text: str) -> tuple[str, str, str]:
    """Run, action and value of `RUN[/ACTION[/VALUE]]`; what is not said is empty.

    Raises:
        UnsupportedValueError: no run is named.
    """
    run, _, rest = text.strip().strip("/").partition("/")
    action, _, value = rest.partition("/")
    if not run:
        raise UnsupportedValueError(
            f"{text!r} names no run: write RUN, RUN/ACTION or RUN/ACTION/o0"
        )
    return run, action, value


def find_action(catalog: Catalog, run: str, name: str) -> ActionRecord:
    """The action of that id, beginning of an id, or task name; the root for none.

    Raises:
        RunNotFoundError: there is no such run.
        ActionNotFoundError: there is none, or more than one.
    """
    actions = catalog.actions(run)
    wanted = name or ROOT_ACTION
    exact = [each for each in actions.values() if each.action_id == wanted]
    begun = [each for each in actions.values() if each.action_id.startswith(wanted)]
    named = [each for each in actions.values() if wanted in (each.task, each.name)]
    for matches in (exact, begun, named):
        if len(matches) == 1:
            return matches[0]
    raise ActionNotFoundError(
        _no_single_action(run, wanted, begun or named, list(actions.values()))
    )


def find_place(run: str, action: ActionRecord, text: str) -> Place:
    """The place of `o0`, `x`, `inputs.x`, `o0[3]` or `o0['key']` at an action.

    Raises:
        UnsupportedValueError: the action has no such value; names those it has.
    """
    match = _VALUE.fullmatch(text)
    side = (match["side"] or "").removesuffix("s") if match else ""
    known = []
    for each in ("output", "input"):
        for place in values_at(run, action, each):
            known.append(place.name)
            if match and place.name == match["name"] and side in ("", each):
                element = match["element"] or ""
                return Place(
                    run=run, action=action.action_id, side=each, name=place.name, element=element
                )
    raise UnsupportedValueError(
        f"action {action.action_id} ({action.task}) of run {run!r} has no value {text!r}; it has "
        f"{', '.join(known) or 'none that was stored'}"
    )


def _no_single_action(
    run: str, wanted: str, matches: Sequence[ActionRecord], known: Sequence[ActionRecord]
) -> str:
    if matches:
        ids = ", ".join(each.action_id for each in matches[:MOST_NAMED])
        more = " …" if len(matches) > MOST_NAMED else ""
        return (
            f"run {run!r} has {len(matches)} actions for {wanted!r}: name one by its id: "
            f"{ids}{more}"
        )
    names = {name for each in known for name in (each.name, each.action_id)}
    near = difflib.get_close_matches(wanted, names, n=3)
    hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
    return (
        f"run {run!r} has no action {wanted!r}.{hint} `flyte-ray get actions {run} --all` lists "
        f"the {len(known)} it has."
    )
