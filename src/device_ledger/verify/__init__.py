"""Whether a whole log, wherever it is kept, is the one whose checkpoints were signed."""
