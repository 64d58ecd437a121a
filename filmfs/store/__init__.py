"""What is kept: records in LMDB, bytes in plain files."""
