"""Is it really serving? The pods as `kubectl get pods` shows them, live, with the model version of each."""

from __future__ import annotations

from collections.abc import Iterator

from textual.content import Content
from textual.widget import Widget

from mlconsole.console.live_words import freshness
from mlconsole.console.messages import Perform
from mlconsole.console.paint import BAD, DIM, FAINT, GOOD, KEY, STRONG, WARN, line, problem_lines, wrapped
from mlconsole.console.panels.base import Panel, command_lines, evidence_lines, quiet, run_lines, sections
from mlconsole.console.view import View
from mlconsole.console.widgets.lines import Document
from mlconsole.console.widgets.table import Row, Table
from mlconsole.evidence.cluster import PodRow, PodsSnapshot
from mlconsole.text import count, listed

UNSURE = ("stale", "reconnecting", "offline", "forbidden", "stopped")


class PodsPanel(Panel):
    """The table is always live, also while a past release is shown; what that release ended with is below."""

    stage = "pods"
    DEFAULT_CSS = """
    PodsPanel #pods-state { height: auto; max-height: 50%; }
    PodsPanel Table { height: 1fr; margin-top: 1; }
    PodsPanel #pods-evidence { height: auto; max-height: 40%; margin-top: 1; }
    PodsPanel.-no-pods Table { display: none; }
    PodsPanel.-no-pods #pods-evidence { height: 1fr; max-height: 100%; }
    """

    def __init__(self, view: View) -> None:
        super().__init__(view)
        self.state = Document(id="pods-state")
        self.state.can_focus = False
        self.table = Table(
            ("NAME", "READY", "STATUS", "RESTARTS", "AGE", "MODEL"), whole=frozenset({1, 3, 4, 5}), tails=frozenset({0})
        )
        self.evidence = Document(id="pods-evidence")

    def body(self) -> Iterator[Widget]:
        """The state over the table over the release's evidence."""
        yield self.state
        yield self.table
        yield self.evidence

    @property
    def target(self) -> Widget:
        """The table where there are pods."""
        return self.evidence if self.has_class("-no-pods") else self.table

    @property
    def selected_pod(self) -> PodRow | None:
        """The pod that the cursor is on."""
        rows = self.view.pods.rows if self.view.pods else ()
        return next((row for row in rows if row.uid == self.table.cursor_key), None)

    def draw(self, view: View) -> None:
        """Bring all three up to a view."""
        rows = view.pods.rows if view.pods else ()
        self.set_class(not rows, "-no-pods")
        self.state.show(lambda width: state_lines(view, self.selected_pod, width))
        self.table.show(pod_rows(view.pods, view) if view.pods else [])
        run = view.run("pods")
        lines = sections(run_lines(run, 80), evidence_lines(run, 80))
        self.evidence.display = bool(lines)
        self.evidence.show(
            lambda width: sections(run_lines(run, width), evidence_lines(run, width), command_lines(run))
        )

    def on_table_moved(self, message: Table.Moved) -> None:
        """The line above says what is the matter with the pod of the cursor."""
        message.stop()
        view = self.view
        self.state.show(lambda width: state_lines(view, self.selected_pod, width))

    def on_table_chosen(self, message: Table.Chosen) -> None:
        """Open a pod's log."""
        message.stop()
        self.post_message(Perform("log"))


def state_lines(view: View, pod: PodRow | None, width: int) -> list[Content]:
    """How fresh the rows are and what they amount to, or why there are none."""
    if view.cluster.local_running is False and not (view.pods and view.pods.watch.state == "live"):
        return _no_local(view, width)
    if view.pods is None:
        return problem_lines(view.pods_problem, width) if view.pods_problem else quiet("Connecting to the cluster …")
    sign, words, style = freshness(view)
    watch, rows = view.pods.watch, view.pods.rows
    head = line((f"{sign} {words}", style), "  ", _summary(view.pods))
    lines = [head]
    if watch.sentence and watch.state != "live":
        lines += wrapped(line(("! ", WARN), watch.sentence), width, indent=2)
    if not rows and watch.state == "live":
        lines += quiet(f"No pod has the labels {view.pods.target.selector or view.project.settings.deploy.selector}.")
    if pod is not None and pod.reason:
        lines += wrapped(line(("✗ " if not pod.is_ready else "! ", BAD), pod.reason), width, indent=2)
    return lines


def _no_local(view: View, width: int) -> list[Content]:
    if view.busy:
        return quiet(f"{view.busy} …")
    if view.readonly:
        return [line("The local cluster is not running.")]
    return wrapped(line("The local cluster is not running: press ", ("s", KEY), " to start it."), width)


def _summary(snapshot: PodsSnapshot) -> Content:
    rows = snapshot.rows
    if not rows:
        return Content("")
    ready = sum(row.is_ready for row in rows)
    style = GOOD if ready == len(rows) else WARN if ready else BAD
    versions = sorted({row.version for row in rows if row.version})
    restarts = sum(row.restart_count for row in rows)
    return line(
        (f"{ready}/{len(rows)} ready", f"bold {style}"),
        (f"  {listed(versions)}" if versions else "", STRONG),
        (f"  {count(restarts, 'restart')}" if restarts else "", WARN),
    )


def _tag(pod: PodRow) -> str:
    """A pod's version without the model's name: `v3`."""
    return pod.version.rpartition("@")[2] or "-"


def pod_rows(snapshot: PodsSnapshot, view: View) -> list[Row]:
    """The table's rows; all dim where it is not sure that they are still so."""
    from mlconsole.services.kubernetes.rows import age

    unsure = snapshot.watch.state in UNSURE
    rows = []
    for pod in snapshot.rows:
        style = (
            GOOD if pod.is_ready else DIM if pod.status in ("Completed", "Terminating") else BAD if pod.reason else WARN
        )
        styles = ("", style, style, WARN if pod.restart_count else DIM, DIM, "")
        cells = (pod.name, pod.ready, pod.status, pod.restarts, age(pod.created_at, view.moment), _tag(pod))
        rows.append(Row(pod.uid, cells, (FAINT,) * len(cells) if unsure else styles))
    return rows
