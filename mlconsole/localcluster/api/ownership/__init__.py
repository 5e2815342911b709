"""Who owns which field: sets of fields, and the managedFields that keep them."""
