"""Base build and head build side by side, in pairs of blocks."""
