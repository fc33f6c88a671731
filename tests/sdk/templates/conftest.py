"""What MedTech's templates make of their events, for every test that looks at it."""

from __future__ import annotations

import pytest
from tests.sdk.templates.events import DEVICE, EVENTS, FHIR, Resource

from vitalwire.fhir import dumps, loads
from vitalwire.templates import Create, content_templates, convert, fhir_templates, read_events, read_template


@pytest.fixture(scope="session")
def resources() -> list[Resource]:
    """Return what the published shapes become."""
    content, mapping = content_templates(read_template(DEVICE)), fhir_templates(read_template(FHIR))
    made, done = convert(read_events(EVENTS), content, mapping, Create())
    assert done.lost == []
    return [loads(dumps(each)) for each in made]
