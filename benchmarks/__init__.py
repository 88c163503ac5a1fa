"""Programs that measure time, memory and accuracy; ``make bench`` runs them."""
