"""Stand-ins for what sgoped talks to, real enough to break in all the ways the real ones do."""
