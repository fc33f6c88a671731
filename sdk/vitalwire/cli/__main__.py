"""`python -m vitalwire.cli` is `vitalwire`."""

import sys

from . import main

sys.exit(main())
