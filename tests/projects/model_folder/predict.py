import sys

import numpy

model, data, predictions = sys.argv[1:]
mean = numpy.load(f"{model}/variables/weights.npy")[0]
with open(data) as file:
    rows = file.read().splitlines()[1:]
with open(predictions, "w") as file:
    file.write("prediction\n" + f"{mean}\n" * len(rows))
