"""Ctrl-C and `flyte-ray abort` end a run, all that runs below it, and say so in the record."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from flyte_ray.core.ids import RunName
from flyte_ray.core.model import ActionPhase
from flyte_ray.store.blobs import open_blobs
from flyte_ray.store.catalog import Catalog
from flyte_ray.store.mailbox import Mailbox
from tests.heads import Head
from tests.watching import seen

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

PATIENT = Path(__file__).with_name("patient.py")
RUN = RunName("patient")
BODIES = {"plain", "awaiting", "below-1", "below-2"}
START_S = 120
"""For a Ray and seven workers, on a busy machine."""


@pytest.fixture
def variables(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    """The environment of a driver: "local", "embedded" (a Ray of its own), "remote".

    "lingering": as "remote", with a body that takes its time to stop.
    """
    store = tmp_path.with_name(f"{tmp_path.name}-store")
    given = {"FLYTE_RAY_STORE": str(store), "MODE": request.param}
    if request.param != "local":
        given["MODE"] = "remote"
    if request.param == "lingering":
        given["LINGERS"] = "1"
    if request.param in ("remote", "lingering"):
        head: Head = request.getfixturevalue("head")
        given |= head.variables
    return os.environ | given


class Patient:
    """A driver that waits for a run which does not end by itself."""

    def __init__(self, variables: dict[str, str], folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self._folder = folder
        self._variables = variables
        self._driver = subprocess.Popen(
            [sys.executable, str(PATIENT), RUN, str(folder)],
            env=variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def is_running(self) -> bool:
        """True once every body has begun."""
        return self._names() >= BODIES

    def is_stopping(self) -> bool:
        """True once the body that lingers was told to stop."""
        return "stopping" in self._names()

    def _names(self) -> set[str]:
        return {file.name.rpartition("-")[0] for file in self._folder.iterdir()}

    def interrupt(self) -> None:
        """Ctrl-C: the terminal sends it to all processes of the group."""
        os.killpg(self._driver.pid, signal.SIGINT)

    def terminate(self) -> None:
        self._driver.terminate()

    def killed(self) -> tuple[str, str]:
        """Stdout and stderr of a driver that is of no use any more."""
        self._driver.kill()
        return self._driver.communicate()

    def leave(self) -> None:
        """Nothing stays behind, however the test ended."""
        self._driver.kill()
        self._driver.communicate()
        Mailbox(open_blobs(self._variables["FLYTE_RAY_STORE"]), RUN).post("abort", "abort", {})

    def ended(self) -> tuple[int, str]:
        """Exit code and stderr of the driver."""
        _, errors = self._driver.communicate(timeout=60)
        return self._driver.returncode, errors

    def is_quiet(self) -> bool:
        """True once no body has given a sign of life for half a second."""
        before = self._beats()
        time.sleep(0.5)
        return before == self._beats()

    def _beats(self) -> dict[str, int]:
        return {file.name: file.stat().st_size for file in self._folder.iterdir()}

    def phases(self) -> set[ActionPhase]:
        """Where the run and all its actions stand in the record."""
        catalog = Catalog(open_blobs(self._variables["FLYTE_RAY_STORE"]))
        actions = catalog.actions(RUN).values()
        return {catalog.run(RUN).phase, *(action.phase for action in actions)}


@pytest.fixture(autouse=True)
def ctrl_c_is_heard() -> Iterator[None]:
    """Tests that were started in the background ignore it, and so does whatever they start."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def patient(variables: dict[str, str], tmp_path: Path) -> Iterator[Patient]:
    """A driver whose run is under way."""
    patient = Patient(variables, tmp_path)
    try:
        assert seen(patient.is_running, patience_s=START_S), patient.killed()
        yield patient
    finally:
        patient.leave()


def abort(variables: Mapping[str, str], *arguments: str) -> None:
    """What somebody types elsewhere."""
    command = [sys.executable, "-m", "flyte_ray", "abort", RUN, *arguments]
    subprocess.run(command, env=variables, check=True, timeout=60)


both_engines = pytest.mark.parametrize("variables", ["local", "remote"], indirect=True)
on_ray = pytest.mark.parametrize("variables", ["remote"], indirect=True)


@pytest.mark.parametrize("variables", ["local", "embedded", "remote"], indirect=True)
def test_ctrl_c_aborts_the_run_that_is_waited_for(patient: Patient) -> None:
    patient.interrupt()
    code, errors = patient.ended()
    assert code in (1, 130, -signal.SIGINT)
    assert "KeyboardInterrupt" in errors
    assert f"{RUN}: aborting" in errors and f"flyte-ray rerun {RUN} --recover" in errors
    assert "flyte_ray/client" not in errors, "shows the author's frames alone"
    assert patient.phases() == {ActionPhase.ABORTED}
    assert seen(patient.is_quiet)


@both_engines
def test_abort_reaches_a_run_of_another_process(
    patient: Patient, variables: dict[str, str]
) -> None:
    abort(variables, "--reason", "enough")
    code, errors = patient.ended()
    assert "enough" in errors if variables["MODE"] == "local" else code == 0, errors
    assert patient.phases() == {ActionPhase.ABORTED}
    assert seen(patient.is_quiet)


@pytest.mark.parametrize("variables", ["embedded"], indirect=True)
def test_a_driver_that_is_told_to_end_takes_its_embedded_run_along(patient: Patient) -> None:
    patient.terminate()
    patient.ended()
    assert patient.phases() == {ActionPhase.ABORTED}
    assert seen(patient.is_quiet)


@on_ray
def test_a_letter_aborts_a_run_whose_cluster_is_not_known(
    patient: Patient, variables: dict[str, str]
) -> None:
    abort({name: value for name, value in variables.items() if name != "RAY_ADDRESS"})
    assert patient.ended()[0] == 0
    assert patient.phases() == {ActionPhase.ABORTED}
    assert seen(patient.is_quiet)


@pytest.mark.parametrize("variables", ["lingering"], indirect=True)
def test_a_second_ctrl_c_leaves_at_once(patient: Patient) -> None:
    patient.interrupt()
    assert seen(patient.is_stopping, every_s=0.05), patient.killed()
    patient.interrupt()
    code, errors = patient.ended()
    assert code in (1, 130, -signal.SIGINT)
    assert f"{RUN}: left as it was" in errors
    assert seen(lambda: patient.phases() == {ActionPhase.ABORTED})
    assert seen(patient.is_quiet)
