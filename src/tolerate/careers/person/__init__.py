"""The person who asks: profile, interview, progress."""
