"""Frozen nouns: workload, chip, mapping, schedule. They know nothing of how they are read, priced or found."""
