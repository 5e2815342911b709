"""The engine of a release: order, gates, fingerprints, resume, cancel, and the process that runs it.

`engine` carries a release out, `decisions` is what people write for it, `launch` starts it as a process of its own,
`rollback` goes back to an earlier version.
"""
