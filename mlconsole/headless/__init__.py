"""What the console does, without a screen: for CI, for scripts and for people who type.

Standard output is data, standard error is narration and problems; `--json` gives the same as JSON.
"""
