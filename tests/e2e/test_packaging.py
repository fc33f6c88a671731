"""What an operator installs: the systemd unit, the container's recipe, the bill of materials."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGING = ROOT / "tools" / "packaging"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="Debian's package systemd is not installed")
def test_systemd_takes_the_unit_and_finds_it_confined(tmp_path: Path) -> None:
    """systemd knows every line of the unit, and rates what the service could do to the machine as little."""
    unit = tmp_path / "vitalwire-gateway.service"
    text = (PACKAGING / unit.name).read_text()
    unit.write_text(re.sub(r"^ExecStart=\S+", f"ExecStart={sys.executable}", text, flags=re.MULTILINE))
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    rated = ["systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold=20", unit]  # 20: 2.0 of 10
    subprocess.run(rated, check=True, capture_output=True)


def test_the_container_runs_unprivileged() -> None:
    """The last stage of the Dockerfile names a user that is not root before anything is run, and copies no source."""
    stages = re.split(r"^FROM ", (PACKAGING / "Dockerfile").read_text(), flags=re.MULTILINE)
    last = stages[-1].splitlines()
    user = next(line.split()[1] for line in last if line.startswith("USER "))
    assert user not in {"root", "0"}
    assert [line for line in last if line.startswith("COPY")] == ["COPY --from=build /opt/vitalwire /opt/vitalwire"]
    assert any(line.startswith("ENTRYPOINT") for line in last)


def test_the_bill_of_materials_names_what_is_installed(tmp_path: Path) -> None:
    """It is valid CycloneDX, is of this project, and has each dependency with the version that is imported."""
    out = tmp_path / "sbom.json"
    subprocess.run([ROOT / "tools" / "sbom", sys.executable, out], check=True, capture_output=True)
    bill = json.loads(out.read_text())
    assert (bill["bomFormat"], bill["metadata"]["component"]["name"]) == ("CycloneDX", "vitalwire")
    import cryptography
    import numpy

    versions = {part["name"]: part["version"] for part in bill["components"]}
    assert (versions["cryptography"], versions["numpy"]) == (cryptography.__version__, numpy.__version__)
    assert all(part["purl"].startswith("pkg:pypi/") for part in bill["components"] if part["name"] in versions)
