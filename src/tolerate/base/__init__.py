"""What every package uses: arrays, look-up by name, run folders, worker processes."""
