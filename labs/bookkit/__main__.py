"""`python -m bookkit`."""

import sys

from .cli import main

sys.exit(main())
