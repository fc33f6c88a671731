"""Options and fixtures that every test may use; no test lives here."""

from __future__ import annotations

import datetime
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest

if TYPE_CHECKING:
    from tests.bledevice import Device

    from vitalwire_tools.virtual.air import Air

TESTS = Path(__file__).resolve().parent
SERIES = "series"
# How long an example takes says how busy the machine is. The same examples each time: a gate that fails by chance tells
# nobody what was broken. Whole series look for others.
PATIENT = {"deadline": None, "suppress_health_check": [hypothesis.HealthCheck.too_slow]}
hypothesis.settings.register_profile("tests", derandomize=True, **PATIENT)
hypothesis.settings.register_profile("long", **PATIENT)
FIRMWARE = TESTS.parent / "firmware"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--long`: the whole kill, cut and soak series instead of seeded samples."""
    parser.addoption("--long", action="store_true", default=False, help="run whole series, write the dated results")


@pytest.fixture
def long(request: pytest.FixtureRequest) -> bool:
    """Whether the whole series were asked for."""
    return bool(request.config.getoption("--long"))


@pytest.fixture
def micropython() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a script under the real MicroPython with the firmware's folder on its path; fails on a non-zero exit."""

    def run(script: str, *arguments: str, heap: str = "1m", path: Path = FIRMWARE) -> subprocess.CompletedProcess[str]:
        command = ["micropython", "-X", f"heapsize={heap}", "-c", script, *arguments]
        environment = {**os.environ, "MICROPYPATH": f"{path}:.frozen"}
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=600)
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    return run


@pytest.fixture
def micropython32(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a script as bytecode under MicroPython with 32-bit words, the firmware's files and others beside it."""
    package = TESTS / "node_modules/@micropython/micropython-webassembly-pyscript"
    if not (shutil.which("node") and package.exists()):
        pytest.skip("needs node and, in tests/, the npm package @micropython/micropython-webassembly-pyscript (npm ci)")

    def run(script: str, *files: Path, heap: int = 1 << 20) -> subprocess.CompletedProcess[str]:
        (tmp_path / "script.py").write_text(script)
        given = [*sorted(FIRMWARE.glob("*.py")), *files]
        command = ["node", str(TESTS / "micropython32.mjs"), str(heap), str(tmp_path / "script.py"), *map(str, given)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    return run


@pytest.fixture
def air() -> Iterator[Air]:
    """The air between boards, devices and centrals."""
    from vitalwire_tools.virtual.air import Air  # what it needs is slow to import

    with Air() as air:
        yield air


@pytest.fixture
def bledevice(air: Air) -> Iterator[Device]:
    """A device that is nothing but its Bluetooth link, and advertises."""
    from tests.bledevice import Device

    device = Device(air)
    yield device
    device.close()


@pytest.fixture
def results(long: bool, request: pytest.FixtureRequest) -> Callable[..., None]:
    """Take the figures of a series; whole series (`--long`) leave them in tests/RESULTS.md with today's date."""

    def note(series: str, **figures: object) -> None:
        if long:  # with the report of the test, so that they come to whoever writes from any process
            said = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in figures.items())
            request.node.user_properties.append((SERIES, f"{series} | {datetime.date.today().isoformat()} | {said}"))

    return note


class Results:
    """Hears what each test has noted; at the end it writes the table, one row a series, each its last."""

    def __init__(self) -> None:
        self.fresh: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take the rows of one test."""
        for name, row in report.user_properties:
            if name == SERIES:
                self.fresh[str(row).split(" | ")[0]] = f"| {row} |"

    def pytest_sessionfinish(self) -> None:
        """Write the table."""
        if not self.fresh:
            return
        path = TESTS / "RESULTS.md"
        rows = {}
        for line in path.read_text().splitlines() if path.exists() else ():
            if line.startswith("| ") and not line.startswith("| series"):
                rows[line.split("|")[1].strip()] = line
        rows |= self.fresh
        head = ["# Results of the whole series", "", "Written by `tools/test --long`.", ""]
        head += ["| series | date | figures |", "|---|---|---|"]
        path.write_text("\n".join([*head, *(rows[series] for series in sorted(rows)), ""]))


def pytest_configure(config: pytest.Config) -> None:
    """Choose the examples of property tests before they are imported; have one process write the table of results."""
    hypothesis.settings.load_profile("long" if config.getoption("--long") else "tests")
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Results())
