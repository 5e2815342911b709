import os
import pickle


def test_mean_is_positive():
    with open(os.environ["MODEL_PATH"], "rb") as file:
        assert pickle.load(file)["mean"] > 0
