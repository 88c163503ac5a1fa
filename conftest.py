"""What pytest must know before it collects anything."""

collect_ignore = ["nn", "optim"]  # links to parts of minigrad/, which is collected itself
