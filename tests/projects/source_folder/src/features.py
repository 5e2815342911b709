TARGET = "rides"


def values(rows):
    return [float(row[TARGET]) for row in rows]
