"""GitHub: what an event asks for, and telling the verdict by comment, status, summary, annotations and outputs."""
