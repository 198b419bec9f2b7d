"""What charts show in addition to a record and its verdict."""
