"""The seed of tests that choose by chance: ``TEST_SEED``, by default another each time.

It is left in the environment, so that processes which share the tests collect the same ones.
"""

import os
import random
from typing import Final

SEED: Final = int(os.environ.setdefault("TEST_SEED", str(random.randrange(1 << 32))))
