"""One phase's users and the clockwork around them: scheduling, deadlines, samples, progress."""
