"""Plants faults in a copy of the client, and sees the model of the contract find each of them.

    python -m tests.mutants

Not part of CI: it takes a minute, and tells of `test_contract_model`, not of the client.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
MODEL = "tests/integration/client/test_contract_model.py"
DISPATCH = "rx_cometd/_flow/dispatch.py"
SHARED = "rx_cometd/_session/shared_session.py"


class Fault(NamedTuple):
    """A piece of code, and what it is replaced by."""

    what: str
    path: str
    right: str
    wrong: str


FAULTS = [
    Fault(
        "a new observer is not heard of by the channels that were looked up before",
        DISPATCH,
        "        self._resolved.clear()\n        if observers is not None:",
        "        if observers is not None:",
    ),
    Fault(
        "a second observer of a channel takes the place of the first",
        DISPATCH,
        "            observers[observer] = None\n            return False",
        "            observers.clear()\n            observers[observer] = None\n"
        "            return False",
    ),
    Fault(
        "the last observer to go is not noticed",
        DISPATCH,
        "        self._meta.discard(key)\n        return True",
        "        self._meta.discard(key)\n        return False",
    ),
    Fault(
        "globs match nothing",
        DISPATCH,
        "keys = (channel, *globs(channel), EVERYTHING)",
        "keys = (channel, EVERYTHING)",
    ),
    Fault(
        "observers are told in the reverse order",
        DISPATCH,
        "= tuple(found)\n        return observers",
        "= tuple(reversed(found))\n        return observers",
    ),
    Fault(
        "an observer that raised is not told its error",
        DISPATCH,
        "        fail_observer(observer, error, self._report)\n",
        "        self._report(error)\n",
    ),
    Fault(
        "an observer that raises keeps a message from the next ones",
        DISPATCH,
        "                    self._fail_observer(observer, error)\n\n    def deliver_meta",
        "                    self._fail_observer(observer, error)\n                    break\n\n"
        "    def deliver_meta",
    ),
    Fault(
        "who subscribes within a payload misses the rest of it",
        DISPATCH,
        "        for message in messages:\n            # Looked up anew each time: an observer may "
        "subscribe or dispose.\n            try:\n                observers = self._resolved[",
        "        found = dict(self._resolved)\n        for message in messages:\n            try:\n"
        "                observers = found[",
    ),
    Fault(
        "one observer does not complete",
        DISPATCH,
        "        return list(found)",
        "        return list(found)[1:]",
    ),
    Fault(
        "observers of a refused channel wait for ever",
        DISPATCH,
        "        return tuple(self._observers.pop(key, ()))",
        "        return tuple(self._observers.pop(key, ()))[1:]",
    ),
    Fault(
        "no unsubscribe is sent",
        SHARED,
        "                session.unsubscribe(key)",
        "                pass",
    ),
    Fault(
        "disposing does nothing but silence",
        SHARED,
        "            self._shared.remove(session, self._key, self._observer)\n        else:",
        "            pass\n        else:",
    ),
]


def model_fails(fault: Fault | None) -> bool:
    """Run the model against a copy of the tree, with a fault in it or without."""
    with tempfile.TemporaryDirectory() as name:
        copy = Path(name)
        for part in ("rx_cometd", "tests", "pyproject.toml"):
            source = ROOT / part
            if source.is_dir():
                shutil.copytree(source, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, copy / part)
        if fault is not None:
            plant(fault, copy / fault.path)
        outcome = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-x", MODEL],
            cwd=copy,
            env={**os.environ, "PYTHONPATH": name},
            capture_output=True,
            timeout=300,
            check=False,
        )
    # 1: a test failed. Anything else (a collection error, say) finds nothing.
    return outcome.returncode == 1


def plant(fault: Fault, file: Path) -> None:
    """Put a fault into a file."""
    code = file.read_text(encoding="utf-8")
    if code.count(fault.right) != 1:
        raise SystemExit(f"{fault.path} has changed, so this fault cannot be planted: {fault}")
    file.write_text(code.replace(fault.right, fault.wrong), encoding="utf-8")


def main() -> None:
    """Tell of each fault whether it was found."""
    if model_fails(None):
        raise SystemExit("the model fails without a fault")
    missed = [fault for fault in FAULTS if not model_fails(fault)]
    for fault in FAULTS:
        print("missed" if fault in missed else "found ", fault.what)
    sys.exit(bool(missed))


if __name__ == "__main__":
    main()
