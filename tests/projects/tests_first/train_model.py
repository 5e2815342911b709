import argparse
import csv
import pickle
import shutil
from pathlib import Path

parser = argparse.ArgumentParser()
parser.add_argument("data")
parser.add_argument("output")
options = parser.parse_args()
with open(options.data) as file:
    y = [float(row["y"]) for row in csv.DictReader(file)]
with open(options.output, "wb") as file:
    pickle.dump({"mean": sum(y) / len(y)}, file)
Path("models").mkdir(exist_ok=True)
shutil.copy(options.output, "models/model.pkl")
print(f"mean={sum(y) / len(y)}")
