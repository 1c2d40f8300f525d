"""Plants faults in a copy of the client, and sees the tests find each of them.

    python -m tests.mutants

The faults of dispatch and sharing are for the model of the contract to find, the others for the
tests of the module that they are in. Not part of CI: it takes two minutes, and tells of the tests,
not of the client.
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
UNIT = "tests/unit"
DISPATCH = "rx_cometd/_flow/dispatch.py"
MULTICAST = "rx_cometd/_flow/multicast.py"
SHARED = "rx_cometd/_session/shared_session.py"
SUBSCRIBER = "rx_cometd/_flow/subscriber.py"
PIPELINE = "rx_cometd/_session/pipeline.py"
BUFFER = "rx_cometd/_flow/buffer.py"
PAYLOAD = "rx_cometd/_flow/payload.py"
DELIVERY = "rx_cometd/_flow/delivery.py"
ADVICE = "rx_cometd/_protocol/advice.py"
SUBSCRIPTIONS = "rx_cometd/_protocol/subscriptions.py"
REQUESTS = "rx_cometd/_protocol/requests.py"
REFUSALS = "rx_cometd/_protocol/refusals.py"
FAREWELL = "rx_cometd/_protocol/farewell.py"
BACKOFF = "rx_cometd/_protocol/backoff.py"
REAUTHENTICATION = "rx_cometd/_protocol/reauthentication.py"


class Fault(NamedTuple):
    """A piece of code, what it is replaced by, and the tests that should notice."""

    what: str
    path: str
    right: str
    wrong: str
    tests: str = MODEL


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
        "Multicast(tuple(found), self._report)",
        "Multicast(tuple(reversed(found)), self._report)",
    ),
    Fault(
        "an observer that raised is not told its error",
        DISPATCH,
        "        fail_observer(observer, error, self._report)\n",
        "        self._report(error)\n",
    ),
    Fault(
        "an observer that raises keeps a message from the next ones",
        MULTICAST,
        "                fail_observer(observer, error, self._report)\n",
        "                fail_observer(observer, error, self._report)\n                break\n",
    ),
    Fault(
        "who subscribes within a payload misses the rest of it",
        DISPATCH,
        "        for message in messages:\n            # Looked up again each time: an observer "
        "may subscribe or dispose.\n            try:\n                observer = self._resolved[",
        "        found = dict(self._resolved)\n        for message in messages:\n            try:\n"
        "                observer = found[",
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
        "who is disposed of within a payload is told the rest of it",
        SUBSCRIBER,
        "        self.on_next = _ignore\n\n",
        "\n",
        f"{UNIT}/flow/test_subscriber.py",
    ),
    Fault(
        "a payload that extensions asked receipts for is not followed",
        PIPELINE,
        "            and not payload.has_receipts\n",
        "",
        f"{UNIT}/session/test_pipeline.py",
    ),
    Fault(
        "a payload that failed alone is handed on as it came",
        PIPELINE,
        "            and payload.failure is None\n            and not",
        "            and not",
        f"{UNIT}/session/test_pipeline.py",
    ),
    Fault(
        "what an operator holds is not waited for unless somebody waits",
        PIPELINE,
        "            self.chain_failed(error)\n        self._follow()\n",
        "            self.chain_failed(error)\n",
        f"{UNIT}/session/test_pipeline.py",
    ),
    Fault(
        "no unsubscribe is sent",
        SHARED,
        "                session.requests.unsubscribe(key)",
        "                pass",
    ),
    Fault(
        "disposing does nothing but silence",
        SHARED,
        "            self._shared.remove(session, self._key, self._observer)\n        else:",
        "            pass\n        else:",
    ),
    Fault(
        "a full buffer drops the message that came last but one",
        BUFFER,
        "                dropped = [self._queue.popleft()]\n",
        "                dropped = [self._queue.pop()]\n",
        f"{UNIT}/flow/test_buffer.py",
    ),
    Fault(
        "a dropped message is held for ever",
        BUFFER,
        "        if type(entry) is _Tracked:\n            entry.held()",
        "        if False:\n            entry.held()",
        f"{UNIT}/flow/test_buffer.py",
    ),
    Fault(
        "a suspended buffer resumes only when it is empty",
        BUFFER,
        "len(self._queue) <= self.max_pending_count // 2",
        "len(self._queue) <= 0",
        f"{UNIT}/flow/test_buffer.py",
    ),
    Fault(
        "the bound is one too high",
        BUFFER,
        "max_pending_count if max_pending_count > 0 else sys.maxsize",
        "max_pending_count + 1 if max_pending_count > 0 else sys.maxsize",
        f"{UNIT}/flow/test_buffer.py",
    ),
    Fault(
        "a conflated message goes to the end",
        "rx_cometd/_flow/conflation.py",
        "    latest[key] = message  # an existing",
        "    latest.pop(key, None)\n    latest[key] = message  # an existing",
        f"{UNIT}/flow/test_buffer.py",
    ),
    Fault(
        "a closed buffer stays with its client",
        BUFFER,
        "        self._latest.clear()\n        self._detach()",
        "        self._latest.clear()",
        f"{UNIT}/flow/test_buffer.py",
    ),
    Fault(
        "a message is processed as soon as one of its holds is released",
        DELIVERY,
        "        if self._holds == 0:\n            self._processed()",
        "        if self._holds <= 1:\n            self._processed()",
        f"{UNIT}/flow/test_delivery.py",
    ),
    Fault(
        "a hold that is called twice counts twice",
        DELIVERY,
        "        if not self._released:\n",
        "        if True:\n",
        f"{UNIT}/flow/test_delivery.py",
    ),
    Fault(
        "who asked for a message first is forgotten for who asked next",
        PAYLOAD,
        "(*processed.get(id(message), ()), callback)",
        "(callback,)",
        f"{UNIT}/flow/test_payload.py",
    ),
    Fault(
        "the receipts of the whole go with the first part",
        PAYLOAD,
        "        if whole:\n",
        "        if True:\n",
        f"{UNIT}/flow/test_payload.py",
    ),
    Fault(
        "receipts are settled twice",
        PAYLOAD,
        "        self.delivered = ()\n        self.processed.clear()\n        for",
        "        for",
        f"{UNIT}/flow/test_payload.py",
    ),
    Fault(
        "an error is logged once for each dropped message",
        "rx_cometd/_flow/drop_log.py",
        "        self._next = now + _INTERVAL\n",
        "",
        f"{UNIT}/flow/test_drop_log.py",
    ),
    Fault(
        "who joins a stream during a delivery is told of what is past",
        "rx_cometd/_flow/multicast.py",
        "self._observers = (*self._observers, observer)",
        "self._observers = (observer, *self._observers)",
        f"{UNIT}/flow/test_multicast.py",
    ),
    Fault(
        "milliseconds are taken for seconds",
        ADVICE,
        "return milliseconds / 1000",
        "return milliseconds",
        f"{UNIT}/protocol/test_advice.py",
    ),
    Fault(
        "a negative interval is no obstacle",
        ADVICE,
        "interval < 0",
        "interval < -1e9",
        f"{UNIT}/protocol/test_advice.py",
    ),
    Fault(
        "advice is replaced, not merged",
        ADVICE,
        "return replace(self, **changes)",
        "return replace(Advice(), **changes)",
        f"{UNIT}/protocol/test_advice.py",
    ),
    Fault(
        "a confirmed unsubscribe leaves the channel subscribed",
        SUBSCRIPTIONS,
        "_Known.SUBSCRIBED if kind is Kind.SUBSCRIBE else _Known.ABSENT",
        "_Known.SUBSCRIBED",
        f"{UNIT}/protocol/test_subscriptions.py",
    ),
    Fault(
        "a new session keeps the channels of the old one",
        SUBSCRIPTIONS,
        "            subscription.known = _Known.ABSENT\n            subscription.doubted = False",
        "            subscription.doubted = False",
        f"{UNIT}/protocol/test_subscriptions.py",
    ),
    Fault(
        "a refused subscribe is tried for ever",
        SUBSCRIPTIONS,
        "            del self._by_channel[channel]\n        elif subscription.doubted:",
        "            pass\n        elif subscription.doubted:",
        f"{UNIT}/protocol/test_subscriptions.py",
    ),
    Fault(
        "a reply is matched though its request was never sent",
        REQUESTS,
        "        if request is None or not request.sent:\n",
        "        if request is None:\n",
        f"{UNIT}/protocol/test_requests.py",
    ),
    Fault(
        "a reply on another channel is taken",
        REQUESTS,
        "return request if channel == request.channel or (channel is None and tells) else None",
        "return request",
        f"{UNIT}/protocol/test_requests.py",
    ),
    Fault(
        "an unknown client is taken for bad credentials",
        REFUSALS,
        "    if unknown_client(error):\n        return False\n    if error.error_code == 401",
        "    if error.error_code == 401",
        f"{UNIT}/protocol/test_refusals.py",
    ),
    Fault(
        "a 403 to a publish asks for new credentials",
        REFUSALS,
        "return kind is Kind.HANDSHAKE and error.error_code == 403",
        "return error.error_code == 403",
        f"{UNIT}/protocol/test_refusals.py",
    ),
    Fault(
        "a subscribe whose reply is late is not asked for again",
        REFUSALS,
        "    return isinstance(error, TransportError)\n\n\ndef is_final",
        "    return type(error) is TransportError\n\n\ndef is_final",
        f"{UNIT}/protocol/test_refusals.py",
    ),
    Fault(
        "a disconnect leads to a new session whatever is said beside it",
        FAREWELL,
        "        self._advised = reconnect_of(advice) is not None\n        if self._advised:",
        "        if self._advised:",
        f"{UNIT}/protocol/test_farewell.py",
    ),
    Fault(
        "a connect that asked not to be held ends the run of failures",
        BACKOFF,
        "        if self._held:\n            self._backoff.reset()\n            self._unprod",
        "        if True:\n            self._backoff.reset()\n            self._unprod",
        f"{UNIT}/protocol/test_backoff.py",
    ),
    Fault(
        "events that nobody wants keep the client busy",
        BACKOFF,
        "useful=self.useful",
        "useful=self.first_event_at is not None",
        f"{UNIT}/protocol/test_backoff.py",
    ),
    Fault(
        "nobody waits as long as the server asks",
        BACKOFF,
        "max(delay, min(asked, MOST_ASKED))",
        "delay",
        f"{UNIT}/protocol/test_backoff.py",
    ),
    Fault(
        "credentials are renewed for ever",
        REAUTHENTICATION,
        "(failed in self._renewed_for or self._renewals >= _RENEWALS)",
        "failed in self._renewed_for",
        f"{UNIT}/protocol/test_reauthentication.py",
    ),
]


def fails(tests: str, fault: Fault | None) -> bool:
    """Run tests against a copy of the tree, with a fault in it or without."""
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
            [sys.executable, "-m", "pytest", "-q", "-x", *tests.split()],
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
    for tests in dict.fromkeys(fault.tests for fault in FAULTS):
        if fails(tests, None):
            raise SystemExit(f"{tests} fails without a fault")
    missed = [fault for fault in FAULTS if not fails(fault.tests, fault)]
    for fault in FAULTS:
        print("missed" if fault in missed else "found ", fault.what)
    sys.exit(bool(missed))


if __name__ == "__main__":
    main()
