"""Parameters driven over a shot by sound, by a table, by markers or by notes."""
