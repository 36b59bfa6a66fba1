"""The module stands alone: whoever verifies needs ``cryptography`` and nothing else of ours."""

import subprocess
import sys

ALONE = """
import sys
before = set(sys.modules)
import device_ledger.proofs
import device_ledger.proofs.tiles
roots = {name.split(".")[0] for name in set(sys.modules) - before} - set(sys.stdlib_module_names)
ours = {name for name in sys.modules if name.startswith("device_ledger.")}
print(sorted(one for one in roots if not one.startswith("_")))
print(sorted(one for one in ours if not one.startswith("device_ledger.proofs")))
"""


def test_the_module_imports_the_standard_library_and_cryptography_only() -> None:
    told = subprocess.run([sys.executable, "-c", ALONE], capture_output=True, text=True, check=True)
    assert told.stdout == "['cryptography', 'device_ledger']\n[]\n"
