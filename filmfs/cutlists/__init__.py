"""Cut lists: EDLs and timelines as values, and which media they speak of. Nothing here opens a file."""
