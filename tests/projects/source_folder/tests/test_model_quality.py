import pickle


def test_mean_is_positive(model_path):
    with open(model_path, "rb") as file:
        assert pickle.load(file)["mean"] > 0
