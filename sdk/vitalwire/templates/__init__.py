"""Templates that users of MedTech (iomt-fhir) have, run on events: device content to measurements to FHIR.

Shapes and meaning are those of iomt-fhir's documentation; where this differs, the docstrings of `expressions` and
`group` say so. Needs `vitalwire[fhir]`.
"""

from __future__ import annotations

from .convert import Converter, Lost, convert
from .device import ContentTemplate, Measurement, Step, content_templates
from .explain import Explained, explain
from .identity import Create, Lookup, Resolution, Resolver, lookup
from .lint import Level, Remark, is_fhir, lint
from .mapping import FhirTemplate, fhir_templates
from .text import TemplateError, enveloped, read_events, read_template

__all__ = [
    "ContentTemplate", "Converter", "Create", "Explained", "FhirTemplate", "Level", "Lookup", "Lost", "Measurement",
    "Remark", "Resolution", "Resolver", "Step", "TemplateError", "content_templates", "convert", "enveloped", "explain",
    "fhir_templates", "is_fhir", "lint", "lookup", "read_events", "read_template",
]  # fmt: skip
