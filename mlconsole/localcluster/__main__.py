"""``python -m mlconsole.localcluster serve --root DIR --state DIR``: the server in the foreground."""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import sqlite3
import sys
import time
from pathlib import Path


def main(arguments: list[str] | None = None) -> int:
    """Parses the command line and serves. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m mlconsole.localcluster", description="The local cluster.")
    commands = parser.add_subparsers(dest="command", required=True)
    serving = commands.add_parser("serve", help="serve a cluster in the foreground, until it is told to stop")
    serving.add_argument("--root", type=Path, required=True, help="the folder in which containers run")
    serving.add_argument("--state", type=Path, required=True, help="the folder of the cluster itself")
    chosen = parser.parse_args(arguments)
    return _serve(chosen.root.resolve(), chosen.state.resolve())


def _serve(root: Path, state: Path) -> int:
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.Formatter.converter = time.gmtime
    from mlconsole.localcluster.serving import AlreadyServed, serve

    log = logging.getLogger("mlconsole.localcluster")

    # Objects live long here: full collections over all of them would only cost time.
    gc.set_threshold(50_000, 20, 50)
    try:
        asyncio.run(serve(root, state))
    except AlreadyServed as error:
        log.error("%s", error)
        return 1
    except sqlite3.Error as error:
        log.error(
            "the stored objects can't be used: %s; is %s whole, and the disk not full?", error, state / "objects.db"
        )
        return 1
    except OSError as error:
        log.error("can't serve: %s", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
