"""A project with rows and models in it, to compare models on."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import Any

import joblib
import pandas as pd

from mlconsole.evidence.testing import Comparison
from mlconsole.services.models.compare import compare

HELPERS = """
import numpy as np

class Good:
    def predict(self, rows):
        return (3 * rows["hour"] + 2 * rows["temp"]).to_numpy()

class Bad:
    def predict(self, rows):
        return np.full(len(rows), 60.0)

class Chance:
    classes_ = np.array(["no", "yes"])

    def __init__(self, sharpness):
        self.sharpness = sharpness

    def predict_proba(self, rows):
        sure = 1 / (1 + np.exp(-self.sharpness * (3 * rows["hour"] + 2 * rows["temp"] - 65)))
        return np.stack([1 - sure, sure], axis=1)

    def predict(self, rows):
        return self.classes_[(self.predict_proba(rows)[:, 1] > 0.5).astype(int)]

class Short:
    def predict(self, rows):
        return np.zeros(len(rows) - 1)

class Holes:
    def predict(self, rows):
        values = np.zeros(len(rows))
        values[:3] = np.nan
        return values

class Wide:
    def predict(self, rows):
        return np.zeros((len(rows), 2))

class Coast:
    def predict(self, rows):
        right = (3 * rows["hour"] + 2 * rows["temp"]).to_numpy()
        return right + np.where(rows["place"] == "hills", 30.0, 0.0)

class Angry:
    def predict(self, rows):
        raise RuntimeError("no such \\x1b[31mcolumn")

class Deadly:
    def predict(self, rows):
        import os
        os.kill(os.getpid(), 9)

class Words:
    def predict(self, rows):
        return ["yes"] * len(rows)

class Slow:
    def predict(self, rows):
        import time
        print("predicting", flush=True)
        time.sleep(60)
"""


class Bench:
    """A project folder with rows and models in it, and a comparison of two of them."""

    def __init__(self, root: Path, frame: pd.DataFrame) -> None:
        self.root, self.frame = root, frame
        self.rows = root / "holdout.csv"
        self.cancelled = threading.Event()
        frame.to_csv(self.rows, index=False)
        (root / "shop.py").write_text(HELPERS)
        (root / "store.py").write_text("raise ImportError('the project has a store of its own')")

    def put(self, name: str, model: Any) -> Path:
        joblib.dump(model, self.root / name)
        return self.root / name

    def helper(self, name: str, *arguments: float) -> Path:
        """A pickle of an object of a class in the project's own module, which is not imported here."""
        path = self.root / f"{name}{'-'.join(map(str, arguments))}.pkl"
        numbers = b"".join(b"F%r\n" % argument for argument in arguments)
        path.write_bytes(b"\x80\x02cshop\n" + name.encode() + b"\n(" + numbers + b"tR.")
        return path

    def __call__(self, candidate: Path, champion: Path, **options: Any) -> Comparison:
        return self.all(candidate, champion, **options)[0]

    def all(self, candidate: Path, champion: Path, **options: Any) -> tuple[Comparison, ...]:
        settings: dict[str, Any] = {
            "target": "bikers",
            "metric": "mean_absolute_error",
            "tolerance": 0.01,
            "rows": self.rows,
            **options,
        }
        return compare(
            python=Path(sys.executable),
            root=self.root,
            candidate=candidate,
            champion=champion,
            candidate_label="ml-model@v2",
            champion_label="ml-model@v1",
            log_path=self.root / "logs" / "compare.log",
            cancelled=self.cancelled,
            **settings,
        )
