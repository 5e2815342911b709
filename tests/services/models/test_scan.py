"""What a model file would import, found without importing it."""

from __future__ import annotations

import json
import os
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder

from mlconsole.services.models.scan import ScanFailed, dangerous, imports, unknown


class Evil:
    """Runs a command when it is loaded, by way of `os.system`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self.folder}/was-run",)


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    random = np.random.default_rng(0)
    frame = pd.DataFrame({"a": random.random(60), "b": ["x", "y"] * 30})
    columns = ColumnTransformer([("words", OneHotEncoder(), ["b"]), ("rest", "passthrough", ["a"])])
    return make_pipeline(columns, HistGradientBoostingRegressor(max_iter=5)).fit(frame, frame["a"])


@pytest.mark.parametrize("compress", [0, 3, ("gzip", 3), ("bz2", 3), ("xz", 3), ("lzma", 3)])
def test_a_joblib_file_is_read_to_its_end(tmp_path: Path, pipeline: Pipeline, compress: int | tuple[str, int]) -> None:
    path = tmp_path / "model.joblib"
    arrays = {"numbers": np.arange(999.0), "words": np.array(["é", "z"]), "none": np.zeros((0, 3))}
    joblib.dump([arrays, pipeline, np.array([1, Evil(tmp_path)], dtype=object), OrderedDict()], path, compress=compress)
    names = imports(path)
    assert {"sklearn.pipeline.Pipeline", "posix.system", "collections.OrderedDict"} <= set(names)
    assert dangerous(names) == ("posix.system",)
    assert not (tmp_path / "was-run").exists()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_of_any_protocol_is_read(tmp_path: Path, pipeline: Pipeline, protocol: int) -> None:
    path = tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps(pipeline, protocol))
    assert "sklearn.pipeline.Pipeline" in imports(path)
    assert dangerous(imports(path)) == ()


def test_it_asks_for_exactly_what_a_load_looks_up(tmp_path: Path) -> None:
    path = tmp_path / "model.pkl"
    forest = RandomForestClassifier(3).fit([[0.0], [1.0]] * 20, ["a", "b"] * 20)
    path.write_bytes(pickle.dumps(forest))
    seen: set[str] = set()

    class Watching(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> object:
            seen.add(f"{module}.{name}")
            return super().find_class(module, name)

    with path.open("rb") as file:
        Watching(file).load()
    assert set(imports(path)) == seen


def test_a_file_that_reads_differently_for_pickle_and_joblib_hides_nothing(tmp_path: Path) -> None:
    # joblib takes what follows the wrapper for the bytes of an array; pickle takes it for opcodes.
    hidden = b"cos\nsystem\n(S'true'\ntR."
    wrapper = (
        b"cjoblib.numpy_pickle\nNumpyArrayWrapper\n)\x81}(X\x05\x00\x00\x00shapeK%c\x85X\x05\x00\x00\x00dtype"
        b"cnumpy\ndtype\n(X\x02\x00\x00\x00u1tRub" % len(hidden)
    )
    path = tmp_path / "model.pkl"
    path.write_bytes(b"\x80\x02" + wrapper + hidden + b".")
    assert "os.system" in imports(path)


def test_a_name_that_is_made_of_parts_is_found(tmp_path: Path) -> None:
    path = tmp_path / "model.pkl"
    path.write_bytes(b"\x80\x04\x8c\x02os\x94\x8c\x06system\x940h\x00h\x01\x93\x8c\x04true\x85R.")
    assert imports(path) == ("os.system",)


def test_an_extension_code_can_be_anything(tmp_path: Path) -> None:
    path = tmp_path / "model.pkl"
    path.write_bytes(b"\x80\x02\x82\x01.")
    assert dangerous(imports(path)) == ("unknown.unknown",)


def test_python_2_names_are_told_as_they_are_loaded(tmp_path: Path) -> None:
    path = tmp_path / "model.pkl"
    path.write_bytes(b"c__builtin__\neval\n(S'1'\ntR.")
    assert imports(path) == ("builtins.eval",)
    assert dangerous(imports(path)) == ("builtins.eval",)


def test_the_schema_of_a_skops_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "model.skops"
    step = {"__class__": "Step", "__module__": "shop.steps", "__loader__": "ObjectNode"}
    function = {"__class__": "function", "__module__": "os", "content": {"module_path": "os", "function": "system"}}
    content = {"a": [step, function], "b": {"__class__": "str", "__module__": "builtins", "content": "true"}}
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("schema.json", json.dumps({"__class__": "dict", "__module__": "builtins", "content": content}))
    names = imports(path)
    assert {"shop.steps.Step", "os.system", "builtins.str"} <= set(names)
    assert "os.system" in dangerous(names)
    assert "shop.steps.Step" in unknown(names)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("schema.json", "{")
    with pytest.raises(ScanFailed, match="no JSON"):
        imports(path)


def test_the_pickles_inside_a_zip_are_read(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model/data.pkl", pickle.dumps(OrderedDict(), 2))
        archive.writestr("model/data/0", b"\0" * 100)
    assert imports(path) == ("collections.OrderedDict",)


@pytest.mark.parametrize("content", [b'{"learner": {}}', b"", b"\x08\x07onnx", b"plain text\n"])
def test_another_format_imports_nothing(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(content)
    assert imports(path) == ()


def test_a_pickle_that_breaks_off_is_a_sentence(tmp_path: Path, pipeline: Pipeline) -> None:
    path = tmp_path / "model.pkl"
    joblib.dump(pipeline, path)
    path.write_bytes(path.read_bytes()[:4000])
    with pytest.raises(ScanFailed, match=r"model\.pkl can't be scanned: "):
        imports(path)


def test_a_file_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ScanFailed, match="No such file"):
        imports(tmp_path / "gone.pkl")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=300)
@given(
    st.binary(max_size=60),
    st.sampled_from([b"", b"\x80\x04", b"\x80\x02c", b"\x1f\x8b", b"BZh9", b"\x78\x9c", b"PK\x03\x04"]),
)
def test_any_bytes_are_names_or_a_sentence(tmp_path: Path, data: bytes, start: bytes) -> None:
    path = tmp_path / "model.pkl"
    path.write_bytes(start + data)
    try:
        assert all(isinstance(name, str) for name in imports(path))
    except ScanFailed as error:
        assert str(error)


SHELLS = (
    "os.system",
    "posix.system",
    "nt.system",
    "subprocess.Popen",
    "builtins.eval",
    "builtins.exec",
    "runpy.run_path",
)
OTHERS = ("socket.socket", "shutil.rmtree", "webbrowser.open", "os.path.join", "sys.exit", "joblib.load")
BY_NAME = ("builtins.__import__", "importlib.import_module", "pkgutil.resolve_name")
DEEP = ("torch.utils.data.datapipes.utils.decoder.basichandlers", "code.InteractiveInterpreter.runcode")


@pytest.mark.parametrize("name", [*SHELLS, *OTHERS, *BY_NAME, *DEEP])
def test_a_dangerous_name_is_known(name: str) -> None:
    assert dangerous(["sklearn.pipeline.Pipeline", name]) == (name,)


def test_the_names_of_ordinary_models_are_not_dangerous(capfd: pytest.CaptureFixture[str]) -> None:
    names = [
        "numpy.ndarray",
        "sklearn.svm._classes.SVC",
        "builtins.slice",
        "collections.OrderedDict",
        "copyreg._reconstructor",
    ]
    assert dangerous(names) == ()
    assert dangerous(["os.system"]) == ("os.system",)
    assert capfd.readouterr() == ("", "")


def test_a_usual_model_imports_nothing_unknown(tmp_path: Path, pipeline: Pipeline) -> None:
    joblib.dump(pipeline, tmp_path / "model.pkl")
    assert unknown(imports(tmp_path / "model.pkl")) == ()


@pytest.mark.parametrize(
    ("trusted", "left"),
    [
        ((), ("shop.steps.Scaler", "shopping.Cart")),
        (("shop",), ("shopping.Cart",)),
        (("shop.*",), ("shopping.Cart",)),
        (("shop.steps.Sc*", "shopping"), ()),
        (("Scaler",), ("shop.steps.Scaler", "shopping.Cart")),
    ],
)
def test_what_is_trusted_is_told_by_settings(trusted: tuple[str, ...], left: tuple[str, ...]) -> None:
    names = ("builtins.set", "numpy.dtype", "shop.steps.Scaler", "shopping.Cart")
    assert unknown(names, trusted) == left


def test_a_builtin_that_is_no_plain_type_is_unknown() -> None:
    assert unknown(["builtins.open", "builtins.list"]) == ("builtins.open",)
