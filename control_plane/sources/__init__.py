"""Where the configuration is kept: one interface (`source.Source`), one implementation per URL scheme.

Receives batches of changes, already checked; keeps each under a revision, durably, and tells its listeners. A folder is
also read: its files are checked here, and what is wrong in them is reported. Next station: `store`.
"""
