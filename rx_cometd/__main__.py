"""``python -m rx_cometd`` is ``rx-cometd``."""

from __future__ import annotations

from rx_cometd.cli import main

if __name__ == "__main__":
    main()
