"""``python -m jaxnoisy.cli``."""

import sys

from jaxnoisy.cli.program import main

sys.exit(main())
