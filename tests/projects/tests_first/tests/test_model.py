import pickle
from pathlib import Path

MODEL = Path(__file__).parent.parent / "models" / "model.pkl"


def test_there_is_a_model():
    assert MODEL.exists(), "train one first"


def test_it_knows_the_mean():
    assert pickle.loads(MODEL.read_bytes())["mean"] == 40
