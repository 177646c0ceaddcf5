"""What every wing may use: files, processes, provenance, random streams."""
