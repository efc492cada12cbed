"""Everything said to people, in English and Chinese."""
