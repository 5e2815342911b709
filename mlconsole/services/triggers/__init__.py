"""What can set a release off: files, objects of a store, a branch, a schedule, parameters. Nothing here decides."""
