"""Lines are cut into rows that fit, lose no character, and are found again, however wide their signs are."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from mlconsole.console.log_rows import Piece, Rows, clipped

TEXTS = st.text(alphabet="ab é漢字\u0301🙂", max_size=80)


@given(TEXTS, st.integers(2, 20))
def test_rows_fit_and_hold_all(text: str, width: int) -> None:
    rows = Rows()
    pieces = [rows.row(text, width, number) for number in range(rows.count(text, width))]
    assert "".join(text[piece.start : piece.stop] for piece in pieces) == text
    cell = 0
    for piece in pieces:
        assert piece.cell == cell
        cell += sum(map(cell_len, text[piece.start : piece.stop]))
        assert cell - piece.cell <= width
    for place in range(len(text)):
        piece = pieces[rows.row_of(text, width, place)]
        assert piece.start <= place < piece.stop


@given(TEXTS.map(lambda text: text * 20), st.integers(0, 300), st.integers(1, 50))
def test_a_window_covers_what_is_seen(text: str, left: int, width: int) -> None:
    rows = Rows()
    piece = rows.window(text, left, width)
    cells = [sum(map(cell_len, text[:place])) for place in range(len(text) + 1)]
    assert rows.cells(text) == cells[-1]
    assert piece.cell == cells[piece.start] <= max(left, 0) or left >= cells[-1]
    assert cells[piece.stop] >= min(left + width, cells[-1])


def test_spans_are_clipped_to_a_piece() -> None:
    assert clipped([(0, 3), (5, 12), (20, 30)], Piece(2, 10, 2)) == [(0, 1), (3, 8)]
