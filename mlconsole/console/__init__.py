"""The Textual app: a rail of stages, a panel for each, and the evidence that a release waits for or stopped at."""

import os

# Textual reads this when it is imported. A key waits for up to two of its frames before its effect is on the screen; at
# the usual 60 a second that is most of the delay that a person feels.
os.environ.setdefault("TEXTUAL_FPS", "240")
