"""Options and fixtures that every test may use; no test lives here."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--long`: the whole kill, cut and soak series instead of seeded samples."""
    parser.addoption("--long", action="store_true", default=False, help="run whole series, write the dated results")


@pytest.fixture
def long(request: pytest.FixtureRequest) -> bool:
    """Whether the whole series were asked for."""
    return bool(request.config.getoption("--long"))
