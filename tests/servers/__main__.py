"""Installs every server and the reference clients: `python -m tests.servers`."""

import sys

from tests.servers.installation import KINDS, available, installed


def main() -> int:
    """Installs all and says where; 1 if one cannot be had."""
    missing = 0
    for kind in KINDS:
        reason = available(kind)
        missing += reason is not None
        print(f"{kind}: {reason or installed(kind)}", flush=True)
    return min(missing, 1)


if __name__ == "__main__":
    sys.exit(main())
