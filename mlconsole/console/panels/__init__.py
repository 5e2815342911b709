"""One panel for each stage: it answers the stage's question from the shown release and from what is live."""
