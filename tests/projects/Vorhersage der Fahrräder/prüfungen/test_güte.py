import os
import pickle


def test_mittelwert_ist_größer_als_null():
    with open(os.environ["MODEL_PATH"], "rb") as file:
        assert pickle.load(file)["mean"] > 0
