"""Time code ranges of what an archive holds."""
