"""What scripts/bench measures: one module a family, and what they share (`frame`, `places`, `page`)."""
