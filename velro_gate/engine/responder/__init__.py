"""The responder: a process that answers at once, in place of a service."""
