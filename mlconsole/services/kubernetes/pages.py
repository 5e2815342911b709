"""Lists of any length, asked for a page at a time: the API server never has to build all of it at once.

Protocol: https://kubernetes.io/docs/reference/using-api/api-concepts/#retrieving-large-results-sets-in-chunks
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, TypeVar

from mlconsole.services.kubernetes.objects import ObjectList, Pod
from mlconsole.services.kubernetes.problems import decode
from mlconsole.services.kubernetes.resources import PODS

if TYPE_CHECKING:
    from mlconsole.services.kubernetes.connection import Connection

PAGE = 500
"""Items of a page: as many as kubectl asks for."""
_T = TypeVar("_T")


def pages(
    connection: Connection, path: str, list_type: type[ObjectList[_T]], query: Mapping[str, str], timeout: float = 15
) -> Iterator[ObjectList[_T]]:
    """Fetch the pages of a list, each when it is asked for.

    `query` holds the selectors, `timeout` the seconds without a byte after which a page is given up.

    Raises:
        Problem: the cluster can't be asked, or what it answers is no list.
    """
    asked = {"limit": str(PAGE), **query}
    while True:
        page = decode(connection.request("GET", path, query=asked, timeout=timeout), list_type)
        yield page
        if not page.metadata.continue_:
            return
        asked["continue"] = page.metadata.continue_


def list_pods(connection: Connection, selector: str) -> Iterator[Pod]:
    """All pods of a label selector in the connection's namespace.

    Raises:
        Forbidden: pods may not be listed.
        Problem: the cluster can't be asked.
    """
    for page in pages(connection, PODS.path(connection.namespace), ObjectList[Pod], {"labelSelector": selector}):
        yield from page.items or ()
