import argparse
import pickle

parser = argparse.ArgumentParser()
parser.add_argument("--in", dest="source")
parser.add_argument("--out")
options = parser.parse_args()
with open(options.out, "wb") as file:
    pickle.dump({"mean": 1.0}, file)
