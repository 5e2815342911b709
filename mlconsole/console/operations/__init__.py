"""Carries actions out: one module for each thing that is operated on, one function for each action, by its id.

It gets the app, and is a coroutine where it waits for something. What changes anything outside is shown first, with its
exact command, and asked for: see `common.asked`.
"""
