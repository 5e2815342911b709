import argparse
import csv
import pickle

ZIELSPALTE = "räder"
parser = argparse.ArgumentParser()
parser.add_argument("--daten", required=True, help="die Trainingsdaten")
parser.add_argument("--ausgabe", required=True, help="das Modell")
optionen = parser.parse_args()
with open(optionen.daten, encoding="utf-8") as datei:
    werte = [float(zeile[ZIELSPALTE]) for zeile in csv.DictReader(datei, delimiter=";")]
mittel = sum(werte) / len(werte)
with open(optionen.ausgabe, "wb") as datei:
    pickle.dump({"mean": mittel}, datei)
print(f"mittlerer_fehler={sum(abs(wert - mittel) for wert in werte) / len(werte):.2f}")
