import csv
import pickle
from pathlib import Path


def main():
    with open("data/train.csv") as file:
        y = [float(row["y"]) for row in csv.DictReader(file)]
    Path("models").mkdir(exist_ok=True)
    Path("models/model.pkl").write_bytes(pickle.dumps({"mean": sum(y) / len(y)}))
    print(f"Mean: {sum(y) / len(y)}")
