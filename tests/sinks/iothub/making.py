"""A sink for a hub, as it is configured."""

from __future__ import annotations

from tests.gateway.certificates import Certificates
from tests.sinks.entries import unknown
from tests.sinks.hub import KEY

from vitalwire.sinks import Control
from vitalwire.sinks.iothub import IotHub, Settings, from_settings


def hub(made: Certificates, port: int, control: Control | None = None, **more: object) -> IotHub:
    """Return the sink for devices of a group, or of what `more` says."""
    secret = made.ca.parent / "group"
    secret.write_text(KEY)
    proof = {} if "certificates" in more else {"group_key": {"file": str(secret)}}
    given = {"kind": "iothub", "host": "127.0.0.1", "port": port, "tls": {"ca": str(made.ca)}, "seconds": 3.0}
    settings = Settings.model_validate({key: value for key, value in (given | proof | more).items() if value})
    sink = from_settings(settings, unknown)
    if control is not None:
        sink.use(control)
    return sink
