"""Outcomes as JUnit XML, as CI servers read it: with what was run again and what crashed, which pytest's own lacks.

The form is pytest's `xunit2`; a flaky test has passed and has a `flakyFailure`, as Surefire writes it.
"""

from __future__ import annotations

import os
import re
import tempfile
from datetime import datetime
from pathlib import Path
from xml.etree import ElementTree

from mlconsole.evidence.testing import TestOutcome, TestRun

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write(run: TestRun, path: Path, *, name: str, started_at: datetime) -> None:
    """Write the outcomes of a run to a file, whole or not at all.

    Args:
        run: what happened.
        path: the file; its folder is there.
        name: of the suite: what was tested, such as `ml-model@v3`.
        started_at: when the tests began.
    """
    root = ElementTree.Element("testsuites", name="mlconsole")
    cases = list(run.outcomes)
    if run.ended and all(test.message != run.ended for test in cases):
        cases.append(TestOutcome(nodeid="pytest", outcome="error", seconds=0, message=run.ended))
    suite = ElementTree.SubElement(
        root,
        "testsuite",
        name=name,
        errors=str(sum(test.outcome == "error" for test in cases)),
        failures=str(run.count("failed")),
        skipped=str(run.count("skipped", "xfailed")),
        tests=str(len(cases)),
        time=f"{run.seconds:.3f}",
        timestamp=started_at.isoformat(timespec="seconds"),
    )
    for test in cases:
        _case(suite, test)
    ElementTree.indent(root)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".tests-", delete=False) as file:
        ElementTree.ElementTree(root).write(file, encoding="utf-8", xml_declaration=True)
        file.flush()
        os.fsync(file.fileno())
    Path(file.name).replace(path)


def _case(suite: ElementTree.Element, test: TestOutcome) -> None:
    above, _, last = test.nodeid.partition("[")[0].rpartition("::")
    parameters = test.nodeid[len(above) + 2 + len(last) :] if above else ""
    case = ElementTree.SubElement(
        suite,
        "testcase",
        classname=_text(above.replace(".py", "").replace("/", ".").replace("::", ".")),
        name=_text(last + parameters),
        time=f"{test.seconds:.3f}",
    )
    if test.metrics:
        properties = ElementTree.SubElement(case, "properties")
        for point in test.metrics:
            ElementTree.SubElement(properties, "property", name=_text(point.name), value=repr(point.value))
    tag = {"failed": "failure", "error": "error", "skipped": "skipped", "xfailed": "skipped", "flaky": "flakyFailure"}
    if test.outcome in tag:
        said = ElementTree.SubElement(case, tag[test.outcome], message=_text(test.message))
        said.text = _text(test.traceback)
    if test.output:
        ElementTree.SubElement(case, "system-out").text = _text(test.output)


def _text(text: str) -> str:
    return _NOT_XML.sub("", text)
