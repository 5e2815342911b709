"""Where a model comes from: stated in the format that others read, and proven again from what is there.

`statement` writes in-toto statements with SLSA provenance; `verify` computes every digest of a release again.
"""
