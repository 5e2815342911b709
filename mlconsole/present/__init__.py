"""Evidence in words and small tables: pure functions, shared by the console and the headless commands.

Whatever text comes out of here is clean of escapes already; it is data all the same, and never to be parsed as markup.
"""

from mlconsole.present.card import model_card
from mlconsole.present.events import event_line
from mlconsole.present.record import record
from mlconsole.present.stages import (
    Block,
    Lines,
    Table,
    blocks,
    comparison_lines,
    deploy_fact,
    fact,
    final_metrics,
    further_table,
    plan_lines,
    pod_table,
    test_fact,
)
from mlconsole.present.words import age, glyph, needless, reasons, standing, why_it_ran, word

__all__ = [
    "Block",
    "Lines",
    "Table",
    "age",
    "blocks",
    "comparison_lines",
    "deploy_fact",
    "event_line",
    "fact",
    "final_metrics",
    "further_table",
    "glyph",
    "model_card",
    "needless",
    "plan_lines",
    "pod_table",
    "reasons",
    "record",
    "standing",
    "test_fact",
    "why_it_ran",
    "word",
]
