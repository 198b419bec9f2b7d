"""GitHub: what an event asks for, and publishing the verdict as comment, status, summary, annotations and outputs."""
