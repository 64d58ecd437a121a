"""What an archive looks like as a file system, decided here and only here. Doors (FUSE, HTTP) speak it."""
