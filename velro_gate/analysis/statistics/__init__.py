"""Statistics without words of the gate: sign flips, paired differences, intervals."""
