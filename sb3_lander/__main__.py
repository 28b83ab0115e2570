"""``python -m sb3_lander``."""

from __future__ import annotations

import sys

from sb3_lander.cli.main import main

sys.exit(main())
