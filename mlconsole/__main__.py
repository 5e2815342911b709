"""`mlconsole`, and `python -m mlconsole`."""

from __future__ import annotations

import signal


def main() -> None:
    """Run the command line. Ctrl+C ends it without a traceback, also while it is still being imported."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from mlconsole.cli import main as run

    signal.signal(signal.SIGINT, before)
    run()


if __name__ == "__main__":
    main()
