"""Carries actions out: one module for each thing that is operated on, one coroutine for each action, by its id.

A coroutine gets the app. What changes anything outside is shown first, with its exact command, and asked for: see
`common.asked`.
"""
