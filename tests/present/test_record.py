"""A release on one page, and as a model card that foreign text can't break."""

from __future__ import annotations

import yaml

from mlconsole.evidence.record import ReleaseRecord
from mlconsole.present import Lines, Table, model_card, record


def words(found: ReleaseRecord) -> str:
    lines = []
    for block in record(found):
        lines.append(block.title)
        lines += [" ".join(row) for row in block.rows] if isinstance(block, Table) else list(block.lines)
    return "\n".join(lines)


def test_the_page_leads_from_the_pods_back_to_the_commit(release_record: ReleaseRecord) -> None:
    page = words(release_record)
    for part in (
        "Release 3",
        "m@v2  sha256:aaaa",
        f"commit      {'c' * 40}",
        "data        sha256:dddd",
        "10 rows, 1 column, 1 with missing values",
        "python      3.12.1, 2 packages",
        "parameters  epochs=20",
        "manifests   sha256:c23a",
        "metrics     mae 22.5",
        "1 passed of 1",
        "difference -2.5 (95%: -3 … -2): the candidate is better",
        "override test known outlier",
        "champion is v2",
        "m-1: m-1-x",
    ):
        assert part in page


def test_a_release_that_stopped_early_has_a_page_too(release_record: ReleaseRecord) -> None:
    import msgspec

    bare = msgspec.structs.replace(
        release_record, stages=release_record.stages[:1], version=None, trained=None, decisions=(), aliases=()
    )
    titles = [block.title for block in record(bare)]
    assert titles == ["Release 3", "Stages", "Made of", "Gates"]
    assert all(block.lines for block in record(bare) if isinstance(block, Lines))


def test_the_card_names_everything_and_its_head_is_yaml(release_record: ReleaseRecord) -> None:
    card = model_card(release_record)
    head = yaml.safe_load(card.split("---")[1])
    assert head == {"model_name": "m@v2", "tags": ["mlconsole"]}
    for part in (
        "`sha256:aaaa",
        "python train.py --epochs 20",
        "| epochs | 20 |",
        "| hour | integer | 1 | 9 | 0 | 23 |",
    ):
        assert part in card
    assert "| mae | 22.5 |" in card
    assert "known outlier" in card


def test_markup_in_foreign_text_stays_text(release_record: ReleaseRecord) -> None:
    card = model_card(release_record)
    assert r"Train \| on \<all\> data" in card
    assert r"new \*month\*" in card
