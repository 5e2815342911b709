import json
import os
import pathlib

import numpy


def test_the_folder_holds_a_mean():
    folder = pathlib.Path(os.environ["MODEL_PATH"])
    assert json.loads((folder / "config.json").read_text()) == {"kind": "mean"}
    assert numpy.load(folder / "variables" / "weights.npy")[0] > 0
