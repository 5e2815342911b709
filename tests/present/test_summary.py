"""A release as a page for CI."""

from __future__ import annotations

import msgspec

from mlconsole.evidence.cluster import DeployEvidence, ObjectChange
from mlconsole.evidence.record import ReleaseRecord
from mlconsole.evidence.release import ProblemRecord
from mlconsole.present.summary import MOST_DIFF, summary


def test_a_page_begins_with_what_decides_and_folds_the_card_away(release_record: ReleaseRecord) -> None:
    page = summary(release_record)
    lines = page.splitlines()
    assert lines[0] == "## Release 3: m@v2 — done"
    assert "| repo | done | 1.0 s | warn: 1 file not committed: a_b.py. |" in lines
    assert "Nothing changes in the cluster." in lines
    assert lines.index("<details><summary>Model card</summary>") < lines.index("# m@v2")
    assert "model_name:" not in page


def test_a_plan_that_waits_is_shown_with_its_diff(release_record: ReleaseRecord) -> None:
    deploy = release_record.deploy
    assert deploy is not None
    changes = (
        ObjectChange(kind="Deployment", name="m", namespace="n", action="change", diff="-  a: 1\n+  a: ```2"),
        ObjectChange(kind="Service", name="m", namespace="n", action="create", diff="+x"),
        ObjectChange(kind="ConfigMap", name="c", namespace="n", action="none"),
    )
    page = summary(_with_deploy(release_record, msgspec.structs.replace(deploy.plan, changes=changes)))
    assert "It waits for an approval: `mlconsole approve 3`" in page
    assert "| change | Deployment m |" in page and "| create | Service m |" in page
    assert "ConfigMap" not in page
    assert "````diff\n-  a: 1\n+  a: ```2\n````" in page
    long = (msgspec.structs.replace(changes[0], diff="+" * (2 * MOST_DIFF)),)
    assert "+\n…\n```" in summary(_with_deploy(release_record, msgspec.structs.replace(deploy.plan, changes=long)))


def _with_deploy(record: ReleaseRecord, plan: object) -> ReleaseRecord:
    stages = tuple(
        msgspec.structs.replace(run, evidence=DeployEvidence(plan=plan))  # type: ignore[arg-type]
        if run.stage == "deploy"
        else run
        for run in record.stages
    )
    release = msgspec.structs.replace(record.release, state="waiting")
    return msgspec.structs.replace(record, stages=stages, release=release)


def test_a_problem_is_told_with_its_last_lines(release_record: ReleaseRecord) -> None:
    problem = ProblemRecord(sentence="Training <b>failed</b>.", next_step="Look.", tail=("``` no",))
    stages = (msgspec.structs.replace(release_record.stages[2], problem=problem, evidence=None, state="failed"),)
    page = summary(msgspec.structs.replace(release_record, stages=stages, version=None))
    assert page.startswith("## Release 3 — done\n")
    assert "**Training \\<b\\>failed\\</b\\>.** Look.\n\n````text\n``` no\n````" in page
