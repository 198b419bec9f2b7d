"""What is measured on the embedded sandbox: the demonstration, banks of blocks, the selftest."""
