"""Addresses of repositories, told from folders by how they are written."""

from __future__ import annotations

import re

_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://\S|[\w.-]+@[\w.-]+:\S", re.IGNORECASE)


def is_address(text: str) -> bool:
    """Whether a text is the address of a repository (`https://…`, `git@host:name.git`), and not a folder's path."""
    return _ADDRESS.match(text) is not None


def folder_name(url: str) -> str:
    """The folder that `git clone` makes of an address: its last part without `.git`."""
    path = re.sub(r"/+(\.git)?/*$", "", url.strip())
    return re.split(r"[/:]", path)[-1].removesuffix(".git")
