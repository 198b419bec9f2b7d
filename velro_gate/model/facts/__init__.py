"""What findings are about, as data: codes and typed facts. The sentences are those of ``report``."""
