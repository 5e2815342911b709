"""What keeps the objects of the local cluster as they were asked to be; each controller is one file."""
