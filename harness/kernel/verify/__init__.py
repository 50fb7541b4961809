"""The model held against the live kernel: one program of raw calls on both, and every answer compared."""
