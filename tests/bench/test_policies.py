"""The benchmark of the policies."""

from __future__ import annotations

from rich.console import Console

from vitalwire_tools.bench import policies


def test_each_policy_has_its_price() -> None:
    """Sealing costs a fraction of signing and 32 bytes a frame less; privacy costs 20 bytes; nothing runs over."""
    result = policies.run(seconds=20)
    assert list(result) == ["sign", "seal", "private"]
    assert result["sign"]["signed"] == result["private"]["signed"] == 1.0
    assert result["seal"]["signed"] < 0.4
    assert result["seal"]["signing"] < result["sign"]["signing"] / 2
    assert result["seal"]["share"] < result["sign"]["share"] < result["private"]["share"]
    assert not any(one["overruns"] for one in result.values())
    with Console(width=120, record=True) as console:
        console.print(policies.render(result))
    assert "private" in console.export_text()
